// The exclusive lock that keeps a second process away from the queue.

import Foundation
import RelayCore

/// An exclusive `flock` on a file, held from `init` to `deinit`. The kernel ends it with the process, however that
/// dies.
///
/// The file stays when the lock ends: removing it would let two processes hold locks on two files of one name.
struct FileLock: ~Copyable {
    private let descriptor: CInt

    /// Creates the file (0600) if need be, locks it and writes this process's id into it.
    /// - Parameter pause: made between two tries while somebody looks (`holder(of:)`), who shares the lock for an
    ///   instant. Who holds it is not waited for.
    /// - Throws: `locked`, naming the path and where known the holder; `unusable` when the file cannot be opened.
    init(path: String, pause: () -> Void = { usleep(1_000) }) throws(QueueError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .unusable("lock file \(path) cannot be opened: \(errnoText())") }
        let failure = Self.lock(descriptor, pause)
        guard failure == 0 else {
            let (holder, reason) = (Self.holder(in: descriptor), String(cString: strerror(failure)))
            _ = Foundation.close(descriptor)
            throw failure == EWOULDBLOCK
                ? .locked(path, by: holder) : .unusable("lock file \(path) cannot be locked: \(reason)")
        }
        self.descriptor = descriptor
        _ = fchmod(descriptor, 0o600)
        // For people only: it does not matter when it cannot be written, for example on a full disk.
        if ftruncate(descriptor, 0) == 0 {
            let text = Array("\(getpid())\n".utf8)
            _ = pwrite(descriptor, text, text.count, 0)
        }
    }

    deinit { _ = Foundation.close(descriptor) }

    /// Who holds the lock, without taking it or changing the file; nil: nobody, or the file cannot be opened.
    static func holder(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return nil }
        defer { _ = Foundation.close(descriptor) }
        guard flock(descriptor, LOCK_SH | LOCK_NB) != 0, errno == EWOULDBLOCK else { return nil }
        return holder(in: descriptor)
    }

    /// - Returns: 0, or the error number.
    private static func lock(_ descriptor: CInt, _ pause: () -> Void) -> CInt {
        for _ in 0..<100 {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return 0 }
            guard errno == EWOULDBLOCK, flock(descriptor, LOCK_SH | LOCK_NB) == 0 else { return errno }
            // Two that begin at once must not wait for each other.
            _ = flock(descriptor, LOCK_UN)
            pause()
        }
        return EWOULDBLOCK
    }

    private static func holder(in descriptor: CInt) -> String {
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = max(0, pread(descriptor, &bytes, bytes.count, 0))
        let text = String(decoding: bytes[..<count], as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        return Int32(text).map { "process \($0)" } ?? "another process"
    }
}

extension QueueError {
    static func locked(_ path: String, by holder: String) -> QueueError {
        QueueError(.locked, "\(path) is locked by \(holder)")
    }
}
