// One fact per line on which backends an envelope goes to.

import RelayCore
import Testing

@Suite struct RouterTests {
    func targets(_ routes: [Route], _ envelope: Envelope) -> [BackendName] {
        Router(routes: routes).targets(for: envelope).map(\.backend)
    }

    @Test("the first match wins")
    func firstMatch() {
        #expect(targets([.to("a", .event("message")), .to("b")], .event("message")) == ["a"])
        #expect(targets([.to("a", .event("message")), .to("b")], .event("app_mention")) == ["b"])
    }

    @Test("with continue the next routes are looked at, too")
    func continues() {
        #expect(targets([.to("a", continues: true), .to("b"), .to("c")], .event("message")) == ["a", "b"])
    }

    @Test("a backend gets an envelope once, from the first route that names it")
    func noBackendTwice() {
        let routes = [Route.to("a", path: "/first", continues: true), .to("a", path: "/second")]
        #expect(Router(routes: routes).targets(for: .event("message")).map(\.path) == ["/first"])
    }

    @Test("no match means unrouted")
    func unrouted() {
        #expect(targets([.to("a", .event("message"))], .event("app_mention")) == [])
    }

    @Test(
        "an event matches by type, by type and subtype, and by glob",
        arguments: ["message", "message.bot_message", "mess*", "*.bot_message", "*"])
    func events(pattern: String) {
        #expect(targets([.to("a", .event(Pattern(pattern)))], .event("message", subtype: "bot_message")) == ["a"])
    }

    @Test("every condition must hold, and one pattern of each is enough")
    func conditions() {
        var envelope = Envelope.event("message")
        envelope.attributes.channel = "C1"
        let both = Match([.init(.event, ["app_mention", "message"]), .init(.channel, ["C2", "C1"])])
        #expect(targets([.to("a", both)], envelope) == ["a"])
        envelope.attributes.channel = "C3"
        #expect(targets([.to("a", both)], envelope) == [])
    }

    @Test("not: takes what matches away")
    func negated() {
        let match = Match([.init(.kind, ["event"])], not: [.init(.event, ["message.*"])])
        #expect(targets([.to("a", match)], .event("message")) == ["a"])
        #expect(targets([.to("a", match)], .event("message", subtype: "bot_message")) == [])
    }

    @Test("an absent field matches nothing, not even *")
    func absent() {
        #expect(targets([.to("a", Match([.init(.channel, ["*"])]))], .event("message")) == [])
    }

    @Test("people's kinds go only to routes that say mode: queue")
    func answerModeIsMissing() {
        let command = Envelope(id: "1", kind: .command, payload: Payload("{}"), receivedAt: .zero)
        #expect(targets([.to("a")], command) == [])
        #expect(targets([.to("a"), .to("b", mode: .queue)], command) == ["b"])
        #expect(Router(routes: [.to("a")]).explain(command).map(\.verdict) == [.needsAnswerMode])
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
        _ backend: BackendName, _ match: Match = .init(), path: String? = nil, mode: Mode? = nil,
        continues: Bool = false
    ) -> Route {
        Route(
            name: RouteName("to-\(backend)"), match: match, to: [backend], path: path, mode: mode, continues: continues)
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
