// Names that come from the configuration, each with its own type so that they cannot be mixed up.

/// A name given in `relay.yaml`. `Thing` is never instantiated; it keeps names of different things apart.
package struct Name<Thing>: Hashable, Comparable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    package var text: String

    package init(_ text: String) { self.text = text }
    package init(stringLiteral text: String) { self.text = text }

    package var description: String { text }
    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.text < rhs.text }
}

/// A Slack app that this gateway serves; `default` when the configuration has one `slack` section and no `apps`.
package typealias AppName = Name<App>
package typealias BackendName = Name<Backend>
/// A route's `name`, or `default` when the configuration has no routes.
package typealias RouteName = Name<Route>

/// Tag of `AppName`.
package enum App {
    package static let defaultName: AppName = "default"
}
