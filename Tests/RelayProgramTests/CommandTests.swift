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
            "serve", "forward", "demo", "simulate", "config check", "config show", "route test", "version",
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
        for word in ["serve", "forward", "demo", "simulate", "config", "route", "version", "73", "77", "78"] {
            #expect(end.output.contains(word))
        }
    }

    @Test(
        "a wrong call exits 2 and says why on standard error",
        arguments: [
            ["nonsense"], ["serve", "--nonsense"], ["forward"], ["forward", "not a url"], ["route", "test"],
            ["simulate", "--port", "70000"], ["simulate", "--certificate", "c.pem"],
            ["simulate", "--every", "1", "--sample", "command", "--command", "deploy"],
            ["demo", "--once", "--keep-sending"],
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
        #expect(end.output.contains("is valid: 2 route(s) to orders"))
        #expect(end.errors == "")
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
        #expect(end.errors.contains("RELAY_TEST_SIGNING_SECRET"))
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
                "would go to: orders"
            ),
            (#"{"command":"/deploy","text":"now","team_id":"T1"}"#, 0, "would go to: orders at /slash/deploy"),
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
