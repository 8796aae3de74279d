// Which deliveries a request means: the same words in a query and in a body.

import RelayCore

/// The words of a filter as they came, each with its values.
struct FilterWords {
    var state: [String] = []
    var backend: [String] = []
    var route: [String] = []
    var app: [String] = []
    var kind: [String] = []
    var reason: [String] = []
    var `class`: [String] = []
    var since: String?
    var until: String?

    /// Values of one word.
    static let maxValues = 100

    init(_ query: inout Query) throws(Problem) {
        state = try Self.bounded(query.all("state"), "state")
        backend = try Self.bounded(query.all("backend"), "backend")
        route = try Self.bounded(query.all("route"), "route")
        app = try Self.bounded(query.all("app"), "app")
        kind = try Self.bounded(query.all("kind"), "kind")
        reason = try Self.bounded(query.all("reason"), "reason")
        `class` = try Self.bounded(query.all("class"), "class")
        since = try query.one("since")
        until = try query.one("until")
    }

    init(_ object: inout JSONObject) throws(Problem) {
        state = try object.strings("state", atMost: Self.maxValues) ?? []
        backend = try object.strings("backend", atMost: Self.maxValues) ?? []
        route = try object.strings("route", atMost: Self.maxValues) ?? []
        app = try object.strings("app", atMost: Self.maxValues) ?? []
        kind = try object.strings("kind", atMost: Self.maxValues) ?? []
        reason = try object.strings("reason", atMost: Self.maxValues) ?? []
        `class` = try object.strings("class", atMost: Self.maxValues) ?? []
        since = try object.string("since")
        until = try object.string("until")
    }

    private static func bounded(_ values: [String], _ name: String) throws(Problem) -> [String] {
        guard values.count <= maxValues else {
            throw .invalid(name, "is given \(values.count) times; at most \(maxValues)")
        }
        return values
    }
}

extension DeliveryFilter {
    /// - Parameters:
    ///   - states: those that this request can be about; without a word about states all of them.
    ///   - held: backends that are left alone, for the state `held`.
    /// - Returns: nil: nothing can match.
    static func reading(
        _ words: FilterWords, states allowed: [DeliveryState], held: Set<BackendName> = [], now: Timestamp
    ) throws(Problem) -> DeliveryFilter? {
        var filter = DeliveryFilter()
        filter.backends = Set(words.backend.map { BackendName($0) })
        filter.routes = Set(words.route.map { RouteName($0) })
        filter.apps = Set(words.app.map { AppName($0) })
        filter.reasons = Set(words.reason)
        filter.kinds = Set(try choices(words.kind, of: Kind.allCases, "kind"))
        filter.since = try time(words.since, "since", now: now)
        filter.until = try time(words.until, "until", now: now)
        var states = Set(try choices(words.state, of: allowed, "state"))
        let classes = Set(try choices(words.class, of: DeadLetterClass.allCases, "class"))
        if states.contains(.held) {
            guard try filter.takeHeld(&states, held: held) else { return nil }
        }
        if !classes.isEmpty {
            guard try filter.narrow(to: classes, &states) else { return nil }
        }
        filter.states = states
        if let since = filter.since, let until = filter.until, since >= until { return nil }
        return filter
    }

    /// Held is what waits, as seen by its backend: it is not stored.
    private mutating func takeHeld(_ states: inout Set<DeliveryState>, held: Set<BackendName>) throws(Problem) -> Bool {
        states.remove(.held)
        // Pending and scheduled include what is held.
        if states.isSuperset(of: [.pending, .scheduled]) { return true }
        guard states.isEmpty else {
            throw .invalid("state", "held goes alone, or together with pending and scheduled")
        }
        states = [.pending, .scheduled]
        backends = backends.isEmpty ? held : backends.intersection(held)
        return !backends.isEmpty
    }

    /// A class is what dead letters' reasons say, but for what expired.
    private mutating func narrow(
        to classes: Set<DeadLetterClass>, _ states: inout Set<DeliveryState>
    ) throws(Problem) -> Bool {
        guard classes.count == 1, let only = classes.first else {
            throw .invalid("class", "is given with several values; one is taken")
        }
        let wanted: DeliveryState = only == .expiry ? .expired : .dead
        guard states.isEmpty || states.contains(wanted) else { return false }
        states = [wanted]
        guard only != .expiry else { return true }
        let ofClass = only.deadReasons
        reasons = reasons.isEmpty ? ofClass : reasons.intersection(ofClass)
        return !reasons.isEmpty
    }

    private static func choices<Choice: RawRepresentable<String>>(
        _ values: [String], of choices: [Choice], _ name: String
    ) throws(Problem) -> [Choice] {
        var found: [Choice] = []
        for value in values {
            guard let choice = choices.first(where: { $0.rawValue == value }) else {
                let words = choices.map(\.rawValue).joined(separator: ", ")
                throw .invalid(name, "must be one of \(words), is \(quoted(value))")
            }
            found.append(choice)
        }
        return found
    }

    /// A time, or how long ago it was.
    private static func time(_ text: String?, _ name: String, now: Timestamp) throws(Problem) -> Timestamp? {
        guard let text else { return nil }
        if let time = Timestamp(rfc3339: text) { return time }
        if let age = Duration(age: text) { return now.advanced(by: .zero - age) }
        throw .invalid(name, "must be a time (2026-11-23T09:30:00Z) or an age (90s, 30m, 2h, 7d), is \(quoted(text))")
    }
}

extension Duration {
    private static let ageUnits: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]

    /// Reads `90s`, `30m`, `2h`, `7d`: a whole number of at most 9 digits and a unit.
    fileprivate init?(age text: String) {
        guard let unit = text.last.flatMap({ Self.ageUnits[$0] }),
            (2...10).contains(text.utf8.count), text.dropLast().allSatisfy({ "0"..."9" ~= $0 }),
            let count = Int64(text.dropLast())
        else { return nil }
        self = .seconds(count * unit)
    }
}

extension DeadLetterClass {
    /// Every reason of this class: the store knows reasons, not classes.
    var deadReasons: Set<String> {
        Set(Self.allDeadReasons.filter { DeadLetterClass(deadReason: $0) == self })
    }

    private static let allDeadReasons: [String] = {
        let attempts: [AttemptReason] =
            [
                .dnsError, .connectionRefused, .connectionReset, .connectTimeout, .timeout, .tlsError, .blockedAddress,
                .redirect, .responseTooLarge, .requestError,
            ] + (100...999).map { .http(status: $0) }
        return attempts.flatMap {
            [DeadLetterReason.rejected($0), .attemptsExhausted($0), .orderBlocked($0)].map(\.description)
        }
    }()
}

extension API.Filter {
    /// As it was asked for.
    init(_ filter: DeliveryFilter) {
        self.init()
        func words(_ values: some Collection<String>) -> [String]? { values.isEmpty ? nil : values.sorted() }
        state = words(filter.states.map(\.rawValue))
        backend = words(filter.backends.map(\.text))
        route = words(filter.routes.map(\.text))
        app = words(filter.apps.map(\.text))
        kind = words(filter.kinds.map(\.rawValue))
        if let whole = DeadLetterClass.allCases.first(where: { $0 != .expiry && $0.deadReasons == filter.reasons }) {
            `class` = [whole.rawValue]
        } else {
            reason = words(filter.reasons)
        }
        since = filter.since?.rfc3339Milliseconds
        until = filter.until?.rfc3339Milliseconds
    }
}
