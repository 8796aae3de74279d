// The statements that change the queue: each query stands here once, prepared once for each connection.

import Foundation
import GRDB
import RelayCore

/// The statements of the writing connection. Made and used inside that connection's `write…` methods only.
final class QueueStore {
    private let db: Database
    private let rememberKey, seenKey, forgetKey, pruneKeys: Statement
    private let insertEnvelope, payloadBytes, removePayload, removeEnvelope: Statement
    private let insertDelivery, insertSettled, settleAttempted, settleUnattempted, removeDelivery: Statement
    private let settledDeliveries, unfinishedDeliveries, siblings, isUnfinished: Statement
    private let isKeyTaken, unblockNext: Statement
    private let storeLateAnswer, removeLateAnswer: Statement
    private let storePause, removePause: Statement
    private let writeMeta: Statement

    init(_ db: Database) throws {
        func prepare(_ sql: String) throws -> Statement { try db.makeStatement(sql: sql) }
        self.db = db
        rememberKey = try prepare(
            "INSERT INTO deduplication (seen_at, app, key) VALUES (?, ?, ?) ON CONFLICT (key, app) DO NOTHING")
        seenKey = try prepare("SELECT seen_at FROM deduplication WHERE key = ? AND app = ?")
        forgetKey = try prepare("DELETE FROM deduplication WHERE key = ? AND app = ?")
        pruneKeys = try prepare(
            """
            DELETE FROM deduplication
            WHERE id IN (SELECT id FROM deduplication ORDER BY id LIMIT ?) AND seen_at NOT BETWEEN ? AND ?
            """)
        insertEnvelope = try prepare(
            """
            INSERT INTO envelope
                (id, deliveries, size, app, kind, slack_id, received_at, retry_attempt, retry_reason, payload)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        payloadBytes = try prepare("SELECT length(payload) FROM envelope WHERE id = ?")
        removePayload = try prepare("UPDATE envelope SET payload = NULL, size = size - ? WHERE id = ?")
        removeEnvelope = try prepare(
            """
            DELETE FROM envelope
            WHERE id = ?1
                AND NOT EXISTS (SELECT 1 FROM delivery WHERE id >= ?1 AND id < ?1 + envelope.deliveries)
            RETURNING size
            """)
        insertDelivery = try prepare(
            """
            INSERT INTO delivery (id, envelope, backend, route, path, order_key, state, due_at, attempts)
            VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, 0)
            """)
        insertSettled = try prepare(
            """
            INSERT INTO delivery
                (id, envelope, backend, route, path, order_key, due_at, sent_id, state, settled_at, dead_reason,
                attempts, attempt_started_at, attempt_finished_at, outcome, reason)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        settleAttempted = try prepare(
            """
            UPDATE delivery
            SET due_at = ?, state = ?, settled_at = ?, dead_reason = ?, attempts = ?, attempt_started_at = ?,
                attempt_finished_at = ?, outcome = ?, reason = ?
            WHERE id = ?
            """)
        settleUnattempted = try prepare(
            "UPDATE delivery SET due_at = ?, state = ?, settled_at = ?, dead_reason = ? WHERE id = ?")
        removeDelivery = try prepare("DELETE FROM delivery WHERE id = ?")
        settledDeliveries = try prepare(
            """
            SELECT delivery.id, delivery.backend, delivery.envelope, envelope.size
            FROM delivery JOIN envelope ON envelope.id = delivery.envelope
            WHERE delivery.state = ? AND settled_at IS NOT NULL AND settled_at <= ?
            ORDER BY settled_at LIMIT ?
            """)
        // NOT INDEXED: in the order of arrival, by the table itself.
        unfinishedDeliveries = try prepare(
            """
            SELECT delivery.id, delivery.backend, delivery.state, delivery.envelope, envelope.deliveries, envelope.size,
                order_key, due_at
            FROM delivery NOT INDEXED JOIN envelope ON envelope.id = delivery.envelope
            WHERE delivery.id >= ? AND settled_at IS NULL
            ORDER BY delivery.id
            """)
        siblings = try prepare("SELECT id, backend, state FROM delivery WHERE id >= ? AND id < ?")
        isUnfinished = try prepare("SELECT 1 FROM delivery WHERE id = ? AND settled_at IS NULL")
        isKeyTaken = try prepare(
            """
            SELECT 1 FROM delivery INDEXED BY delivery_ordered
            WHERE backend = ? AND order_key = ? AND settled_at IS NULL LIMIT 1
            """)
        unblockNext = try prepare(
            """
            UPDATE delivery
            SET due_at = min(?, (SELECT received_at FROM envelope WHERE id = delivery.envelope))
            WHERE id = (
                SELECT id FROM delivery INDEXED BY delivery_ordered
                WHERE backend = ? AND order_key = ? AND settled_at IS NULL ORDER BY id LIMIT 1)
            RETURNING due_at, id
            """)
        storeLateAnswer = try prepare(
            """
            INSERT OR REPLACE INTO late_answer (app, envelope_id, response_url, expires_at, reply, failure)
            VALUES (?, ?, ?, ?, ?, ?)
            """)
        removeLateAnswer = try prepare("DELETE FROM late_answer WHERE app = ? AND envelope_id = ?")
        storePause = try prepare("INSERT OR REPLACE INTO pause (backend, since, cause) VALUES (?, ?, ?)")
        removePause = try prepare("DELETE FROM pause WHERE backend = ?")
        writeMeta = try prepare("UPDATE meta SET next_sequence = ?, bytes = ?, probes = probes + ? WHERE id = 1")
    }

    /// Runs one transaction. Durable when it returns; nothing of it happened when it throws.
    func inTransaction(_ body: () throws -> Void) throws {
        try db.inTransaction(.immediate) {
            try body()
            return .commit
        }
    }
}

// MARK: - Deduplication

extension QueueStore {
    /// Whether the key is new: false when it is remembered, however old.
    func remember(_ key: String, of app: AppName, seenAt: Timestamp) throws -> Bool {
        try run(rememberKey, [seenAt.databaseValue, app.text.databaseValue, key.databaseValue])
        return db.changesCount == 1
    }

    /// When the first copy was received; nil when the key is not remembered.
    func seenAt(_ key: String, of app: AppName) throws -> Timestamp? {
        try first(seenKey, [key.databaseValue, app.text.databaseValue]) { Timestamp(nanosecondsSinceEpoch: $0[0]) }
    }

    func forget(_ key: String, of app: AppName) throws {
        try run(forgetKey, [key.databaseValue, app.text.databaseValue])
    }

    /// Forgets those of the first `limit` keys that were not seen within a span of time: before it, or (the clock was
    /// set back) long after it, where they would keep all that follow from being forgotten. Returns how many.
    func forgetKeys(notSeenWithin span: ClosedRange<Timestamp>, limit: Int) throws -> Int {
        try run(pruneKeys, [limit.databaseValue, span.lowerBound.databaseValue, span.upperBound.databaseValue])
        return db.changesCount
    }
}

// MARK: - Envelopes and deliveries

extension QueueStore {
    /// - Parameter payload: nil when nobody will ask for it.
    func insert(_ envelope: Envelope, id: Int64, deliveries: Int, size: Int64, payload: Payload?) throws {
        try run(
            insertEnvelope,
            [
                id.databaseValue, deliveries.databaseValue, size.databaseValue, envelope.app.text.databaseValue,
                envelope.kind.rawValue.databaseValue, envelope.id.databaseValue, envelope.receivedAt.databaseValue,
                envelope.retry?.attempt.databaseValue ?? .null, envelope.retry?.reason.databaseValue ?? .null,
                payload?.databaseValue ?? .null,
            ])
    }

    func insert(_ target: EnqueueRequest.Target, id: Int64, envelope: Int64, due: Timestamp) throws {
        try run(
            insertDelivery,
            [
                id.databaseValue, envelope.databaseValue, target.backend.text.databaseValue,
                target.route.text.databaseValue, target.path?.databaseValue ?? .null,
                target.orderKey?.databaseValue ?? .null, due.databaseValue,
            ])
    }

    /// - Parameter due: when it was received, as of any delivery that was never rescheduled.
    func insert(_ settled: EnqueueRequest.SettledTarget, id: Int64, envelope: Int64, due: Timestamp) throws {
        let (target, settlement) = (settled.target, settled.settlement)
        let sent = [
            id.databaseValue, envelope.databaseValue, target.backend.text.databaseValue,
            target.route.text.databaseValue, target.path?.databaseValue ?? .null,
            target.orderKey?.databaseValue ?? .null, due.databaseValue, settlement.id.description.databaseValue,
        ]
        let unattempted: [DatabaseValue] = [0.databaseValue, .null, .null, .null, .null]
        try run(insertSettled, sent + settlement.stateValues + (settlement.attempt?.databaseValues ?? unattempted))
    }

    /// - Parameter due: of the next attempt, or as it was.
    func settle(_ settlement: Settlement, due: Timestamp) throws {
        let change = [due.databaseValue] + settlement.stateValues
        let id = settlement.id.sequence.databaseValue
        guard let attempt = settlement.attempt else { return try run(settleUnattempted, change + [id]) }
        try run(settleAttempted, change + attempt.databaseValues + [id])
    }

    /// Returns how many bytes became free.
    func removePayload(of envelope: Int64) throws -> Int64 {
        let bytes = try first(payloadBytes, [envelope.databaseValue]) { $0[0] as Int64? } ?? nil
        guard let bytes else { return 0 }
        try run(removePayload, [bytes.databaseValue, envelope.databaseValue])
        return bytes
    }

    /// Removes a delivery, and its envelope with the last one. Returns how many bytes became free.
    func removeDelivery(_ id: Int64, of envelope: Int64) throws -> Int64 {
        try run(removeDelivery, [id.databaseValue])
        return try first(removeEnvelope, [envelope.databaseValue]) { $0[0] } ?? 0
    }

    func isUnfinished(_ id: Int64) throws -> Bool {
        try first(isUnfinished, [id.databaseValue]) { _ in true } ?? false
    }

    struct SettledDelivery {
        var id: Int64
        var backend: BackendName
        var envelope: Int64
        /// Of the envelope.
        var size: Int64
    }

    /// The longest settled first.
    func settled(_ state: DeliveryState, until cutoff: Timestamp, limit: Int) throws -> [SettledDelivery] {
        var found: [SettledDelivery] = []
        let arguments = [state.rawValue.databaseValue, cutoff.databaseValue, limit.databaseValue]
        try forEach(settledDeliveries, arguments) {
            found.append(SettledDelivery(id: $0[0], backend: BackendName($0[1]), envelope: $0[2], size: $0[3]))
            return true
        }
        return found
    }

    struct UnfinishedDelivery {
        var id: Int64
        var backend: BackendName
        var state: String
        var envelope: Int64
        /// How many deliveries were stored with the envelope.
        var siblings: Int
        /// Of the envelope.
        var size: Int64
        var orderKey: String?
        var isBlocked: Bool
    }

    /// Those that are not settled, leased or not, in the order of arrival from a sequence on, until `body` returns
    /// false.
    func forEachUnfinished(from sequence: Int64, _ body: (UnfinishedDelivery) throws -> Bool) throws {
        try forEach(unfinishedDeliveries, [sequence.databaseValue]) {
            try body(
                UnfinishedDelivery(
                    id: $0[0], backend: BackendName($0[1]), state: $0[2], envelope: $0[3], siblings: $0[4], size: $0[5],
                    orderKey: $0[6], isBlocked: $0[7] == Timestamp.never.nanosecondsSinceEpoch))
        }
    }

    /// The deliveries of an envelope that are still there.
    func deliveries(of envelope: Int64, count: Int) throws -> [(id: Int64, backend: BackendName, state: DeliveryState?)]
    {
        var found: [(id: Int64, backend: BackendName, state: DeliveryState?)] = []
        try forEach(siblings, [envelope.databaseValue, (envelope + Int64(count)).databaseValue]) {
            found.append(($0[0], BackendName($0[1]), DeliveryState(rawValue: $0[2])))
            return true
        }
        return found
    }

    /// Whether a delivery of the backend that has the order key is not settled.
    func isTaken(_ orderKey: String, of backend: BackendName) throws -> Bool {
        try first(isKeyTaken, [backend.text.databaseValue, orderKey.databaseValue]) { _ in true } ?? false
    }

    /// The delivery of an order key that stood at its head is settled for good, or gone: the first stored of the others
    /// waits for nobody from now on. Returns where it stands; nil when there is none.
    func unblockNext(of orderKey: String, _ backend: BackendName, now: Timestamp) throws -> QueuePosition? {
        let arguments = [now.databaseValue, backend.text.databaseValue, orderKey.databaseValue]
        return try first(unblockNext, arguments) {
            QueuePosition(due: Timestamp(nanosecondsSinceEpoch: $0[0]), sequence: $0[1])
        }
    }

    func store(_ answer: LateAnswer) throws {
        try run(
            storeLateAnswer,
            [
                answer.id.app.text.databaseValue, answer.id.envelopeID.databaseValue,
                answer.responseURL.text.databaseValue, answer.expiresAt.databaseValue,
                answer.reply?.databaseValue ?? .null, answer.failure.databaseValue,
            ])
    }

    func remove(_ id: LateAnswer.ID) throws {
        try run(removeLateAnswer, [id.app.text.databaseValue, id.envelopeID.databaseValue])
    }

    /// - Parameter pause: nil: not paused any more.
    func set(_ pause: Pause?, of backend: BackendName) throws {
        guard let pause else { return try run(removePause, [backend.text.databaseValue]) }
        try run(
            storePause,
            [backend.text.databaseValue, pause.since.databaseValue, pause.cause.rawValue.databaseValue])
    }

    func writeMeta(nextSequence: Int64, bytes: Int64, probes: Int) throws {
        try run(writeMeta, [nextSequence.databaseValue, bytes.databaseValue, probes.databaseValue])
    }
}

// MARK: - Running statements

extension QueueStore {
    private func run(_ statement: Statement, _ values: [DatabaseValue]) throws {
        try statement.execute(arguments: StatementArguments(values))
    }

    private func first<T>(_ statement: Statement, _ values: [DatabaseValue], _ decode: (Row) throws -> T) throws -> T? {
        try Row.fetchOne(statement, arguments: StatementArguments(values)).map(decode)
    }

    /// Calls `body` with each row until it returns false.
    private func forEach(_ statement: Statement, _ values: [DatabaseValue], _ body: (Row) throws -> Bool) throws {
        let rows = try Row.fetchCursor(statement, arguments: StatementArguments(values))
        while let row = try rows.next(), try body(row) {}
    }
}

extension Timestamp {
    /// As times are stored.
    var databaseValue: DatabaseValue { nanosecondsSinceEpoch.databaseValue }

    /// When a delivery is due that waits for its order key.
    static let never = Timestamp(nanosecondsSinceEpoch: .max)
    /// The latest time that one can be rescheduled to.
    static let latest = Timestamp(nanosecondsSinceEpoch: .max - 1)
}

extension Payload {
    fileprivate var databaseValue: DatabaseValue { Data(bytes).databaseValue }
}

extension Settlement {
    /// As the columns `state`, `settled_at`, `dead_reason` hold it.
    fileprivate var stateValues: [DatabaseValue] {
        let deadReason: String? = if case .deadLetter(let reason) = verb { reason.description } else { nil }
        return [
            verb.state.rawValue.databaseValue, verb.state.isFinal ? at.databaseValue : .null,
            deadReason?.databaseValue ?? .null,
        ]
    }
}

extension Attempt {
    /// As the columns `attempts`, `attempt_started_at`, `attempt_finished_at`, `outcome`, `reason` hold it.
    fileprivate var databaseValues: [DatabaseValue] {
        [
            number.databaseValue, startedAt.databaseValue, finishedAt.databaseValue, outcome.word.databaseValue,
            outcome.reason?.description.databaseValue ?? .null,
        ]
    }
}
