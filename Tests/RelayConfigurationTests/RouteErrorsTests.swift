// What is said about routes that cannot work.

import RelayConfiguration
import RelayCore
import Testing

private let needsMode =
    "needs `mode: queue`: the default mode of commands, interactions and options (`answer`: hold the acknowledgement "
    + "for the reply) is not in this version"

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
        "path, mode and continue are held against their form",
        arguments: [
            (
                "path: deploy",
                #"routes[0].path must begin with `/`, without query, spaces and non-ASCII characters, is "deploy""#
            ),
            (
                "path: '/a?b'",
                #"routes[0].path must begin with `/`, without query, spaces and non-ASCII characters, is "/a?b""#
            ),
            ("mode: answer", "routes[0].mode `answer` is not in this version"),
            ("mode: store", #"routes[0].mode must be queue, is "store""#),
            ("continue: 1", #"routes[0].continue must be true or false, is "1""#),
            ("acknowledge: stored", "`routes[0].acknowledge` is not in this version"),
            ("on_failure: withhold", "`routes[0].on_failure` is not in this version"),
            ("failure_message: x", "`routes[0].failure_message` is not in this version"),
            ("late_failure_message: x", "`routes[0].late_failure_message` is not in this version"),
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
        #expect(mistakes(ofRoute: "{ name: a, to: legacy, mode: queue, match: \(match) }") == [expected])
    }

    @Test(
        "a route for people's kinds says mode: queue",
        arguments: [
            "{ kind: command }", "{ kind: interaction }", "{ kind: options }", "{ kind: [event, command] }",
            "{ command: /a }", "{ action_id: a }", "{ callback_id: a }", "{ block_id: a }", "{ view: a }",
            "{ not: { kind: event } }",
        ])
    func peoplesKinds(_ match: String) {
        #expect(mistakes(ofRoute: "{ name: a, to: legacy, match: \(match) }") == ["routes[0] \(needsMode)"])
        #expect(mistakes(ofRoute: "{ name: a, to: legacy, mode: queue, match: \(match) }") == [])
    }

    @Test(
        "a route that may match events needs no mode",
        arguments: ["{ kind: event }", "{ event: 'a*' }", "{ team: T1 }", "{}"])
    func generalRoutes(_ match: String) {
        #expect(mistakes(ofRoute: "{ name: a, to: legacy, match: \(match) }") == [])
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
        let mistake =
            "routes[0].to: backend `b` has no url for the kind interaction, which this route can send it; give it "
        #expect(RelayConfigurationTests.mistakes(in: head + " }") == [])
        #expect(RelayConfigurationTests.mistakes(in: head + ", mode: queue, match: { command: /a } }") == [])
        #expect(
            RelayConfigurationTests.mistakes(in: head + ", mode: queue, match: { kind: interaction } }") == [
                mistake + "one, or narrow `match`"
            ])
    }

    @Test("without routes the only backend gets events, so it has a URL for them")
    func defaultRoute() {
        let yaml = Sample.head + "backends: { b: { urls: { commands: http://h/ } } }\n"
        #expect(
            RelayConfigurationTests.mistakes(in: yaml) == [
                "backends.b has no url for events, which it gets when there are no routes"
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
