// The commands beside a relay that is played: what comes over the wire, and what does not.

import Foundation
import RelayTestKit
import Synchronization
import Testing

@Suite("Commands and what answers them", .timeLimit(.minutes(2)))
struct CommandClientTests {
    @Test(
        "a page that is no admin API of Relay is no success: 69, and nothing of it is printed",
        arguments: [
            ["status"], ["deliveries", "retry", "3f9c2a1b-1"], ["dead", "list", "--output", "json"],
            ["deliveries", "tail"],
        ])
    func stranger(arguments: [String]) async throws {
        let end = try await PlayedRelay.run(arguments) { _ in
            .respond(headers: [("Content-Type", "text/html; charset=utf-8")], body: Array("<html>hello</html>".utf8))
        }
        #expect(end.code == 69)
        #expect(end.output == "")
        #expect(end.errors.contains("no admin API of Relay: it answers HTTP 200, Content-Type text/html"))
    }

    @Test("drain asks again while it cannot know, and prints the last status")
    func drainUnknown() async throws {
        let asked = Mutex(0)
        let end = try await PlayedRelay.run(["drain", "--output", "json"]) { request in
            guard request.method == "GET" else { return .json(Self.status("draining"), status: 202) }
            switch asked.withLock({
                $0 += 1
                return $0
            }) {
            case 1: return .close
            case 2: return .status(503)
            case 3: return .json(#"{"status":401}"#, status: 401)
            case 4: return .json(Self.status("draining"))
            default: return .json(Self.status("drained"))
            }
        }
        #expect(end.code == 0)
        #expect(end.output == Self.status("drained"))
        #expect(asked.withLock { $0 } == 5)
    }

    @Test("drain says so when the process is gone", arguments: [("table", "it is gone"), ("json", #"{"state":"gone"}"#)])
    func drainGone(output: String, said: String) async throws {
        let relay = Mutex<RecordingBackend?>(nil)
        let end = try await PlayedRelay.run(["drain", "--output", output], started: { started in
            relay.withLock { $0 = started }
        }) { request in
            guard request.method == "GET" else { return .json(Self.status("draining"), status: 202) }
            await relay.withLock { $0 }?.shutDown()
            return .close
        }
        #expect(end.code == 0)
        #expect(end.output == said)
    }

    @Test("drain that gets no answer any more ends at its timeout, and says that it does not know")
    func drainSilence() async throws {
        let start = ContinuousClock.now
        let end = try await PlayedRelay.run(["drain", "--timeout", "1"]) { request in
            request.method == "GET" ? .silence : .json(Self.status("draining"), status: 202)
        }
        #expect(end.code == 69)
        #expect(end.output == "")
        #expect(end.errors.contains("after 1 s it is not known whether it is drained"))
        #expect(end.errors.contains("answers nothing within"))
        #expect(start.duration(to: .now) < .seconds(30))
    }

    private static func status(_ state: String) -> String {
        """
        {"apps":[],"backends":[],"configuration":{"fingerprint":"","generation":1,"loaded_at":""},"problems":[],\
        "queue":{"dead":0,"dropped":0,"is_writable":true,"waiting":0},"started_at":"2026-11-23T09:11:47.123Z",\
        "state":"\(state)","version":"1"}
        """
    }
}

/// Answers a command in a relay's place.
enum PlayedRelay {
    static func run(
        _ arguments: [String], started: (RecordingBackend) -> Void = { _ in }, answer: @escaping RecordingBackend.Script
    ) async throws -> (code: Int32, output: String, errors: String) {
        let relay = try await RecordingBackend(answer: answer)
        started(relay)
        let end = try await ChildProcess.relay(
            arguments, environment: ["RELAY_ADMIN_URL": relay.url, "RELAY_ADMIN_TOKEN": ""]
        ).finish()
        await relay.shutDown()
        return end
    }
}

extension RecordingBackend.Answer {
    static func json(_ text: String, status: Int = 200) -> Self {
        .respond(status: status, headers: [("Content-Type", "application/json")], body: Array(text.utf8))
    }
}
