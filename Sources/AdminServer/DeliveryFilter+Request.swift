// Which deliveries a request means: the same words in a query and in a body.

package import RelayCore

/// The words of a filter as they came, each with its values.
struct FilterWords {
    var envelopeID: [String] = []
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
        envelopeID = try Self.bounded(query.all("envelope_id"), "envelope_id")
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
        envelopeID = try Self.words("envelope_id", in: &object)
        state = try Self.words("state", in: &object)
        backend = try Self.words("backend", in: &object)
        route = try Self.words("route", in: &object)
        app = try Self.words("app", in: &object)
        kind = try Self.words("kind", in: &object)
        reason = try Self.words("reason", in: &object)
        `class` = try Self.words("class", in: &object)
        since = try object.string("since")
        until = try object.string("until")
    }

    /// An empty list would take all, where a program that found nothing means none.
    private static func words(_ name: String, in object: inout JSONObject) throws(Problem) -> [String] {
        guard let words = try object.strings(name, atMost: maxValues) else { return [] }
        guard !words.isEmpty else {
            throw .invalid(object.name(name), "must have at least one; without it all are taken")
        }
        return words
    }

    static func bounded(_ values: [String], _ name: String) throws(Problem) -> [String] {
        guard values.count <= maxValues else {
            throw .invalid(name, "is given \(values.count) times; at most \(maxValues)")
        }
        return values
    }
}

extension DeliveryFilter {
    /// - Parameter states: those that this request can be about; without a word about states all of them.
    /// - Returns: nil: the words contradict each other, and take nothing whatever there is.
    static func reading(
        _ words: FilterWords, states allowed: [DeliveryState], now: Timestamp
    ) throws(Problem) -> DeliveryFilter? {
        var filter = DeliveryFilter()
        filter.envelopeIDs = Set(words.envelopeID)
        filter.backends = Set(words.backend.map { BackendName($0) })
        filter.routes = Set(words.route.map { RouteName($0) })
        filter.apps = Set(words.app.map { AppName($0) })
        filter.reasons = Set(words.reason)
        filter.kinds = Set(try choices(words.kind, of: Kind.allCases, "kind"))
        filter.since = try time(words.since, "since", now: now)
        filter.until = try time(words.until, "until", now: now)
        filter.states = Set(try choices(words.state, of: allowed, "state"))
        if let only = try choices(words.class, of: DeadLetterClass.allCases, "class").first {
            guard words.class.count == 1 else { throw .invalid("class", "is given with several values; one is taken") }
            return filter.narrowed(to: only)
        }
        return filter
    }

    /// A class is what dead letters' reasons say, but for what expired. nil: none of it is in these states, or has one
    /// of these reasons.
    private func narrowed(to only: DeadLetterClass) -> DeliveryFilter? {
        var filter = self
        let wanted: DeliveryState = only == .expiry ? .expired : .dead
        guard states.isEmpty || states.contains(wanted) else { return nil }
        filter.states = [wanted]
        guard only != .expiry else { return filter }
        filter.reasons = reasons.isEmpty ? only.deadReasons : only.deadReasons(of: reasons)
        return filter.reasons.isEmpty ? nil : filter
    }

    /// What the archive is to be asked for where states are meant as they are shown: it knows no held ones. nil: nothing,
    /// for no backend is held.
    func stored(held: Set<BackendName>) -> DeliveryFilter? {
        var filter = self
        guard filter.states.remove(.held) != nil else { return filter }
        if filter.states.isEmpty {
            filter.backends = filter.backends.isEmpty ? held : filter.backends.intersection(held)
            if filter.backends.isEmpty { return nil }
        }
        filter.states.formUnion([.pending, .scheduled])
        return filter
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
    static func time(_ text: String?, _ name: String, now: Timestamp) throws(Problem) -> Timestamp? {
        guard let text else { return nil }
        if let time = Timestamp(momentOrAge: text, now: now) { return time }
        throw .invalid(name, "must be a time (2026-11-23T09:30:00Z) or an age (90s, 30m, 2h, 7d), is \(quoted(text))")
    }
}

extension Timestamp {
    /// A time as in RFC 3339, or how long ago it was: `90s`, `30m`, `2h`, `7d`; nil: neither.
    package init?(momentOrAge text: String, now: Timestamp) {
        if let time = Timestamp(rfc3339: text) {
            self = time
            return
        }
        // Before, or after, all that a timestamp can say: a time nevertheless, if it is one in another year as long.
        if let year = Int(text.prefix(4)), text.first?.isNumber == true {
            let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
            if Timestamp(rfc3339: (isLeap ? "2000" : "2001") + text.dropFirst(4)) != nil {
                self.init(nanosecondsSinceEpoch: year < 2000 ? .min : .max)
                return
            }
        }
        guard let age = Duration(age: text) else { return nil }
        self = now.advanced(by: .zero - age)
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

    /// Those of this class that reasons are: dead letters' own, and attempts', after which they were given up.
    func deadReasons(of reasons: Set<String>) -> Set<String> {
        let prefixes = ["", "rejected_", "attempts_exhausted_", "order_blocked_"]
        return deadReasons.intersection(reasons.flatMap { reason in prefixes.map { $0 + reason } })
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
        envelopeId = words(filter.envelopeIDs)
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
