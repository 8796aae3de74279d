// What is said about routes that cannot work.

import RelayConfiguration
import RelayCore
import Testing

@Suite("Mistakes in routes")
struct RouteErrorsTests {
    private func mistakes(ofRoute route: String) -> [String] {
        RelayConfigurationTests.mistakes(in: Sample.with("routes:\n  - \(route)"))
    }

    @Test(
        "a route names itself, and backends that exist, once",
        arguments: [
            ("{ to: legacy }", "routes[0].name is missing; it names the route in logs and metrics"),
            ("{ name: a }", "routes[0].to is missing; name a backend, or a list of them"),
            ("{ name: a, to: [] }", "routes[0].to must not be an empty list"),
            ("{ name: a, to: [legacy, legacy] }", "routes[0].to[1] names the backend `legacy` twice"),
            ("{ name: a, to: legcy }", #"routes[0].to names no backend: "legcy"; did you mean `legacy`?"#),
            ("{ name: a, to: orders }", #"routes[0].to names no backend: "orders"; known: legacy"#),
            ("{ name: '', to: legacy }", #"routes[0].name must be 1 to 64 letters, digits, `_`, `-` and `.`, is """#),
            ("a", "routes[0] must be a mapping of keys to values"),
        ])
    func names(_ route: String, _ expected: String) {
        #expect(mistakes(ofRoute: route) == [expected])
    }

    @Test("two routes of one name are refused, where the second stands")
    func duplicateName() {
        #expect(
            mistakes(ofRoute: "{ name: a, to: legacy }\n  - { name: a, to: legacy }") == [
                "routes[1].name names two routes: `a`"
            ])
    }

    @Test(
        "a value of a route is held against its form",
        arguments: [
            (
                "path: deploy",
                #"routes[0].path must begin with `/`, without query, spaces and non-ASCII characters, is "deploy""#
            ),
            (
                "path: '/a?b'",
                #"routes[0].path must begin with `/`, without query, spaces and non-ASCII characters, is "/a?b""#
            ),
            ("mode: store", #"routes[0].mode must be answer or queue, is "store""#),
            ("acknowledge: never", #"routes[0].acknowledge must be stored or delivered, is "never""#),
            ("on_failure: retry", #"routes[0].on_failure must be withhold or message, is "retry""#),
            ("failure_message: ''", "routes[0].failure_message must not be empty"),
            ("late_failure_message: ' '", "routes[0].late_failure_message must not be empty"),
            ("late_failure_message: [a]", "routes[0].late_failure_message must be one value, not a list or mapping"),
            (
                "late_failure_message: \"a\\eb\"",
                "routes[0].late_failure_message must not contain control characters other than line breaks and tabs"
            ),
            (
                "late_failure_message: \(String(repeating: "é", count: 3001))",
                "routes[0].late_failure_message must be at most 3000 characters, has 3001"
            ),
            ("continue: 1", #"routes[0].continue must be true or false, is "1""#),
        ])
    func values(_ value: String, _ expected: String) {
        #expect(mistakes(ofRoute: "{ name: a, to: legacy, \(value) }") == [expected])
    }

    @Test(
        "a match that can never hold is a mistake",
        arguments: [
            ("{ kind: comand }", #"routes[0].match.kind is no kind: "comand"; did you mean `command`?"#),
            (
                "{ kind: [event, x*] }",
                #"routes[0].match.kind[1] is no kind: "x*"; known: event, command, interaction, options"#
            ),
            ("{ kind: event, command: /a }", "routes[0].match can never hold: its keys belong to different kinds"),
            ("{ event: message, view: a }", "routes[0].match can never hold: its keys belong to different kinds"),
            (
                "{ command: /a, not: { kind: command } }",
                "routes[0].match can never hold: its keys belong to different kinds"
            ),
            ("{ command: deploy }", #"routes[0].match.command must begin with `/` as commands do, is "deploy""#),
            (
                "{ channel: '#general' }",
                ##"routes[0].match.channel must be an ID as Slack sends it (C… or U…), not a name, is "#general""##
            ),
            ("{ event: [] }", "routes[0].match.event must not be an empty list"),
            ("{ event: '' }", "routes[0].match.event must not be empty"),
            ("{ event: { a: b } }", "routes[0].match.event must be one value, not a list or mapping"),
            ("{ event_type: message }", "unknown key `event_type` in routes[0].match; did you mean `event`?"),
            (
                "{ not: { not: { user: U1 } } }",
                "unknown key `not` in routes[0].match.not; known: kind, event, command, action_id, callback_id, block_id, "
                    + "view, channel, user, team, enterprise, app"
            ),
        ])
    func match(_ match: String, _ expected: String) {
        #expect(mistakes(ofRoute: "{ name: a, to: legacy, match: \(match) }") == [expected])
    }

    @Test(
        "a mode is taken where it has an effect, and none is needed",
        arguments: [
            "match: { kind: event }", "match: { kind: event }, mode: queue", "match: { event: 'a*' }",
            "mode: queue", "match: { team: T1 }", "match: { team: T1 }, mode: queue",
            "match: { command: /a }", "match: { command: /a }, mode: queue", "match: { command: /a }, mode: answer",
            "match: { action_id: a }, mode: answer", "match: { kind: options }, mode: answer",
            "match: { not: { kind: event } }, mode: answer",
            "match: { kind: [command, interaction, options] }, mode: answer",
        ])
    func modes(_ keys: String) {
        #expect(mistakes(ofRoute: "{ name: a, to: legacy, \(keys) }") == [])
    }

    @Test(
        "mode: answer is refused where events can match",
        arguments: [
            "{}", "{ kind: event }", "{ kind: [event, command] }", "{ team: T1 }", "{ not: { kind: command } }",
        ])
    func answerForEvents(_ match: String) {
        #expect(
            mistakes(ofRoute: "{ name: a, to: legacy, match: \(match), mode: answer }") == [
                "routes[0].mode must not be answer where `match` lets events in, which have no answer; leave mode out "
                    + "(each kind then has its default), narrow `match`, or write acknowledge: delivered for the events"
            ])
    }

    @Test(
        "acknowledge is taken where events can match",
        arguments: ["", "mode: queue, ", "match: { kind: event }, ", "match: { kind: [event, command] }, "])
    func acknowledge(_ keys: String) {
        #expect(mistakes(ofRoute: "{ name: a, to: legacy, \(keys)acknowledge: delivered }") == [])
        #expect(mistakes(ofRoute: "{ name: a, to: legacy, \(keys)acknowledge: stored }") == [])
    }

    @Test("what is acknowledged when delivered cannot wait for its order key")
    func acknowledgeInOrder() {
        #expect(
            RelayConfigurationTests.mistakes(
                in: Sample.with(
                    backend: "order_by: channel",
                    "routes: [ { name: a, to: legacy, acknowledge: delivered } ]")) == [
                    "routes[0].acknowledge must not be delivered where a backend of the route has order_by: channel "
                        + "(`legacy`): events are then asked for at once, and stored for the others in the order answered"
                ])
    }

    @Test("nor can what goes on to an ordered backend from there")
    func acknowledgeBeforeOrder() {
        let backends = """
            audit:
              url: http://127.0.0.1:3001/
              order_by: thread
            """
        let text = Sample.with("routes: [ { name: a, to: [legacy, audit], acknowledge: delivered } ]")
            .replacing("backends:\n", with: "backends:\n\(backends.indented(by: 2))\n")
        #expect(
            RelayConfigurationTests.mistakes(in: text).map { $0.contains("order_by: thread (`audit`)") } == [true])
    }

    @Test(
        "acknowledge is refused where no event can match",
        arguments: [
            ("match: { kind: command }", "delivered"), ("match: { command: /a }, mode: queue", "delivered"),
            ("match: { view: a }", "stored"), ("match: { not: { kind: event } }, mode: answer", "stored"),
        ])
    func acknowledgeWithoutEvents(_ keys: String, _ value: String) {
        #expect(
            mistakes(ofRoute: "{ name: a, to: legacy, \(keys), acknowledge: \(value) }") == [
                "routes[0].acknowledge has no effect, is \"\(value)\": it is about events, and `match` lets none in; "
                    + "leave it out"
            ])
    }

    @Test(
        "what a person is told is taken where commands or interactions are answered",
        arguments: [
            "on_failure: withhold", "on_failure: message", "on_failure: message, failure_message: x",
            "late_failure_message: x", "mode: answer, match: { command: /a }, on_failure: message",
            "match: { kind: [event, interaction] }, on_failure: message",
            "match: { callback_id: a }, on_failure: message",
            "late_failure_message: \(String(repeating: "🐌", count: 3000))",
        ])
    func failures(_ keys: String) {
        #expect(mistakes(ofRoute: "{ name: a, to: legacy, \(keys) }") == [])
    }

    @Test(
        "what a person is told is refused where no command or interaction is answered",
        arguments: [
            ("mode: queue", "with mode: queue nobody is answered"),
            ("mode: queue, match: { command: /a }", "with mode: queue nobody is answered"),
            ("match: { kind: event }", "it is about commands and legacy messages, and `match` lets neither in"),
            (
                "match: { kind: [event, options] }",
                "it is about commands and legacy messages, and `match` lets neither in"
            ),
            ("match: { view: a }", "it is about commands and legacy messages, and `match` lets neither in"),
            ("match: { action_id: a }", "it is about commands and legacy messages, and `match` lets neither in"),
            (
                "mode: answer, match: { kind: options }",
                "it is about commands and legacy messages, and `match` lets neither in"
            ),
        ],
        [
            ("on_failure", "withhold"), ("on_failure", "message"), ("failure_message", "x"),
            ("late_failure_message", "x"),
        ])
    func failuresOfNoAnswer(_ route: (keys: String, reason: String), _ given: (key: String, value: String)) {
        #expect(
            mistakes(ofRoute: "{ name: a, to: legacy, \(route.keys), \(given.key): \(given.value) }") == [
                "routes[0].\(given.key) has no effect, is \"\(given.value)\": \(route.reason); leave it out"
            ])
    }

    @Test("failure_message is refused where it is never said", arguments: ["", "on_failure: withhold, "])
    func unsaidFailure(_ keys: String) {
        #expect(
            mistakes(ofRoute: "{ name: a, to: legacy, \(keys)failure_message: Sorry }") == [
                #"routes[0].failure_message has no effect, is "Sorry": with on_failure: withhold Slack shows its own "#
                    + "error; write on_failure: message, or leave it out"
            ])
    }

    @Test("a route sends a backend only what it has a URL for")
    func missingURL() {
        let head = """
            version: 1
            slack: { app_token: env:A, signing_secret: env:B }
            backends: { b: { urls: { events: http://h/, commands: http://h/ } } }
            routes:
              - { name: a, to: b
            """
        func mistake(_ kind: Kind) -> String {
            "routes[0].to: backend `b` has no url for the kind \(kind.rawValue), which this route can send it; give it "
                + "one, or narrow `match`"
        }
        #expect(
            RelayConfigurationTests.mistakes(in: head + " }") == [mistake(.interaction), mistake(.options)])
        #expect(
            RelayConfigurationTests.mistakes(in: head + ", mode: queue }") == [
                mistake(.interaction), mistake(.options),
            ])
        #expect(RelayConfigurationTests.mistakes(in: head + ", match: { kind: [event, command] } }") == [])
        #expect(RelayConfigurationTests.mistakes(in: head + ", match: { command: /a } }") == [])
        #expect(RelayConfigurationTests.mistakes(in: head + ", match: { kind: options } }") == [mistake(.options)])
    }

    @Test("without routes the only backend gets events, so it has a URL for them")
    func defaultRoute() {
        let yaml = Sample.head + "backends: { b: { urls: { commands: http://h/ } } }\n"
        #expect(
            RelayConfigurationTests.mistakes(in: yaml) == [
                "backends.b has no url for events, which it gets when there are no routes; give it one, or say with "
                    + "routes what it gets"
            ])
    }

    @Test("several backends without routes, or an empty list of routes, are refused")
    func noRoutes() {
        let yaml = Sample.head + "backends: { a: { url: http://h/ }, b: { url: http://h/ } }\n"
        #expect(
            RelayConfigurationTests.mistakes(in: yaml) == [
                "routes is missing; with more than one backend it says what goes where"
            ])
        #expect(
            RelayConfigurationTests.mistakes(in: Sample.with("routes: []")) == [
                "routes must not be empty; without it everything goes to the only backend"
            ])
    }

    @Test("a URL that was refused is not called missing, too")
    func refusedURL() {
        let yaml = """
            version: 1
            slack: { app_token: env:A, signing_secret: env:B }
            backends: { b: { urls: { events: ftp://h/, commands: http://h/ } } }
            """
        let mistake = #"backends.b.urls.events must be an absolute http or https URL, is "ftp://h/""#
        #expect(RelayConfigurationTests.mistakes(in: yaml) == [mistake])
        #expect(RelayConfigurationTests.mistakes(in: yaml + "\nroutes: [ { name: r, to: b } ]") == [mistake])
    }

    @Test("a backend with a mistake is not called unknown")
    func brokenBackend() {
        let yaml = Sample.head + "backends: { a: 5 }\nroutes: [ { name: r, to: a } ]\n"
        #expect(RelayConfigurationTests.mistakes(in: yaml) == ["backends.a must be a mapping of keys to values"])
    }
}
