// What one gateway, and those that follow it, run on: a folder with a relay.yaml and a queue.

import Foundation
import Testing

/// A folder of its own for each test, removed with its last reference.
///
/// The configuration is strict YAML in small pieces: a test says what it is about, the rest is quick and quiet.
final class RelayHome: Sendable {
    /// Of this run alone: a relay that a run before left behind, and that still dials where its Slack was, is not let in.
    static let appToken = "xapp-1-A0PROGRAM-\(UUID().uuidString)"
    static let signingSecret = "signing-secret-of-the-program-tests"

    /// For every relay under test: made-up secrets, and no proxy that the developer's own environment names.
    static let environment = [
        "SLACK_APP_TOKEN": appToken, "SLACK_SIGNING_SECRET": signingSecret, "http_proxy": "", "https_proxy": "",
        "HTTPS_PROXY": "", "all_proxy": "", "ALL_PROXY": "", "no_proxy": "", "NO_PROXY": "",
    ]

    let folder: URL
    private let environment: [String: String]
    private let ulimit: String?

    /// Short waits, no jitter, health on a free port.
    /// - Parameters:
    ///   - backends: each one's keys as a YAML flow mapping without its braces: `url: http://…, max_in_flight: 1`.
    ///   - routes: items of the list, each a flow mapping without its braces; none: events go to the only backend.
    ///   - queue: the keys of `queue` in the same way; where they name no place, it is a database in the folder.
    ///   - apps: entries of the list in place of `slack`, each one's keys as a YAML flow mapping without its braces;
    ///     `apiURL` is then without meaning, and the keys of `slack` are added to each.
    ///   - slack: more keys of the section `slack`, each `key: value`; a `backoff` among them takes the place of the
    ///     short one.
    ///   - admin: where the admin API listens, and more keys of its section.
    ///   - environment: beside the one that every relay under test has.
    ///   - ulimit: arguments of ulimit(1) that hold for relay.
    init(
        apiURL: String, backends: [String: String], routes: [String] = [], queue: String? = nil, slack: [String] = [],
        apps: [String] = [], admin: String = "127.0.0.1:0", logLevel: String = "debug",
        environment: [String: String] = [:], ulimit: String? = nil
    ) throws {
        folder = try Self.makeFolder()
        self.ulimit = ulimit
        self.environment = Self.environment.merging(environment) { _, new in new }
        let backoff =
            slack.contains { $0.hasPrefix("backoff:") } ? [] : ["backoff: { initial: 50ms, max: 500ms, stable: 1s }"]
        let hasPlace = queue.map { $0.contains("path:") || $0.contains("driver:") } ?? false
        let place = hasPlace ? [] : ["path: \(folder.path)/relay.db"]
        let yaml = """
            version: 1
            \(apps.isEmpty ? Self.slack(apiURL, backoff + slack) : Self.apps(apps, backoff + slack))
            queue: { \((place + [queue].compactMap(\.self)).joined(separator: ", ")) }
            backends:
            \(backends.sorted { $0.key < $1.key }.map { "  \($0.key): { \($0.value) }\n" }.joined())
            \(routes.isEmpty ? "" : "routes:\n" + routes.map { "  - { \($0) }\n" }.joined())
            health: { listen: 127.0.0.1:0 }
            admin: { listen: \(admin) }
            log: { level: \(logLevel), format: json }
            """
        try yaml.write(toFile: configurationPath, atomically: false, encoding: .utf8)
    }

    private static func slack(_ apiURL: String, _ keys: [String]) -> String {
        let all =
            [
                "app_token: env:SLACK_APP_TOKEN", "signing_secret: env:SLACK_SIGNING_SECRET", "api_url: \(apiURL)",
                "start_jitter: 0s",
            ] + keys
        return "slack:\n" + all.map { "  \($0)\n" }.joined()
    }

    private static func apps(_ apps: [String], _ keys: [String]) -> String {
        "apps:\n" + apps.map { "  - { \(([$0, "start_jitter: 0s"] + keys).joined(separator: ", ")) }\n" }.joined()
    }

    /// Changes the configuration file in place.
    func edit(_ change: (inout String) -> Void) throws {
        var text = try String(contentsOfFile: configurationPath, encoding: .utf8)
        change(&text)
        try text.write(toFile: configurationPath, atomically: false, encoding: .utf8)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    var configurationPath: String { path("relay.yaml") }

    /// Of a file in the folder.
    func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    /// Starts `relay serve`, without waiting for anything.
    func start() throws -> ChildProcess {
        try ChildProcess.relay(["serve", "--config", configurationPath], environment: environment, ulimit: ulimit)
    }

    /// Starts `relay serve` and waits until it listens. It need not be connected to Slack yet.
    func serve() async throws -> RunningRelay {
        let relay = try RunningRelay(in: self)
        try await relay.logged("health is served")
        return relay
    }

    static func makeFolder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("relay-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }
}
