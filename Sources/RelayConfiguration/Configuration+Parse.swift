// From the text of relay.yaml to a configuration: parse, read every section, check what lies between them.

import RelayCore
import YAML

extension Configuration {
    /// Reads a configuration file. Touches neither files nor environment: secrets are references.
    /// - Parameters:
    ///   - yaml: the text, UTF-8, at most 1 MiB.
    ///   - file: how messages name it.
    /// - Throws: every mistake of the file at once; of a text that is not YAML, the first.
    package static func parse(yaml: [UInt8], file: String) throws(ConfigurationErrors) -> Configuration {
        let problems = Problems(file: file)
        let configuration: Configuration?
        do throws(YAMLError) {
            configuration = Configuration(decoding: try YAMLNode(parsing: yaml), problems: problems)
        } catch {
            problems.note(error.message, at: error.position)
            configuration = nil
        }
        guard let configuration, problems.errors.isEmpty else { throw problems.sorted }
        return configuration
    }

    /// Likewise, of a text.
    package static func parse(yaml: String, file: String) throws(ConfigurationErrors) -> Configuration {
        try parse(yaml: Array(yaml.utf8), file: file)
    }

    /// nil, with at least one problem noted, when a part that has no default is missing or wrong.
    private init?(decoding node: YAMLNode, problems: Problems) {
        guard let root = Section<Key>(Field(path: "", node: node, problems: problems)) else { return nil }
        let version = root.require(.version, "write `version: 1`", .integer(in: 1...1))
        let apps = Self.decodeApps(root)
        var queue = root.section(.queue).map(QueueConfiguration.init(decoding:)) ?? QueueConfiguration()
        let before = problems.errors.count
        let backends = root.require(.backends, "name at least one, with its url", .backends) ?? []
        // URLs that were refused are not missing, too.
        let knowsURLs = problems.errors.count == before
        let routes = root.read(.routes, .routes(to: backends, checkingURLs: knowsURLs))
        if root[.routes] == nil { Self.checkDefaultRoute(to: backends, checkingURLs: knowsURLs, in: root) }
        queue.limits.backendsWithoutRecords = Set(backends.filter { !$0.recordsPayloads }.map(\.name))
        let unrouted = root.section(.unrouted).map(UnroutedPolicy.init(decoding:)) ?? UnroutedPolicy()
        let health = root.section(.health).map(HealthConfiguration.decode) ?? HealthConfiguration()
        let admin = root.section(.admin).map(AdminConfiguration.decode) ?? AdminConfiguration()
        let alarms = root.section(.alarms).map(AlarmConfiguration.init(decoding:)) ?? AlarmConfiguration()
        let log = root.section(.log).map(LogConfiguration.init(decoding:)) ?? LogConfiguration()
        guard version != nil, let apps else { return nil }
        self.init(
            apps: apps, queue: queue, backends: backends, routes: routes, unrouted: unrouted, health: health,
            admin: admin, alarms: alarms, log: log)
    }

    /// Of `slack`, or of `apps`; nil, noted, when there are both, or neither, or one of them is wrong.
    private static func decodeApps(_ root: Section<Key>) -> [SlackConfiguration]? {
        guard root[.apps] != nil else {
            return root.requireSection(.slack, "it needs app_token and signing_secret")
                .flatMap(SlackConfiguration.init(decoding:)).map { [$0] }
        }
        if root[.slack] != nil { root.refuse(.apps, "stands beside slack: give one of the two") }
        return root.read(.apps, .apps)
    }

    /// A backend without a URL for events is refused: what no route takes is acknowledged and forgotten. Of the other
    /// kinds a person sees that nobody took it.
    private static func checkDefaultRoute(to backends: [Backend], checkingURLs: Bool, in root: Section<Key>) {
        if backends.count > 1 {
            root.note("routes is missing; with more than one backend it says what goes where", at: .backends)
        } else if let backend = backends.first, checkingURLs, backend.url(for: .event) == nil {
            root.note(
                "backends.\(backend.name) has no url for events, which it gets when there are no routes; give it one, "
                    + "or say with routes what it gets",
                at: .backends)
        }
    }
}
