// The statements that change the queue: each query stands here once, prepared once for each connection.

import Foundation
import GRDB
import RelayCore

/// The statements of the writing connection. Made and used inside that connection's `write…` methods only.
final class QueueStore {
    let history: HistoryStore
    let replays: ReplayStore
    private let db: Database
    private let rememberKey, seenKey, forgetKey, pruneKeys: Statement
    private let insertEnvelope, siblingCount, payloadBytes, removePayload, removeEnvelope: Statement
    private let insertDelivery, insertSettled, settleAttempted, settleUnattempted, removeDelivery: Statement
    private let settledDeliveries, unfinishedDeliveries, siblings, isUnfinished: Statement
    private let isKeyTaken, unblockNext, unsettled: Statement
    private let standing, setDue, cancel, replay: Statement
    private let storeLateAnswer, removeLateAnswer: Statement
    private let storePause, removePause: Statement
    private let writeMeta: Statement
    private let freePages, allPages, shrink: Statement
    /// Whether the file can give space back.
    let isShrinkable: Bool

    init(_ db: Database) throws {
        func prepare(_ sql: String) throws -> Statement { try db.makeStatement(sql: sql) }
        self.db = db
        history = try HistoryStore(db)
        replays = try ReplayStore(db)
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
        siblingCount = try prepare("SELECT deliveries FROM envelope WHERE id = ?")
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
                has_history, attempts, attempt_started_at, attempt_finished_at, outcome, reason)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        settleAttempted = try prepare(
            """
            UPDATE delivery
            SET due_at = ?, state = ?, settled_at = ?, dead_reason = ?, has_history = max(has_history, ?), attempts = ?,
                attempt_started_at = ?, attempt_finished_at = ?, outcome = ?, reason = ?,
                first_attempt_at = coalesce(first_attempt_at, ?)
            WHERE id = ?
            """)
        settleUnattempted = try prepare(
            """
            UPDATE delivery
            SET due_at = ?, state = ?, settled_at = ?, dead_reason = ?, has_history = max(has_history, ?)
            WHERE id = ?
            """)
        removeDelivery = try prepare("DELETE FROM delivery WHERE id = ?")
        settledDeliveries = try prepare(
            """
            SELECT id, backend, envelope, has_history FROM delivery
            WHERE state = ? AND settled_at IS NOT NULL AND settled_at <= ?
            ORDER BY settled_at LIMIT ?
            """)
        // NOT INDEXED: in the order of arrival, by the table itself.
        unfinishedDeliveries = try prepare(
            """
            SELECT delivery.id, delivery.backend, delivery.state, delivery.envelope, envelope.deliveries, envelope.size,
                has_history, order_key, due_at
            FROM delivery NOT INDEXED JOIN envelope ON envelope.id = delivery.envelope
            WHERE delivery.id >= ? AND settled_at IS NULL
            ORDER BY delivery.id
            """)
        siblings = try prepare("SELECT id, backend, state, has_history FROM delivery WHERE id >= ?1 AND id < ?1 + ?2")
        isUnfinished = try prepare("SELECT 1 FROM delivery WHERE id = ? AND settled_at IS NULL")
        isKeyTaken = try prepare(
            """
            SELECT 1 FROM delivery INDEXED BY delivery_ordered
            WHERE backend = ? AND order_key = ? AND settled_at IS NULL LIMIT 1
            """)
        unblockNext = try prepare(
            """
            UPDATE delivery
            SET due_at =
                CASE WHEN replays > 0 THEN ?1
                ELSE min(?1, (SELECT received_at FROM envelope WHERE id = delivery.envelope)) END
            WHERE id = (
                SELECT id FROM delivery INDEXED BY delivery_ordered
                WHERE backend = ?2 AND order_key = ?3 AND settled_at IS NULL ORDER BY id LIMIT 1)
            RETURNING due_at, id
            """)
        standing = try prepare(
            """
            SELECT backend, state, settled_at, due_at, order_key, has_history, envelope.id, deliveries,
                payload IS NOT NULL
            FROM delivery JOIN envelope ON envelope.id = delivery.envelope
            WHERE delivery.id = ?
            """)
        unsettled = try prepare(
            """
            SELECT backend, state, due_at, order_key, kind, payload IS NOT NULL
            FROM delivery LEFT JOIN envelope ON envelope.id = delivery.envelope
            WHERE delivery.id = ? AND settled_at IS NULL
            """)
        setDue = try prepare("UPDATE delivery SET due_at = ? WHERE id = ?")
        cancel = try prepare("UPDATE delivery SET state = 'canceled', settled_at = ? WHERE id = ?")
        replay = try prepare(
            """
            UPDATE delivery
            SET state = 'pending', due_at = ?, settled_at = NULL, dead_reason = NULL, attempts = 0,
                first_attempt_at = NULL, replays = replays + 1, has_history = 1
            WHERE id = ?
            """)
        storeLateAnswer = try prepare(
            """
            INSERT OR REPLACE INTO late_answer (app, envelope_id, response_url, expires_at, reply, failure)
            VALUES (?, ?, ?, ?, ?, ?)
            """)
        removeLateAnswer = try prepare("DELETE FROM late_answer WHERE app = ? AND envelope_id = ?")
        storePause = try prepare("INSERT OR REPLACE INTO pause (backend, since, cause) VALUES (?, ?, ?)")
        removePause = try prepare("DELETE FROM pause WHERE backend = ?")
        writeMeta = try prepare(
            "UPDATE meta SET next_sequence = ?, bytes = ?, history_bytes = ?, probes = probes + ? WHERE id = 1")
        freePages = try prepare("PRAGMA freelist_count")
        allPages = try prepare("PRAGMA page_count")
        shrink = try prepare("PRAGMA incremental_vacuum(\(Self.freePagesRemoved))")
        isShrinkable = try Int.fetchOne(db, sql: "PRAGMA auto_vacuum") == QueueFile.incremental
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
        try rememberKey.run([seenAt.databaseValue, app.text.databaseValue, key.databaseValue])
        return db.changesCount == 1
    }

    /// When the first copy was received; nil when the key is not remembered.
    func seenAt(_ key: String, of app: AppName) throws -> Timestamp? {
        try seenKey.first([key.databaseValue, app.text.databaseValue]) { Timestamp(nanosecondsSinceEpoch: $0[0]) }
    }

    func forget(_ key: String, of app: AppName) throws {
        try forgetKey.run([key.databaseValue, app.text.databaseValue])
    }

    /// Forgets those of the first `limit` keys that were not seen within a span of time: before it, or (the clock was
    /// set back) long after it, where they would keep all that follow from being forgotten. Returns how many.
    func forgetKeys(notSeenWithin span: ClosedRange<Timestamp>, limit: Int) throws -> Int {
        try pruneKeys.run([limit.databaseValue, span.lowerBound.databaseValue, span.upperBound.databaseValue])
        return db.changesCount
    }
}

// MARK: - Envelopes and deliveries

extension QueueStore {
    /// - Parameter payload: nil when nobody will ask for it.
    func insert(_ envelope: Envelope, id: Int64, deliveries: Int, size: Int64, payload: Payload?) throws {
        try insertEnvelope.run([
            id.databaseValue, deliveries.databaseValue, size.databaseValue, envelope.app.text.databaseValue,
            envelope.kind.rawValue.databaseValue, envelope.id.databaseValue, envelope.receivedAt.databaseValue,
            envelope.retry?.attempt.databaseValue ?? .null, envelope.retry?.reason.databaseValue ?? .null,
            payload?.databaseValue ?? .null,
        ])
    }

    func insert(_ target: EnqueueRequest.Target, id: Int64, envelope: Int64, due: Timestamp) throws {
        try insertDelivery.run([
            id.databaseValue, envelope.databaseValue, target.backend.text.databaseValue,
            target.route.text.databaseValue, target.path?.databaseValue ?? .null,
            target.orderKey?.databaseValue ?? .null, due.databaseValue,
        ])
    }

    /// - Parameters:
    ///   - due: when it was received, as of any delivery that was never rescheduled.
    ///   - hasHistory: whether its attempt is kept.
    func insert(
        _ settled: EnqueueRequest.SettledTarget, id: Int64, envelope: Int64, due: Timestamp, hasHistory: Bool
    ) throws {
        let (target, settlement) = (settled.target, settled.settlement)
        let sent = [
            id.databaseValue, envelope.databaseValue, target.backend.text.databaseValue,
            target.route.text.databaseValue, target.path?.databaseValue ?? .null,
            target.orderKey?.databaseValue ?? .null, due.databaseValue, settlement.id.description.databaseValue,
        ]
        let unattempted: [DatabaseValue] = [0.databaseValue, .null, .null, .null, .null]
        try insertSettled.run(
            sent + settlement.stateValues + [hasHistory.databaseValue]
                + (settlement.attempt?.databaseValues ?? unattempted))
    }

    /// - Parameters:
    ///   - due: of the next attempt, or as it was.
    ///   - hasHistory: whether its attempt is kept.
    func settle(_ settlement: Settlement, due: Timestamp, hasHistory: Bool) throws {
        let change = [due.databaseValue] + settlement.stateValues + [hasHistory.databaseValue]
        let id = settlement.id.sequence.databaseValue
        guard let attempt = settlement.attempt, !attempt.isProbe else {
            return try settleUnattempted.run(change + [id])
        }
        try settleAttempted.run(change + attempt.databaseValues + [attempt.startedAt.databaseValue, id])
    }

    /// Returns how many bytes became free.
    func removePayload(of envelope: Int64) throws -> Int64 {
        let bytes = try payloadBytes.first([envelope.databaseValue]) { $0[0] as Int64? } ?? nil
        guard let bytes else { return 0 }
        try removePayload.run([bytes.databaseValue, envelope.databaseValue])
        return bytes
    }

    /// Removes a delivery, and its envelope with the last one. Returns how many bytes became free.
    func removeDelivery(_ id: Int64, of envelope: Int64) throws -> Int64 {
        try removeDelivery.run([id.databaseValue])
        return try removeEnvelope.first([envelope.databaseValue]) { $0[0] } ?? 0
    }

    func isUnfinished(_ id: Int64) throws -> Bool {
        try isUnfinished.first([id.databaseValue]) { _ in true } ?? false
    }

    struct SettledDelivery {
        var id: Int64
        var backend: BackendName
        var envelope: Int64
        var hasHistory: Bool
    }

    /// The longest settled first.
    func settled(_ state: DeliveryState, until cutoff: Timestamp, limit: Int) throws -> [SettledDelivery] {
        var found: [SettledDelivery] = []
        let arguments = [state.rawValue.databaseValue, cutoff.databaseValue, limit.databaseValue]
        try settledDeliveries.forEach(arguments) {
            found.append(
                SettledDelivery(id: $0[0], backend: BackendName($0[1]), envelope: $0[2], hasHistory: $0[3]))
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
        var hasHistory: Bool
        var orderKey: String?
        /// It waits for another one of its order key.
        var isBlocked: Bool
    }

    /// Those that are not settled, leased or not, in the order of arrival from a sequence on, until `body` returns
    /// false.
    func forEachUnfinished(from sequence: Int64, _ body: (UnfinishedDelivery) throws -> Bool) throws {
        try unfinishedDeliveries.forEach([sequence.databaseValue]) {
            try body(
                UnfinishedDelivery(
                    id: $0[0], backend: BackendName($0[1]), state: $0[2], envelope: $0[3], siblings: $0[4], size: $0[5],
                    hasHistory: $0[6], orderKey: $0[7], isBlocked: $0[8] == Timestamp.never.nanosecondsSinceEpoch))
        }
    }

    struct Sibling {
        var id: Int64
        var backend: BackendName
        /// nil: of a later version.
        var state: DeliveryState?
        var hasHistory: Bool

        /// Whether neither an attempt nor a replay of dead letters will ask for the payload.
        var isDoneWithPayload: Bool { state?.isFinal ?? false && state != .dead }
    }

    /// The deliveries of an envelope that are still there.
    func deliveries(of envelope: Int64, count: Int) throws -> [Sibling] {
        var found: [Sibling] = []
        try siblings.forEach([envelope.databaseValue, count.databaseValue]) {
            found.append(
                Sibling(
                    id: $0[0], backend: BackendName($0[1]), state: DeliveryState(rawValue: $0[2]), hasHistory: $0[3]))
            return true
        }
        return found
    }

    /// How many deliveries were stored with an envelope; nil when that is gone.
    func siblingCount(of envelope: Int64) throws -> Int? {
        try siblingCount.first([envelope.databaseValue]) { $0[0] }
    }

    /// Whether a delivery of the backend that has the order key is not settled.
    func isTaken(_ orderKey: String, of backend: BackendName) throws -> Bool {
        try isKeyTaken.first([backend.text.databaseValue, orderKey.databaseValue]) { _ in true } ?? false
    }

    /// The delivery of an order key that stood at its head is settled for good, or gone: the first stored of the others
    /// waits for nobody from now on. Returns where it stands; nil when there is none.
    func unblockNext(of orderKey: String, _ backend: BackendName, now: Timestamp) throws -> QueuePosition? {
        let arguments = [now.databaseValue, backend.text.databaseValue, orderKey.databaseValue]
        return try unblockNext.first(arguments) {
            QueuePosition(due: Timestamp(nanosecondsSinceEpoch: $0[0]), sequence: $0[1])
        }
    }

    /// What is known of an unsettled delivery that nobody can attempt: its state or its kind is of a later version, or
    /// its envelope or its payload is gone. nil when it can be attempted.
    func unreadable(
        _ id: Int64
    ) throws -> (backend: BackendName, state: DeliveryState?, due: Timestamp, orderKey: String?)? {
        try unsettled.first([id.databaseValue]) { row in
            let state = DeliveryState(rawValue: row[1])
            let kind = (row[4] as String?).flatMap(Kind.init(rawValue:))
            guard state == nil || kind == nil || !(row[5] as Bool) else { return nil }
            return (BackendName(row[0]), state, Timestamp(nanosecondsSinceEpoch: row[2]), row[3])
        } ?? nil
    }

    func store(_ answer: LateAnswer) throws {
        try storeLateAnswer.run([
            answer.id.app.text.databaseValue, answer.id.envelopeID.databaseValue,
            answer.responseURL.text.databaseValue, answer.expiresAt.databaseValue,
            answer.reply?.databaseValue ?? .null, answer.failure.databaseValue,
        ])
    }

    func remove(_ id: LateAnswer.ID) throws {
        try removeLateAnswer.run([id.app.text.databaseValue, id.envelopeID.databaseValue])
    }

    /// - Parameter pause: nil: not paused any more.
    func set(_ pause: Pause?, of backend: BackendName) throws {
        guard let pause else { return try removePause.run([backend.text.databaseValue]) }
        try storePause.run([backend.text.databaseValue, pause.since.databaseValue, pause.cause.rawValue.databaseValue])
    }

    func writeMeta(_ ledger: Ledger, probes: Int) throws {
        try writeMeta.run([
            ledger.nextSequence.databaseValue, ledger.bytes.databaseValue, ledger.historyBytes.databaseValue,
            probes.databaseValue,
        ])
    }
}

// MARK: - Pages

extension QueueStore {
    /// How many pages one step gives back at most: 256 KiB, which are moved within the file.
    static let freePagesRemoved = 32

    /// The pages of the file, those in its log included, and how many of them hold nothing.
    func pages() throws -> (all: Int, free: Int) {
        (try allPages.first([]) { $0[0] } ?? 0, try freePages.first([]) { $0[0] } ?? 0)
    }

    func removeFreePages() throws { try shrink.run([]) }
}

// MARK: - One delivery that a person asks for

extension QueueStore {
    /// All that is needed to know what can be done about a delivery.
    struct Standing {
        var id: Int64
        var backend: BackendName
        var state: DeliveryState
        var settledAt: Timestamp?
        var due: Timestamp
        var orderKey: String?
        var hasHistory: Bool
        var envelope: Int64
        /// How many deliveries were stored with the envelope.
        var siblings: Int
        var hasPayload: Bool

        /// It waits for another one of its order key.
        var isBlocked: Bool { settledAt == nil && due == .never }
    }

    /// nil when there is none, or when its state is of a later version.
    func standing(of id: Int64) throws -> Standing? {
        try standing.first([id.databaseValue]) { row in
            guard let state = DeliveryState(rawValue: row[1]) else { return nil }
            return Standing(
                id: id, backend: BackendName(row[0]), state: state,
                settledAt: (row[2] as Int64?).map(Timestamp.init(nanosecondsSinceEpoch:)),
                due: Timestamp(nanosecondsSinceEpoch: row[3]), orderKey: row[4], hasHistory: row[5],
                envelope: row[6], siblings: row[7], hasPayload: row[8])
        } ?? nil
    }

    func setDue(_ due: Timestamp, of id: Int64) throws { try setDue.run([due.databaseValue, id.databaseValue]) }

    func cancel(_ id: Int64, at now: Timestamp) throws { try cancel.run([now.databaseValue, id.databaseValue]) }

    /// Lets a settled delivery wait again, as if no attempt had been made.
    func replay(_ id: Int64, due: Timestamp) throws { try replay.run([due.databaseValue, id.databaseValue]) }

    /// The next deliveries that a query takes, from the oldest to the newest, looking at a bounded number of rows.
    /// - Returns: at most `limit` of them, and the last sequence that was looked at; nil: all were.
    func deliveries(
        of query: DeliveryQuery, above cursor: Int64, below end: Int64, limit: Int, rows: Int
    ) throws -> (ids: [Int64], cursor: Int64?) {
        let window = try query.window(above: cursor, below: end, size: rows, db)
        var ids: [Int64] = []
        try query.forEach("delivery.id", in: window, .oldestFirst, db) {
            ids.append($0[0])
            return ids.count < limit
        }
        return (ids, ids.count == limit ? ids.last : window.isLast ? nil : window.high)
    }
}

// MARK: - Values

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
