// The deliveries that a filter takes, read in steps: each looks at a bounded number of rows.

import Foundation
import GRDB
import RelayCore

/// A filter in SQL. Its text depends on which fields the filter has, not on how much they hold: a set is one argument, a
/// JSON array.
struct DeliveryQuery: Sendable {
    /// Where the rows are looked for.
    private enum Scope: Sendable {
        case all
        /// By the index that holds only these: a few dead letters among a million that were delivered are found at once.
        case removable
        /// By their sequences, ascending.
        case ids([Int64])
    }

    private var scope = Scope.all
    private var conditions: [String] = []
    private var arguments: [DatabaseValue] = []
    private var needsEnvelope = false
    /// As asked for, in flight apart from pending and scheduled; empty: all.
    private let states: Set<DeliveryState>
    /// No delivery below it can be taken.
    private var floor: Int64 = 1

    /// - Parameters:
    ///   - queueID: of the queue's own deliveries; other ids are nobody's.
    ///   - leased: the sequences of those in flight; asked for when nothing else is wanted.
    ///   - oldestUnfinished: a sequence below which every delivery is settled.
    init(
        _ filter: DeliveryFilter, queueID: UInt32, leased: @autoclosure () -> [Int64] = [],
        oldestUnfinished: @autoclosure () -> Int64 = 0
    ) {
        states = filter.states
        // In flight is told by the leases, and held is never stored.
        var stored = filter.states.subtracting([.inFlight, .held])
        if filter.states.contains(.inFlight) { stored.formUnion([.pending, .scheduled]) }
        if !filter.ids.isEmpty {
            scope = .ids(filter.ids.filter { $0.queue == queueID }.map(\.sequence).sorted())
        } else if filter.states.isSubset(of: [.inFlight, .held]), !filter.states.isEmpty {
            scope = .ids(filter.states.contains(.inFlight) ? leased().sorted() : [])
        } else if !stored.isEmpty, stored.isSubset(of: DeliveryFilter.removableStates) {
            scope = .removable
        } else if !stored.isEmpty, stored.allSatisfy({ !$0.isFinal }) {
            floor = max(1, oldestUnfinished())
        }
        if !filter.states.isEmpty { add("delivery.state", among: stored.map(\.rawValue)) }
        if !filter.envelopeIDs.isEmpty { add("envelope.slack_id", among: Array(filter.envelopeIDs), ofEnvelope: true) }
        if !filter.backends.isEmpty { add("delivery.backend", among: filter.backends.map(\.text)) }
        if !filter.routes.isEmpty { add("delivery.route", among: filter.routes.map(\.text)) }
        if !filter.reasons.isEmpty {
            let reasons = Self.json(filter.reasons.sorted())
            add(
                """
                (delivery.dead_reason IN (SELECT value FROM json_each(?))
                OR delivery.reason IN (SELECT value FROM json_each(?)))
                """, [reasons, reasons])
        }
        if !filter.apps.isEmpty { add("envelope.app", among: filter.apps.map(\.text), ofEnvelope: true) }
        if !filter.kinds.isEmpty { add("envelope.kind", among: filter.kinds.map(\.rawValue), ofEnvelope: true) }
        if let since = filter.since { add("envelope.received_at >= ?", [since.databaseValue], ofEnvelope: true) }
        if let until = filter.until { add("envelope.received_at < ?", [until.databaseValue], ofEnvelope: true) }
        if let settledBefore = filter.settledBefore { add("delivery.settled_at < ?", [settledBefore.databaseValue]) }
    }

    /// The deliveries that were sent with one of these ids before they were stored.
    init(sentAs ids: Set<DeliveryID>) {
        states = []
        add("delivery.sent_id", among: ids.map(\.description))
    }

    private mutating func add(_ column: String, among values: [String], ofEnvelope: Bool = false) {
        add(
            "\(column) IN (SELECT value FROM json_each(?))", [Self.json(values.sorted())], ofEnvelope: ofEnvelope)
    }

    private mutating func add(_ condition: String, _ values: [DatabaseValue], ofEnvelope: Bool = false) {
        conditions.append(condition)
        arguments += values
        needsEnvelope = needsEnvelope || ofEnvelope
    }

    private static func json(_ values: some Encodable) -> DatabaseValue {
        ((try? JSONEncoder().encode(values)).map { String(decoding: $0, as: UTF8.self) } ?? "[]").databaseValue
    }

    /// Whether the filter takes a delivery in the state in which it is shown: the query takes pending and scheduled ones
    /// for those in flight.
    func takes(_ shown: DeliveryState) -> Bool { states.isEmpty || states.contains(shown) }
}

// MARK: - Steps

extension DeliveryQuery {
    /// The rows that one step looks at.
    struct Window: Sendable {
        var low: Int64
        var high: Int64
        fileprivate var ids: [Int64]?
        /// Nothing is left behind it.
        var isLast: Bool
    }

    /// The next `size` rows, from the newest to the oldest.
    func window(below cursor: Int64, size: Int, _ db: Database) throws -> Window {
        if case .ids(let all) = scope {
            let ids = all.filter { $0 < cursor }
            let chunk = Array(ids.suffix(size))
            return Window(low: chunk.first ?? 0, high: chunk.last ?? 0, ids: chunk, isLast: chunk.count == ids.count)
        }
        let low = try boundary("id < ? AND id >= ?", [cursor, floor], order: "DESC", size, db)
        return Window(low: low ?? floor, high: max(cursor, .min + 1) - 1, isLast: low == nil)
    }

    /// The next `size` rows, from the oldest to the newest.
    func window(above cursor: Int64, below end: Int64, size: Int, _ db: Database) throws -> Window {
        if case .ids(let all) = scope {
            let ids = all.filter { $0 > cursor && $0 < end }
            let chunk = Array(ids.prefix(size))
            return Window(
                low: chunk.first ?? 0, high: chunk.last ?? cursor, ids: chunk, isLast: chunk.count == ids.count)
        }
        let high = try boundary("id > ? AND id < ?", [cursor, end], order: "ASC", size, db)
        return Window(
            low: min(cursor, .max - 1) + 1, high: high ?? max(end, .min + 1) - 1, isLast: high == nil)
    }

    /// The last one of the next `size` rows; nil when there are fewer.
    private func boundary(
        _ range: String, _ bounds: [Int64], order: String, _ size: Int, _ db: Database
    ) throws -> Int64? {
        let statement = try db.cachedStatement(
            sql: "SELECT id FROM \(table) WHERE \(range)\(scopeCondition) ORDER BY id \(order) LIMIT 1 OFFSET ?")
        return try statement.first(bounds.map(\.databaseValue) + [(size - 1).databaseValue]) { $0[0] }
    }

    enum Order: String { case newestFirst = "DESC", oldestFirst = "ASC" }

    /// Calls `body` with what the query takes in a window, until it returns false.
    /// - Parameter columns: of `delivery` and, when `withEnvelope` is true, of `envelope`.
    func forEach(
        _ columns: String, withEnvelope: Bool = false, in window: Window, _ order: Order, _ db: Database,
        _ body: (Row) throws -> Bool
    ) throws {
        let range =
            window.ids.map { [Self.json($0)] } ?? [window.low.databaseValue, window.high.databaseValue]
        try db.cachedStatement(sql: sql(columns, withEnvelope: withEnvelope, in: window, order))
            .forEach(range + arguments, body)
    }

    func sql(_ columns: String, withEnvelope: Bool = false, in window: Window, _ order: Order) -> String {
        let join = withEnvelope || needsEnvelope ? " JOIN envelope ON envelope.id = delivery.envelope" : ""
        let range =
            window.ids == nil ? "delivery.id BETWEEN ? AND ?" : "delivery.id IN (SELECT value FROM json_each(?))"
        return """
            SELECT \(columns) FROM \(table)\(join)
            WHERE \(([range] + conditions).joined(separator: " AND "))\(scopeCondition)
            ORDER BY delivery.id \(order.rawValue)
            """
    }

    private var table: String {
        switch scope {
        // By the table itself, in the order of arrival.
        case .all, .ids: "delivery NOT INDEXED"
        case .removable: "delivery INDEXED BY delivery_removable"
        }
    }

    /// As the index has it, word for word: without it the index cannot be used
    /// (https://www.sqlite.org/partialindex.html §3).
    private var scopeCondition: String {
        if case .removable = scope { " AND \(Self.removable)" } else { "" }
    }

    /// Dead, expired or canceled. Two comparisons, because each statement that writes a delivery makes them: a list of the
    /// states would be made a table each time, which doubled the cost of settling.
    static let removable = "settled_at IS NOT NULL AND state <> 'delivered'"
}
