// SIGTERM: every connection is left with a close frame, and a second signal ends the wait.

import Foundation
import RelayTestKit
import SlackSimulator
import Testing

@Suite("shutdown", .timeLimit(.minutes(2)))
struct ShutdownTests {
    @Test("SIGTERM sends a close frame on every connection, then exits 0", arguments: [1, 3])
    func closeFrames(connections: Int) async throws {
        try await Stage.with(relay: .init(slack: ["connections: \(connections)"])) { stage in
            try await stage.relay.logged("connected") { $0["slot"] == "\(connections - 1)" }
            #expect(await stage.relay.terminate() == 0)
            // The simulator never closes TCP first: these ends are relay's own.
            try await stage.slack.wait(for: .ended, times: connections)
            let history = try await stage.slack.history()
            for id in Set(history.map(\.connection)) {
                let end = history.filter { $0.connection == id }.map(\.what)
                #expect(end == [.hello, .closeReceived, .ended])
            }
            #expect(stage.relay.log.last?.message == "stopped")
        }
    }

    @Test("what is in flight at SIGTERM comes to its end, however much later than the connections")
    func inFlight() async throws {
        let gate = Gate()
        let script: RecordingBackend.Script = { _ in
            await gate.pass()
            return .ok
        }
        try await Stage.with(relay: .init(logLevel: "debug"), backend: script) { stage in
            try await stage.slack.waitForConnections(atLeast: 2)
            _ = try await stage.slack.send(.message)
            _ = await stage.backend.requests(atLeast: 1)
            stage.relay.process.send(signal: SIGTERM)
            try await stage.slack.wait(for: .ended, times: 2)
            gate.open()
            #expect(await stage.relay.process.waitForExit() == 0)
            #expect(stage.relay.log.contains { $0.message == "delivered" })
        }
    }

    @Test("a drain is over when its time is, although somebody waits for a backend that does not reply")
    func answersEnd() async throws {
        let settings = RelaySettings(slack: ["drain_timeout: 300ms"], backend: "timeout: 10m")
        try await Stage.with(relay: settings, backend: { _ in .silence }) { stage in
            try await stage.slack.waitForConnections(atLeast: 2)
            _ = try await stage.slack.send(.command)
            _ = await stage.backend.requests(atLeast: 1)
            #expect(await stage.relay.terminate() == 0)
        }
    }

    @Test("what is asked of the admin API does not hold up the end")
    func adminRequest() async throws {
        try await Stage.with(relay: .init(backend: "timeout: 10m"), backend: { _ in .silence }) { stage in
            async let tested = stage.relay.command("backends", "test", "app")
            _ = await stage.backend.requests(atLeast: 1)
            #expect(await stage.relay.terminate() == 0)
            let end = try await tested
            #expect(end.code != 0)
        }
    }

    @Test("a second signal ends a drain at once, with 143")
    func secondSignal() async throws {
        try await Stage.with(backend: { _ in .silence }) { stage in
            try await stage.slack.waitForConnections(atLeast: 2)
            _ = try await stage.slack.send(.message)
            _ = await stage.backend.requests(atLeast: 1)
            stage.relay.process.send(signal: SIGTERM)
            try await stage.relay.logged("draining")
            try await stage.slack.wait(for: .closeReceived, times: 2)
            // The delivery in flight would hold it for ten seconds more.
            stage.relay.process.send(signal: SIGTERM)
            #expect(await stage.relay.process.waitForExit() == 143)
            #expect(stage.relay.log.allSatisfy { $0.message != "stopped" })
        }
    }

    @Test("a signal that comes while the gateway starts ends it with 0, and in order", arguments: [SIGTERM, SIGINT])
    func early(signal: Int32) async throws {
        let slack = try await Stage.makeSlack()
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": "url: http://127.0.0.1:9/"])
        let relay = try await RunningRelay.starting(in: home)
        relay.process.send(signal: signal)
        await relay.ended()
        #expect(relay.log.last?.message == "stopped")
        await slack.stop()
    }
}
