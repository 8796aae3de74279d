// The statements for what is kept of attempts.

import Foundation
import GRDB
import RelayCore

/// Attempts that were not accepted, or not in the last replay, and responses. What a method says that it took or freed
/// is counted in `meta.history_bytes`. Made and used inside the writing connection's `write…` methods only.
struct HistoryStore {
    private let db: Database
    private let insertAttempt, insertLastAttempt, trimAttempts, removeAttempts: Statement
    private let insertResponse, removeResponse, oldest: Statement

    init(_ db: Database) throws {
        func prepare(_ sql: String) throws -> Statement { try db.makeStatement(sql: sql) }
        self.db = db
        insertAttempt = try prepare(
            """
            INSERT OR IGNORE INTO attempt
                (delivery, replay, number, is_counted, started_at, finished_at, outcome, reason, detail, size)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        insertLastAttempt = try prepare(
            """
            INSERT OR IGNORE INTO attempt
                (delivery, replay, number, is_counted, started_at, finished_at, outcome, reason, detail, size)
            SELECT id, replays, attempts, 1, attempt_started_at, attempt_finished_at, outcome, reason, '', ?
            FROM delivery WHERE id = ? AND attempts > 0 AND outcome IS NOT NULL
            """)
        trimAttempts = try prepare(
            """
            DELETE FROM attempt
            WHERE delivery = ?1 AND (replay, number, is_counted, started_at) IN (
                SELECT replay, number, is_counted, started_at FROM attempt WHERE delivery = ?1
                ORDER BY replay, number, is_counted, started_at
                LIMIT max(0, (SELECT COUNT(*) FROM attempt WHERE delivery = ?1) - ?2) OFFSET 1)
            RETURNING size
            """)
        removeAttempts = try prepare("DELETE FROM attempt WHERE delivery = ? RETURNING size")
        insertResponse = try prepare(
            """
            INSERT INTO response (delivery, status, is_truncated, size, headers, body) VALUES (?, ?, ?, ?, ?, ?)
            """)
        removeResponse = try prepare("DELETE FROM response WHERE delivery = ? RETURNING size")
        oldest = try prepare("SELECT MIN(delivery) FROM attempt")
    }

    /// Returns how many bytes it took: none when the attempt is there already.
    func add(_ attempt: RecordedAttempt, to delivery: Int64) throws -> Int64 {
        try insertAttempt.run([
            delivery.databaseValue, attempt.replay.databaseValue, attempt.number.databaseValue,
            (!attempt.isProbe).databaseValue,
            attempt.startedAt.databaseValue, attempt.finishedAt.databaseValue, attempt.outcome.databaseValue,
            attempt.reason?.databaseValue ?? .null, attempt.detail.databaseValue, attempt.storedBytes.databaseValue,
        ])
        return db.changesCount == 1 ? attempt.storedBytes : 0
    }

    /// The last attempt, which stands in the row of the delivery only where it was accepted, is kept beside it from now
    /// on. Returns how many bytes that took.
    func addLastAttempt(of delivery: Int64) throws -> Int64 {
        try insertLastAttempt.run([RecordedAttempt.bytesWithoutDetail.databaseValue, delivery.databaseValue])
        return db.changesCount == 1 ? RecordedAttempt.bytesWithoutDetail : 0
    }

    /// Leaves the first attempt and the last ones. Returns how many bytes became free.
    func trimAttempts(of delivery: Int64) throws -> Int64 {
        try sum(trimAttempts, [delivery.databaseValue, DeliveryRecord.maxAttempts.databaseValue])
    }

    /// There must be none yet. Returns how many bytes it took.
    func add(_ response: RecordedResponse, to delivery: Int64) throws -> Int64 {
        let headers = try JSONEncoder().encode(response.headers.map { [$0.name, $0.value] })
        try insertResponse.run([
            delivery.databaseValue, response.status.databaseValue, response.isTruncated.databaseValue,
            response.storedBytes.databaseValue, String(decoding: headers, as: UTF8.self).databaseValue,
            Data(response.body).databaseValue,
        ])
        return response.storedBytes
    }

    /// Returns how many bytes became free.
    func removeResponse(of delivery: Int64) throws -> Int64 { try sum(removeResponse, [delivery.databaseValue]) }

    /// Returns how many bytes became free.
    func removeAll(of delivery: Int64) throws -> Int64 {
        try sum(removeAttempts, [delivery.databaseValue]) + sum(removeResponse, [delivery.databaseValue])
    }

    /// The first stored of the deliveries that have a history. A response is never kept without its attempt.
    func oldestDelivery() throws -> Int64? { try oldest.first([]) { $0[0] as Int64? } ?? nil }

    private func sum(_ statement: Statement, _ values: [DatabaseValue]) throws -> Int64 {
        var sum: Int64 = 0
        try statement.forEach(values) {
            sum += $0[0] as Int64
            return true
        }
        return sum
    }
}

// MARK: - Reading

extension RecordedAttempt {
    /// The columns that `init(_ row:)` reads.
    static let columns = "replay, number, is_counted, started_at, finished_at, outcome, reason, detail"

    init(_ row: Row) {
        self.init(
            replay: row[0], number: row[1], isProbe: !row[2], startedAt: Timestamp(nanosecondsSinceEpoch: row[3]),
            finishedAt: Timestamp(nanosecondsSinceEpoch: row[4]), outcome: row[5], reason: row[6], detail: row[7])
    }
}

extension RecordedResponse {
    /// The columns that `init(_ row:)` reads.
    static let columns = "status, is_truncated, headers, body"

    init(_ row: Row) throws {
        let headers = try JSONDecoder().decode([[String]].self, from: Data((row[2] as String).utf8))
        self.init(
            status: row[0], headers: headers.filter { $0.count == 2 }.map { Header(name: $0[0], value: $0[1]) },
            body: [UInt8](row[3] as Data), isTruncated: row[1])
    }
}
