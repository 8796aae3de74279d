// As many people at a time as there are sockets for, and what happens to the others.

import Foundation
import RelayTestKit
import SlackSimulator
import Testing

@Suite("Open files", .timeLimit(.minutes(2)))
struct OpenFilesTests {
    @Test("the soft limit is raised to the hard one")
    func raised() async throws {
        let slack = try await Stage.makeSlack()
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["app": "url: http://127.0.0.1:9/"], ulimit: "-Sn 100")
        let relay = try await home.serve()
        let limits = try String(contentsOfFile: "/proc/\(relay.process.pid)/limits", encoding: .utf8)
        let words = try #require(limits.split(separator: "\n").first { $0.hasPrefix("Max open files") })
            .split(separator: " ")
        #expect(words[3] == words[4])
        #expect(words[3] != "100")
        await relay.stop()
        await slack.stop()
    }

    @Test("few open files: who cannot be waited for is told so at once, the others are answered, health goes on")
    func few() async throws {
        let gate = Gate()
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend(answer: { _ in
            await gate.pass()
            return .respond(headers: [("Content-Type", "application/json")], body: Array(#"{"text":"done"}"#.utf8))
        })
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["app": "url: \(backend.url)/slack/events"], ulimit: "-n 260")
        let relay = try await home.serve()
        try await slack.waitForConnections(atLeast: 2)
        let warning = try await relay.logged(
            "fewer answers can be waited for at a time than max_waiting says: too few files may be open")
        // 260, less 213 in reserve, 17 of them for what goes to Slack, and 16 for deliveries.
        #expect(warning["limit"] == "31")

        _ = try await slack.send(.command, count: 60)
        _ = await backend.requests(atLeast: 31)
        _ = try await relay.metrics { $0.value("relay_answers_total", #"kind="command",outcome="overloaded""#) == 29 }
        #expect(try await relay.health("/readyz").status == 200)
        gate.open()
        _ = try await relay.metrics { $0.value("relay_answers_total", #"kind="command",outcome="answered""#) == 31 }

        #expect(backend.requests.count == 31)
        #expect(try await slack.statistics().acknowledged == 31)
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }
}
