// What `relay config show` prints: everything that holds, and no secret.

import RelayCore
import Testing
import YAML

@testable import RelayConfiguration

@Suite("The effective configuration as YAML")
struct ConfigurationShowTests {
    /// Secrets cannot be read back; a reference in their place can.
    private func reread(_ configuration: Configuration) throws -> Configuration {
        var shown = configuration.redactedYAML().replacing(#"secret: "***""#, with: "secret: env:SHOWN")
        // No two apps may have the same token.
        for index in configuration.apps.indices {
            shown = shown.replacing(#"_token: "***""#, with: "_token: env:SHOWN\(index)", maxReplacements: 1)
        }
        shown = shown.replacing(#" token: "***""#, with: " token: env:SHOWN")
        return try Configuration.parse(yaml: shown, file: "shown")
    }

    /// The configuration with `env:SHOWN` for each secret, and `***` where a value is redacted.
    private func redacted(_ configuration: Configuration) -> Configuration {
        var redacted = configuration
        for (index, app) in configuration.apps.enumerated() {
            redacted.apps[index].appToken = .environment("SHOWN\(index)")
            redacted.apps[index].signingSecret = .environment("SHOWN")
            redacted.apps[index].proxy = app.proxy.map(\.withoutUserinfo)
        }
        redacted.alarms.secret = configuration.alarms.secret.map { _ in .environment("SHOWN") }
        if configuration.admin?.token != nil { redacted.admin?.token = .environment("SHOWN") }
        redacted.backends = configuration.backends.map { backend in
            var backend = backend
            for index in backend.signing.indices { backend.signing[index].secret = .environment("SHOWN") }
            backend.headers = backend.headers.map { .init(name: $0.name, value: "***") }
            backend.url = backend.url.map(\.withoutUserinfo)
            backend.urls = backend.urls.mapValues(\.withoutUserinfo)
            backend.proxy = backend.proxy.map(\.withoutUserinfo)
            return backend
        }
        return redacted
    }

    private func expectRoundTrip(_ configuration: Configuration) throws {
        #expect(try reread(configuration) == redacted(configuration), "\(configuration.redactedYAML())")
    }

    @Test("the minimal configuration is shown whole")
    func minimal() throws {
        let configuration = try Configuration.parse(yaml: Sample.minimal, file: "")
        #expect(
            configuration.redactedYAML() == """
                version: 1
                slack:
                  app_token: "***"
                  signing_secret: "***"
                  connections: 2
                  expected_connections: 2
                  start_jitter: 5s
                  wait_for_backends: 0s
                  api_url: https://slack.com/api
                  proxy: ""
                  ca: ""
                  backoff: { initial: 1s, max: 60s, stable: 2m }
                  hello_timeout: 10s
                  ping_interval: 10s
                  dead_after: 30s
                  answer_deadline: 2500ms
                  drain_timeout: 25s
                queue:
                  driver: sqlite
                  path: /var/lib/relay/relay.db
                  max_bytes: 4GiB
                  when_full: refuse
                  dedupe_window: 24h
                  retention: { delivered: 24h, dead: 30d }
                backends:
                  legacy:
                    url: http://127.0.0.1:3000/slack/events
                    unix_socket: ""
                    timeout: 10s
                    connect_timeout: 3s
                    max_in_flight: 16
                    max_waiting: 1000
                    rate_limit: none
                    order_by: none
                    order_block_max: 10m
                    retry:
                      schedule: [1s, 5s, 30s, 2m, 10m, 30m, 1h, 2h, 4h, 8h]
                      jitter: 0.2
                      retry_after_max: 1h
                    max_age: { event: none, command: 30m, interaction: 30m, options: 3s }
                    circuit_breaker: { consecutive: 10, probe_after: 5s, probe_max: 60s }
                    tls: { ca: "", client_cert: "", client_key: "" }
                    egress: { preset: sidecar, allow: [], deny: [] }
                    proxy: ""
                    headers: {}
                    retry_headers: none
                    user_agent: Slackbot 1.0 (+https://api.slack.com/robots)
                    record_payloads: true
                routes:
                  - name: default
                    to: [legacy]
                    path: ""
                    acknowledge: stored
                    on_failure: withhold
                    late_failure_message: That did not finish. Please try again.
                    continue: false
                unrouted: { event: acknowledge, others: withhold }
                health: { listen: 0.0.0.0:9390 }
                admin: { listen: 127.0.0.1:9391 }
                alarms: { url: "", repeat: 1h }
                log: { level: info, format: auto }

                """)
        try expectRoundTrip(configuration)
    }

    @Test("several apps are shown as a list, each with its name; one that is not called default, too")
    func apps() throws {
        var configuration = Configuration(apps: [Sample.slack], backends: [Sample.backend])
        configuration.apps[0].name = "sales"
        #expect(
            configuration.redactedYAML().hasPrefix(
                """
                version: 1
                apps:
                  - name: sales
                    app_token: "***"
                    signing_secret: "***"
                    connections: 2

                """))
        try expectRoundTrip(configuration)
    }

    @Test("signing shows schemes and windows, in UTC, and no secret")
    func signing() throws {
        let yaml = Sample.with(
            backend: """
                signing:
                  - { scheme: slack, secret: env:OLD, not_after: 2026-11-23T10:30:00+01:00 }
                  - { scheme: slack, secret: file:/new }
                """)
        let configuration = try Configuration.parse(yaml: yaml, file: "")
        #expect(
            configuration.redactedYAML().contains(
                """
                    signing:
                      - { scheme: slack, secret: "***", not_after: 2026-11-23T09:30:00Z }
                      - { scheme: slack, secret: "***" }

                """))
        try expectRoundTrip(configuration)
    }

    @Test("the example reads back as itself, its keys in the order of the design")
    func example() throws {
        let configuration = try Configuration.parse(yaml: exampleText, file: "relay.yaml.example")
        try expectRoundTrip(configuration)
        let shown = try YAMLNode(parsing: Array(configuration.redactedYAML().utf8))
        for (path, keys, _) in schema where path != ["routes", "*"] {
            let sections = shown.values(at: path[...]).map(\.keys)
            // An entry of `signing` shows the ends of its window that it has.
            #expect(Set(sections.joined()) == Set(keys))
            for section in sections { #expect(section == keys.filter(section.contains)) }
        }
    }

    @Test(
        "a route shows the keys that have an effect on it",
        arguments: [
            ("to: b", ["acknowledge", "on_failure", "late_failure_message"]),
            ("to: b, on_failure: message", ["acknowledge", "on_failure", "failure_message", "late_failure_message"]),
            ("to: b, mode: queue", ["mode", "acknowledge"]),
            ("to: b, match: { kind: event }", ["match", "acknowledge"]),
            ("to: b, match: { command: /a }", ["match", "on_failure", "late_failure_message"]),
            ("to: b, match: { kind: options }", ["match"]),
            (
                "to: b, match: { callback_id: a, kind: interaction }, mode: answer",
                ["match", "mode", "on_failure", "late_failure_message"]
            ),
            ("to: b, match: { command: /a }, mode: queue", ["match", "mode"]),
        ])
    func routeKeys(_ route: String, _ keys: [String]) throws {
        let yaml = Sample.head + "backends: { b: { url: http://h/ } }\nroutes: [ { name: a, \(route) } ]\n"
        let configuration = try Configuration.parse(yaml: yaml, file: "")
        let shown = try YAMLNode(parsing: Array(configuration.redactedYAML().utf8)).values(at: ["routes", "*"])
        #expect(shown.map { Set($0.keys) } == [Set(keys + ["name", "to", "path", "continue"])])
        try expectRoundTrip(configuration)
    }

    @Test("values that are not defaults read back")
    func unusual() throws {
        let backend = Backend(
            name: "odd.name-1", url: "http://user:secret@[::1]:80/?a=b", urls: [.options: "http://secret@h/"],
            unixSocket: "/run/a b: #.sock",
            signing: [
                SigningEntry(
                    scheme: .slack, secret: .file("/secret"), notBefore: Timestamp(nanosecondsSinceEpoch: 1),
                    notAfter: Timestamp(nanosecondsSinceEpoch: 2)),
                SigningEntry(
                    scheme: .standardWebhooks, secret: .environment("secret"),
                    notBefore: Timestamp(nanosecondsSinceEpoch: -1)),
                SigningEntry(scheme: .ed25519, secret: .environment("secret")),
                SigningEntry(scheme: .github, secret: .environment("secret")),
            ], timeout: .milliseconds(1500),
            connectTimeout: .nanoseconds(1_234_567), maxInFlight: 1, maxWaiting: 2,
            retry: RetryPolicy(schedule: [.zero, .seconds(90)], jitter: 0.000_01, retryAfterMax: .zero),
            maxAge: [.event: .seconds(1)], headers: [.init(name: "X-Key", value: "secret")], retryHeaders: .slack,
            userAgent: "a \"b\" # c", recordsPayloads: false)
        let remote = Backend(
            name: "remote", url: "https://backend.example/",
            tls: .init(caFile: "/ca: a.pem", clientCertificateFile: "no", clientKeyFile: "# key"),
            egress: EgressPolicy(
                preset: .public, allow: [try IPNetwork("10.0.0.5"), try IPNetwork("fd00::/8")],
                deny: [try IPNetwork("192.0.2.0/24")]),
            proxy: "http://user:secret@10.0.0.5:3128")
        let match = Match(
            [.init(.event, ["null", "*", "a: b"]), .init(.team, ["é"])], not: [.init(.user, ["~"])])
        var configuration = Configuration(
            apps: [
                SlackConfiguration(
                    appToken: .file("/secret"), signingSecret: .environment("secret"), connections: 10,
                    proxy: "http://user:secret@proxy:3128", caFile: "no", answerDeadline: .milliseconds(2_900)),
                SlackConfiguration(
                    name: "odd.name-2", appToken: .file("/secret-2"), signingSecret: .environment("secret")),
            ],
            queue: QueueConfiguration(
                driver: .memory, limits: QueueLimits(maxBytes: 20_000_001, whenFull: .dropOldest)),
            backends: [backend, remote],
            routes: [
                Route(name: "a", match: match, to: ["odd.name-1"], path: "/x", mode: nil, continues: true),
                Route(name: "b", to: ["odd.name-1"], mode: .queue, acknowledge: .delivered, continues: true),
                Route(
                    name: "c", match: Match([.init(.command, ["/a"])]), to: ["odd.name-1"], mode: .answer,
                    failure: .init(onFailure: .message, message: "a: \"b\"\n\tc # é🐌\n", lateMessage: " 1 "),
                    continues: true),
                Route(name: "d", match: Match([.init(.kind, ["options"])]), to: ["odd.name-1"], continues: true),
                Route(name: "e", to: ["odd.name-1"], failure: .init(lateMessage: "no\n")),
            ],
            health: nil, admin: AdminConfiguration(host: "::1", port: 0, token: .environment("secret")),
            log: LogConfiguration(level: .critical, format: .json))
        configuration.queue.limits.backendsWithoutRecords = ["odd.name-1"]
        try expectRoundTrip(configuration)
        #expect(!configuration.redactedYAML().contains("secret@"))
        #expect(!configuration.redactedYAML().contains("env:"))
        #expect(!configuration.redactedYAML().contains("file:"))
    }
}
