// What `serve` says and does before it serves: the queue that it cannot have, the secrets that it lacks, the guarantees
// that it gives up.

import Foundation
import RelayTestKit
import SlackSimulator
import Testing

@Suite("Start of serve", .timeLimit(.minutes(2)))
struct StartTests {
    @Test("a second process on the same queue exits 73 and says who has it; the first one goes on")
    func secondProcess() async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend()
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": "url: \(backend.url)/slack/events"])

        let first = try await home.serve()
        let second = try await home.start().finish()
        _ = try await slack.send(.message)
        _ = await backend.requests(atLeast: 1)

        #expect(second.code == 73)
        #expect(second.errors.contains("relay.db.lock is locked by process \(first.process.pid)"))
        await first.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test("a queue in a directory that is missing: exit 73, with its name")
    func missingDirectory() async throws {
        let slack = try await Stage.makeSlack()
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["app": "url: http://127.0.0.1:9/"], queue: "path: /nowhere/at/all/relay.db"
        )

        let end = try await home.start().finish()

        #expect(end.code == 73)
        #expect(end.errors.contains("directory /nowhere/at/all of queue.path"))
        #expect(end.errors.contains("No such file or directory"))
        #expect(try await slack.statistics().apiCalls == 0, "asked Slack for a connection without a queue")
        await slack.stop()
    }

    @Test("a file that is no queue is refused with 73 and left as it is")
    func foreignFile() async throws {
        let slack = try await Stage.makeSlack()
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": "url: http://127.0.0.1:9/"])
        let text = String(repeating: "somebody's diary\n", count: 100)
        try text.write(toFile: home.path("relay.db"), atomically: false, encoding: .utf8)

        let end = try await home.start().finish()

        #expect(end.code == 73)
        #expect(end.errors.contains("is not a Relay queue"))
        #expect(try String(contentsOfFile: home.path("relay.db"), encoding: .utf8) == text)
        await slack.stop()
    }

    @Test(
        "what gives up a guarantee is said at the start",
        arguments: [
            ("driver: memory", "driver memory: what is not delivered is lost when this process ends"),
            ("driver: memory, when_full: drop_oldest", "when_full drop_oldest: a full queue removes its oldest"),
        ])
    func warnings(queue: String, warning: String) async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend()
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["app": "url: \(backend.url)/slack/events"], queue: queue)

        let relay = try await home.serve()
        _ = try await slack.send(.message)
        _ = await backend.requests(atLeast: 1)

        #expect(relay.log.contains { $0.level == "warning" && $0.message.hasPrefix(warning) })
        await relay.stop()
        #expect(!FileManager.default.fileExists(atPath: home.path("relay.db")))
        await backend.shutDown()
        await slack.stop()
    }

    @Test("a durable queue starts without a warning, and its file is its owner's alone")
    func quietStart() async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend()
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": "url: \(backend.url)/slack/events"])

        let relay = try await home.serve()
        try await slack.waitForConnections(atLeast: 2)
        let attributes = try FileManager.default.attributesOfItem(atPath: home.path("relay.db"))

        #expect(attributes[.posixPermissions] as? Int == 0o600)
        #expect(relay.log.filter { !["info", "notice", "debug"].contains($0.level) }.map(\.description) == [])
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test(
        "a port that is taken ends serve with 1 and its name",
        arguments: [("health", "health"), ("admin", "the admin API")])
    func takenPort(section: String, what: String) async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend()
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": "url: \(backend.url)/slack/events"])
        let yaml = try String(contentsOfFile: home.configurationPath, encoding: .utf8)
        try yaml.replacing("\(section): { listen: 127.0.0.1:0", with: "\(section): { listen: 127.0.0.1:\(backend.port)")
            .write(toFile: home.configurationPath, atomically: false, encoding: .utf8)

        let end = try await home.start().finish()

        #expect(end.code == 1)
        #expect(end.errors.contains("cannot serve \(what) on 127.0.0.1:\(backend.port)"))
        await backend.shutDown()
        await slack.stop()
    }
}
