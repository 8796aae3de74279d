// An open file and what tells its versions apart. All use of the C library's files is here.

import CPosix

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Why a file could not be read, for people; never its content.
struct FileError: Error {
    var reason: String
}

/// What differs when a file was written to, replaced, or given to others to read: times, size, and identity.
package struct FileVersion: Hashable, Sendable {
    /// Since the epoch, to the nanosecond.
    var modified: Duration
    /// The same, of owner and mode as well.
    var changed: Duration
    var size: Int64
    var device: UInt64
    var inode: UInt64
}

extension FileVersion {
    fileprivate init(_ status: relay_file_status) {
        self.init(
            modified: .nanoseconds(status.modified_nanoseconds), changed: .nanoseconds(status.changed_nanoseconds),
            size: status.size, device: status.device, inode: status.inode)
    }

    /// Of the file that a path leads to, symbolic links followed; nil when there is none, or nothing that can be read
    /// to an end.
    package init?(of path: String) {
        var status = relay_file_status()
        guard relay_path_status(path, &status) == 0, status.is_regular_file else { return nil }
        self.init(status)
    }
}

/// A regular file, open for reading. Status and content are taken of the same open file, so they belong together
/// whatever is done to its path meanwhile.
struct SecretFile: ~Copyable {
    private let descriptor: CInt

    /// Follows symbolic links. Does not wait: a pipe is opened without a writer, and then refused.
    init(_ path: String) throws(FileError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw FileError(reason: "cannot be opened: \(String(cString: strerror(errno)))") }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    func version() throws(FileError) -> FileVersion {
        var status = relay_file_status()
        guard relay_descriptor_status(descriptor, &status) == 0 else {
            throw FileError(reason: "cannot be looked at: \(String(cString: strerror(errno)))")
        }
        guard status.is_regular_file else { throw FileError(reason: "is not a regular file") }
        return FileVersion(status)
    }

    /// The whole file. Throws when it is larger than the limit.
    func contents(atMost limit: Int) throws(FileError) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while bytes.count <= limit {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw FileError(reason: "cannot be read: \(String(cString: strerror(errno)))") }
            guard count > 0 else { return bytes }
            bytes += buffer[..<count]
        }
        throw FileError(reason: "is larger than \(limit) bytes")
    }
}
