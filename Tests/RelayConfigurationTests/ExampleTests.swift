// relay.yaml.example says what is true: every key that is built, no other, and the defaults.

import Foundation
import RelayCore
import Testing
import YAML

@testable import RelayConfiguration

/// The root of the package, where `Tests` is.
let packageRoot = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

let exampleText = text(of: "relay.yaml.example")

/// The text of a file of the package; empty when it is not there.
func text(of path: String) -> String {
    (try? String(contentsOf: packageRoot.appending(path: path), encoding: .utf8)) ?? ""
}

/// Each section with its path in the example (`*`: whatever name or place), its keys, and those of later versions.
let schema: [(path: [String], keys: [String], later: [String])] = [
    // `apps` stands in place of `slack`, so that no file has both; its entries have a name besides.
    section([], Configuration.Key.self, without: Configuration.Key.apps.rawValue),
    section(["slack"], SlackConfiguration.Key.self, without: SlackConfiguration.Key.name.rawValue),
    section(["slack", "backoff"], BackoffConfiguration.Key.self),
    section(["queue"], QueueConfiguration.Key.self),
    section(["queue", "retention"], QueueConfiguration.RetentionKey.self),
    section(["backends", "*"], Backend.Key.self),
    section(["backends", "*", "urls"], Backend.URLsKey.self),
    section(["backends", "*", "signing", "*"], SigningEntry.Key.self),
    section(["backends", "*", "retry"], Backend.RetryKey.self),
    section(["backends", "*", "max_age"], Backend.MaxAgeKey.self),
    section(["backends", "*", "tls"], Backend.TLSKey.self),
    section(["backends", "*", "egress"], Backend.EgressKey.self),
    section(["routes", "*"], Route.Key.self),
    section(["unrouted"], UnroutedPolicy.Key.self),
    section(["health"], HealthConfiguration.Key.self),
    section(["admin"], AdminConfiguration.Key.self),
    section(["alarms"], AlarmConfiguration.Key.self),
    section(["log"], LogConfiguration.Key.self),
]

private func section<Key: ConfigurationKey>(
    _ path: [String], _: Key.Type, without other: String? = nil
) -> ([String], [String], [String]) {
    (path, Key.allCases.map(\.rawValue).filter { $0 != other }, Key.later)
}

extension YAMLNode {
    /// The values at a path in which `*` stands for every name or item.
    func values(at path: ArraySlice<String>) -> [YAMLNode] {
        guard let step = path.first else { return [self] }
        switch content {
        case .scalar: return []
        case .sequence(let items): return step == "*" ? items.flatMap { $0.values(at: path.dropFirst()) } : []
        case .mapping(let entries):
            return entries.filter { step == "*" || $0.key == step }.flatMap { $0.value.values(at: path.dropFirst()) }
        }
    }

    var keys: [String] {
        guard case .mapping(let entries) = content else { return [] }
        return entries.map(\.key)
    }
}

@Suite("relay.yaml.example")
struct ExampleTests {
    @Test("decodes, and holds the defaults in every key that is not marked as an example")
    func defaults() throws {
        let configuration = try Configuration.parse(yaml: exampleText, file: "relay.yaml.example")
        let local = "http://127.0.0.1:3000/slack/"
        // What the file marks as example; everything else is the default of its type.
        let backend = Backend(
            name: "orders", url: local + "events",
            urls: [
                .event: local + "events", .command: local + "commands", .interaction: local + "interactions",
                .options: local + "options",
            ],
            signing: [
                SigningEntry(
                    scheme: .slack, secret: .file("/run/secrets/orders-signing-secret"),
                    notAfter: Timestamp(rfc3339: "2027-03-01T09:00:00Z")),
                SigningEntry(
                    scheme: .slack, secret: .file("/run/secrets/orders-signing-secret-2"),
                    notBefore: Timestamp(rfc3339: "2027-03-01T09:00:00Z")),
            ])
        let match = Match(
            [.init(.kind, ["command"]), .init(.command, ["/deploy", "/roll*"])], not: [.init(.user, ["U0123456789"])])
        #expect(configuration.apps == [Sample.slack])
        #expect(configuration.queue == QueueConfiguration())
        #expect(configuration.backends == [backend])
        #expect(
            configuration.routes == [
                Route(
                    name: "deploys", match: match, to: ["orders"], mode: .answer, failure: .init(onFailure: .message)),
                Route(name: "messages", match: Match([.init(.event, ["message"])]), to: ["orders"]),
                Route(name: "everything-else", to: ["orders"]),
            ])
        #expect(configuration.unrouted == UnroutedPolicy())
        #expect(configuration.health == HealthConfiguration())
        #expect(configuration.admin == AdminConfiguration(token: .environment("RELAY_ADMIN_TOKEN")))
        #expect(configuration.alarms == AlarmConfiguration(secret: .environment("RELAY_ALARM_SECRET")))
        #expect(configuration.log == LogConfiguration())
    }

    @Test("its comment on several apps holds when it takes the place of slack")
    func apps() throws {
        var lines = exampleText.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let slack = try #require(lines.firstIndex(of: "slack:"))
        lines.removeSubrange(slack..<(try #require(lines[slack...].firstIndex(of: ""))))
        let apps = try #require(lines.firstIndex(of: "# apps:"))
        for index in apps..<(try #require(lines[apps...].firstIndex(of: ""))) {
            lines[index] = String(lines[index].dropFirst(2))
        }
        let configuration = try Configuration.parse(yaml: lines.joined(separator: "\n"), file: "")
        #expect(
            configuration.apps == [
                SlackConfiguration(
                    name: "sales", appToken: .environment("SALES_APP_TOKEN"),
                    signingSecret: .environment("SALES_SIGNING_SECRET")),
                SlackConfiguration(
                    name: "support", appToken: .environment("SUPPORT_APP_TOKEN"),
                    signingSecret: .environment("SUPPORT_SIGNING_SECRET"), connections: 1),
            ])
    }

    @Test("has every key that is built, in the order of the design", arguments: schema.map(\.path))
    func everyKey(_ path: [String]) throws {
        let keys = try #require(schema.first { $0.path == path }).keys
        let sections = try YAMLNode(parsing: Array(exampleText.utf8)).values(at: path[...]).map(\.keys)
        // No route can have all keys: some are for events only, some for the others.
        #expect(Set(sections.joined()) == Set(keys))
        for section in sections { #expect(section == keys.filter(section.contains)) }
    }

    @Test("names every key that a route can match on, and says what each kind is called")
    func matchWords() {
        for word in MatchKey.allCases.map(\.rawValue) + Kind.allCases.map(\.rawValue) + ["not"] {
            #expect(exampleText.contains(word))
        }
    }

    @Test("names every scheme of signing", arguments: SigningScheme.allCases)
    func schemes(_ scheme: SigningScheme) {
        #expect(exampleText.contains(scheme.rawValue))
    }

    @Test("does not mention a key that is not built, not even in a comment")
    func noLaterKey() {
        for key in schema.flatMap(\.later) where !schema.contains(where: { $0.keys.contains(key) }) {
            #expect(!exampleText.contains("\(key):"), "\(key)")
        }
    }

    @Test("a value that is wrong is refused at every key: none is read and ignored")
    func noKeyIsIgnored() throws {
        let document = try YAMLNode(parsing: Array(exampleText.utf8))
        for (path, keys, _) in schema {
            for key in keys {
                let (broken, count) = document.replacing(at: path + [key], with: .sequence([.sequence([])]))
                #expect(count > 0, "\(path) \(key)")
                #expect(!mistakes(in: broken.text).isEmpty, "\(path) \(key)")
            }
        }
    }

    @Test("a key of a later version is refused by name in every section")
    func laterKeys() throws {
        let document = try YAMLNode(parsing: Array(exampleText.utf8))
        for (path, keys, later) in schema {
            for key in later {
                let (broken, count) = document.adding(key, at: path[...])
                #expect(count > 0)
                let messages = mistakes(in: broken.text)
                #expect(messages.count == count, "\(messages)")
                #expect(messages.allSatisfy { $0.hasSuffix("\(key)` is not in this version") }, "\(messages)")
                #expect(!keys.contains(key))
            }
        }
    }
}

extension YAMLNode {
    /// This tree with another value at a path, and how many were replaced.
    func replacing(at path: [String], with value: YAMLNode) -> (YAMLNode, Int) {
        changing(at: path[...]) { _ in value }
    }

    /// This tree with one more key in the mappings at a path, and how many there were.
    func adding(_ key: String, at path: ArraySlice<String>) -> (YAMLNode, Int) {
        changing(at: path) { node in
            guard case .mapping(let entries) = node.content else { return node }
            return .mapping(entries + [YAMLEntry(key, .string("x"))])
        }
    }

    private func changing(at path: ArraySlice<String>, _ change: (YAMLNode) -> YAMLNode) -> (YAMLNode, Int) {
        guard let step = path.first else { return (change(self), 1) }
        var count = 0
        func changed(_ node: YAMLNode) -> YAMLNode {
            let (node, more) = node.changing(at: path.dropFirst(), change)
            count += more
            return node
        }
        switch content {
        case .scalar:
            return (self, 0)
        case .sequence(let items):
            return step == "*" ? (.sequence(items.map(changed)), count) : (self, 0)
        case .mapping(let entries):
            let entries = entries.map { entry in
                step == "*" || entry.key == step ? YAMLEntry(entry.key, changed(entry.value)) : entry
            }
            return (.mapping(entries), count)
        }
    }
}
