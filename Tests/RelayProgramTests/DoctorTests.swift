// `relay doctor`: what it finds, and what it says to do.

import Foundation
import RelayTestKit
import SlackSimulator
import Testing

@Suite("Doctor", .timeLimit(.minutes(2)))
struct DoctorTests {
    private func examine(_ home: RelayHome, _ more: String...) async throws -> (
        code: Int32, output: String, errors: String
    ) {
        try await ChildProcess.relay(
            ["doctor", "--config", home.configurationPath] + more, environment: RelayHome.environment
        ).finish()
    }

    @Test("all is well: every line says ok, exit 0, and nothing is delivered")
    func well() async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend { request in
            let challenge = request.text.firstMatch(of: /"challenge":"([a-z0-9]+)"/).map { String($0.1) } ?? ""
            return .respond(status: 200, body: Array(#"{"challenge":"\#(challenge)"}"#.utf8))
        }
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["app": "url: \(backend.url)/slack/events"], queue: "max_bytes: 1MiB")
        let end = try await examine(home)

        #expect(end.code == 0, "\(end.output)\(end.errors)")
        for word in [
            "slack.api_url", "Slack takes it", "sockets", "backends.app: returns the challenge", "queue.path",
        ] {
            #expect(end.output.contains(word), "\(end.output)")
        }
        #expect(!end.output.contains("→"))
        #expect(!end.output.contains(RelayHome.appToken))
        #expect(backend.requests.map(\.target) == ["/slack/events"])
        await backend.shutDown()
        await slack.stop()
    }

    @Test("what fails is named, each with what to do; exit 1")
    func ill() async throws {
        let slack = try await Stage.makeSlack()
        let refusing = try await RecordingBackend { _ in .status(401) }
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: [
                "away": "url: http://127.0.0.1:1/", "strict": "url: \(refusing.url)",
                "local": "url: http://app/, unix_socket: /nowhere/app.sock",
            ],
            routes: ["name: all, to: [away, strict, local]"], queue: "path: /nowhere/at/all/relay.db")
        let end = try await examine(home, "--output", "json")

        #expect(end.code == 1)
        let lines = end.output.split(separator: "\n").map(String.init)
        #expect(lines.count { $0.contains(#""verdict":"failed""#) && $0.contains(#""advice":"#) } == 4, "\(end.output)")
        #expect(lines.contains { $0.contains("backends.away") && $0.contains("connection_refused") })
        #expect(lines.contains { $0.contains("backends.strict") && $0.contains("give both the same signing secret") })
        #expect(
            lines.contains {
                $0.contains("the Unix socket /nowhere/app.sock: No such file") && $0.contains("at its unix_socket")
            })
        #expect(lines.contains { $0.contains("queue.path") && $0.contains("/nowhere/at/all") })
        #expect(lines.contains { $0.contains("queue.path") && $0.contains("name a file of Relay's own") })
        #expect(end.errors.contains("backends.away, backends.local, backends.strict, queue.path"))
        await refusing.shutDown()
        await slack.stop()
    }

    @Test("a token that Slack refuses ends it with 77")
    func refused() async throws {
        let slack = try await Stage.makeSlack()
        try await slack.failAPICalls(1, with: .error(code: "invalid_auth"))
        let backend = try await RecordingBackend()
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": "url: \(backend.url)"])
        let end = try await examine(home)
        #expect(end.code == 77)
        #expect(end.output.contains("invalid_auth"))
        #expect(end.output.contains("connections:write"))
        await backend.shutDown()
        await slack.stop()
    }

    @Test("a gateway that runs may be examined: its queue is in use")
    func running() async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend()
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": "url: \(backend.url)"])
        let relay = try await home.serve()
        let end = try await examine(home)
        #expect(end.code == 0, "\(end.output)\(end.errors)")
        #expect(end.output.contains("queue.path: in use: "))
        #expect(end.output.contains("without the challenge"))
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }
}
