// A connection that only reads, as the readers keep it.

import GRDB
import RelayCore

/// Made when it is first used, and made anew after an error that spoiled it. Neither waits for the writer nor makes it
/// wait.
struct ReadConnection {
    private let file: QueueFile
    private var connection: DatabaseQueue?
    private var isClosed = false

    init(_ file: QueueFile) { self.file = file }

    /// - Throws: `closed`, or what SQLite reports.
    mutating func read<T>(_ body: (Database) throws -> T) throws(QueueError) -> T {
        guard !isClosed else { throw QueueError(.closed, "the queue was closed") }
        do {
            let connection = try self.connection ?? file.connectToRead()
            self.connection = connection
            return try connection.unsafeRead(body)
        } catch {
            if (error as? DatabaseError)?.needsNewConnection ?? false { connection = nil }
            throw QueueError(error, path: file.path)
        }
    }

    mutating func close() {
        isClosed = true
        connection = nil
    }
}
