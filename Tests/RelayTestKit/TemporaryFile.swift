// Files and sockets of a test, each under a name of its own.

internal import Foundation

/// A path for a Unix domain socket. Short, because a socket's path has at most 107 bytes (unix(7)).
package func temporarySocketPath() -> String {
    FileManager.default.temporaryDirectory.appending(path: "relay-\(UUID().uuidString.prefix(8)).sock").path
}

/// A file that is removed with its last reference.
package final class TemporaryFile {
    package let path: String

    package init(_ text: String) throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "relay-\(UUID().uuidString)")
        try text.write(to: url, atomically: false, encoding: .utf8)
        path = url.path
    }

    package func replace(with text: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }
}
