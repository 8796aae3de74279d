// What a command reads: a file, or standard input.

import Foundation

/// Reads a file whole; `-` is standard input.
func readInput(_ path: String) throws -> [UInt8] {
    do {
        let data =
            try path == "-"
            ? FileHandle.standardInput.readToEnd() ?? Data() : Data(contentsOf: URL(fileURLWithPath: path))
        return Array(data)
    } catch {
        throw CommandFailure(.failed, "cannot read \(path): \(unreadableReason(path))")
    }
}
