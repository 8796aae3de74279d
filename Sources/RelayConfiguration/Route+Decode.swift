// The section `routes` from the file, with what routes and backends must agree on.

import RelayCore

extension Route {
    enum Key: String, ConfigurationKey {
        case name, match, to, path, mode, acknowledge
        case onFailure = "on_failure"
        case failureMessage = "failure_message"
        case lateFailureMessage = "late_failure_message"
        case continues = "continue"
    }
}

extension Reader where Value == [Route] {
    /// - Parameter checkingURLs: whether the backends' URLs are known, so that a missing one is a mistake.
    static func routes(to backends: [Backend], checkingURLs: Bool) -> Self {
        Self { field throws(Refusal) in
            let items = try field.items()
            guard !items.isEmpty else {
                throw Refusal("must not be empty; without it everything goes to the only backend")
            }
            var names: Set<RouteName> = []
            return items.compactMap { item in
                guard let section: Section<Route.Key> = Section(item),
                    let route = Route(decoding: section, backends: backends, checkingURLs: checkingURLs)
                else { return nil }
                if !names.insert(route.name).inserted { section.refuse(.name, "names two routes: `\(route.name)`") }
                return route
            }
        }
    }
}

extension Route {
    /// nil, noted, without a name or a backend.
    fileprivate init?(decoding section: Section<Key>, backends: [Backend], checkingURLs: Bool) {
        let before = section.problems.errors.count
        let name = section.require(.name, "it names the route in logs and metrics", .name)
        let match = section[.match].flatMap(Match.init(decoding:))
        let to = section.require(.to, "name a backend, or a list of them", .backendNames(among: backends))
        self.init(name: RouteName(name ?? ""), match: match ?? Match(), to: to ?? [])
        section.read(.path, into: &path, .orEmpty(.urlPath))
        mode = section.read(.mode, .choice)
        section.read(.acknowledge, into: &acknowledge, .choice)
        section.read(.onFailure, into: &failure.onFailure, .choice)
        section.read(.failureMessage, into: &failure.message, .message)
        section.read(.lateFailureMessage, into: &failure.lateMessage, .message)
        section.read(.continues, into: &continues, .boolean)
        if name == nil || to == nil { return nil }
        // Only of values that stand by themselves: the rest would be guesses.
        if section.problems.errors.count == before {
            checkKinds(section, checkingURLsOf: checkingURLs ? backends : [])
            checkOrder(section, of: backends)
        }
    }

    /// What is asked for at once cannot wait for its turn; and what goes on to further backends is stored when the first
    /// one has it, in whatever order that comes to.
    private func checkOrder(_ section: Section<Key>, of backends: [Backend]) {
        let ordered = backends.first { to.contains($0.name) && $0.orderBy != .none }
        guard acknowledge == .delivered, let ordered else { return }
        section.refuse(
            .acknowledge,
            "must not be delivered where a backend of the route has order_by: \(ordered.orderBy.rawValue) "
                + "(`\(ordered.name)`): events are then asked for at once, and stored for the others in the order answered"
        )
    }

    private func checkKinds(_ section: Section<Key>, checkingURLsOf backends: [Backend]) {
        if match.possibleKinds.isEmpty {
            section.note("\(section.path).match can never hold: its keys belong to different kinds", at: .match)
        } else {
            checkURLs(of: backends.filter { to.contains($0.name) }, section)
            checkEffects(section)
        }
    }

    private func checkURLs(of backends: [Backend], _ section: Section<Key>) {
        let kinds = match.possibleKinds
        for backend in backends {
            for kind in Kind.allCases where kinds.contains(kind) && backend.url(for: kind) == nil {
                section.note(
                    "\(section.path).to: backend `\(backend.name)` has no url for the kind \(kind.rawValue), which "
                        + "this route can send it; give it one, or narrow `match`",
                    at: .to)
            }
        }
    }
}

extension Route {
    /// Whether it can match events: `acknowledge` is about nothing else.
    var canTakeEvents: Bool { match.possibleKinds.contains(.event) }

    /// Whether a message can stand in for the answer of a backend that failed: only commands and legacy interactive
    /// messages take one (slack-protocol.md §3.5).
    var canSayMessages: Bool { mode != .queue && !match.messageKinds.isEmpty }

    /// What is given and would do nothing was meant to do something: it is refused.
    fileprivate func checkEffects(_ section: Section<Key>) {
        if mode == .answer, canTakeEvents {
            section.refuse(
                .mode,
                "must not be answer where `match` lets events in, which have no answer; leave mode out (each kind then "
                    + "has its default), narrow `match`, or write acknowledge: delivered for the events")
        }
        if !canTakeEvents {
            section.refuse(
                .acknowledge,
                "has no effect, is \(Quote.value(acknowledge.rawValue)): it is about events, and `match` lets none in; "
                    + "leave it out")
        }
        if !canSayMessages {
            let reason =
                mode == .queue
                ? "with mode: queue nobody is answered"
                : "it is about commands and legacy messages, and `match` lets neither in"
            let policy: [(key: Key, value: String)] = [
                (.onFailure, failure.onFailure.rawValue), (.failureMessage, failure.message),
                (.lateFailureMessage, failure.lateMessage),
            ]
            for (key, value) in policy {
                section.refuse(key, "has no effect, is \(Quote.value(value)): \(reason); leave it out")
            }
        } else if failure.onFailure == .withhold {
            section.refuse(
                .failureMessage,
                "has no effect, is \(Quote.value(failure.message)): with on_failure: withhold Slack shows its own "
                    + "error; write on_failure: message, or leave it out")
        }
    }
}

extension Reader where Value == [BackendName] {
    fileprivate static func backendNames(among backends: [Backend]) -> Self {
        Self { field throws(Refusal) in
            var names: [BackendName] = []
            for item in try field.oneOrMore() {
                guard let name = item.read(.line).map({ BackendName($0) }) else { continue }
                if !backends.contains(where: { $0.name == name }) {
                    let hint = Hint(for: name.text, among: backends.map(\.name.text))
                    item.note("names no backend: \(Quote.value(name.text)); \(hint)")
                } else if names.contains(name) {
                    item.note("names the backend `\(name)` twice")
                } else {
                    names.append(name)
                }
            }
            return names
        }
    }
}
