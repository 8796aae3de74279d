// One fact per line on which backends an envelope goes to.

import RelayCore
import Testing

@Suite struct RouterTests {
    func targets(_ routes: [Route], _ envelope: Envelope) -> [BackendName] {
        Router(routes: routes).plan(for: envelope).queued.map(\.backend)
    }

    @Test("the first match wins")
    func firstMatch() {
        #expect(targets([.to("a", match: .event("message")), .to("b")], .event("message")) == ["a"])
        #expect(targets([.to("a", match: .event("message")), .to("b")], .event("app_mention")) == ["b"])
    }

    @Test("with continue the next routes are looked at, too")
    func continues() {
        #expect(targets([.to("a", continues: true), .to("b"), .to("c")], .event("message")) == ["a", "b"])
    }

    @Test("a backend gets an envelope once, from the first route that names it")
    func noBackendTwice() {
        let routes = [Route.to("a", path: "/first", continues: true), .to("a", path: "/second")]
        #expect(Router(routes: routes).plan(for: .event("message")).queued.map(\.path) == ["/first"])
    }

    @Test("no match means unrouted")
    func unrouted() {
        #expect(targets([.to("a", match: .event("message"))], .event("app_mention")) == [])
    }

    @Test(
        "an event matches by type, by type and subtype, and by glob",
        arguments: ["message", "message.bot_message", "mess*", "*.bot_message", "*"])
    func events(pattern: String) {
        #expect(
            targets([.to("a", match: .event(Pattern(pattern)))], .event("message", subtype: "bot_message")) == ["a"])
    }

    @Test("every condition must hold, and one pattern of each is enough")
    func conditions() {
        var envelope = Envelope.event("message")
        envelope.attributes.channel = "C1"
        let both = Match([.init(.event, ["app_mention", "message"]), .init(.channel, ["C2", "C1"])])
        #expect(targets([.to("a", match: both)], envelope) == ["a"])
        envelope.attributes.channel = "C3"
        #expect(targets([.to("a", match: both)], envelope) == [])
    }

    @Test("not: takes what matches away")
    func negated() {
        let match = Match([.init(.kind, ["event"])], not: [.init(.event, ["message.*"])])
        #expect(targets([.to("a", match: match)], .event("message")) == ["a"])
        #expect(targets([.to("a", match: match)], .event("message", subtype: "bot_message")) == [])
    }

    @Test("an absent field matches nothing, not even *")
    func absent() {
        #expect(targets([.to("a", match: Match([.init(.channel, ["*"])]))], .event("message")) == [])
    }

    @Test(
        "the first backend of the first route that answers owns the answer, all others are queued",
        arguments: [
            ([.to("a")], "a", []),
            ([.to("a", mode: .queue)], nil, ["a"]),
            ([.to("a", "b", "c")], "a", ["b", "c"]),
            ([.to("a", mode: .queue, continues: true), .to("b", "c")], "b", ["a", "c"]),
            ([.to("a", continues: true), .to("b")], "a", ["b"]),
            // Who owns the answer is not asked a second time, wherever else it is named.
            ([.to("a", "b", mode: .queue, continues: true), .to("b", "a")], "b", ["a"]),
            ([.to("a", continues: true), .to("b", "a")], "a", ["b"]),
        ] as [([Route], BackendName?, [BackendName])])
    func answers(routes: [Route], asked: BackendName?, queued: [BackendName]) {
        let command = Envelope(id: "1", kind: .command, payload: Payload("{}"), receivedAt: .zero)
        let plan = Router(routes: routes).plan(for: command)
        #expect(plan.asked?.target.backend == asked)
        #expect(plan.queued.map(\.backend) == queued)
    }

    @Test("an event asks the first backend only where it is acknowledged when delivered")
    func delivered() {
        let plan = Router(routes: [.to("a", "b", acknowledge: .delivered)]).plan(for: .event("message"))
        #expect(plan.asked?.target.backend == "a")
        #expect(plan.queued.map(\.backend) == ["b"])
        #expect(Router(routes: [.to("a", mode: .answer)]).plan(for: .event("message")).asked == nil)
    }

    @Test("a mismatch says the key, the value and what was wanted")
    func explains() throws {
        let mismatch = try #require(Match([.init(.event, ["a", "b*"])]).mismatch(.event("message")))
        #expect(mismatch.description == "event is message, wants a or b*")
    }

    @Test(
        "globs",
        arguments: [
            ("/roll*", "/rollback", true), ("/roll*", "/roll", true), ("*back", "/rollback", true),
            ("a*b*c", "aXbYbc", true), ("a*b*c", "aXbYb", false), ("", "", true), ("", "a", false),
            ("A", "a", false), ("**", "", true),
        ])
    func globs(pattern: String, value: String, matches: Bool) {
        #expect(Pattern(pattern).matches(value) == matches)
    }
}

extension Route {
    static func to(
        _ backends: BackendName..., match: Match = .init(), path: String? = nil, mode: Mode? = nil,
        acknowledge: Acknowledge = .stored, continues: Bool = false
    ) -> Route {
        Route(
            name: RouteName("to-\(backends[0])"), match: match, to: backends, path: path, mode: mode,
            acknowledge: acknowledge, continues: continues)
    }
}

extension Match {
    static func event(_ patterns: Pattern...) -> Match { Match([.init(.event, patterns)]) }
}

extension Envelope {
    static func event(_ type: String, subtype: String? = nil) -> Envelope {
        var attributes = EnvelopeAttributes()
        attributes.event = type
        attributes.eventSubtype = subtype
        return Envelope(id: "1", kind: .event, payload: Payload("{}"), attributes: attributes, receivedAt: .zero)
    }
}
