// Whoever waits for an answer gets it, or learns that there is none: whatever happens to relay, to its backend, to its
// queue and to its connections meanwhile.

import Foundation
import RelayCore
import RelayTestKit
import SlackSimulator
import Testing

@Suite("Answers", .timeLimit(.minutes(2)))
struct AnswerTests {
    @Test("the backend is told how long is left, and its answer is recorded like any other delivery")
    func request() async throws {
        try await AnswerStage.with { _ in
            .json(#"{"text":"Deployed"}"#)
        } body: { stage in
            let record = try await stage.settled(.command)
            let request = try #require(stage.backend.requests.first)

            #expect(record.payload == ParsedJSON(#"{"text":"Deployed"}"#))
            let left = try #require(request.header("X-Relay-Deadline-Ms").flatMap { Int($0) })
            #expect((1...2_500).contains(left))
            #expect(request.attempt == 1)
            #expect(request.header("X-Relay-Route") == "all")
            _ = try await stage.relay.metrics { $0.value("relay_attempts_total", #"outcome="accepted""#) == 1 }
            #expect(
                try await stage.relay.metric("relay_answers_total", #"kind="command""#, #"outcome="answered""#) == 1)
            #expect(try await stage.relay.metric("relay_answer_duration_seconds_count", #"kind="command""#) == 1)
        }
    }

    // MARK: A crash

    @Test(
        "kill -9 after a late bare acknowledgement, before the backend has replied: the late failure message is posted")
    func crashBeforeReply() async throws {
        try await AnswerStage.with(slackKeys: ["answer_deadline: 200ms"]) { _ in
            .silence
        } body: { stage in
            let record = try await stage.settled(.command)
            #expect(record.state == .acknowledged)
            #expect(record.payload == nil)
            await stage.relay.kill()
            let relay = try await stage.home.serve()
            _ = try await stage.slack.waitForPost(to: record.id)
            let line = try await relay.logged(
                "the last process left no reply to a person: telling them that it failed")
            #expect(line["envelope.id"] == record.id)
            await relay.stop()

            #expect(
                try await stage.posts(to: record.id) == [
                    #"{"response_type":"ephemeral","text":"That did not finish."}"#
                ])
            // Nobody knows how far the backend came: it is not asked a second time.
            #expect(stage.backend.requests.count == 1)
        }
    }

    @Test(
        "kill -9 while Slack takes no posts, after the backend has replied: the reply is posted",
        arguments: [
            (.command, #"{"text":"Deployed"}"#),
            (.interactiveMessage, #"{"replace_original":true,"text":"Deployed"}"#),
        ] as [(SimulatedSample, String)])
    func crashAfterReply(sample: SimulatedSample, posted: String) async throws {
        let gate = Gate()
        try await AnswerStage.with(slackKeys: ["answer_deadline: 200ms"]) { _ in
            await gate.pass()
            return .json(#"{"text":"Deployed"}"#)
        } body: { stage in
            try await stage.slack.failPosts(100, with: .status(500))
            let record = try await stage.settled(sample)
            #expect(record.payload == nil)
            gate.open()
            try await stage.relay.logged("a late answer could not be posted; trying again")
            await stage.relay.kill()
            try await stage.slack.failPosts(0, with: .reset)
            let relay = try await stage.home.serve()
            _ = try await stage.slack.waitForPost(to: record.id)
            await relay.stop()

            #expect(try await stage.posts(to: record.id) == [posted])
            #expect(stage.backend.requests.count == 1)
        }
    }

    @Test("a post that Slack answers with 429 is made again, and shown once")
    func postAgain() async throws {
        let reply = #"{"text":"\#(String(repeating: "x", count: 25_000))"}"#
        try await AnswerStage.with { _ in
            .json(reply)
        } body: { stage in
            try await stage.slack.failPosts(1, with: .status(429, retryAfter: 1))
            let id = try await stage.slack.send(.command)[0]
            _ = try await stage.slack.waitForPost(to: id)
            await stage.relay.stop()

            #expect(try await stage.posts(to: id) == [reply])
            #expect(try await stage.slack.statistics().refusedPosts == 1)
        }
    }

    // MARK: Size

    @Test("a command's reply of 25,000 bytes goes to the response_url, after a bare acknowledgement")
    func largeCommand() async throws {
        let reply = #"{"text":"\#(String(repeating: "x", count: 25_000))"}"#
        try await AnswerStage.with { _ in
            .json(reply)
        } body: { stage in
            let record = try await stage.settled(.command)
            #expect(record.state == .acknowledged)
            #expect(record.payload == nil)
            _ = try await stage.slack.waitForPost(to: record.id)
            #expect(
                try await stage.relay.metric("relay_answers_total", #"outcome="answered_by_url""#) == 1)
            await stage.relay.stop()
            #expect(try await stage.posts(to: record.id) == [reply])
            #expect(try await stage.slack.statistics().oversizedFrames == 0)
        }
    }

    @Test("a modal's reply of 25,000 bytes is withheld; the log names its size and the limit")
    func largeModal() async throws {
        let reply = #"{"response_action":"update","view":"\#(String(repeating: "x", count: 25_000))"}"#
        try await AnswerStage.with { _ in
            .json(reply)
        } body: { stage in
            let id = try await stage.slack.send(.viewSubmission)[0]
            let line = try await stage.relay.withheld(id)

            #expect(line.message == "no answer: the reply is too large for an acknowledgement")
            #expect(line["bytes"] == "\(reply.utf8.count)")
            let limit = try #require(line["limit"].flatMap { Int($0) })
            #expect((19_900..<20_000).contains(limit))
            #expect(try await stage.slack.record(of: id)?.copies.first?.acknowledgement == nil)
            #expect(try await stage.relay.metric("relay_answers_total", #"outcome="too_large""#) == 1)
        }
    }

    // MARK: Further backends

    @Test("the first backend of a route answers, the others get the same request as a delivery")
    func fanOut() async throws {
        let audit = try await RecordingBackend { $0.attempt == 1 ? .status(500) : .json(#"{"text":"not asked"}"#) }
        try await AnswerStage.with(
            backends: ["audit": "url: \(audit.url), retry: { schedule: [10ms] }"], to: "[app, audit]"
        ) { _ in
            .json(#"{"text":"Deployed"}"#)
        } body: { stage in
            let record = try await stage.settled(.command)
            let audited = await audit.requests(atLeast: 2)

            #expect(record.payload == ParsedJSON(#"{"text":"Deployed"}"#))
            #expect(audited.map(\.body) == Array(repeating: try #require(stage.backend.requests.first).body, count: 2))
            #expect(audited.allSatisfy { $0.header("X-Relay-Deadline-Ms") == nil })
            await stage.relay.stop()
            #expect(try await stage.posts(to: record.id) == [])
            #expect(stage.backend.requests.count == 1)
        }
        await audit.shutDown()
    }

    @Test("with a full queue the answer goes out all the same, and what the others miss is counted and logged")
    func fullQueue() async throws {
        let audit = try await RecordingBackend { _ in .silence }
        try await AnswerStage.with(
            backends: ["audit": "url: \(audit.url)"], to: "[app, audit]", queue: "max_bytes: 64KiB"
        ) { _ in
            .json(#"{"text":"Deployed"}"#)
        } body: { stage in
            let large = SampleValues(text: String(repeating: "x", count: 40_000))
            let first = try await stage.settled(.command, large)
            _ = await audit.requests(atLeast: 1)
            let second = try await stage.settled(.command, large)
            let line = try await stage.relay.logged(
                "an envelope could not be stored for the further backends of its route")

            #expect(first.payload == ParsedJSON(#"{"text":"Deployed"}"#))
            #expect(second.payload == ParsedJSON(#"{"text":"Deployed"}"#))
            #expect(line.level == "error")
            #expect(line["envelope.id"] == second.id)
            #expect(
                try await stage.relay.metric(
                    "relay_fan_out_failures_total", #"kind="command""#, #"reason="queue_full""#) == 1)
            // What hangs at the audit backend is not waited for.
            await stage.relay.kill()
        }
        await audit.shutDown()
    }

    // MARK: Bounds

    @Test("beyond max_waiting an answer is withheld at once, without asking the backend")
    func overloaded() async throws {
        let gate = Gate()
        try await AnswerStage.with(keys: "max_waiting: 1") { _ in
            await gate.pass()
            return .json(#"{"text":"Deployed"}"#)
        } body: { stage in
            let first = try await stage.slack.send(.command)[0]
            _ = await stage.backend.requests(atLeast: 1)
            let second = try await stage.slack.send(.command)[0]
            let line = try await stage.relay.withheld(second)
            // The first waits on.
            #expect(try await stage.slack.record(of: first)?.copies.first?.acknowledgement == nil)
            gate.open()

            #expect(line.message == "no answer: too many wait for this backend")
            let record = try await stage.slack.waitForAcknowledgement(of: first)
            #expect(record.payload == ParsedJSON(#"{"text":"Deployed"}"#))
            #expect(try await stage.relay.metric("relay_answers_total", #"outcome="overloaded""#) == 1)
            await stage.relay.stop()
            #expect(stage.backend.requests.count == 1)
            #expect(try await stage.slack.record(of: second)?.copies.first?.acknowledgement == nil)
        }
    }

    // MARK: Connections

    @Test("when the connection goes while somebody waits, the answer leaves on another one of the app")
    func connectionLost() async throws {
        let gate = Gate()
        try await AnswerStage.with { _ in
            await gate.pass()
            return .json(#"{"text":"Deployed"}"#)
        } body: { stage in
            _ = try await stage.relay.metrics { $0.value("relay_connections", #"state="connected""#) == 2 }
            let id = try await stage.slack.send(.command)[0]
            _ = await stage.backend.requests(atLeast: 1)
            let connection = try #require(try await stage.slack.record(of: id)?.copies.first?.connection)
            try await stage.slack.disturb(.one(connection), .cut)
            try await stage.relay.logged("disconnected")
            gate.open()
            let record = try await stage.slack.waitForAcknowledgement(of: id)

            #expect(record.state == .acknowledged)
            #expect(record.acknowledgement?.connection != connection)
            #expect(record.payload == ParsedJSON(#"{"text":"Deployed"}"#))
            #expect(try await stage.relay.metric("relay_acknowledgements_sent_total", #"via="other""#) == 1)
            #expect(try await stage.relay.metric("relay_acknowledgements_sent_total", #"via="same""#) == 0)
        }
    }

    @Test("when no connection is left, the answer goes to the response_url")
    func noConnection() async throws {
        let gate = Gate()
        try await AnswerStage.with { _ in
            await gate.pass()
            return .json(#"{"text":"Deployed"}"#)
        } body: { stage in
            let id = try await stage.slack.send(.command)[0]
            _ = await stage.backend.requests(atLeast: 1)
            try await stage.slack.failAPICalls(10_000, with: .status(500))
            try await stage.slack.disturb(.all, .cut)
            _ = try await stage.relay.metrics { $0.value("relay_connections", #"state="connected""#) == 0 }
            gate.open()
            _ = try await stage.slack.waitForPost(to: id)

            #expect(try await stage.posts(to: id) == [#"{"text":"Deployed"}"#])
            #expect(try await stage.relay.metric("relay_acknowledgements_sent_total", #"via="lost""#) == 1)
            #expect(try await stage.relay.metric("relay_answers_total", #"outcome="answered_by_url""#) == 1)
        }
    }
}

@Suite("Events acknowledged when delivered", .timeLimit(.minutes(2)))
struct AcknowledgeDeliveredTests {
    @Test("an event is acknowledged after the backend's 2xx, not before")
    func accepted() async throws {
        let gate = Gate()
        try await AnswerStage.with(.delivered) { _ in
            await gate.pass()
            return .status(204)
        } body: { stage in
            let id = try await stage.slack.send(.message)[0]
            _ = await stage.backend.requests(atLeast: 1)
            #expect(try await stage.slack.record(of: id)?.state == .waiting)
            gate.open()
            let record = try await stage.slack.waitForAcknowledgement(of: id)

            #expect(record.state == .acknowledged)
            #expect(record.copies.count == 1)
            await stage.relay.stop()
            #expect(stage.backend.requests.count == 1)
        }
    }

    @Test("an event that the backend fails is not acknowledged; Slack sends it again, and the backend gets it again")
    func failed() async throws {
        let failures = Answers(2)
        try await AnswerStage.with(.delivered, slack: .impatient) { _ in
            failures.takeOne() ? .status(500) : .ok
        } body: { stage in
            let record = try await stage.settled(.message)

            #expect(record.state == .acknowledged)
            #expect(record.copies.map { $0.acknowledgement != nil } == [false, false, true])
            await stage.relay.stop()
            #expect(stage.backend.requests.count == 3)
            #expect(Set(stage.backend.requests.compactMap(\.eventID)).count == 1)
        }
    }

    @Test("X-Slack-No-Retry: 1 on a failure acknowledges the event")
    func noRetry() async throws {
        try await AnswerStage.with(.delivered, slack: .impatient) { _ in
            .status(500, ("X-Slack-No-Retry", "1"))
        } body: { stage in
            let record = try await stage.settled(.message)

            #expect(record.state == .acknowledged)
            #expect(record.copies.count == 1)
            await stage.relay.stop()
            #expect(stage.backend.requests.count == 1)
        }
    }

    @Test("a copy of a delivered event is acknowledged without the backend, before a restart and after it")
    func copies() async throws {
        try await AnswerStage.with(.delivered) { _ in
            .ok
        } body: { stage in
            let event = SimulatedSample.message.payload(number: 1)
            for count in 1...2 {
                let id = try await stage.slack.send([event])[0]
                #expect(try await stage.slack.waitForAcknowledgement(of: id).state == .acknowledged)
                #expect(stage.backend.requests.count == 1, "at copy \(count)")
            }
            #expect(try await stage.relay.metric("relay_duplicates_total") == 1)
            await stage.relay.stop()
            let relay = try await stage.home.serve()
            let id = try await stage.slack.send([event])[0]
            let record = try await stage.slack.waitForAcknowledgement(of: id)
            await relay.stop()
            #expect(record.state == .acknowledged)
            #expect(stage.backend.requests.count == 1)
        }
    }

    @Test("two copies at the same time are one request, and one answer for both")
    func concurrentCopies() async throws {
        let gate = Gate()
        try await AnswerStage.with(.delivered) { _ in
            await gate.pass()
            return .ok
        } body: { stage in
            let event = SimulatedSample.message.payload(number: 1)
            let ids = try await stage.slack.send([event, event])
            _ = await stage.backend.requests(atLeast: 1)
            _ = try await stage.relay.metrics { $0.value("relay_duplicates_total", #"kind="event""#) == 1 }
            gate.open()

            for id in ids { #expect(try await stage.slack.waitForAcknowledgement(of: id).state == .acknowledged) }
            await stage.relay.stop()
            #expect(stage.backend.requests.count == 1)
        }
    }

    @Test("the further backends of the route get the event when the first one has it")
    func fanOut() async throws {
        let audit = try await RecordingBackend()
        try await AnswerStage.with(.delivered, backends: ["audit": "url: \(audit.url)"], to: "[app, audit]") { _ in
            .ok
        } body: { stage in
            let record = try await stage.settled(.message)
            #expect(record.state == .acknowledged)
            let audited = await audit.requests(atLeast: 1)
            #expect(audited.map(\.body) == stage.backend.requests.map(\.body))
        }
        await audit.shutDown()
    }
}

/// A simulated Slack, a relay that asks a backend for its answers, and that backend.
private struct AnswerStage: Sendable {
    let slack: SlackSimulator
    let backend: RecordingBackend
    let home: RelayHome
    let relay: RunningRelay

    /// Which route there is.
    enum Mode: String {
        /// All kinds in their default mode.
        case answer = "late_failure_message: That did not finish."
        /// Only events, acknowledged when the backend has them.
        case delivered = "match: { kind: event }, acknowledge: delivered"
    }

    /// - Parameters:
    ///   - keys: more keys of the backend `app`.
    ///   - others: more backends.
    ///   - to: of the route.
    ///   - queue: keys of `queue`.
    ///   - script: what `app` answers.
    static func with(
        _ mode: Mode = .answer, slack configuration: SlackSimulatorConfiguration = .init(closesTCP: true),
        slackKeys: [String] = [], keys: String? = nil, backends others: [String: String] = [:], to: String = "app",
        queue: String? = nil,
        script: @escaping RecordingBackend.Script, body: (AnswerStage) async throws -> Void
    ) async throws {
        let slack = try await Stage.makeSlack(configuration)
        let backend = try await RecordingBackend(answer: script)
        do {
            let app = "url: \(backend.url)/slack/events" + (keys.map { ", \($0)" } ?? "")
            let home = try RelayHome(
                apiURL: slack.apiURL, backends: others.merging(["app": app]) { first, _ in first },
                routes: ["name: all, to: \(to), \(mode.rawValue)"], queue: queue, slack: slackKeys)
            let stage = AnswerStage(slack: slack, backend: backend, home: home, relay: try await home.serve())
            try await slack.waitForConnections(atLeast: 2)
            try await body(stage)
            // Most tests have stopped it themselves, to see what it did until its end.
            await stage.relay.kill()
        } catch {
            await slack.stop()
            await backend.shutDown()
            throw error
        }
        await slack.stop()
        await backend.shutDown()
    }

    func settled(_ sample: SimulatedSample, _ values: SampleValues = .init()) async throws -> EnvelopeRecord {
        try await slack.waitForAcknowledgement(of: try await slack.send(sample, values)[0])
    }

    /// What has been posted to the `response_url` until now, members in the order of their names.
    func posts(to envelopeID: String) async throws -> [String] {
        let posts = try await slack.record(of: envelopeID)?.posts ?? []
        return posts.map { ParsedJSON($0.body)?.description ?? "not JSON" }
    }
}

extension RecordingBackend.Answer {
    fileprivate static func json(_ text: String) -> Self {
        .respond(headers: [("Content-Type", "application/json")], body: Array(text.utf8))
    }
}

extension SlackSimulatorConfiguration {
    /// Sends events again soon.
    fileprivate static var impatient: Self {
        Self(
            acknowledgementDeadline: .seconds(1), redelivery: SlackSimulatorConfiguration.fastRedelivery,
            closesTCP: true)
    }
}
