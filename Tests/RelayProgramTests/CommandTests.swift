// The commands: what they print, where, and their exit codes.

import Foundation
import RelayTestKit
import SlackSimulator
import Testing

@Suite("Commands", .timeLimit(.minutes(2)))
struct CommandTests {
    @Test("relay version prints one line on standard output", arguments: [["version"], ["--version"]])
    func version(arguments: [String]) async throws {
        let end = try await ChildProcess.relay(arguments).finish()
        #expect(end.code == 0)
        #expect(end.output.split(separator: "\n").count == 1)
        #expect(end.output.contains(/[0-9]+\.[0-9]+\.[0-9]+/))
        #expect(end.errors == "")
    }

    @Test(
        "the help of every command has an example, goes to standard output and ends with 0",
        arguments: [
            "serve", "forward", "demo", "simulate", "config check", "config show", "doctor", "route test", "sign",
            "verify",
            "version",
            "status", "backends list", "backends show", "backends pause", "backends resume", "backends test",
            "deliveries list",
            "deliveries show", "deliveries retry", "deliveries cancel", "deliveries tail", "dead list", "dead show",
            "dead replay", "dead delete", "replays list", "replays show", "replays cancel", "connections list",
            "connections refresh", "reload", "drain",
        ])
    func help(command: String) async throws {
        let end = try await ChildProcess.relay(command.split(separator: " ").map(String.init) + ["--help"]).finish()
        #expect(end.code == 0)
        #expect(end.output.contains("USAGE: relay \(command)"))
        // `simulate` has a whole page of them.
        #expect(end.output.contains("Example:") || end.output.contains("relay simulate --port 9500"))
        #expect(end.errors == "")
    }

    @Test("relay --help names every command and every exit code")
    func rootHelp() async throws {
        let end = try await ChildProcess.relay(["--help"]).finish()
        #expect(end.code == 0)
        for word in [
            "serve", "forward", "demo", "simulate", "config", "doctor", "route", "sign", "verify", "status",
            "backends", "deliveries", "dead", "replays", "connections", "reload", "drain", "version", "69", "73", "77",
            "78",
        ] {
            #expect(end.output.contains(word))
        }
    }

    @Test(
        "a wrong call exits 2 and says why on standard error",
        arguments: [
            ["nonsense"], ["serve", "--nonsense"], ["forward"], ["forward", "not a url"], ["route", "test"],
            ["simulate", "--port", "70000"], ["simulate", "--certificate", "c.pem"], ["simulate", "--every", "nan"],
            ["simulate", "--every", "1", "--sample", "command", "--command", "deploy"],
            ["demo", "--once", "--keep-sending"], ["sign", "-"], ["sign", "--secret", "env:SLACK_SIGNING_SECRET"],
            ["sign", "--scheme", "github", "--secret", "env:SLACK_SIGNING_SECRET", "--timestamp", "1", "-"],
            ["sign", "--id", "1", "--secret", "env:SLACK_SIGNING_SECRET", "-"],
            ["sign", "--scheme", "ed25519", "--secret", "env:SLACK_SIGNING_SECRET", "--id", "a.b", "-"],
            ["sign", "--secret", "env:SLACK_SIGNING_SECRET", "--secret", "env:SLACK_APP_TOKEN", "-"],
            ["verify", "--scheme", "github", "--secret", "env:SLACK_SIGNING_SECRET", "--tolerance", "1m", "-"],
            ["verify", "--secret", "env:SLACK_SIGNING_SECRET", "--tolerance", "5", "-"],
            ["verify", "--secret", "env:SLACK_SIGNING_SECRET", "--header", "nonsense", "-"],
            ["status", "--admin-url", "ftp://x"], ["status", "--admin-url", "http://u:p@x"], ["dead", "replay"],
            ["dead", "replay", "--all", "3f9c2a1b-1"], ["dead", "delete"], ["deliveries", "list", "--limit", "0"],
            ["drain", "--timeout", "0"], ["dead", "replay", "--all", "--per-second", "inf"],
            ["help", "nosuch"], ["help", "dead", "nosuch"],
        ])
    func usage(arguments: [String]) async throws {
        let end = try await ChildProcess.relay(
            arguments, environment: ["SLACK_APP_TOKEN": "xapp-x", "SLACK_SIGNING_SECRET": "x"]
        ).finish()
        #expect(end.code == 2)
        #expect(end.output == "")
        #expect(end.errors.contains("rror") || end.errors.contains("relay: "))
    }

    @Test("config check says yes to a good file")
    func configurationGood() async throws {
        let folder = try Folder(yaml: Self.goodYAML)
        let end = try await folder.relay(["config", "check"], environment: Self.secrets)
        #expect(end.code == 0)
        #expect(end.output.contains("is valid: 2 routes to orders"))
        #expect(end.errors == "")
    }

    @Test("config check warns of a backend and of a route that nothing comes to, and says yes all the same")
    func configurationWarnings() async throws {
        let folder = try Folder(
            yaml: Self.goodYAML.replacing(
                "routes:", with: "  unused: { url: http://127.0.0.1:3001/ }\nroutes:\n  - { name: first, to: orders }"))
        let end = try await folder.relay(["config", "check"], environment: Self.secrets)
        #expect(end.code == 0)
        #expect(end.output.hasSuffix("is valid: 3 routes to orders"))
        #expect(
            end.errors.split(separator: "\n").map { $0.prefix(45) } == [
                "relay: warning: no route leads to backend `un", "relay: warning: route `deploy` never matches:",
                "relay: warning: route `events` never matches:",
            ])
    }

    @Test("config check says file, line and column, the value, and the nearest key; exit 78")
    func configurationBad() async throws {
        let folder = try Folder(
            yaml: """
                version: 1
                slack: { app_token: env:RELAY_TEST_APP_TOKEN, signing_secret: env:RELAY_TEST_SIGNING_SECRET }
                backends:
                  orders:
                    url: http://127.0.0.1:3000/
                    timeuot: 3s
                    max_in_flight: 5000
                """)
        let end = try await folder.relay(["config", "check"], environment: Self.secrets)
        #expect(end.code == 78)
        #expect(end.output == "")
        #expect(end.errors.contains("relay.yaml:6:5: "))
        #expect(end.errors.contains("timeout"))
        #expect(end.errors.contains("relay.yaml:7:"))
        #expect(end.errors.contains("5000"))
    }

    @Test(
        "serve and config check name the variable that a secret should be in, and exit 78",
        arguments: ["serve", "check"])
    func missingSecret(command: String) async throws {
        let folder = try Folder(yaml: Self.goodYAML)
        let end = try await folder.relay(
            command == "serve" ? ["serve"] : ["config", "check"], environment: ["RELAY_TEST_APP_TOKEN": "xapp-x"])
        #expect(end.code == 78)
        let lines = end.errors.split(separator: "\n")
        #expect(lines.first == "relay: secrets are missing or cannot be used")
        #expect(
            lines.dropFirst().allSatisfy { $0.hasPrefix("slack.signing_secret: secret env:RELAY_TEST_SIGNING_SECRET") })
        #expect(!end.errors.contains("xapp-x"))
    }

    @Test("serve and config check name a TLS file that cannot be read, and exit 78", arguments: ["serve", "check"])
    func missingTLSFile(command: String) async throws {
        let folder = try Folder(
            yaml: """
                version: 1
                slack: { app_token: env:RELAY_TEST_APP_TOKEN, signing_secret: env:RELAY_TEST_SIGNING_SECRET }
                backends: { orders: { url: https://127.0.0.1:3000/, tls: { ca: /nowhere/ca.pem } } }
                """)
        let end = try await folder.relay(
            command == "serve" ? ["serve"] : ["config", "check"], environment: Self.secrets)
        #expect(end.code == 78)
        #expect(end.errors.contains("backends.orders.tls.ca: cannot read /nowhere/ca.pem: No such file or directory"))
        let elsewhere = try await folder.relay(["config", "check", "--without-secrets"], environment: [:])
        #expect(elsewhere.code == 0)
        #expect(elsewhere.output.hasSuffix("is valid: 1 route to orders; secrets and files were not looked at"))
    }

    @Test("a literal secret is refused and not repeated")
    func literalSecret() async throws {
        let folder = try Folder(
            yaml: Self.goodYAML.replacing("env:RELAY_TEST_APP_TOKEN", with: "xapp-1-literal-secret"))
        let end = try await folder.relay(["config", "check"], environment: Self.secrets)
        #expect(end.code == 78)
        #expect(end.errors.contains("relay.yaml:2:"))
        #expect(!end.errors.contains("literal-secret"))
    }

    @Test("a file that is missing: exit 78 with its name")
    func missingFile() async throws {
        let end = try await ChildProcess.relay(["serve", "--config", "/nowhere/relay.yaml"]).finish()
        #expect(end.code == 78)
        #expect(end.errors.contains("cannot read /nowhere/relay.yaml: No such file or directory"))
    }

    @Test("config show prints every default, and *** for each secret")
    func configurationShow() async throws {
        let folder = try Folder(yaml: Self.goodYAML)
        let end = try await folder.relay(["config", "show"], environment: Self.secrets)
        #expect(end.code == 0)
        #expect(end.output.contains("max_in_flight: 16"))
        #expect(end.output.contains("***"))
        for secret in Self.secrets.values { #expect(!end.output.contains(secret)) }
    }

    @Test(
        "route test tells which route takes a payload, and exits 1 when none does",
        arguments: [
            (
                #"{"type":"event_callback","event_id":"Ev1","event":{"type":"message","channel":"C1"}}"#, Int32(0),
                "would go to: orders at http://127.0.0.1:3000/slack/events"
            ),
            (
                #"{"command":"/deploy","text":"now","team_id":"T1"}"#, 0,
                "would go to: orders at http://127.0.0.1:3000/slash/deploy"
            ),
            (#"{"command":"/help","text":"","team_id":"T1"}"#, 1, "command is /help, wants /deploy"),
            (#"{"type":"block_actions","actions":[{"action_id":"approve"}]}"#, 1, "unrouted: withhold"),
        ])
    func routeTest(payload: String, code: Int32, text: String) async throws {
        let folder = try Folder(yaml: Self.goodYAML)
        let end = try await folder.relay(
            ["route", "test", try folder.write(payload, to: "payload.json")], environment: [:])
        #expect(end.code == code)
        #expect(end.output.contains(text))
    }

    @Test("route test shows the URL of the kind with the route's path, the socket, and nothing that may be secret")
    func routeTestURL() async throws {
        let folder = try Folder(
            yaml: """
                version: 1
                slack: { app_token: env:RELAY_TEST_APP_TOKEN, signing_secret: env:RELAY_TEST_SIGNING_SECRET }
                backends:
                  orders:
                    unix_socket: /run/orders.sock
                    urls: { events: "http://u:hidden@orders/e?key=hidden", commands: "http://u:hidden@orders/c?key=hidden" }
                routes:
                  - { name: commands, match: { kind: command }, to: orders, path: /deploy }
                  - { name: events, match: { kind: event }, to: orders }
                """)
        let command = try folder.write(#"{"command":"/deploy"}"#, to: "command.json")
        let event = try folder.write(#"{"type":"event_callback","event":{"type":"message"}}"#, to: "event.json")
        let first = try await folder.relay(["route", "test", command], environment: [:])
        #expect(first.output.contains("would go to: orders at http://***@orders/deploy over /run/orders.sock"))
        let second = try await folder.relay(["route", "test", event], environment: [:])
        #expect(second.output.contains("would go to: orders at http://***@orders/e over /run/orders.sock"))
        #expect(!(first.output + second.output).contains("hidden"))
    }

    @Test("route test says when a file holds no payload", arguments: ["[]", "", "{"])
    func routeTestNothing(payload: String) async throws {
        let folder = try Folder(yaml: Self.goodYAML)
        let path = try folder.write(payload, to: "payload.json")
        let end = try await folder.relay(["route", "test", path], environment: [:])
        #expect(end.code == 1)
        #expect(end.errors.contains("\(path) holds no envelope and no payload"))
    }

    @Test("demo --once tells the story to its end and exits 0")
    func demo() async throws {
        let end = try await ChildProcess.relay(["demo", "--once"]).finish()
        #expect(end.code == 0)
        for line in [
            "Relay holds 2 Socket Mode connections", "acknowledged it after", "its signature is valid",
            "X-Slack-Signature: v0=", "State: delivered", "the backend answered 503", "State: scheduled",
        ] {
            #expect(end.output.contains(line), "the demo does not say: \(line)")
        }
        #expect(!end.output.contains("WITHOUT A VALID SIGNATURE"))
        #expect(end.errors == "")
    }

    @Test("forward prints a line per request, delivers signed, and ends with 0 at ctrl-C")
    func forward() async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend { $0.eventID == nil ? .status(500) : .ok }
        let process = try ChildProcess.relay(
            ["forward", "\(backend.url)/slack/events", "--api-url", slack.apiURL],
            environment: RelayHome.environment)
        try await slack.waitForConnections(atLeast: 1)

        _ = try await slack.send(.message)
        let event = try #require(await process.output.first(containing: "event message"))
        _ = try await slack.send(.command, .init(command: "/deploy"))
        let command = try #require(await process.output.first(containing: "command /deploy"))
        process.send(signal: SIGINT)
        let end = await process.finish()

        #expect(event.contains("  200  "))
        #expect(event.hasSuffix(" ms"))
        #expect(command.contains("  500  "))
        #expect(backend.requests.first?.target == "/slack/events")
        #expect(backend.requests.first?.header("X-Slack-Signature")?.hasPrefix("v0=") == true)
        #expect(end.code == 0)
        await backend.shutDown()
        await slack.stop()
    }

    @Test("forward --queue keeps what was not delivered for the next time")
    func forwardQueue() async throws {
        let slack = try await Stage.makeSlack()
        let hanging = Answers(1)
        let backend = try await RecordingBackend { _ in hanging.takeOne() ? .silence : .ok }
        let folder = try Folder(yaml: "")
        let arguments = [
            "forward", "\(backend.url)/slack/events", "--api-url", slack.apiURL, "--queue", folder.path("queue.db"),
        ]
        let environment = RelayHome.environment
        let first = try ChildProcess.relay(arguments, environment: environment)
        try await slack.waitForConnections(atLeast: 1)
        _ = try await slack.send(.message)
        _ = await backend.requests(atLeast: 1)
        first.send(signal: SIGKILL)
        await first.waitForExit()
        let second = try ChildProcess.relay(arguments, environment: environment)
        let line = try #require(await second.output.first(containing: "event message"))
        second.send(signal: SIGINT)

        #expect(line.contains("  200  "))
        #expect(backend.requests.map(\.deliveryID).count == 2)
        #expect(Set(backend.requests.map(\.deliveryID)).count == 1)
        #expect(await second.finish().code == 0)
        await backend.shutDown()
        await slack.stop()
    }

    @Test("forward without its variables names them and exits 78")
    func forwardWithoutSecrets() async throws {
        let end = try await ChildProcess.relay(
            ["forward", "http://127.0.0.1:9/"], environment: ["SLACK_APP_TOKEN": "", "SLACK_SIGNING_SECRET": ""]
        ).finish()
        #expect(end.code == 78)
        #expect(end.errors.contains("SLACK_APP_TOKEN"))
        #expect(end.errors.contains("SLACK_SIGNING_SECRET"))
    }

    @Test(
        "config check names the key and the reference of a signing secret of the wrong form, and shows nothing of it",
        arguments: [
            ("standard_webhooks", "c2hvcnQtc2VjcmV0", "holds 12 bytes"),
            ("standard_webhooks", "whpk_c2hvcnQ=", "is a public key"),
            ("ed25519", "whsk_c2hvcnQtc2VjcmV0", "holds 12 bytes"), ("ed25519", "short-secret", "is not base64"),
            ("github", "", "is empty"),
        ])
    func signingSecretForm(scheme: String, secret: String, problem: String) async throws {
        let folder = try Folder(
            yaml: Self.goodYAML.replacing(
                "/slack/events }",
                with: "/slack/events, signing: [ { scheme: slack, secret: env:RELAY_TEST_SIGNING_SECRET }, "
                    + "{ scheme: \(scheme), secret: env:RELAY_TEST_OTHER, not_after: 2020-01-01T00:00:00Z } ] }"))
        let environment = Self.secrets.merging(["RELAY_TEST_OTHER": secret]) { $1 }
        let end = try await folder.relay(["config", "check"], environment: environment)
        #expect(end.code == 78)
        #expect(end.errors.contains("backends.orders.signing[1].secret: "))
        #expect(end.errors.contains("env:RELAY_TEST_OTHER"))
        #expect(end.errors.contains(problem))
        #expect(secret.isEmpty || !end.errors.contains(secret))
    }

    @Test("what sign prints, verify takes, and says why it does not take another body", arguments: SigningSample.all)
    func signAndVerify(sample: SigningSample) async throws {
        let folder = try Folder(yaml: "")
        let body = try folder.write("payload=%7B%7D", to: "body")
        let other = try folder.write("payload=%7B%7D\n", to: "other")
        let key = try folder.write(sample.signs + "\n", to: "key")
        let environment = ["RELAY_TEST_SECRET": sample.verifies]

        let signed = try await ChildProcess.relay(["sign", "--scheme", sample.scheme, "--secret", "file:\(key)", body])
            .finish()
        let headers = signed.output.split(separator: "\n").map(String.init)
        let verify =
            ["verify", "--scheme", sample.scheme, "--secret", "env:RELAY_TEST_SECRET"]
            + headers.flatMap { ["--header", $0] }
        let right = try await ChildProcess.relay(verify + [body], environment: environment).finish()
        let wrong = try await ChildProcess.relay(verify + [other], environment: environment).finish()

        #expect(signed.code == 0)
        #expect(headers.map { $0.prefix { $0 != ":" } } == sample.headers.map { $0[...] })
        #expect(right.code == 0)
        #expect(right.output == "the signature is right")
        #expect(wrong.code == 1)
        #expect(wrong.output.hasPrefix("not right: the signature is another one"))
        for end in [signed, right, wrong] { #expect(end.errors == "") }
    }

    /// The example of docs.slack.dev, "Verifying requests from Slack" (slack-protocol.md §4.7).
    @Test("Slack's own example is right, and 2018")
    func verifySlacksExample() async throws {
        let body = """
            token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
            &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
            &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
            &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c
            """
        let folder = try Folder(yaml: "")
        let path = try folder.write(body, to: "body")
        let arguments = [
            "verify", "--secret", "env:RELAY_TEST_SECRET", "--timestamp", "1531420618", "--signature",
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        ]
        let environment = ["RELAY_TEST_SECRET": "8f742231b10e8888abcd99yyyzzz85a5"]
        let old = try await ChildProcess.relay(arguments + [path], environment: environment).finish()
        let right = try await ChildProcess.relay(arguments + ["--tolerance", "none", path], environment: environment)
            .finish()
        #expect(old.code == 1)
        #expect(old.output.contains(/^not right: X-Slack-Request-Timestamp is [0-9]+ seconds old; 300 are tolerated$/))
        #expect(right.code == 0)
    }

    @Test(
        "a secret on the command line is refused and not repeated, one that cannot be used is told by its reference",
        arguments: ["sign", "verify"])
    func signingSecretArgument(command: String) async throws {
        func run(_ secret: String, _ scheme: String) async throws -> (code: Int32, output: String, errors: String) {
            try await ChildProcess.relay(
                [command, "--scheme", scheme, "--secret", secret, "/dev/null"],
                environment: ["RELAY_TEST_SECRET": "literal-secret"]
            ).finish()
        }
        let literal = try await run("literal-secret", "slack")
        #expect(literal.code == 2)
        #expect(literal.errors.contains("--secret must be env:NAME or file:PATH"))
        let absent = try await run("env:RELAY_TEST_ABSENT", "slack")
        #expect(absent.code == 78)
        #expect(absent.errors.contains("env:RELAY_TEST_ABSENT: the variable is not set"))
        let unusable = try await run("env:RELAY_TEST_SECRET", "ed25519")
        #expect(unusable.code == 78)
        #expect(unusable.errors.contains("env:RELAY_TEST_SECRET is not base64"))
        for end in [literal, absent, unusable] {
            #expect(!end.errors.contains("literal-secret"))
            #expect(end.output == "")
        }
    }

    @Test("simulate prints its addresses, answers at them, and ends with 0 at SIGTERM")
    func simulate() async throws {
        let process = try ChildProcess.relay(["simulate", "--port", "0"])
        let api = try #require(await process.output.first(containing: "Slack is simulated at"))
        let control = try #require(await process.output.first(containing: "Control it at"))
        let url = try #require(control.firstMatch(of: /http:\/\/127\.0\.0\.1:[0-9]+\/control/)).output
        let state = try await LoopbackHTTP.get(url + "/state")
        process.send(signal: SIGTERM)

        #expect(api.hasSuffix(url.replacing("/control", with: "/api")))
        #expect(state.status == 200)
        #expect(state.body.contains(#""connected":0"#))
        #expect(await process.finish().code == 0)
    }

    @Test("simulate prints what a person would see of each envelope that somebody waits for")
    func simulateShowsAnswers() async throws {
        let process = try ChildProcess.relay([
            "simulate", "--port", "0", "--every", "0.05", "--sample", "command", "--command", "/deploy",
        ])
        let line = try #require(await process.output.first(containing: "command /deploy"))
        process.send(signal: SIGTERM)

        #expect(line.contains("NOT ACKNOWLEDGED"))
        #expect(line.hasSuffix(#"sees: /deploy failed with the error "dispatch_failed""#))
        #expect(await process.finish().code == 0)
    }

    private static let secrets = [
        "RELAY_TEST_APP_TOKEN": "xapp-1-of-the-command-tests",
        "RELAY_TEST_SIGNING_SECRET": "signing-of-the-command-tests",
    ]

    private static let goodYAML = """
        version: 1
        slack: { app_token: env:RELAY_TEST_APP_TOKEN, signing_secret: env:RELAY_TEST_SIGNING_SECRET }
        backends:
          orders: { url: http://127.0.0.1:3000/slack/events }
        routes:
          - { name: deploy, match: { command: /deploy }, to: orders, path: /slash/deploy, mode: queue }
          - { name: events, match: { kind: event }, to: orders }
        """
}

/// A scheme with a secret that signs, the one that verifies, and the names of its headers.
struct SigningSample: Sendable, CustomTestStringConvertible {
    var scheme: String
    var signs: String
    var verifies: String
    var headers: [String]

    var testDescription: String { scheme }

    private static let webhook = ["webhook-id", "webhook-timestamp", "webhook-signature"]

    /// The keys of ed25519 are Svix's (server/svix-server/src/core/types).
    static let all = [
        SigningSample(
            scheme: "slack", signs: "s3cret", verifies: "s3cret",
            headers: ["X-Slack-Request-Timestamp", "X-Slack-Signature"]),
        SigningSample(
            scheme: "standard_webhooks", signs: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            verifies: "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", headers: webhook),
        SigningSample(
            scheme: "ed25519",
            signs: "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
            verifies: "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", headers: webhook),
        SigningSample(scheme: "github", signs: "s3cret", verifies: "s3cret", headers: ["X-Hub-Signature-256"]),
    ]
}

/// A folder with a relay.yaml, removed with its last reference.
private final class Folder: Sendable {
    private let url: URL

    init(yaml: String) throws {
        url = try RelayHome.makeFolder()
        _ = try write(yaml, to: "relay.yaml")
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }

    func write(_ text: String, to name: String) throws -> String {
        try text.write(toFile: path(name), atomically: false, encoding: .utf8)
        return path(name)
    }

    /// Runs a command with this folder's configuration.
    func relay(
        _ arguments: [String], environment: [String: String]
    ) async throws -> (code: Int32, output: String, errors: String) {
        try await ChildProcess.relay(arguments + ["--config", path("relay.yaml")], environment: environment).finish()
    }
}
