// What is valid and yet surely not meant.

package import RelayCore

extension Configuration {
    /// The backends that a route leads to, in the order of the file.
    package var routedBackends: [Backend] {
        let named = Set(routes.flatMap(\.to))
        return backends.filter { named.contains($0.name) }
    }

    /// A sentence for each backend that no route leads to, and for each route that can never match.
    package var warnings: [String] {
        let routed = Set(routedBackends.map(\.name))
        let unused = backends.filter { !routed.contains($0.name) }.map { "no route leads to backend `\($0.name)`" }
        return unused
            + routes.indices.compactMap { index in
                let route = routes[index]
                let earlier = routes[..<index].first { !$0.continues && $0.match.takesAll(of: route.match) }
                return earlier.map {
                    "route `\(route.name)` never matches: `\($0.name)` stands before it and takes all that it could"
                }
            }
    }
}

extension Match {
    /// Whether every envelope that `other` matches is one that this matches, too. False where that is not certain.
    func takesAll(of other: Match) -> Bool {
        conditions.allSatisfy { condition in
            condition.key == .kind && other.possibleKinds.allSatisfy(condition.names)
                || other.conditions.contains { condition.takesAll(of: $0) }
        }
            && negated.allSatisfy { excluded in
                excluded.key == .kind && !other.possibleKinds.contains(where: excluded.names)
                    || other.negated.contains { $0.takesAll(of: excluded) }
            }
    }
}

extension Match.Condition {
    /// Whether it holds wherever `other` does. A pattern that fits another one's text fits all that this one stands for: the
    /// `*` in that text can only have been taken by a `*`.
    fileprivate func takesAll(of other: Self) -> Bool {
        key == other.key
            && other.patterns.allSatisfy { narrow in patterns.contains { $0.matches(narrow.text) } }
    }
}
