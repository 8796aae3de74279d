// Each response_url: which envelopes have one, and what Slack takes there.

import Foundation
import RelayCore
import SocketMode
import Testing

@testable import SlackSimulator

@Suite struct ResponseURLTests {
    private let start = Timestamp(millisecondsSinceEpoch: 1_700_000_000_000)
    private let body = Array(#"{"text":"done"}"#.utf8)

    private func at(_ seconds: Double) -> Timestamp { start.advanced(by: .seconds(seconds)) }

    private func makeSlack(_ configuration: SlackSimulatorConfiguration = .init()) -> SlackStateMachine {
        var slack = SlackStateMachine(configuration)
        slack.hooksURL = "http://127.0.0.1:9500/hooks"
        return slack
    }

    /// Sends one payload to nobody; what remains is its record.
    private func send(_ payload: SimulatedPayload, _ slack: inout SlackStateMachine) throws -> EnvelopeRecord {
        let (ids, _) = slack.send([payload], now: start)
        return try #require(slack.record(ids[0]))
    }

    private func path(_ record: EnvelopeRecord) throws -> String {
        String(try #require(record.responseURL).dropFirst("http://127.0.0.1:9500/hooks/".count))
    }

    private func post(
        _ path: String, _ slack: inout SlackStateMachine, isPOST: Bool = true, type: String? = "application/json",
        body: String = #"{"text":"done"}"#, after seconds: Double = 1
    ) -> SlackStateMachine.PostAnswer {
        slack.posted(to: path, isPOST: isPOST, contentType: type, body: Array(body.utf8), now: at(seconds)).0
    }

    @Test(
        "only what has a response_url at Slack has one, and it stands in the payload",
        arguments: SimulatedSample.allCases)
    func samples(_ sample: SimulatedSample) throws {
        let having: Set<SimulatedSample> = [
            .command, .blockActions, .messageAction, .interactiveMessage, .dialogSubmission, .dialogCancellation,
        ]
        var slack = makeSlack()
        let record = try send(sample.payload(number: 1), &slack)
        let payload = try #require(try JSONSerialization.jsonObject(with: Data(record.payload)) as? [String: Any])
        #expect((record.responseURL != nil) == having.contains(sample))
        #expect(payload["response_url"] as? String == record.responseURL)
        let prefix = "http://127.0.0.1:9500/hooks/\(sample == .command ? "commands" : "actions")/T0SIMULATED/1/"
        #expect(record.responseURL?.hasPrefix(prefix) ?? true)
    }

    @Test("a callback_id and an action_id address a handler")
    func identifiers() throws {
        var slack = SlackStateMachine(.init())
        _ = slack.opened(.regular(isShortLived: false), now: start)
        for sample in SimulatedSample.allCases where sample.kind == .interaction || sample.kind == .options {
            let (_, actions) = slack.send([sample.payload(number: 1, callbackID: "c/1", actionID: "a1")], now: start)
            guard case .text(_, let text) = actions.first,
                case .envelope(let envelope) = SlackMessage.parse(text, app: "demo", receivedAt: start)
            else {
                Issue.record("no envelope of \(sample)")
                continue
            }
            let isBlockElement = sample == .blockActions || sample == .blockSuggestion
            let callback = envelope.attributes.callbackID ?? envelope.attributes.view
            #expect(callback == (isBlockElement ? nil : "c/1"), "\(sample)")
            #expect(envelope.attributes.actionIDs == (isBlockElement ? ["a1"] : []), "\(sample)")
        }
    }

    @Test("the placeholder is replaced wherever it stands, escaped as Slack does; all else keeps its bytes")
    func placeholder() throws {
        var slack = makeSlack()
        let raw = #"{ "a":"{{response_url}}","b":["{{ x }} {{response_url}}!"], "n":1.50,"c":"{{response_url}" }"#
        let record = try send(SimulatedPayload(.interaction, payload: Array(raw.utf8)), &slack)
        let url = try #require(record.responseURL).replacing("/", with: #"\/"#)
        #expect(
            String(decoding: record.payload, as: UTF8.self)
                == #"{ "a":"\#(url)","b":["{{ x }} \#(url)!"], "n":1.50,"c":"{{response_url}" }"#)
        let plain = try send(SimulatedPayload(.interaction, payload: Array("{{response_url".utf8)), &slack)
        #expect(plain.responseURL == nil)
        #expect(plain.payload == Array("{{response_url".utf8))
    }

    @Test("each envelope has a URL of its own, and a post is remembered with the envelope it is for")
    func posts() throws {
        var slack = makeSlack()
        let payload = SimulatedSample.command.payload(number: 1)
        let (first, second) = (try send(payload, &slack), try send(payload, &slack))
        #expect(first.responseURL != second.responseURL)
        let (answer, actions) = slack.posted(
            to: try path(second), isPOST: true, contentType: "application/json; charset=utf-8", body: body, now: at(2))
        #expect(answer == .taken)
        #expect(actions == [.posted(second.id)])
        #expect(slack.record(second.id)?.posts == [EnvelopeRecord.Post(at: at(2), body: body)])
        #expect(slack.record(first.id)?.posts == [])
        #expect(slack.statistics.posts == 1)
    }

    @Test("five posts are taken, the sixth is not; a refused one does not count")
    func uses() throws {
        var slack = makeSlack()
        let record = try send(SimulatedSample.command.payload(number: 1), &slack)
        let path = try path(record)
        #expect(post(path, &slack, body: "[]") == .invalidPayload)
        for _ in 0..<5 { #expect(post(path, &slack) == .taken) }
        #expect(post(path, &slack) == .expired)
        #expect(slack.record(record.id)?.posts.count == 5)
        #expect((slack.statistics.posts, slack.statistics.refusedPosts) == (5, 2))
    }

    @Test("after 30 minutes nothing is taken any more")
    func lifetime() throws {
        var slack = makeSlack()
        let path = try path(try send(SimulatedSample.command.payload(number: 1), &slack))
        #expect(post(path, &slack, after: 1_800) == .taken)
        #expect(post(path, &slack, after: 1_800.1) == .expired)
    }

    @Test("what is no POST of a JSON object to a URL that was given out is refused")
    func refusals() throws {
        var slack = makeSlack()
        let path = try path(try send(SimulatedSample.command.payload(number: 1), &slack))
        #expect(post(path, &slack, isPOST: false) == .wrongMethod)
        #expect(post(path + "0", &slack) == .unknown)
        #expect(post("", &slack) == .unknown)
        for body in ["", "done", "[]", #""done""#, #"{"text":"#] {
            #expect(post(path, &slack, body: body) == .invalidPayload)
        }
        for type in [nil, "text/plain", "application/x-www-form-urlencoded"] {
            #expect(post(path, &slack, type: type) == .invalidPayload)
        }
        #expect(post(path, &slack, type: "Application/JSON") == .taken)
    }

    @Test("faults are used up in order, then all is well again")
    func faults() throws {
        var slack = makeSlack()
        let path = try path(try send(SimulatedSample.command.payload(number: 1), &slack))
        slack.postFaults = [.status(429, retryAfter: 3), .reset, .silence]
        #expect(post(path, &slack) == .fault(.status(429, retryAfter: 3)))
        #expect(post(path, &slack) == .fault(.reset))
        #expect(post(path, &slack) == .fault(.silence))
        for _ in 0..<5 { #expect(post(path, &slack) == .taken) }
    }

    @Test("the URL of a forgotten envelope is forgotten, too")
    func forgetting() throws {
        var slack = makeSlack(.init(recordLimit: 1))
        let path = try path(try send(SimulatedSample.command.payload(number: 1), &slack))
        for _ in 0..<5 { _ = try send(SimulatedSample.command.payload(number: 2), &slack) }
        #expect(post(path, &slack) == .unknown)
        #expect(slack.responseURLs.count <= 2)
    }
}
