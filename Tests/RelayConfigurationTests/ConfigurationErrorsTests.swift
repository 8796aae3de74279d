// What is said about a file that is wrong.

import RelayCore
import Testing

@testable import RelayConfiguration

@Suite("Mistakes in relay.yaml")
struct ConfigurationErrorsTests {
    @Test("all mistakes are told at once, in the order of the file, each with its place")
    func allAtOnce() {
        let yaml = """
            version: 1
            slack:
              app_token: env:A
              signing_secret: env:B
              conections: 2
              connections: 12
            backends:
              legacy: { url: ftp://x, time_out: 3s }
            colour: red
            """
        #expect(throws: ConfigurationErrors.self) { try Configuration.parse(yaml: yaml, file: "etc/relay.yaml") }
        do throws(ConfigurationErrors) {
            _ = try Configuration.parse(yaml: yaml, file: "etc/relay.yaml")
        } catch {
            #expect(
                error.description == """
                    etc/relay.yaml:5:3: unknown key `conections` in slack; did you mean `connections`?
                    etc/relay.yaml:6:16: slack.connections must be 1 to 10, is "12"
                    etc/relay.yaml:8:18: backends.legacy.url must be an absolute http or https URL, is "ftp://x"
                    etc/relay.yaml:8:27: unknown key `time_out` in backends.legacy; did you mean `timeout`?
                    etc/relay.yaml:9:1: unknown key `colour`; known: version, slack, apps, queue, backends, routes, \
                    unrouted, health, admin, alarms, log
                    """)
        }
    }

    @Test("a mistake in one section does not hide those in another")
    func everySection() {
        let yaml = """
            version: 2
            queue: { driver: redis }
            backends: { a: { url: ftp://x } }
            routes: [ { name: r, to: b } ]
            unrouted: { event: drop }
            health: { listen: x }
            admin: { listen: y }
            log: { level: loud }
            """
        let keys = [
            "version", "slack", "queue", "backends.a.url", "routes[0].to", "unrouted", "health", "admin", "log",
        ]
        let messages = mistakes(in: yaml)
        #expect(messages.count == keys.count)
        for key in keys { #expect(messages.contains { $0.hasPrefix(key) }, "\(key)") }
    }

    @Test("what is not YAML is told with its place")
    func syntax() {
        do throws(ConfigurationErrors) {
            _ = try Configuration.parse(yaml: "version: 1\nversion: 1\n", file: "relay.yaml")
            Issue.record("was read")
        } catch {
            #expect(error.description == "relay.yaml:2:1: the key `version` is given twice, first in line 1")
        }
    }

    @Test("an empty file misses what has no default")
    func empty() {
        #expect(
            mistakes(in: "") == [
                "version is missing; write `version: 1`", "slack is missing; it needs app_token and signing_secret",
                "backends is missing; name at least one, with its url",
            ])
    }

    @Test(
        "a value of the file itself is held against its form",
        arguments: [
            ("[]", ["the file must be a mapping of keys to values"]),
            (Sample.minimal.replacing("version: 1", with: "version: 2"), [#"version must be 1, is "2""#]),
            (
                "version: 1\nslack: x\nbackends: {}",
                [
                    "slack must be a mapping of keys to values",
                    "backends must name at least one backend, with its url",
                ]
            ),
            (
                "version: 1\nslack: {}\nbackends:",
                [
                    "slack.app_token is missing; write env:NAME or file:/path",
                    "slack.signing_secret is missing; write env:NAME or file:/path",
                    "backends must name at least one backend, with its url",
                ]
            ),
        ])
    func root(_ yaml: String, _ expected: [String]) {
        #expect(mistakes(in: yaml) == expected)
    }

    @Test(
        "a value of slack is held against its range",
        arguments: [
            ("connections: 0", #"slack.connections must be 1 to 10, is "0""#),
            ("connections: 11", #"slack.connections must be 1 to 10, is "11""#),
            ("connections: 02", #"slack.connections must be 1 to 10, is "02""#),
            ("connections: two", #"slack.connections must be 1 to 10, is "two""#),
            ("connections: \"2\\n\\u0007\"", #"slack.connections must be 1 to 10, is "2\n\u{07}""#),
            ("connections:", "slack.connections has no value"),
            ("connections: [2]", "slack.connections must be one value, not a list or mapping"),
            ("connections: 99999999999999999999", #"slack.connections must be 1 to 10, is "99999999999999999999""#),
            ("expected_connections: 1", "slack.expected_connections must be at least slack.connections (2), is 1"),
            ("start_jitter: 5", #"slack.start_jitter must be a number with a unit (ms, s, m, h, d), is "5""#),
            ("start_jitter: 5sec", #"slack.start_jitter must be a number with a unit (ms, s, m, h, d), is "5sec""#),
            ("start_jitter: -5s", #"slack.start_jitter must be a number with a unit (ms, s, m, h, d), is "-5s""#),
            ("start_jitter: 11m", "slack.start_jitter must be 0s to 10m, is 11m"),
            ("wait_for_backends: 61m", "slack.wait_for_backends must be 0s to 1h, is 61m"),
            ("hello_timeout: 0s", "slack.hello_timeout must be 1ms to 5m, is 0s"),
            ("dead_after: 10s", "slack.dead_after must be longer than slack.ping_interval (10s), is 10s"),
            ("ping_interval: 30s", "slack.dead_after must be longer than slack.ping_interval (30s), is 30s"),
            ("answer_deadline: 0s", "slack.answer_deadline must be 1ms to 2900ms, is 0s"),
            ("answer_deadline: 3.1s", "slack.answer_deadline must be 1ms to 2900ms, is 3.1s"),
            ("backoff: { max: 500ms }", "slack.backoff.max must be at least slack.backoff.initial (1s), is 500ms"),
            ("backoff: { initial: 2m }", "slack.backoff.max must be at least slack.backoff.initial (2m), is 60s"),
            ("backoff: 5s", "slack.backoff must be a mapping of keys to values"),
            ("api_url: slack.com/api", #"slack.api_url must be an absolute http or https URL, is "slack.com/api""#),
            ("api_url: https://h/?a=b", #"slack.api_url must be a URL without user and query, is "https://h/?a=b""#),
            ("proxy: proxy:3128", #"slack.proxy must be an absolute http URL, is "proxy:3128""#),
            ("proxy: https://p:1", #"slack.proxy must be an absolute http URL, is "https://p:1""#),
            ("proxy: http://u:p@h/x", #"slack.proxy must be a URL without path, is "http://***@h/x""#),
            ("ca: \"a\\nb\"", "slack.ca must not contain line breaks or other control characters"),
        ])
    func slack(_ line: String, _ expected: String) {
        #expect(mistakes(in: Sample.with(slack: line)) == [expected])
    }

    @Test(
        "a value of queue, unrouted, health, admin or log is held against its range",
        arguments: [
            ("queue: { driver: redis }", #"queue.driver must be sqlite or memory, is "redis""#),
            ("queue: { driver: jetstream }", "queue.driver `jetstream` is not in this version"),
            (
                "queue: { driver: memory, path: /a }",
                "queue.path is only for driver: sqlite; driver: memory keeps nothing on disk"
            ),
            ("queue: { path: '' }", "queue.path must not be empty"),
            (
                "queue: { max_bytes: 4096 }",
                #"queue.max_bytes must be a number with a unit (B, KiB, MiB, GiB, TiB, kB, MB, GB, TB), is "4096""#
            ),
            ("queue: { max_bytes: 4KiB }", "queue.max_bytes must be 64KiB to 16TiB, is 4KiB"),
            ("queue: { when_full: drop }", #"queue.when_full must be refuse or drop_oldest, is "drop""#),
            ("queue: { dedupe_window: 31d }", "queue.dedupe_window must be 0s to 30d, is 31d"),
            ("queue: { retention: { dead: 366d } }", "queue.retention.dead must be 0s to 365d, is 366d"),
            ("unrouted: { event: drop }", #"unrouted.event must be acknowledge or withhold, is "drop""#),
            ("health: { listen: ':9390' }", #"health.listen must name a host, as in 0.0.0.0:9390, is ":9390""#),
            ("health: { listen: '9390' }", #"health.listen must end in a port, as in 0.0.0.0:9390, is "9390""#),
            (
                "health: { listen: 'a:70000' }",
                #"health.listen must have a port of 0 to 65535 after the host, as in 0.0.0.0:9390, is "a:70000""#
            ),
            (
                "admin: { listen: none, token: env:T }",
                "admin.token is for an API, and with `listen: none` there is none"
            ),
            ("admin: { listen: '9391' }", #"admin.listen must end in a port, as in 127.0.0.1:9391, is "9391""#),
            (
                "admin: { token: a-literal-secret }",
                "admin.token must be env:NAME or file:/path; a secret itself is not taken in this file"
            ),
            (
                "admin: { listen: 0.0.0.0:9391 }",
                "admin.token is missing; off loopback (admin.listen is 0.0.0.0:9391) the admin API wants one: "
                    + "env:NAME or file:/path"
            ),
            (
                "admin: { listen: 'relay.internal:9391' }",
                "admin.token is missing; off loopback (admin.listen is relay.internal:9391) the admin API wants one: "
                    + "env:NAME or file:/path"
            ),
            (
                "log: { level: verbose }",
                #"log.level must be one of trace, debug, info, notice, warning, error, critical, is "verbose""#
            ),
            ("log: { format: xml }", #"log.format must be auto or json or text, is "xml""#),
        ])
    func sections(_ section: String, _ expected: String) {
        #expect(mistakes(in: Sample.with(section)) == [expected])
    }

    @Test(
        "a value of a backend is held against its range",
        arguments: [
            ("max_in_flight: 0", #"backends.legacy.max_in_flight must be 1 to 1000, is "0""#),
            ("max_in_flight: 1001", #"backends.legacy.max_in_flight must be 1 to 1000, is "1001""#),
            ("max_waiting: 0", #"backends.legacy.max_waiting must be 1 to 100000, is "0""#),
            ("rate_limit: 5", #"backends.legacy.rate_limit must be none, or { per_second: …, burst: … }, is "5""#),
            ("rate_limit: { burst: 5 }", "backends.legacy.rate_limit.per_second is missing; it is the average"),
            (
                "rate_limit: { per_second: 0 }",
                #"backends.legacy.rate_limit.per_second must be 0.001 to 100000, is "0""#
            ),
            (
                "rate_limit: { per_second: 1, burst: 0 }",
                #"backends.legacy.rate_limit.burst must be 1 to 100000, is "0""#
            ),
            (
                "order_by: chanel",
                #"backends.legacy.order_by must be one of none, channel, thread, user, team, is "chanel""#
            ),
            ("order_block_max: 0s", #"backends.legacy.order_block_max must be 1s to 7d, is 0s"#),
            (
                "circuit_breaker: { consecutive: 0 }",
                #"backends.legacy.circuit_breaker.consecutive must be 1 to 10000, is "0""#
            ),
            (
                "circuit_breaker: { probe_max: 1s }",
                "backends.legacy.circuit_breaker.probe_max must be at least "
                    + "backends.legacy.circuit_breaker.probe_after (5s), is 1s"
            ),
            ("max_waiting: 100001", #"backends.legacy.max_waiting must be 1 to 100000, is "100001""#),
            ("timeout: 11m", "backends.legacy.timeout must be 1ms to 10m, is 11m"),
            ("connect_timeout: 20s", "backends.legacy.connect_timeout must be at most timeout (10s), is 20s"),
            (
                "unix_socket: app.sock",
                #"backends.legacy.unix_socket must be an absolute path of at most 107 bytes, is "app.sock""#
            ),
            ("retry: { jitter: 1.1 }", #"backends.legacy.retry.jitter must be 0 to 1, is "1.1""#),
            ("retry: { jitter: nan }", #"backends.legacy.retry.jitter must be 0 to 1, is "nan""#),
            (
                "retry: { schedule: [1s, 5] }",
                #"backends.legacy.retry.schedule[1] must be a number with a unit (ms, s, m, h, d), is "5""#
            ),
            ("retry: { schedule: 1s }", "backends.legacy.retry.schedule must be a list"),
            ("max_age: { event: 0s }", "backends.legacy.max_age.event must be 1ms to 365d, is 0s"),
            ("record_payloads: yes", #"backends.legacy.record_payloads must be true or false, is "yes""#),
            ("retry_headers: both", #"backends.legacy.retry_headers must be none or slack or relay, is "both""#),
            ("user_agent: ''", "backends.legacy.user_agent must not be empty"),
            ("urls: { event: http://h/ }", "unknown key `event` in backends.legacy.urls; did you mean `events`?"),
            (
                "headers: { X-A: \"a\\r\\nb\" }",
                "backends.legacy.headers.X-A must be at most 8192 bytes without line breaks and other control characters"
            ),
            (
                "headers: { 'X A': b }",
                "a name in backends.legacy.headers must be a header name: 1 to 128 letters, digits and `-`"
            ),
            (
                "headers: { x-a: b, X-A: c }",
                "a name in backends.legacy.headers is given twice (case makes no difference): X-A"
            ),
            (
                "headers: { content-TYPE: text/plain }",
                "a name in backends.legacy.headers must not be a header that Relay sets itself, is content-TYPE"
            ),
            (
                "headers: { X-Slack-Signature: v0 }",
                "a name in backends.legacy.headers must not be a header that Relay sets itself, is X-Slack-Signature"
            ),
            (
                "headers: { Webhook-Id: 1 }",
                "a name in backends.legacy.headers must not be a header that Relay sets itself, is Webhook-Id"
            ),
            (
                "headers: { X-Hub-Signature-256: x }",
                "a name in backends.legacy.headers must not be a header that Relay sets itself, is X-Hub-Signature-256"
            ),
            (
                "headers: { X-Relay-Attempt: 1 }",
                "a name in backends.legacy.headers must not be a header that Relay sets itself, is X-Relay-Attempt"
            ),
        ])
    func backend(_ line: String, _ expected: String) {
        #expect(mistakes(in: Sample.with(backend: line)) == [expected])
    }

    @Test(
        "the way to a backend is held against its form",
        arguments: [
            (
                "tls: { client_cert: /c.pem }",
                "backends.legacy.tls must have both client_cert and client_key, or neither"
            ),
            (
                "tls: { ca: '', client_key: /k.pem }",
                "backends.legacy.tls must have both client_cert and client_key, or neither"
            ),
            (
                "tls: { ca: \"a\\nb\" }",
                "backends.legacy.tls.ca must not contain line breaks or other control characters"
            ),
            ("tls: { client_crt: a }", "unknown key `client_crt` in backends.legacy.tls; did you mean `client_cert`?"),
            ("egress: { preset: private }", #"backends.legacy.egress.preset must be sidecar or public, is "private""#),
            ("egress: { allow: 10.0.0.0/8 }", "backends.legacy.egress.allow must be a list"),
            (
                "egress: { allow: [10.0.0.0/8, 10.0.0.1/8] }",
                "backends.legacy.egress.allow[1] has bits set after its prefix; the network is 10.0.0.0/8, "
                    + "is \"10.0.0.1/8\""
            ),
            (
                "egress: { deny: [h.example] }",
                "backends.legacy.egress.deny[0] must be an IP network such as 10.0.0.0/8 or fd00::/8, or an IP address, "
                    + "is \"h.example\""
            ),
            ("proxy: https://p:1", #"backends.legacy.proxy must be an absolute http URL, is "https://p:1""#),
            ("proxy: http://u:p@h/x", #"backends.legacy.proxy must be a URL without path, is "http://***@h/x""#),
        ])
    func way(_ line: String, _ expected: String) {
        let yaml = Sample.with(backend: line).replacing("http://127.0.0.1:3000/", with: "https://h.example/")
        #expect(mistakes(in: yaml) == [expected])
    }

    @Test("tls without any https URL is refused, and a proxy beside a Unix domain socket")
    func withoutEffect() {
        #expect(
            mistakes(in: Sample.with(backend: "tls: { ca: /ca.pem }"))
                == ["backends.legacy.tls is for https, and no url of this backend is"])
        #expect(mistakes(in: Sample.with(backend: "tls: { ca: '' }")) == [])
        #expect(
            mistakes(in: Sample.with(backend: "tls: { ca: /ca.pem }\nurls: { events: HTTPS://h/ }")) == [])
        #expect(
            mistakes(in: Sample.with(backend: "unix_socket: /a.sock\nproxy: http://p:1"))
                == ["backends.legacy.proxy has no effect on a backend with a unix_socket"])
    }

    @Test("an address in a URL that egress does not allow is told at once, each with its place")
    func unreachable() {
        let yaml = """
            version: 1
            slack: { app_token: env:A, signing_secret: env:B }
            backends:
              a:
                url: http://127.0.0.1:3000/
                urls: { commands: "http://[::1]/", options: http://h.example/ }
                proxy: http://u:p@10.0.0.5:3128
                egress: { preset: public }
              b: { url: http://169.254.169.254/latest }
              c: { url: http://127.0.0.1/, unix_socket: /c.sock, egress: { preset: public } }
              d: { url: http://127.0.0.1/, egress: { preset: public, allow: [127.0.0.1] } }
            routes: [ { name: r, to: [a, b, c, d] } ]
            """
        do throws(ConfigurationErrors) {
            _ = try Configuration.parse(yaml: yaml, file: "r")
            Issue.record("was read")
        } catch {
            let loopback = "cannot be reached: egress does not allow 127.0.0.1: 127.0.0.0/8 is loopback"
            #expect(
                error.description == """
                    r:5:10: backends.a.url \(loopback)
                    r:6:23: backends.a.urls.commands cannot be reached: egress does not allow ::1: ::1/128 is loopback
                    r:7:12: backends.a.proxy cannot be reached: egress does not allow 10.0.0.5: 10.0.0.0/8 is private
                    r:9:13: backends.b.url cannot be reached: egress does not allow 169.254.169.254: \
                    169.254.169.254/32 is a metadata address
                    """)
        }
    }

    @Test(
        "a URL is absolute, plain and complete",
        arguments: [
            ("//h/", "must be an absolute http or https URL"), ("http:/h", "must be an absolute http or https URL"),
            ("http://", "must name a host"), ("http:///p", "must name a host"),
            ("http://a_b c/", "must be a URL of ASCII"),
            ("http://h/#x", "must be a URL of ASCII"), ("http://h/é", "must be a URL of ASCII"),
            ("http://h:/", "must have a port"), ("http://h:0/", "must have a port of 1 to 65535"),
            ("http://h:65536/", "must have a port"),
            ("http://h:8x/", "must have a port"),
            ("http://[::1/", "must close `[`"), ("http://[x]/", "must have an IPv6 address"),
            ("http://[::1]x/", "must have a port"), ("http://h!/", "must name a host"),
        ])
    func urls(_ url: String, _ expected: String) {
        let messages = mistakes(in: Sample.minimal.replacing("http://127.0.0.1:3000/slack/events", with: "'\(url)'"))
        #expect(messages.count == 1)
        #expect(messages.first?.hasPrefix("backends.legacy.url \(expected)") == true, "\(messages)")
    }

    @Test(
        "common forms of URLs are taken",
        arguments: [
            "http://h", "HTTPS://H.example:8443/a%20b?c=d&e=f/", "http://[::1]:80/", "http://u:p@h/", "http://h?x",
        ])
    func goodURLs(_ url: String) {
        #expect(mistakes(in: Sample.minimal.replacing("http://127.0.0.1:3000/slack/events", with: "'\(url)'")) == [])
    }

    @Test("a backend without any URL, or with a name that cannot be a label, is refused")
    func backendNames() {
        let yaml = Sample.head + "backends: { 'a b': {}, c: {} }\nroutes: [ { name: r, to: c } ]"
        #expect(
            mistakes(in: yaml) == [
                #"a name in backends must be 1 to 64 letters, digits, `_`, `-` and `.`, is "a b""#,
                "backends.c has no url; give url, or urls by kind",
            ])
    }

    @Test(
        "apps is a list of 1 to 20, in place of slack, each with its own name and token",
        arguments: [
            ("apps: []", ["apps must have 1 to 20 entries, has 0"]),
            ("apps: { a: {} }", ["apps must be a list"]),
            (
                "apps: [ { app_token: env:A, signing_secret: env:B } ]",
                ["apps[0].name is missing; it names the app in logs and metrics"]
            ),
            (
                "apps: [ { name: a } ]",
                [
                    "apps[0].app_token is missing; write env:NAME or file:/path",
                    "apps[0].signing_secret is missing; write env:NAME or file:/path",
                ]
            ),
            (
                "apps: [ { name: a, app_token: env:A, signing_secret: env:S }, "
                    + "{ name: a, app_token: env:B, signing_secret: env:S } ]",
                ["apps[1].name names two apps: `a`"]
            ),
            (
                "apps: [ { name: a, app_token: env:A, signing_secret: env:S }, "
                    + "{ name: b, app_token: env:A, signing_secret: env:T } ]",
                ["apps[1].app_token is that of `a`, too: Slack would share its payloads out between the two"]
            ),
            (
                "apps: [ { name: a, app_token: env:A, signing_secret: env:S, connections: 3, expected_connections: 2 } ]",
                ["apps[0].expected_connections must be at least apps[0].connections (3), is 2"]
            ),
            (
                "apps: [ { name: a, app_token: env:A, signing_secret: env:S } ]\n"
                    + "slack: { app_token: env:B, signing_secret: env:S }",
                ["apps stands beside slack: give one of the two"]
            ),
            (
                "slack: { name: a, app_token: env:B, signing_secret: env:S }",
                ["slack.name is for the entries of apps; the app of slack is called `default`"]
            ),
        ])
    func apps(_ section: String, _ expected: [String]) {
        #expect(mistakes(in: "version: 1\n\(section)\nbackends: { a: { url: http://h/ } }") == expected)
    }

    @Test("a value that is wrong is refused at every key of an app")
    func keysOfApps() {
        for key in SlackConfiguration.Key.allCases.map(\.rawValue) {
            let yaml = "version: 1\napps: [ { \(key): [[]] } ]\nbackends: { a: { url: http://h/ } }"
            #expect(mistakes(in: yaml).contains { $0.hasPrefix("apps[0].\(key)") }, "\(key)")
        }
    }

    @Test(
        "alarms have a secret to be signed with, and are not told more often than once a minute",
        arguments: [
            (
                "alarms: { url: http://h/a }",
                "alarms.secret is missing; alarms are signed with it: write env:NAME or file:/path"
            ),
            (
                "alarms: { url: ftp://h/a, secret: env:A }",
                #"alarms.url must be an absolute http or https URL, is "ftp://h/a""#
            ),
            ("alarms: { url: http://h/a, secret: env:A, repeat: 10s }", "alarms.repeat must be 60s to 7d, is 10s"),
        ])
    func alarms(_ section: String, _ expected: String) {
        #expect(mistakes(in: Sample.with(section)) == [expected])
    }

    @Test(
        "an entry of signing has a scheme, a secret and a window that begins before it ends",
        arguments: [
            (
                "[ { scheme: sha, secret: env:A } ]",
                "backends.legacy.signing[0].scheme must be one of slack, standard_webhooks, ed25519, github, "
                    + #"is "sha""#
            ),
            (
                "[ { scheme: slack, secret: env:A, not_before: 2026-11-23 } ]",
                "backends.legacy.signing[0].not_before must be a time with its offset, as in 2026-11-23T09:30:00Z or "
                    + #"2026-11-23T10:30:00+01:00, before 2262, is "2026-11-23""#
            ),
            (
                "[ { scheme: slack, secret: env:A, not_after: 9999-12-31T00:00:00Z } ]",
                "backends.legacy.signing[0].not_after must be a time with its offset, as in 2026-11-23T09:30:00Z or "
                    + #"2026-11-23T10:30:00+01:00, before 2262, is "9999-12-31T00:00:00Z""#
            ),
            (
                """
                [ { scheme: slack, secret: env:A, not_before: 2026-11-23T10:30:00+01:00, \
                not_after: 2026-11-23T09:30:00Z } ]
                """,
                "backends.legacy.signing[0].not_after must be later than not_before (2026-11-23T09:30:00Z), "
                    + "is 2026-11-23T09:30:00Z"
            ),
            (
                "[ { scheme: slack, secret: env:A, not_befor: x } ]",
                "unknown key `not_befor` in backends.legacy.signing[0]; did you mean `not_before`?"
            ),
            (
                "[ { scheme: slack, secret: env:A }, { scheme: ed25519, secret: env:B }, "
                    + "{ scheme: slack, secret: env:C } ]",
                "backends.legacy.signing[2] never signs: backends.legacy.signing[0] comes before it and is valid all "
                    + "that time, and with scheme slack one secret signs at a time"
            ),
            (
                "[ { scheme: github, secret: env:A }, "
                    + "{ scheme: github, secret: env:B, not_before: 2026-11-23T09:30:00Z } ]",
                "backends.legacy.signing[1] never signs: backends.legacy.signing[0] comes before it and is valid all "
                    + "that time, and with scheme github one secret signs at a time"
            ),
            (
                "[]",
                "backends.legacy.signing must not be an empty list; without the key the signing_secret of the Slack app signs"
            ),
            (
                "[\(String(repeating: "{ scheme: ed25519, secret: env:A },", count: 17))]",
                "backends.legacy.signing must have at most 16 entries, has 17"
            ),
            ("env:A", "backends.legacy.signing must be a list"),
            ("[ slack ]", "backends.legacy.signing[0] must be a mapping of keys to values"),
            ("[ { secret: env:A } ]", "backends.legacy.signing[0].scheme is missing; write scheme: slack"),
            ("[ { scheme: slack } ]", "backends.legacy.signing[0].secret is missing; write env:NAME or file:/path"),
            (
                "[ { scheme: ed25519, secret: whsk_HUNTER2 } ]",
                "backends.legacy.signing[0].secret must be env:NAME or file:/path; "
                    + "a secret itself is not taken in this file"
            ),
        ])
    func signing(_ value: String, _ expected: String) {
        #expect(mistakes(in: Sample.with(backend: "signing: \(value)")) == [expected])
    }

    @Test("a mistake in a window is told with its place")
    func signingPlace() {
        let yaml = Sample.with(
            backend: """
                signing:
                  - scheme: slack
                    secret: env:A
                    not_before: 2027-01-01T00:00:00Z
                    not_after: 2026-01-01T00:00:00Z
                """)
        do throws(ConfigurationErrors) {
            _ = try Configuration.parse(yaml: yaml, file: "relay.yaml")
            Issue.record("was read")
        } catch {
            #expect(
                error.description
                    == "relay.yaml:13:20: backends.legacy.signing[0].not_after must be later than not_before "
                    + "(2027-01-01T00:00:00Z), is 2026-01-01T00:00:00Z")
        }
    }

    @Test(
        "a secret is never repeated, wherever it was written by mistake",
        arguments: [
            "app_token: xapp-1-HUNTER2", "app_token: env:xapp-1-HUNTER2", "app_token: file:HUNTER2",
            "signing_secret: HUNTER2", "connections: xapp-1-HUNTER2", "ca: [HUNTER2]", "start_jitter: XOXB-HUNTER2",
            "proxy: https://user:HUNTER2@proxy:1", "proxy: user:HUNTER2@proxy:1", "api_url: http://HUNTER2@h/",
            "? signing_secret HUNTER2", "HUNTER2 x: 1", "xapp-1-HUNTER2: 1", "HUNTER2",
        ])
    func secretsStaySecret(_ line: String) {
        let yaml = "version: 1\nbackends: { a: { url: http://h/ } }\nslack:\n  \(line)\n"
        let messages = mistakes(in: yaml)
        #expect(!messages.isEmpty)
        #expect(!messages.contains { $0.contains("HUNTER2") }, "\(messages)")
    }
}
