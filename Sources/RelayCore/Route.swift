// From an envelope to its backends: routes, what they match on, and the router that applies them in order.

/// A rule from envelopes to backends.
package struct Route: Sendable, Equatable {
    package var name: RouteName
    package var match: Match
    /// At least one; no backend twice.
    package var to: [BackendName]
    /// Replaces the path of the backends' URLs; nil keeps them. Begins with `/`.
    package var path: String?
    /// nil: the default of the kind (`queue` for events; `answer`, which is not in this version, for the rest).
    package var mode: Mode?
    /// Whether the routes after this one are looked at, too.
    package var continues: Bool

    package enum Mode: String, Sendable, CaseIterable {
        /// Acknowledge when stored.
        case queue
    }

    package init(
        name: RouteName, match: Match = .init(), to: [BackendName], path: String? = nil, mode: Mode? = nil,
        continues: Bool = false
    ) {
        self.name = name
        self.match = match
        self.to = to
        self.path = path
        self.mode = mode
        self.continues = continues
    }
}

/// What a route matches: every condition must hold and no negated one may. Without conditions it matches everything.
package struct Match: Sendable, Equatable {
    package var conditions: [Condition]
    /// `not:`: the route does not match where any of these holds.
    package var negated: [Condition]

    package init(_ conditions: [Condition] = [], not negated: [Condition] = []) {
        self.conditions = conditions
        self.negated = negated
    }

    /// One key and the patterns of which one must fit.
    package struct Condition: Sendable, Hashable {
        package var key: MatchKey
        package var patterns: [Pattern]

        package init(_ key: MatchKey, _ patterns: [Pattern]) {
            self.key = key
            self.patterns = patterns
        }
    }
}

/// The keys of `match`. The raw value is the word in `relay.yaml`.
package enum MatchKey: String, Sendable, CaseIterable {
    case kind
    /// The event's type, or type and subtype joined by a dot.
    case event
    case command
    case actionID = "action_id"
    case callbackID = "callback_id"
    case blockID = "block_id"
    /// The `callback_id` of the view.
    case view
    case channel
    case user
    case team
    case enterprise
    /// `api_app_id`
    case app
}

/// An exact value, or a glob in which `*` stands for any text, the empty one included. Case counts.
package struct Pattern: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
    package let text: String

    package init(_ text: String) { self.text = text }
    package init(stringLiteral text: String) { self.text = text }

    package var description: String { text }

    package func matches(_ value: String) -> Bool {
        guard text.utf8.contains(UInt8(ascii: "*")) else { return text == value }
        let pattern = Array(text.utf8)
        let value = Array(value.utf8)
        var (p, v) = (0, 0)
        // Where to go back to when what follows the last `*` does not fit: that `*` then takes one byte more.
        var retry: (pattern: Int, value: Int)?
        while v < value.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                p += 1
                retry = (p, v)
            } else if p < pattern.count, pattern[p] == value[v] {
                p += 1
                v += 1
            } else if let last = retry {
                p = last.pattern
                v = last.value + 1
                retry = (p, v)
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}

extension Match {
    /// nil when the envelope matches, else the first condition that says no.
    package func mismatch(_ envelope: Envelope) -> Mismatch? {
        for condition in conditions where !condition.holds(for: envelope) {
            return Mismatch(condition: condition, isNegated: false, values: envelope.values(of: condition.key))
        }
        for condition in negated where condition.holds(for: envelope) {
            return Mismatch(condition: condition, isNegated: true, values: envelope.values(of: condition.key))
        }
        return nil
    }

    package struct Mismatch: Sendable, Equatable, CustomStringConvertible {
        package var condition: Condition
        package var isNegated: Bool
        /// What the envelope has for the condition's key.
        package var values: [String]

        package init(condition: Condition, isNegated: Bool, values: [String]) {
            self.condition = condition
            self.isNegated = isNegated
            self.values = values
        }

        /// For `relay route test`: `command is /help, wants /deploy or /roll*`.
        package var description: String {
            let value = values.isEmpty ? "absent" : values.joined(separator: ", ")
            let wanted = condition.patterns.map(\.text).joined(separator: " or ")
            return "\(condition.key.rawValue) is \(value), \(isNegated ? "must not be" : "wants") \(wanted)"
        }
    }
}

extension Match.Condition {
    func holds(for envelope: Envelope) -> Bool {
        let values = envelope.values(of: key)
        return patterns.contains { pattern in values.contains(where: pattern.matches) }
    }
}

extension Envelope {
    /// The values that patterns for a key are held against; empty when the payload has none.
    func values(of key: MatchKey) -> [String] {
        switch key {
        case .kind: [kind.rawValue]
        case .event:
            attributes.event.map { type in
                attributes.eventSubtype.map { [type, "\(type).\($0)"] } ?? [type]
            } ?? []
        case .command: attributes.command.map { [$0] } ?? []
        case .actionID: attributes.actionIDs
        case .callbackID: attributes.callbackID.map { [$0] } ?? []
        case .blockID: attributes.blockIDs
        case .view: attributes.view.map { [$0] } ?? []
        case .channel: attributes.channel.map { [$0] } ?? []
        case .user: attributes.user.map { [$0] } ?? []
        case .team: attributes.team.map { [$0] } ?? []
        case .enterprise: attributes.enterprise.map { [$0] } ?? []
        case .app: attributes.app.map { [$0] } ?? []
        }
    }
}

/// What happens to envelopes that no route takes.
package struct UnroutedPolicy: Sendable, Equatable {
    package var event: Action
    /// Commands, interactions and options.
    package var others: Action

    package enum Action: String, Sendable, CaseIterable {
        /// Acknowledge and forget.
        case acknowledge
        /// Do not acknowledge: Slack sends an event again, a person sees Slack's error.
        case withhold
    }

    package init(event: Action = .acknowledge, others: Action = .withhold) {
        self.event = event
        self.others = others
    }

    package func action(for kind: Kind) -> Action { kind == .event ? event : others }
}

/// Applies routes in order.
package struct Router: Sendable, Equatable {
    package let routes: [Route]

    package init(routes: [Route]) { self.routes = routes }

    /// The deliveries that an envelope asks for, one per backend; where two routes name a backend, the first one
    /// counts. Empty: unrouted.
    package func targets(for envelope: Envelope) -> [EnqueueRequest.Target] {
        var targets: [EnqueueRequest.Target] = []
        for route in routes where verdict(of: route, on: envelope) == .matched {
            for backend in route.to where !targets.contains(where: { $0.backend == backend }) {
                targets.append(.init(backend: backend, route: route.name, path: route.path))
            }
            guard route.continues else { break }
        }
        return targets
    }

    /// Each route with what it says to an envelope, up to and including the one that ends the search.
    package func explain(_ envelope: Envelope) -> [(route: Route, verdict: Verdict)] {
        var verdicts: [(route: Route, verdict: Verdict)] = []
        for route in routes {
            let verdict = verdict(of: route, on: envelope)
            verdicts.append((route, verdict))
            if verdict == .matched, !route.continues { break }
        }
        return verdicts
    }

    package enum Verdict: Sendable, Equatable {
        case matched
        case mismatched(Match.Mismatch)
        /// It matches, but the envelope's kind would be answered, and holding the acknowledgement for the answer is not
        /// in this version.
        case needsAnswerMode
    }

    private func verdict(of route: Route, on envelope: Envelope) -> Verdict {
        if let mismatch = route.match.mismatch(envelope) { return .mismatched(mismatch) }
        return envelope.kind == .event || route.mode == .queue ? .matched : .needsAnswerMode
    }
}
