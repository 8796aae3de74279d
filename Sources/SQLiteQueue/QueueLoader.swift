// What is read from the database when it is opened.

import GRDB
import RelayCore

/// Reads what is kept in memory from then on.
enum QueueLoader {
    /// Draws the id of a new queue. After a crash there is none or the one that was drawn, for ever.
    static func readOrDrawQueueID(_ db: Database) throws -> UInt32 {
        try db.execute(
            sql: "INSERT OR IGNORE INTO meta (id, queue_id, next_sequence, bytes, probes) VALUES (1, ?, 1, 0, 0)",
            arguments: [UInt32.random(in: .min ... .max)])
        guard let id = try queueID(db) else { throw QueueError.unavailable("the queue has no id") }
        return id
    }

    static func queueID(_ db: Database) throws -> UInt32? {
        try UInt32.fetchOne(db, sql: "SELECT queue_id FROM meta WHERE id = 1")
    }

    /// Counts by reading an index: less than a second for a million waiting deliveries.
    /// - Returns: the ledger, and the sequence of the oldest unfinished delivery of each backend.
    static func load(_ db: Database) throws -> (ledger: Ledger, oldest: [BackendName: Int64]) {
        var ledger = Ledger()
        var oldest: [BackendName: Int64] = [:]
        if let meta = try Row.fetchOne(db, sql: "SELECT next_sequence, bytes, history_bytes FROM meta WHERE id = 1") {
            ledger.nextSequence = meta[0]
            ledger.bytes = meta[1]
            ledger.historyBytes = meta[2]
        }
        let waiting = try Row.fetchCursor(
            db,
            sql: """
                SELECT backend, state, COUNT(*), MIN(id) FROM delivery INDEXED BY delivery_waiting
                WHERE settled_at IS NULL GROUP BY backend, state
                """)
        while let row = try waiting.next() {
            let backend = BackendName(row[0])
            if let state = DeliveryState(rawValue: row[1]) { ledger.count(state, of: backend, by: row[2]) }
            oldest[backend] = min(oldest[backend] ?? .max, row[3])
        }
        let dead = try Row.fetchCursor(
            db,
            sql: """
                SELECT backend, COUNT(*) FROM delivery
                WHERE state = 'dead' AND settled_at IS NOT NULL GROUP BY backend
                """)
        while let row = try dead.next() {
            ledger.count(.dead, of: BackendName(row[0]), by: row[1])
        }
        return (ledger, oldest)
    }
}
