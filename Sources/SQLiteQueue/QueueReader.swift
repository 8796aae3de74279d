// The reader that leases: finds what to lease, late answers and pauses, beside the writer and without waiting for it.

import Foundation
import GRDB
import Logging
import RelayCore

/// Owns a connection that only reads, on a dispatch queue of its own.
actor QueueReader {
    private let executor = DispatchQueueExecutor(label: "relay.queue.reader")
    private let opened: QueueWriter.Opened
    private let state: QueueState
    private var connection: ReadConnection
    private let logger: Logger
    /// Deliveries that cannot be read, each said once.
    private var saidUnreadable: Set<Int64> = []

    init(_ opened: QueueWriter.Opened, state: QueueState, logger: Logger) {
        self.opened = opened
        self.state = state
        self.connection = ReadConnection(opened.file)
        self.logger = logger
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// - Returns: what was leased, and the deliveries that would have been but cannot be read, or were removed meanwhile.
    func lease(
        _ backend: BackendName, _ bounds: LeaseBounds, now: Timestamp
    ) throws(QueueError) -> (result: LeaseResult, unreadable: [Int64]) {
        try connection.read { db in
            let from = state.withTable { $0.readBegan(backend) }
            do {
                let (positions, rest) = try find(backend, from: from, limit: bounds.count, now: now, db)
                let (found, unreadable, next) = try fetch(positions, maxBytes: bounds.bytes, db)
                let leases = found.reduce(into: [:]) { $0[$1.delivery.id.sequence] = $1.lease }
                let (granted, nextDue) = state.withTable { $0.readEnded(found: leases, next: next ?? rest) }
                let deliveries = found.map(\.delivery).filter { granted.contains($0.id.sequence) }
                return (LeaseResult(deliveries: deliveries, nextDue: nextDue), unreadable)
            } catch {
                state.withTable { $0.readFailed() }
                throw error
            }
        }
    }

    /// When the first copy was received; nil when the key is not remembered.
    func seenAt(_ key: String, of app: AppName) throws(QueueError) -> Timestamp? {
        try connection.read { db in
            let statement = try db.cachedStatement(
                sql: "SELECT seen_at FROM deduplication WHERE key = ? AND app = ?")
            return try Int64.fetchOne(statement, arguments: [key, app.text]).map(Timestamp.init(nanosecondsSinceEpoch:))
        }
    }

    /// nil when it was removed.
    func lateAnswer(_ id: LateAnswer.ID) throws(QueueError) -> LateAnswer? {
        try connection.read { db in
            let statement = try db.cachedStatement(
                sql: """
                    SELECT response_url, expires_at, reply, failure FROM late_answer
                    WHERE app = ? AND envelope_id = ?
                    """)
            return try Row.fetchOne(statement, arguments: [id.app.text, id.envelopeID]).map { row in
                LateAnswer(
                    id: id, responseURL: ResponseURL(row[0]), expiresAt: Timestamp(nanosecondsSinceEpoch: row[1]),
                    reply: (row[2] as Data?).map { Payload(bytes: [UInt8]($0)) },
                    failure: Payload(bytes: [UInt8](row[3] as Data)))
            }
        }
    }

    func lateAnswerIDs() throws(QueueError) -> [LateAnswer.ID] {
        try connection.read { db in
            let statement = try db.cachedStatement(sql: "SELECT app, envelope_id FROM late_answer ORDER BY expires_at")
            return try Row.fetchAll(statement).map { LateAnswer.ID(app: AppName($0[0]), envelopeID: $0[1]) }
        }
    }

    /// A pause whose cause is not known is one that a person must end.
    func pauses() throws(QueueError) -> [BackendName: Pause] {
        try connection.read { db in
            let statement = try db.cachedStatement(sql: "SELECT backend, since, cause FROM pause")
            return try Row.fetchAll(statement).reduce(into: [:]) { pauses, row in
                pauses[BackendName(row[0])] = Pause(
                    since: Timestamp(nanosecondsSinceEpoch: row[1]), cause: Pause.Cause(rawValue: row[2]) ?? .person)
            }
        }
    }

    func appsWithWaitingDeliveries() throws(QueueError) -> [AppName] {
        try connection.read { db in
            try String.fetchAll(
                db,
                sql: """
                    SELECT DISTINCT app FROM envelope WHERE id IN
                        (SELECT envelope FROM delivery WHERE settled_at IS NULL LIMIT 100000)
                    ORDER BY app
                    """
            ).map { AppName($0) }
        }
    }

    func close() { connection.close() }
}

// MARK: - Queries

extension QueueReader {
    /// Reads the index `delivery_waiting` from a position on.
    /// - Returns: up to `limit` positions that are due and not taken, and the first one after them that is not taken.
    private func find(
        _ backend: BackendName, from: QueuePosition, limit: Int, now: Timestamp, _ db: Database
    ) throws -> (positions: [QueuePosition], next: QueuePosition?) {
        let statement = try db.cachedStatement(
            sql: """
                SELECT due_at, id FROM delivery INDEXED BY delivery_waiting
                WHERE backend = ? AND settled_at IS NULL AND (due_at, id) >= (?, ?)
                    AND due_at < \(Timestamp.never.nanosecondsSinceEpoch)
                ORDER BY due_at, id
                """)
        let rows = try Row.fetchCursor(
            statement, arguments: [backend.text, from.due.nanosecondsSinceEpoch, from.sequence])
        var positions: [QueuePosition] = []
        while let row = try rows.next() {
            let position = QueuePosition(due: Timestamp(nanosecondsSinceEpoch: row[0]), sequence: row[1])
            if state.withTable({ $0.isTaken(position.sequence) }) { continue }
            guard position.due <= now, positions.count < limit else { return (positions, position) }
            positions.append(position)
        }
        return (positions, nil)
    }

    /// Reads deliveries until their payloads together would be larger than allowed; the first one is read whatever its
    /// size.
    /// - Returns: those read, those that could not be or were removed meanwhile, and the position of the first one that
    ///   was left out.
    private func fetch(
        _ positions: [QueuePosition], maxBytes: Int, _ db: Database
    ) throws -> (found: [(delivery: Delivery, lease: LeaseTable.Lease)], unreadable: [Int64], next: QueuePosition?) {
        // A damaged index can name one twice.
        var known: Set<Int64> = []
        let positions = positions.filter { known.insert($0.sequence).inserted }
        // One statement for all of them. SQLite does not reorder CROSS JOIN
        // (https://www.sqlite.org/optoverview.html#crossjoin), and gives the elements of an array as they stand in it, which
        // it does not promise: see below.
        let statement = try db.cachedStatement(
            sql: """
                SELECT backend, route, delivery.path, state, due_at, attempts, envelope.id, deliveries, app, kind, received_at,
                    retry_attempt, retry_reason, payload, order_key, first_attempt_at, replays, has_history, delivery.id
                FROM json_each(?) AS wanted CROSS JOIN delivery ON delivery.id = wanted.value
                    CROSS JOIN envelope ON envelope.id = delivery.envelope
                """)
        let sequences = positions.map { String($0.sequence) }.joined(separator: ",")
        let rows = try Row.fetchCursor(statement, arguments: ["[\(sequences)]"])
        var found: [(delivery: Delivery, lease: LeaseTable.Lease)] = []
        var unreadable: [Int64] = []
        var bytes = 0
        // A row is read out of the statement, which the cursor resets at its end.
        return try withExtendedLifetime(rows) {
            var row = try rows.next()
            for position in positions {
                guard let current = row, current[18] == position.sequence else {
                    unreadable.append(position.sequence)
                    continue
                }
                if let read = try readable(current, position.sequence) {
                    bytes += read.delivery.payload.bytes.count
                    guard found.isEmpty || bytes <= maxBytes else { return (found, unreadable, position) }
                    found.append(read)
                } else {
                    unreadable.append(position.sequence)
                }
                row = try rows.next()
            }
            guard row == nil else {
                throw QueueError.unavailable("\(opened.file.path): rows came in another order than asked for")
            }
            return (found, unreadable, nil)
        }
    }

    /// nil when it cannot be read: one delivery must not keep the others back.
    private func readable(_ row: Row, _ sequence: Int64) throws -> (delivery: Delivery, lease: LeaseTable.Lease)? {
        do {
            return try decode(row, sequence)
        } catch let error as QueueError where error.code == .corrupt {
            if saidUnreadable.insert(sequence).inserted {
                logger.error("a delivery cannot be read and is given up", metadata: [LogKey.error: "\(error)"])
            }
            return nil
        }
    }

    private func decode(_ row: Row, _ sequence: Int64) throws -> (delivery: Delivery, lease: LeaseTable.Lease) {
        guard let kind = Kind(rawValue: row[9]), let state = DeliveryState(rawValue: row[3]) else {
            throw QueueError(.corrupt, "delivery \(sequence) in \(opened.file.path) has an unknown kind or state")
        }
        let payload = try row.withUnsafeData(atIndex: 13) { $0.map { Payload(bytes: [UInt8]($0)) } }
        guard let payload else {
            throw QueueError(.corrupt, "delivery \(sequence) in \(opened.file.path) has no payload")
        }
        let retry = (row[11] as Int?).map { SlackRetry(attempt: $0, reason: row[12] ?? "") }
        let delivery = Delivery(
            id: DeliveryID(queue: opened.queueID, sequence: sequence), backend: BackendName(row[0]),
            route: RouteName(row[1]), path: row[2], app: AppName(row[8]), kind: kind, payload: payload,
            slackRetry: retry, receivedAt: Timestamp(nanosecondsSinceEpoch: row[10]), orderKey: row[14],
            attemptsMade: row[5], firstAttemptAt: (row[15] as Int64?).map(Timestamp.init(nanosecondsSinceEpoch:)),
            replays: row[16])
        let lease = LeaseTable.Lease(
            backend: delivery.backend, state: state, due: Timestamp(nanosecondsSinceEpoch: row[4]), envelope: row[6],
            siblings: row[7], orderKey: delivery.orderKey, replays: delivery.replays, hasHistory: row[17])
        return (delivery, lease)
    }
}
