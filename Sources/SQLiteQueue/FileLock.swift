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
    /// - Throws: `locked`, naming the path and where known the holder; `unusable` when the file cannot be opened.
    init(path: String) throws(QueueError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .unusable("lock file \(path) cannot be opened: \(errnoText())") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let (isHeld, reason) = (errno == EWOULDBLOCK, errnoText())
            let holder = Self.processID(in: descriptor)
            _ = Foundation.close(descriptor)
            guard isHeld else { throw .unusable("lock file \(path) cannot be locked: \(reason)") }
            throw QueueError(
                .locked, "\(path) is locked by \(holder.map { "process \($0)" } ?? "another process")")
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

    private static func processID(in descriptor: CInt) -> Int32? {
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return nil }
        return Int32(String(decoding: bytes[..<count], as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
    }
}
