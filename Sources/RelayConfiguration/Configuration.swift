// The whole of relay.yaml as validated values. Nothing is checked again after this.

package import RelayCore

/// What one process of Relay is asked to do. Nested as the file is; the defaults are those of relay.yaml.example.
package struct Configuration: Sendable, Equatable {
    /// In the order of the file, at least one, names unique; one named `default` where the file has `slack`.
    package var apps: [SlackConfiguration]
    package var queue: QueueConfiguration
    /// In the order of the file, at least one, names unique.
    package var backends: [Backend]
    /// In the order of the file, names unique; each names backends that exist and have a URL for what it sends them.
    package var routes: [Route]
    package var unrouted: UnroutedPolicy
    /// nil: no port is opened.
    package var health: HealthConfiguration?
    /// nil: there is no admin API.
    package var admin: AdminConfiguration?
    package var alarms: AlarmConfiguration
    package var log: LogConfiguration

    /// - Parameter routes: nil: `defaultRoutes`.
    package init(
        apps: [SlackConfiguration], queue: QueueConfiguration = .init(), backends: [Backend], routes: [Route]? = nil,
        unrouted: UnroutedPolicy = .init(), health: HealthConfiguration? = .init(),
        admin: AdminConfiguration? = .init(), alarms: AlarmConfiguration = .init(),
        log: LogConfiguration = .init()
    ) {
        self.apps = apps
        self.queue = queue
        self.backends = backends
        self.routes = routes ?? Self.defaultRoutes(to: backends)
        self.unrouted = unrouted
        self.health = health
        self.admin = admin
        self.alarms = alarms
        self.log = log
    }

    /// What holds where the file has no `routes`: one route named `default` to the only backend, for every kind that it
    /// has a URL for; nothing when there are several backends.
    package static func defaultRoutes(to backends: [Backend]) -> [Route] {
        guard backends.count == 1, let backend = backends.first else { return [] }
        let kinds = Kind.allCases.filter { backend.url(for: $0) != nil }
        let match = kinds == Kind.allCases ? Match() : Match([.init(.kind, kinds.map { Pattern($0.rawValue) })])
        return [Route(name: defaultRouteName, match: match, to: [backend.name])]
    }

    package static let defaultRouteName: RouteName = "default"

    /// How long the end may take: as long as the app that allows most.
    package var drainTimeout: Duration { apps.map(\.drainTimeout).max() ?? .zero }

    /// Where an app stands in the file, for messages: `slack`, or `apps.NAME`.
    package func key(of app: SlackConfiguration) -> String {
        apps.count == 1 && app.name == App.defaultName ? Key.slack.rawValue : "\(Key.apps.rawValue).\(app.name)"
    }

    /// The keys of the file itself. Every key enumeration of this target lists its keys in the order of
    /// relay.yaml.example.
    enum Key: String, ConfigurationKey {
        case version, slack, apps, queue, backends, routes, unrouted, health, admin, alarms, log
    }
}

extension UnroutedPolicy {
    enum Key: String, ConfigurationKey { case event, others }
}
