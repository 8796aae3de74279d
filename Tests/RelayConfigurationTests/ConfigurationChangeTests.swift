// What a step from one relay.yaml to the next comes to.

import RelayConfiguration
import RelayCore
import Testing

@Suite("Changes between configurations")
struct ConfigurationChangeTests {
    private static let base = """
        version: 1
        apps:
          - { name: a, app_token: env:A, signing_secret: env:S }
          - { name: b, app_token: env:B, signing_secret: env:S }
        queue: { path: /q.db }
        backends:
          one: { url: "http://user:secret@one/", timeout: 3s, headers: { X-Key: secret }, signing: [ { scheme: slack, secret: env:S } ] }
          two: { url: http://two/ }
        routes:
          - { name: first, match: { command: /a }, to: one }
          - { name: second, to: two }
        """

    /// The change that comes of replacing one text by another in the file.
    private func change(_ old: String, _ new: String) throws -> ConfigurationChange {
        let before = try Configuration.parse(yaml: Self.base, file: "")
        let text = Self.base.replacing(old, with: new)
        #expect(text != Self.base, "\(old)")
        return ConfigurationChange(from: before, to: try Configuration.parse(yaml: text, file: ""))
    }

    @Test(
        "each key that differs is named once, with its path",
        arguments: [
            ("timeout: 3s", "timeout: 4s", ["backends.one.timeout"]),
            ("user:secret@one", "user:other@one", ["backends.one.url"]),
            ("X-Key: secret", "X-Key: other", ["backends.one.headers.X-Key"]),
            ("secret: env:S } ]", "secret: env:T } ]", ["backends.one.signing"]),
            ("app_token: env:B", "app_token: env:C", ["apps.b.app_token"]),
            ("name: b", "name: c", ["apps.c", "apps.b"]),
            ("command: /a", "command: /b", ["routes.first.match.command"]),
            (
                "timeout: 3s", "timeout: 4s, connect_timeout: 2s",
                ["backends.one.timeout", "backends.one.connect_timeout"]
            ),
            (
                "  two: { url: http://two/ }", "  two: { url: http://two/ }\n  three: { url: http://three/ }",
                ["backends.three"]
            ),
            ("name: second", "name: third", ["routes.third", "routes.second"]),
            ("queue: { path: /q.db }", "queue: { path: /q.db }\nlog: { level: debug }", ["log.level"]),
        ])
    func keys(_ old: String, _ new: String, _ expected: [String]) throws {
        let change = try change(old, new)
        #expect(change.keys == expected)
        #expect(change.refusals == [])
    }

    @Test(
        "spelling, order of keys and comments are no change",
        arguments: [("timeout: 3s", "timeout: 3000ms"), ("version: 1", "version: 1 # x")])
    func nothing(_ old: String, _ new: String) throws {
        #expect(try change(old, new).keys == [])
    }

    @Test("another order of routes is a change, for the first that matches wins")
    func order() throws {
        let routes = Self.base.split(separator: "\n").suffix(2).joined(separator: "\n")
        let swapped = Self.base.split(separator: "\n").suffix(2).reversed().joined(separator: "\n")
        #expect(try change(routes, swapped).keys == ["routes"])
    }

    @Test(
        "what is opened once cannot change",
        arguments: [
            ("path: /q.db", "path: /other.db", ["queue.path"]),
            ("path: /q.db", "driver: memory", ["queue.driver", "queue.max_bytes", "queue.path"]),
            ("path: /q.db", "path: /q.db, retention: { dead: 1d }", ["queue.retention.dead"]),
            ("queue: { path: /q.db }", "queue: { path: /q.db }\nhealth: { listen: none }", ["health.listen"]),
            ("queue: { path: /q.db }", "queue: { path: /q.db }\nlog: { format: text }", ["log.format"]),
            ("timeout: 3s", "timeout: 3s, record_payloads: false", ["backends.one.record_payloads"]),
            (
                "  two: { url: http://two/ }",
                "  two: { url: http://two/ }\n  three: { url: http://three/, record_payloads: false }",
                ["backends.three.record_payloads"]
            ),
        ])
    func fixed(_ old: String, _ new: String, _ expected: [String]) throws {
        let change = try change(old, new)
        #expect(change.fixed == expected)
        #expect(change.refusals.first == "\(expected[0]) cannot change while Relay runs: it needs a restart")
    }

    @Test("apps and backends are added, changed, removed")
    func names() throws {
        #expect(try change("name: b", "name: c").apps == .init(added: ["c"], removed: ["b"]))
        #expect(try change("app_token: env:B", "app_token: env:C").apps == .init(changed: ["b"]))
        #expect(try change("timeout: 3s", "timeout: 4s").backends == .init(changed: ["one"]))
        #expect(try change("timeout: 3s", "timeout: 4s").apps == .init())
    }

    @Test("no value is told, least of all a secret")
    func secrecy() throws {
        for (old, new) in [
            ("user:secret@one", "user:other@one"), ("X-Key: secret", "X-Key: other"), ("env:S }", "env:T }"),
        ] {
            #expect(!"\(try change(old, new))".contains("other"))
        }
    }
}
