// From an envelope to its backends: routes, what they match on, and the router that applies them in order.

/// A rule from envelopes to backends.
package struct Route: Sendable, Equatable {
    package var name: RouteName
    package var match: Match
    /// At least one; no backend twice.
    package var to: [BackendName]
    /// Replaces the path of the backends' URLs; nil keeps them. Begins with `/`.
    package var path: String?
    /// nil: the default of the kind (`queue` for events, `answer` for the rest).
    package var mode: Mode?
    /// When an event in mode `queue` is acknowledged.
    package var acknowledge: Acknowledge
    /// What a person is told when the backend fails.
    package var failure: FailurePolicy
    /// Whether the routes after this one are looked at, too.
    package var continues: Bool

    package enum Mode: String, Sendable, CaseIterable {
        /// Hold the acknowledgement for the first backend's reply.
        case answer
        /// Acknowledge when stored.
        case queue
    }

    package enum Acknowledge: String, Sendable, CaseIterable {
        case stored
        /// When the first backend has answered 2xx; if it does not within the deadline, not at all: Slack sends the
        /// event again.
        case delivered
    }

    /// What is said in place of an answer.
    package struct FailurePolicy: Sendable, Hashable {
        package var onFailure: OnFailure
        /// Said in time, when `onFailure` is `message`. Not empty, at most 3,000 characters.
        package var message: String
        /// Posted to the `response_url` when the backend fails after the deadline. Not empty, at most 3,000 characters.
        package var lateMessage: String

        package enum OnFailure: String, Sendable, CaseIterable {
            /// Do not acknowledge: the person sees Slack's error.
            case withhold
            /// Acknowledge with the message, where the envelope takes one (commands and legacy interactive messages).
            case message
        }

        package init(
            onFailure: OnFailure = .withhold, message: String = "That did not work. Please try again.",
            lateMessage: String = "That did not finish. Please try again."
        ) {
            self.onFailure = onFailure
            self.message = message
            self.lateMessage = lateMessage
        }
    }

    package init(
        name: RouteName, match: Match = .init(), to: [BackendName], path: String? = nil, mode: Mode? = nil,
        acknowledge: Acknowledge = .stored, failure: FailurePolicy = .init(), continues: Bool = false
    ) {
        self.name = name
        self.match = match
        self.to = to
        self.path = path
        self.mode = mode
        self.acknowledge = acknowledge
        self.failure = failure
        self.continues = continues
    }
}

extension Route {
    /// Whether the acknowledgement of an envelope of this kind waits for the first backend: for its answer, or for its
    /// 2xx.
    package func asksFirstBackend(_ kind: Kind) -> Bool {
        kind == .event ? acknowledge == .delivered : mode != .queue
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

extension Envelope {
    /// What it is called in the words of `match`: a command, an event's type, the identifiers that the app gave its
    /// buttons, menus and views. Nothing that people wrote, and nothing about who they are.
    package var names: [MatchKey: String] {
        var names: [MatchKey: String] = [:]
        names[.event] = values(of: .event).last
        for key in [MatchKey.command, .actionID, .callbackID, .view] {
            let values = values(of: key)
            names[key] = values.isEmpty ? nil : values.joined(separator: ", ")
        }
        return names
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

/// What is done with one envelope.
package struct RoutingPlan: Sendable, Equatable {
    /// Whose reply the acknowledgement waits for; nil: the envelope is acknowledged when it is stored.
    package var asked: Asked?
    /// Stored, and delivered as events are; no backend twice, and not the asked one.
    package var queued: [EnqueueRequest.Target]

    /// No route takes the envelope.
    package var isEmpty: Bool { asked == nil && queued.isEmpty }

    package struct Asked: Sendable, Equatable {
        package var target: EnqueueRequest.Target
        package var failure: Route.FailurePolicy

        package init(target: EnqueueRequest.Target, failure: Route.FailurePolicy = .init()) {
            self.target = target
            self.failure = failure
        }
    }

    package init(asked: Asked? = nil, queued: [EnqueueRequest.Target] = []) {
        self.asked = asked
        self.queued = queued
    }
}

/// Applies routes in order.
package struct Router: Sendable, Equatable {
    package let routes: [Route]

    package init(routes: [Route]) { self.routes = routes }

    /// Of the routes that match, the first that asks its first backend owns the answer; all other backends are queued,
    /// each once: where two routes name one, the first route counts, but the one that asks counts before all.
    package func plan(for envelope: Envelope) -> RoutingPlan {
        var plan = RoutingPlan()
        for route in routes where route.match.mismatch(envelope) == nil {
            for (index, backend) in route.to.enumerated() {
                let target = EnqueueRequest.Target(backend: backend, route: route.name, path: route.path)
                if index == 0, plan.asked == nil, route.asksFirstBackend(envelope.kind) {
                    plan.asked = .init(target: target, failure: route.failure)
                    plan.queued.removeAll { $0.backend == backend }
                } else if plan.asked?.target.backend != backend, !plan.queued.contains(where: { $0.backend == backend })
                {
                    plan.queued.append(target)
                }
            }
            guard route.continues else { break }
        }
        return plan
    }

    /// Each route with what it says to an envelope, nil when it matches, up to and including the one that ends the
    /// search.
    package func explain(_ envelope: Envelope) -> [(route: Route, mismatch: Match.Mismatch?)] {
        var verdicts: [(route: Route, mismatch: Match.Mismatch?)] = []
        for route in routes {
            let mismatch = route.match.mismatch(envelope)
            verdicts.append((route, mismatch))
            if mismatch == nil, !route.continues { break }
        }
        return verdicts
    }
}
