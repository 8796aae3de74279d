// What a valid file comes to.

import RelayConfiguration
import RelayCore
import Testing

private func parse(_ yaml: String) throws(ConfigurationErrors) -> Configuration {
    try Configuration.parse(yaml: yaml, file: "relay.yaml")
}

@Suite("Reading a valid relay.yaml")
struct ConfigurationParseTests {
    @Test("five lines are enough: defaults, and everything to the only backend")
    func minimal() throws {
        let configuration = try parse(Sample.minimal)
        #expect(configuration == Configuration(apps: [Sample.slack], backends: [Sample.backend]))
        #expect(configuration.routes == [Route(name: "default", to: ["legacy"])])
        #expect(configuration.health == HealthConfiguration(host: "0.0.0.0", port: 9390))
    }

    @Test("sections whose keys are all commented out hold their defaults")
    func emptySections() throws {
        let configuration = try parse(Sample.minimal + "queue:\nunrouted:\nhealth:\nadmin:\nlog:\n")
        #expect(configuration == Configuration(apps: [Sample.slack], backends: [Sample.backend]))
    }

    @Test("every key of slack is taken")
    func slack() throws {
        let configuration = try parse(
            """
            version: 1
            slack:
              app_token: env:APP
              signing_secret: file:/run/secrets/signing
              connections: 3
              expected_connections: 6
              start_jitter: 0s
              wait_for_backends: 60s
              api_url: http://127.0.0.1:8080/api/
              proxy: http://user:password@proxy.example:3128
              ca: /etc/ca.pem
              backoff: { initial: 10ms, max: 1.5s, stable: 200ms }
              hello_timeout: 300ms
              ping_interval: 400ms
              dead_after: 500ms
              answer_deadline: 600ms
              drain_timeout: 0s
            backends: { legacy: { url: http://127.0.0.1:3000/slack/events } }
            """)
        #expect(
            configuration.apps[0]
                == SlackConfiguration(
                    appToken: .environment("APP"), signingSecret: .file("/run/secrets/signing"), connections: 3,
                    expectedConnections: 6, startJitter: .zero, waitForBackends: .seconds(60),
                    apiURL: "http://127.0.0.1:8080/api", proxy: "http://user:password@proxy.example:3128",
                    caFile: "/etc/ca.pem",
                    backoff: BackoffConfiguration(
                        initial: .milliseconds(10), max: .milliseconds(1500), stable: .milliseconds(200)),
                    helloTimeout: .milliseconds(300), pingInterval: .milliseconds(400),
                    deadAfter: .milliseconds(500), answerDeadline: .milliseconds(600), drainTimeout: .zero))
    }

    @Test("as many connections are expected as are held, unless the file says more")
    func expectedConnections() throws {
        #expect(try parse(Sample.with(slack: "connections: 4")).apps[0].expectedConnections == 4)
    }

    @Test("every key of queue is taken")
    func queue() throws {
        let configuration = try parse(
            Sample.with(
                """
                queue:
                  driver: sqlite
                  path: ./relay.db
                  max_bytes: 1.5GiB
                  when_full: drop_oldest
                  dedupe_window: 1h
                  retention: { delivered: 0s, dead: 90d }
                """))
        #expect(
            configuration.queue
                == QueueConfiguration(
                    driver: .sqlite, path: "./relay.db",
                    limits: QueueLimits(
                        maxBytes: 3 << 29, whenFull: .dropOldest, deduplicationWindow: .seconds(3600),
                        deliveredRetention: .zero, deadRetention: .seconds(90 * 86400))))
        #expect(try parse(Sample.with("queue: { driver: memory }")).queue == QueueConfiguration(driver: .memory))
        #expect(QueueConfiguration(driver: .memory).limits.maxBytes == 256 << 20)
    }

    @Test("every key of a backend is taken")
    func backend() throws {
        let configuration = try parse(
            """
            version: 1
            slack: { app_token: env:A, signing_secret: env:B }
            backends:
              b:
                urls: { events: "http://h/e", commands: "http://h/c", interactions: "http://h/i", options: "http://h/o" }
                unix_socket: /run/app.sock
                signing:
                  - { scheme: slack, secret: env:C, not_after: 2026-11-23T09:30:00Z }
                  - { scheme: standard_webhooks, secret: file:/d, not_before: "2026-11-23T10:30:00.5+01:00" }
                  - { scheme: ed25519, secret: env:E }
                  - { scheme: github, secret: env:F }
                timeout: 2s
                connect_timeout: 1s
                max_in_flight: 1000
                max_waiting: 100000
                rate_limit: { per_second: 2.5 }
                order_by: thread
                order_block_max: 1h
                circuit_breaker: { consecutive: 3, probe_after: 100ms, probe_max: 1s }
                retry: { schedule: [], jitter: 1, retry_after_max: 0s }
                max_age: { event: 1d, command: none, interaction: 1h }
                headers: { X-Team: "a b", Authorization: Bearer t }
                retry_headers: relay
                user_agent: Relay
                record_payloads: false
            """)
        #expect(
            configuration.backends == [
                Backend(
                    name: "b",
                    urls: [
                        .event: "http://h/e", .command: "http://h/c", .interaction: "http://h/i",
                        .options: "http://h/o",
                    ],
                    unixSocket: "/run/app.sock",
                    signing: [
                        SigningEntry(
                            scheme: .slack, secret: .environment("C"),
                            notAfter: Timestamp(millisecondsSinceEpoch: 1_795_426_200_000)),
                        SigningEntry(
                            scheme: .standardWebhooks, secret: .file("/d"),
                            notBefore: Timestamp(millisecondsSinceEpoch: 1_795_426_200_500)),
                        SigningEntry(scheme: .ed25519, secret: .environment("E")),
                        SigningEntry(scheme: .github, secret: .environment("F")),
                    ], timeout: .seconds(2),
                    connectTimeout: .seconds(1), maxInFlight: 1000, maxWaiting: 100_000,
                    rateLimit: RateLimit(perSecond: 2.5, burst: 3), orderBy: .thread, orderBlockMax: .seconds(3600),
                    circuitBreaker: .init(consecutive: 3, probeAfter: .milliseconds(100), probeMax: .seconds(1)),
                    retry: RetryPolicy(schedule: [], jitter: 1, retryAfterMax: .zero),
                    maxAge: [.event: .seconds(86400), .interaction: .seconds(3600), .options: .seconds(3)],
                    headers: [.init(name: "X-Team", value: "a b"), .init(name: "Authorization", value: "Bearer t")],
                    retryHeaders: .relay, userAgent: "Relay", recordsPayloads: false)
            ])
        #expect(configuration.queue.limits.backendsWithoutRecords == ["b"])
    }

    @Test("alarms go nowhere without a url, and are told each hour")
    func alarms() throws {
        #expect(try Configuration.parse(yaml: Sample.minimal, file: "relay.yaml").alarms == AlarmConfiguration())
        let none = try Configuration.parse(yaml: Sample.minimal + "alarms: { url: '' }", file: "relay.yaml")
        #expect(none.alarms.url == nil)
        let some = try Configuration.parse(
            yaml: Sample.minimal + "alarms: { url: http://h/a, secret: env:A }", file: "relay.yaml")
        #expect(
            some.alarms
                == AlarmConfiguration(url: "http://h/a", secret: .environment("A"), repeatInterval: .seconds(3600)))
    }

    @Test("a timeout below the default of connect_timeout bounds it")
    func connectTimeoutFollows() throws {
        #expect(try parse(Sample.with(backend: "timeout: 1s")).backends[0].connectTimeout == .seconds(1))
    }

    @Test("routes keep their order; values are exact, globs or lists")
    func routes() throws {
        let configuration = try parse(
            """
            version: 1
            slack: { app_token: env:A, signing_secret: env:B }
            backends: { a: { url: http://h/ }, b: { url: http://h/ } }
            routes:
              - name: deploys
                match: { kind: command, command: [/deploy, /roll*], not: { user: U1, channel: [C1, C2] } }
                to: [a, b]
                path: /deploy
                mode: queue
                continue: true
              - name: answers
                match: { command: /help }
                to: b
                mode: answer
                on_failure: message
                failure_message: "Sorry.\\nTry again."
                late_failure_message: |
                  Sorry, it took
                  \ttoo long — 🐌
              - { name: events, match: { kind: event }, to: b, acknowledge: delivered }
              - { name: rest, to: b }
            """)
        let match = Match(
            [.init(.kind, ["command"]), .init(.command, ["/deploy", "/roll*"])],
            not: [.init(.channel, ["C1", "C2"]), .init(.user, ["U1"])])
        #expect(
            configuration.routes == [
                Route(name: "deploys", match: match, to: ["a", "b"], path: "/deploy", mode: .queue, continues: true),
                Route(
                    name: "answers", match: Match([.init(.command, ["/help"])]), to: ["b"], mode: .answer,
                    failure: .init(
                        onFailure: .message, message: "Sorry.\nTry again.",
                        lateMessage: "Sorry, it took\n\ttoo long — 🐌\n")),
                Route(name: "events", match: Match([.init(.kind, ["event"])]), to: ["b"], acknowledge: .delivered),
                Route(name: "rest", to: ["b"]),
            ])
    }

    @Test(
        "without routes the only backend gets every kind that it has a URL for",
        arguments: [
            ("url: http://h/", []),
            ("url: http://h/, urls: { options: http://h/o }", []),
            ("urls: { events: http://h/ }", ["event"]),
            ("urls: { events: http://h/, options: http://h/, commands: http://h/ }", ["event", "command", "options"]),
        ] as [(String, [Pattern])])
    func defaultRoute(_ urls: String, _ kinds: [Pattern]) throws {
        let configuration = try parse(Sample.head + "backends: { b: { \(urls) } }\n")
        let match = kinds.isEmpty ? Match() : Match([.init(.kind, kinds)])
        #expect(configuration.routes == [Route(name: "default", match: match, to: ["b"])])
    }

    @Test("every key of match is taken", arguments: MatchKey.allCases)
    func matchKeys(_ key: MatchKey) throws {
        let configuration = try parse(
            Sample.with("routes: [ { name: r, to: legacy, mode: queue, match: { \(key.rawValue): '*' } } ]"))
        #expect(configuration.routes[0].match == Match([.init(key, ["*"])]))
    }

    @Test("unrouted, health and log are taken")
    func process() throws {
        let configuration = try parse(
            Sample.with(
                """
                unrouted: { event: withhold, others: acknowledge }
                health: { listen: "[::1]:0" }
                log: { level: trace, format: text }
                """))
        #expect(configuration.unrouted == UnroutedPolicy(event: .withhold, others: .acknowledge))
        #expect(configuration.health == HealthConfiguration(host: "::1", port: 0))
        #expect(configuration.health?.address.description == "[::1]:0")
        #expect(configuration.log == LogConfiguration(level: .trace, format: .text))
    }

    @Test("no port is opened where the file says none")
    func noHealth() throws {
        #expect(try parse(Sample.with("health: { listen: none }")).health == nil)
        #expect(try parse(Sample.with("admin: { listen: none }")).admin == nil)
    }

    @Test(
        "the admin API needs no token on loopback, and is on loopback by default",
        arguments: [
            ("{}", AdminConfiguration(host: "127.0.0.1", port: 9391)),
            ("{ listen: 'localhost:0' }", AdminConfiguration(host: "localhost", port: 0)),
            ("{ listen: '[::1]:9391' }", AdminConfiguration(host: "::1", port: 9391)),
            (
                "{ listen: 0.0.0.0:1, token: file:/t }",
                AdminConfiguration(host: "0.0.0.0", port: 1, token: .file("/t"))
            ),
        ])
    func admin(section: String, expected: AdminConfiguration) throws {
        #expect(try parse(Sample.with("admin: \(section)")).admin == expected)
    }

    @Test("a token is long enough, fits into a header, and is not shown")
    func adminToken() {
        #expect(AdminConfiguration.problem(ofToken: Secret("0123456789abcdef")) == nil)
        #expect(
            AdminConfiguration.problem(ofToken: Secret("short"))?.hasPrefix("must be 16 to 1024 bytes, is 5;") == true)
        #expect(
            AdminConfiguration.problem(ofToken: Secret("0123456789 abcdef"))
                == "must be ASCII characters without spaces")
    }

    @Test("a token that has lost its form is refused whenever it is read")
    func adminTokenForm() throws {
        struct Kept: SecretReader {
            var text: String
            func secret(_ reference: SecretReference) throws(SecretError) -> Secret { Secret(text) }
        }
        let token = try AdminConfiguration.token(.file("/t"), from: Kept(text: "0123456789abcdef"))
        #expect(token.bytes == Array("0123456789abcdef".utf8))
        let error = #expect(throws: SecretError.self) {
            try AdminConfiguration.token(.file("/t"), from: Kept(text: "x"))
        }
        #expect(error?.description.hasPrefix("secret file:/t: must be 16 to 1024 bytes, is 1;") == true)
    }

    @Test("values may be quoted, as templates do")
    func quoted() throws {
        let configuration = try parse(Sample.with(slack: "connections: \"3\"\nstart_jitter: '1s'"))
        #expect(configuration.apps[0].connections == 3)
        #expect(configuration.apps[0].startJitter == .seconds(1))
    }
}
