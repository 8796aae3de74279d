// The statements for replay jobs, and how their filters are stored.

import Foundation
import GRDB
import RelayCore

/// A replay job with how far it is.
struct ReplayJob: Sendable {
    var replay: Replay
    /// All up to this sequence were looked at.
    var cursor: Int64
    /// Deliveries from this sequence on were stored after the job.
    var end: Int64

    /// The columns that `init(_ row:)` reads.
    static let columns = """
        id, filter, per_second, state, created_at, ended_at, matched, replayed, without_payload, cursor, end_sequence
        """

    init(_ row: Row) {
        var request = ReplayRequest(filter: DeliveryFilter(), perSecond: row[2])
        request.filter = DeliveryFilter(stored: row[1])
        if let rate = request.perSecond, !(0.000_1...1_000_000).contains(rate) {
            (request.filter, request.perSecond) = (nil, nil)
        }
        replay = Replay(
            id: row[0], request: request,
            // A state that is not known is of a later version: nothing is to be done about the job.
            state: Replay.State(rawValue: row[3]) ?? .canceled, createdAt: Timestamp(nanosecondsSinceEpoch: row[4]),
            endedAt: (row[5] as Int64?).map(Timestamp.init(nanosecondsSinceEpoch:)), matched: row[6],
            replayed: row[7], withoutPayload: row[8])
        cursor = row[9]
        end = row[10]
    }
}

/// Made and used inside the writing connection's `write…` methods only.
struct ReplayStore {
    private let db: Database
    private let insert, find, update, cancel, prune: Statement

    init(_ db: Database) throws {
        func prepare(_ sql: String) throws -> Statement { try db.makeStatement(sql: sql) }
        self.db = db
        insert = try prepare(
            """
            INSERT INTO replay
                (filter, per_second, state, created_at, matched, replayed, without_payload, cursor, end_sequence)
            VALUES (?, ?, 'running', ?, ?, 0, 0, 0, ?)
            """)
        find = try prepare("SELECT \(ReplayJob.columns) FROM replay WHERE id = ?")
        update = try prepare(
            """
            UPDATE replay SET state = ?, ended_at = ?, replayed = ?, without_payload = ?, cursor = ? WHERE id = ?
            """)
        cancel = try prepare("UPDATE replay SET state = 'canceled', ended_at = ? WHERE id = ? AND ended_at IS NULL")
        prune = try prepare("DELETE FROM replay WHERE ended_at <= ?")
    }

    /// - Parameter end: the sequence of the next delivery.
    func insert(_ request: ReplayRequest, matched: Int, end: Int64, now: Timestamp) throws -> Replay {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let filter = String(decoding: try encoder.encode(request.filter.map { StoredFilter($0) }), as: UTF8.self)
        try insert.run([
            filter.databaseValue, request.perSecond?.databaseValue ?? .null, now.databaseValue, matched.databaseValue,
            end.databaseValue,
        ])
        return Replay(
            id: db.lastInsertedRowID, request: request, state: .running, createdAt: now, matched: matched)
    }

    func job(_ id: Replay.ID) throws -> ReplayJob? { try find.first([id.databaseValue]) { ReplayJob($0) } }

    func update(_ job: ReplayJob) throws {
        let replay = job.replay
        try update.run([
            replay.state.rawValue.databaseValue, replay.endedAt?.databaseValue ?? .null,
            replay.replayed.databaseValue, replay.withoutPayload.databaseValue, job.cursor.databaseValue,
            replay.id.databaseValue,
        ])
    }

    /// Ends a job that has not ended, whatever else is known of it.
    func cancel(_ id: Replay.ID, at now: Timestamp) throws { try cancel.run([now.databaseValue, id.databaseValue]) }

    /// Removes jobs that ended at or before a point in time.
    func prune(endedUntil cutoff: Timestamp) throws { try prune.run([cutoff.databaseValue]) }
}

/// A filter as it is stored with a job. What is not named there takes all.
private struct StoredFilter: Codable {
    var ids: [String]?
    var envelopes: [String]?
    var states: [String]?
    var backends: [String]?
    var routes: [String]?
    var apps: [String]?
    var kinds: [String]?
    var reasons: [String]?
    /// Nanoseconds since the epoch, as all times of the database.
    var since: Int64?
    var until: Int64?

    enum CodingKeys: String, CodingKey {
        case ids, envelopes, states, backends, routes, apps, kinds, reasons, since, until
    }

    init(_ filter: DeliveryFilter) {
        func list(_ texts: [String]) -> [String]? { texts.isEmpty ? nil : texts.sorted() }
        ids = list(filter.ids.map(\.description))
        envelopes = list(Array(filter.envelopeIDs))
        states = list(filter.states.map(\.rawValue))
        backends = list(filter.backends.map(\.text))
        routes = list(filter.routes.map(\.text))
        apps = list(filter.apps.map(\.text))
        kinds = list(filter.kinds.map(\.rawValue))
        reasons = list(Array(filter.reasons))
        since = filter.since?.nanosecondsSinceEpoch
        until = filter.until?.nanosecondsSinceEpoch
    }
}

extension DeliveryFilter {
    /// nil when it is damaged or holds what this version does not know: what is left of it would take more than was meant.
    fileprivate init?(stored text: String) {
        func set<Value>(_ texts: [String]?, _ make: (String) -> Value?) -> Set<Value>? {
            guard let texts else { return [] }
            let values = texts.compactMap(make)
            return values.isEmpty || values.count < texts.count ? nil : Set(values)
        }
        let (decoder, data) = (JSONDecoder(), Data(text.utf8))
        guard let stored = try? decoder.decode(StoredFilter.self, from: data),
            let names = try? decoder.decode([String: Ignored].self, from: data).keys,
            names.allSatisfy({ StoredFilter.CodingKeys(rawValue: $0) != nil }),
            let ids = set(stored.ids, { DeliveryID($0) }), let envelopeIDs = set(stored.envelopes, { $0 }),
            let states = set(stored.states, DeliveryState.init(rawValue:)),
            let backends = set(stored.backends, { BackendName($0) }),
            let routes = set(stored.routes, { RouteName($0) }), let apps = set(stored.apps, { AppName($0) }),
            let kinds = set(stored.kinds, Kind.init(rawValue:)), let reasons = set(stored.reasons, { $0 })
        else { return nil }
        self.init()
        (self.ids, self.envelopeIDs, self.states) = (ids, envelopeIDs, states)
        (self.backends, self.routes) = (backends, routes)
        (self.apps, self.kinds, self.reasons) = (apps, kinds, reasons)
        since = stored.since.map(Timestamp.init(nanosecondsSinceEpoch:))
        until = stored.until.map(Timestamp.init(nanosecondsSinceEpoch:))
    }

    /// Any value.
    private struct Ignored: Decodable {
        init(from decoder: any Decoder) {}
    }
}
