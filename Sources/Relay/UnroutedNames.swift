// Which unrouted envelopes are logged.

package import RelayCore

/// Remembers of which kind and name an unrouted envelope was logged, so that each is logged once. How many are
/// remembered is bounded, because an app may make names as it goes (`approve_4711`).
package struct UnroutedNames: Sendable {
    /// Of each app.
    package static let max = 100
    /// Characters of a name; Slack takes an action_id or callback_id of up to 255.
    package static let maxLength = 255

    private var remembered: [AppName: Set<Seen>] = [:]

    private struct Seen: Hashable {
        var kind: Kind
        var names: [MatchKey: String]
    }

    package enum Verdict: Sendable, Equatable {
        /// With what a route could have matched on.
        case log([MatchKey: String])
        /// The same; no other one is logged after it.
        case logLast([MatchKey: String])
        case count
    }

    package init() {}

    package mutating func cameUnrouted(_ envelope: Envelope) -> Verdict {
        let names = envelope.names.mapValues { String($0.prefix(Self.maxLength)) }
        let seen = Seen(kind: envelope.kind, names: names)
        guard remembered[envelope.app, default: []].count < Self.max,
            remembered[envelope.app, default: []].insert(seen).inserted
        else { return .count }
        return remembered[envelope.app, default: []].count < Self.max ? .log(names) : .logLast(names)
    }
}
