// What the writer, the reader and the callers of the queue share.

import Synchronization

/// The lease table behind its lock.
final class QueueState: Sendable {
    private let table = Mutex(LeaseTable())

    /// Gives the table to a few operations in memory: never to something that waits for a statement.
    func withTable<T: Sendable>(_ body: (inout LeaseTable) -> T) -> T {
        table.withLock { body(&$0) }
    }
}
