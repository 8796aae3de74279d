// The reader of records: what people list and look at, beside the leasing and without delaying it.

import Foundation
import GRDB
import RelayCore

/// Owns a second connection that only reads, on a dispatch queue of its own: a filter that takes few of a million
/// deliveries makes nobody wait who leases. It reads in steps that each see what is committed then, so that the
/// write-ahead log can be emptied, and others have their turn, between them.
actor ArchiveReader {
    /// Rows that one step looks at: some milliseconds.
    static let stepRows = 5_000

    private let executor = DispatchQueueExecutor(label: "relay.queue.archive")
    private let opened: QueueWriter.Opened
    private let state: QueueState
    private var connection: ReadConnection

    init(_ opened: QueueWriter.Opened, state: QueueState) {
        self.opened = opened
        self.state = state
        self.connection = ReadConnection(opened.file)
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    func deliveries(_ filter: DeliveryFilter, _ page: PageRequest) async throws(QueueError) -> Page<DeliverySummary> {
        let query = makeQuery(filter)
        let limit = page.boundedLimit
        var items: [DeliverySummary] = []
        try await scan(query, SummaryRow.columns, withEnvelope: true, below: page.cursor ?? .max) { row in
            guard let summary = summary(row), query.takes(summary.state) else { return true }
            items.append(summary)
            return items.count <= limit
        }
        // One more than asked for says that there is another page.
        guard items.count > limit else { return Page(items: items, next: nil) }
        items.removeLast()
        return Page(items: items, next: items.last?.id.sequence)
    }

    func count(_ filter: DeliveryFilter, limit: Int) async throws(QueueError) -> Int {
        guard limit > 0 else { return 0 }
        let query = makeQuery(filter)
        var count = 0
        try await scan(query, "delivery.id, delivery.state", below: .max) { row in
            guard let state = DeliveryState(rawValue: row[1]), query.takes(shown(state, row[0])) else { return true }
            count += 1
            return count < limit
        }
        return count
    }

    /// The first deliveries above a sequence that a filter takes and that are settled, from the oldest on.
    func settled(
        _ filter: DeliveryFilter, above cursor: Int64, limit: Int
    ) async throws(QueueError) -> [WriteTransaction.SettledAt] {
        let query = makeQuery(filter)
        var found: [WriteTransaction.SettledAt] = []
        var cursor: Int64? = cursor
        while let position = cursor, found.count < limit {
            cursor = try connection.read { db in
                let window = try query.window(above: position, below: .max, size: Self.stepRows, db)
                try query.forEach("delivery.id, delivery.settled_at", in: window, .oldestFirst, db) { row in
                    if let settledAt = row[1] as Int64? {
                        found.append((row[0], Timestamp(nanosecondsSinceEpoch: settledAt)))
                    }
                    return found.count < limit
                }
                return window.isLast ? nil : window.high
            }
            if cursor != nil { await Task.yield() }
        }
        return found
    }

    /// When the oldest unfinished delivery of a backend was received; nil when there is none. Looks on from where the
    /// last search ended, in steps whose outcome is remembered: over its life each row is passed once, and once more
    /// when an older one was replayed.
    func oldestReceivedAt(of backend: BackendName) async throws(QueueError) -> Timestamp? {
        var position: Int64 = 1
        while true {
            let range = state.withTable { [position] in $0.searchBegan(backend, from: position) }
            let (found, end) = try connection.read { try findUnfinished(of: backend, in: range, $0) }
            state.withTable { $0.searchEnded(at: end) }
            if found != nil || end == range.upperBound { return found }
            position = end
            await Task.yield()
        }
    }

    func record(_ sequence: Int64) throws(QueueError) -> DeliveryRecord? {
        try connection.read { db in
            // One transaction: the parts of a record belong together.
            var record: DeliveryRecord?
            try db.inTransaction(.deferred) {
                record = try readRecord(sequence, db)
                return .commit
            }
            return record
        }
    }

    func record(sentAs id: DeliveryID) async throws(QueueError) -> DeliveryRecord? {
        guard let own = try await ids(sentAs: [id])[id] else { return nil }
        return try record(own.sequence)
    }

    /// Looks at all rows where one is missing.
    func ids(sentAs ids: Set<DeliveryID>) async throws(QueueError) -> [DeliveryID: DeliveryID] {
        var found: [DeliveryID: DeliveryID] = [:]
        try await scan(DeliveryQuery(sentAs: ids), "delivery.sent_id, delivery.id", below: .max) { row in
            if let id = (row[0] as String?).flatMap({ DeliveryID($0) }) {
                found[id] = DeliveryID(queue: opened.queueID, sequence: row[1])
            }
            return found.count < ids.count
        }
        return found
    }

    /// The newest first.
    func replays(below cursor: Replay.ID, limit: Int) throws(QueueError) -> [Replay] {
        try connection.read { db in
            let statement = try db.cachedStatement(
                sql: "SELECT \(ReplayJob.columns) FROM replay WHERE id < ? ORDER BY id DESC LIMIT ?")
            var replays: [Replay] = []
            try statement.forEach([cursor.databaseValue, limit.databaseValue]) {
                replays.append(ReplayJob($0).replay)
                return true
            }
            return replays
        }
    }

    func replay(_ id: Replay.ID) throws(QueueError) -> Replay? {
        try connection.read { db in
            let statement = try db.cachedStatement(sql: "SELECT \(ReplayJob.columns) FROM replay WHERE id = ?")
            return try statement.first([id.databaseValue]) { ReplayJob($0).replay }
        }
    }

    func close() { connection.close() }
}

// MARK: - Queries

extension ArchiveReader {
    private func makeQuery(_ filter: DeliveryFilter) -> DeliveryQuery {
        DeliveryQuery(
            filter, queueID: opened.queueID, leased: state.withTable(\.leasedSequences),
            oldestUnfinished: state.withTable(\.oldestUnfinished))
    }

    /// Calls `body` with what a query takes, from the newest to the oldest, until it returns false.
    private func scan(
        _ query: DeliveryQuery, _ columns: String, withEnvelope: Bool = false, below cursor: Int64,
        _ body: (Row) throws -> Bool
    ) async throws(QueueError) {
        var cursor: Int64? = cursor
        while let position = cursor {
            cursor = try connection.read { db in
                let window = try query.window(below: position, size: Self.stepRows, db)
                var goesOn = !window.isLast
                try query.forEach(columns, withEnvelope: withEnvelope, in: window, .newestFirst, db) { row in
                    guard try body(row) else {
                        goesOn = false
                        return false
                    }
                    return true
                }
                return goesOn ? window.low : nil
            }
            if cursor != nil { await Task.yield() }
        }
    }

    /// Looks at the first rows of a range.
    /// - Returns: when the first unfinished one was received, and the sequence up to which there is no other.
    private func findUnfinished(
        of backend: BackendName, in range: Range<Int64>, _ db: Database
    ) throws -> (receivedAt: Timestamp?, end: Int64) {
        // NOT INDEXED: in the order of arrival, by the table itself.
        let next = try db.cachedStatement(
            sql: """
                SELECT id FROM delivery NOT INDEXED WHERE id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET \(Self.stepRows)
                """)
        let bounds = [range.lowerBound.databaseValue, range.upperBound.databaseValue]
        let end = try next.first(bounds) { $0[0] as Int64 } ?? range.upperBound
        let first = try db.cachedStatement(
            sql: """
                SELECT delivery.id, received_at
                FROM delivery NOT INDEXED JOIN envelope ON envelope.id = delivery.envelope
                WHERE delivery.id >= ? AND delivery.id < ? AND backend = ? AND settled_at IS NULL
                ORDER BY delivery.id LIMIT 1
                """)
        let found = try first.first([bounds[0], end.databaseValue, backend.text.databaseValue]) {
            (id: $0[0] as Int64, receivedAt: Timestamp(nanosecondsSinceEpoch: $0[1]))
        }
        return (found?.receivedAt, found?.id ?? end)
    }

    /// As it is told: leases are not stored.
    private func shown(_ state: DeliveryState, _ sequence: Int64) -> DeliveryState {
        guard !state.isFinal else { return state }
        return self.state.withTable { $0.lease(on: sequence) } == nil ? state : .inFlight
    }

    /// nil when the row is of a later version.
    private func summary(_ row: Row) -> DeliverySummary? {
        guard var summary = SummaryRow.summary(row, queueID: opened.queueID) else { return nil }
        summary.state = shown(summary.state, summary.id.sequence)
        return summary
    }

    private func readRecord(_ sequence: Int64, _ db: Database) throws -> DeliveryRecord? {
        let statement = try db.cachedStatement(
            sql: """
                SELECT \(SummaryRow.columns), attempt_started_at, attempt_finished_at, payload
                FROM delivery JOIN envelope ON envelope.id = delivery.envelope
                WHERE delivery.id = ?
                """)
        let found = try statement.first([sequence.databaseValue]) {
            row -> (DeliverySummary, RecordedAttempt?, Payload?)? in
            guard let summary = summary(row) else { return nil }
            let payload = (row[SummaryRow.count + 2] as Data?).map { Payload(bytes: [UInt8]($0)) }
            return (summary, lastAttempt(of: summary, row), payload)
        }
        guard let (summary, last, payload) = found ?? nil else { return nil }
        var attempts = try readAttempts(sequence, db)
        if let last, !attempts.contains(where: { $0.position == last.position }) {
            attempts.append(last)
        }
        return DeliveryRecord(
            summary: summary, attempts: DeliveryRecord.kept(attempts), response: try readResponse(sequence, db),
            payload: payload)
    }

    /// As it stands in the row of the delivery; nil when none was made since the last replay.
    private func lastAttempt(of summary: DeliverySummary, _ row: Row) -> RecordedAttempt? {
        guard summary.attemptsMade > 0, let outcome = summary.outcome,
            let startedAt = row[SummaryRow.count] as Int64?, let finishedAt = row[SummaryRow.count + 1] as Int64?
        else { return nil }
        return RecordedAttempt(
            replay: summary.replays, number: summary.attemptsMade,
            startedAt: Timestamp(nanosecondsSinceEpoch: startedAt),
            finishedAt: Timestamp(nanosecondsSinceEpoch: finishedAt), outcome: outcome, reason: summary.reason)
    }

    private func readAttempts(_ sequence: Int64, _ db: Database) throws -> [RecordedAttempt] {
        let statement = try db.cachedStatement(
            sql: "SELECT \(RecordedAttempt.columns) FROM attempt WHERE delivery = ?")
        var attempts: [RecordedAttempt] = []
        try statement.forEach([sequence.databaseValue]) {
            attempts.append(RecordedAttempt($0))
            return true
        }
        return attempts
    }

    private func readResponse(_ sequence: Int64, _ db: Database) throws -> RecordedResponse? {
        let statement = try db.cachedStatement(
            sql: "SELECT \(RecordedResponse.columns) FROM response WHERE delivery = ?")
        return try statement.first([sequence.databaseValue]) { try RecordedResponse($0) }
    }
}

/// A delivery with its envelope, as far as a list needs it.
private enum SummaryRow {
    /// The columns that `summary` reads, and how many they are.
    static let columns = """
        delivery.id, backend, route, app, kind, state, order_key, slack_id, received_at, due_at, settled_at, attempts,
        replays, outcome, reason, dead_reason, length(payload), sent_id
        """
    static let count = 18

    /// The state as it is stored. nil when the kind or the state is of a later version.
    static func summary(_ row: Row, queueID: UInt32) -> DeliverySummary? {
        guard let kind = Kind(rawValue: row[4]), let state = DeliveryState(rawValue: row[5]) else { return nil }
        let due = Timestamp(nanosecondsSinceEpoch: row[9])
        return DeliverySummary(
            id: DeliveryID(queue: queueID, sequence: row[0]), sentID: (row[17] as String?).flatMap { DeliveryID($0) },
            backend: BackendName(row[1]), route: RouteName(row[2]), app: AppName(row[3]), kind: kind, state: state,
            orderKey: row[6], envelopeID: row[7], receivedAt: Timestamp(nanosecondsSinceEpoch: row[8]),
            due: state.isFinal || due == .never ? nil : due,
            settledAt: (row[10] as Int64?).map(Timestamp.init(nanosecondsSinceEpoch:)), attemptsMade: row[11],
            replays: row[12], outcome: row[13], reason: row[14], deadReason: row[15], payloadBytes: row[16])
    }
}
