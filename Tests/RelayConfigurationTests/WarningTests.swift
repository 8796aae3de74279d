// What is said of a valid file that is surely not meant so.

import RelayConfiguration
import RelayCore
import Testing

@Suite("Warnings about a valid relay.yaml")
struct WarningTests {
    private func warnings(_ routes: String...) throws -> [String] {
        let yaml = Sample.minimal + "routes:\n" + routes.map { "  - \($0)\n" }.joined()
        return try Configuration.parse(yaml: yaml, file: "relay.yaml").warnings
    }

    @Test("a backend that no route leads to")
    func unusedBackend() {
        let configuration = Configuration(
            apps: [Sample.slack], backends: [Sample.backend, Backend(name: "unused", url: "http://h/")],
            routes: [Route(name: "a", to: ["legacy"])])
        #expect(configuration.warnings == ["no route leads to backend `unused`"])
        #expect(configuration.routedBackends.map(\.name) == ["legacy"])
    }

    @Test(
        "a route after one that takes all it could",
        arguments: [
            ("{ name: a, to: legacy }", "{ name: b, match: { command: /x }, to: legacy }"),
            ("{ name: a, match: { kind: command }, to: legacy }", "{ name: b, match: { command: /x }, to: legacy }"),
            (
                "{ name: a, match: { command: '/x*' }, to: legacy }",
                "{ name: b, match: { command: ['/x', '/x*y'] }, to: legacy }"
            ),
            (
                "{ name: a, match: { event: message }, to: legacy }",
                "{ name: b, match: { event: message, channel: C1 }, to: legacy }"
            ),
            (
                "{ name: a, match: { not: { channel: C1 } }, to: legacy }",
                "{ name: b, match: { event: message, not: { channel: 'C*' } }, to: legacy }"
            ),
            (
                "{ name: a, match: { not: { kind: event } }, to: legacy }",
                "{ name: b, match: { command: /x }, to: legacy }"
            ),
        ])
    func covered(_ first: String, _ second: String) throws {
        #expect(
            try warnings(first, second) == ["route `b` never matches: `a` stands before it and takes all that it could"]
        )
    }

    @Test(
        "a route that may match is not warned of",
        arguments: [
            ("{ name: a, continue: true, to: legacy }", "{ name: b, to: legacy }"),
            (
                "{ name: a, match: { command: /x }, to: legacy }",
                "{ name: b, match: { command: [/x, /y] }, to: legacy }"
            ),
            (
                "{ name: a, match: { command: '/x*y' }, to: legacy }",
                "{ name: b, match: { command: '/x*' }, to: legacy }"
            ),
            (
                "{ name: a, match: { event: message, channel: C1 }, to: legacy }",
                "{ name: b, match: { event: message }, to: legacy }"
            ),
            (
                "{ name: a, match: { not: { channel: 'C*' } }, to: legacy }",
                "{ name: b, match: { not: { channel: C1 } }, to: legacy }"
            ),
            ("{ name: a, match: { kind: event }, to: legacy }", "{ name: b, match: { channel: C1 }, to: legacy }"),
        ])
    func mayMatch(_ first: String, _ second: String) throws {
        #expect(try warnings(first, second).isEmpty)
    }

    /// By trying: whatever the second of two routes matches, where the first is said to take all of it.
    @Test("what is said never to match does not")
    func trial() {
        let texts = ["/", "/x", "/xy", "/x*", "*", "/*y", "/xxy"]
        let matches = texts.flatMap { text in
            [Match([.init(.command, [Pattern(text)])]), Match(not: [.init(.command, [Pattern(text)])])]
        }
        for first in matches {
            for second in matches {
                let configuration = Configuration(
                    apps: [Sample.slack], backends: [Sample.backend],
                    routes: [
                        Route(name: "a", match: first, to: ["legacy"]), Route(name: "b", match: second, to: ["legacy"]),
                    ])
                guard !configuration.warnings.isEmpty else { continue }
                for command in ["", "/", "/x", "/y", "/xy", "/xzy", "z", "/xxy"] {
                    var envelope = Envelope(
                        id: "1", kind: .command, payload: Payload("{}"), receivedAt: Timestamp(nanosecondsSinceEpoch: 0)
                    )
                    envelope.attributes.command = command
                    let isTaken = second.mismatch(envelope) != nil || first.mismatch(envelope) == nil
                    #expect(isTaken, "\(first) \(second) \(command)")
                }
            }
        }
    }
}
