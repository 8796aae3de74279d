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

    @Test(
        "drain says so when the process is gone", arguments: [("table", "it is gone"), ("json", #"{"state":"gone"}"#)])
    func drainGone(output: String, said: String) async throws {
        let relay = Mutex<RecordingBackend?>(nil)
        let end = try await PlayedRelay.run(
            ["drain", "--output", output],
            started: { started in
                relay.withLock { $0 = started }
            }
        ) { request in
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

    @Test(
        "status says what the queue does not do, and that it stores while it does",
        arguments: [
            (#""is_writable":true"#, "queue: stores, 0 waiting"),
            (
                #""is_writable":false,"failing":[{"operation":"prune","detail":"queue unavailable: disk I/O error"}]"#,
                "queue: stores; retention fails: queue unavailable: disk I/O error, 0 waiting"
            ),
            (
                #""is_writable":false,"failing":[{"operation":"store","detail":"queue full"},{"operation":"lease","detail":"x"}]"#,
                "queue: DOES NOT STORE; storing fails: queue full; reading fails: x, 0 waiting"
            ),
        ])
    func queueWords(queue: String, line: String) async throws {
        let end = try await PlayedRelay.run(["status"]) { _ in .json(Self.status("running", queue: queue)) }
        #expect(end.output.split(separator: "\n").contains { $0.hasPrefix(line) }, "\(end.output)")
    }

    @Test(
        "a command whose output nobody reads any more ends, and well",
        arguments: [
            // Events, or none: then the heartbeat tells.
            ("deliveries tail", "event: lost\ndata: {\"count\":1}\n\n"), ("deliveries tail", ":\n\n"),
            ("deliveries list --all --output json", ""),
        ])
    func nobodyReads(command: String, again: String) async throws {
        let page = #"{"items":[],"next":"1","padding":"\#(String(repeating: "x", count: 1_000))"}"#
        let relay = try await RecordingBackend { request in
            guard request.target.contains("/stream") else { return .json(page) }
            return .endless(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: here\n\n"
                    + "event: lost\ndata: {\"count\":1}\n\n", again: again, pause: .milliseconds(20))
        }
        let end = try await ChildProcess.relay(
            command.split(separator: " ").map(String.init), pipedInto: "head -n 1",
            environment: ["RELAY_ADMIN_URL": relay.url]
        ).finish()
        #expect(end.output.split(separator: "\n").count == 2)
        #expect(end.output.hasSuffix("\nrelay ended with 0"))
        await relay.shutDown()
    }

    @Test("a list goes on over pages that are short until it has what was asked for", arguments: [1, 2, 3, 50])
    func shortPages(limit: Int) async throws {
        let pages = ["": ("", "30"), "30": ("a", "20"), "20": ("", "10"), "10": ("b", "5"), "5": ("c", nil)]
        let script: RecordingBackend.Script = { request in
            let parameters = request.target.split(whereSeparator: { "?&".contains($0) })
            let cursor = parameters.first { $0.hasPrefix("cursor=") }?.dropFirst(7) ?? ""
            guard let (id, next) = pages[String(cursor)] else { return .status(400) }
            let items = id.isEmpty ? "" : Self.delivery(id)
            return .json("{\"items\":[\(items)]\(next.map { ",\"next\":\"\($0)\"" } ?? "")}")
        }
        let ids = ["a", "b", "c"].prefix(limit)
        let listed = try await PlayedRelay.run(["deliveries", "list", "--limit", "\(limit)"], answer: script)
        #expect(listed.output.split(separator: "\n").dropFirst().map { $0.prefix(1) } == ids.map { $0.prefix(1) })
        #expect(listed.errors.contains("there are more") == (limit < 3))

        let json = try await PlayedRelay.run(
            ["deliveries", "list", "--limit", "\(limit)", "--output", "json"], answer: script)
        let next = [1: "20", 2: "5"][limit].map { ",\"next\":\"\($0)\"" } ?? ""
        #expect(json.output == "{\"items\":[\(ids.map(Self.delivery).joined(separator: ","))]\(next)}")
    }

    private static func delivery(_ id: String) -> String {
        """
        {"app":"default","attempts_made":1,"backend":"orders","envelope_id":"e","id":"\(id)","kind":"event",\
        "received_at":"2026-11-23T09:11:47.123Z","replays":0,"route":"all","state":"scheduled"}
        """
    }

    private static func status(_ state: String, queue: String = #""is_writable":true"#) -> String {
        """
        {"apps":[],"backends":[],"configuration":{"fingerprint":"","generation":1,"loaded_at":""},"problems":[],\
        "queue":{"dead":0,"dropped":0,"waiting":0,\(queue)},"started_at":"2026-11-23T09:11:47.123Z",\
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
