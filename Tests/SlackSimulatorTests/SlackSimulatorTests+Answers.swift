// The way back over real sockets: response_url posts, and what is told of them.

import NIOHTTP1
import NIOWebSocket
import RelayCore
import SlackSimulator
import Testing

extension SlackSimulatorTests {
    private func post(_ url: String?, _ body: String) async throws -> HTTPExchange.Answer {
        try await HTTPExchange.send(
            .POST, try #require(url), headers: ["content-type": "application/json"], body: body)
    }

    /// Sends a command, and takes it from a socket of its own.
    private func sendCommand(_ slack: SlackSimulator) async throws -> EnvelopeRecord {
        let socket = try await TestSocket.open(slack)
        _ = try await socket.nextMessage()
        let id = try await slack.send(.command)[0]
        #expect(try await socket.nextEnvelope().id == id)
        try await socket.acknowledge(id)
        return try await slack.waitForAcknowledgement(of: id)
    }

    @Test("the response_url of a payload points at the simulator, works five times, and its posts are waited for")
    func responseURL() async throws {
        try await withSlack { slack in
            let record = try await sendCommand(slack)
            let base = slack.apiURL.replacing("/api", with: "/hooks/commands/T0SIMULATED/")
            #expect(record.responseURL?.hasPrefix(base) == true)
            async let waited = slack.waitForPost(to: record.id, atLeast: 2)
            for number in 1...5 {
                let answer = try await post(record.responseURL, #"{"text":"\#(number)"}"#)
                #expect((answer.status, answer.body) == (200, "ok"))
            }
            #expect(try await waited.posts.count >= 2)
            let used = try await post(record.responseURL, "{}")
            #expect(used.status == 404)
            #expect(try used.json()["error"] as? String == "expired_url")
            let bodies = try await slack.waitForPost(to: record.id).posts.map {
                String(decoding: $0.body, as: UTF8.self)
            }
            #expect(bodies == (1...5).map { #"{"text":"\#($0)"}"# })
        }
    }

    @Test("what is not for a response_url is refused as Slack refuses it")
    func refusedPosts() async throws {
        try await withSlack { slack in
            let url = try await sendCommand(slack).responseURL
            let get = try await HTTPExchange.send(.GET, try #require(url))
            #expect((get.status, get.headers.first(name: "allow")) == (405, "POST"))
            #expect(try await post(url.map { $0 + "x" }, "{}").status == 404)
            let garbage = try await post(url, "hello")
            #expect((garbage.status, garbage.body) == (400, "invalid_payload"))
            let form = try await HTTPExchange.send(.POST, try #require(url), body: "{}")
            #expect(form.status == 400)
            #expect(try await slack.statistics().refusedPosts == 4)
            try await slack.update { $0.responseURLLifetime = .seconds(-1) }
            #expect(try await post(sendCommand(slack).responseURL, "{}").status == 404)
            await #expect(throws: SlackSimulatorError.self) { try await slack.waitForPost(to: "unknown") }
        }
    }

    @Test("posts fail as told, then work")
    func failedPosts() async throws {
        var unanswered: Task<HTTPExchange.Answer, any Error>?
        try await withSlack { slack in
            let url = try await sendCommand(slack).responseURL
            _ = try await control(slack, "/posts", #"{"count":1,"status":429,"retry_after":7}"#)
            try await slack.failPosts(1, with: .reset)
            try await slack.failPosts(1, with: .silence)
            let limited = try await post(url, "{}")
            #expect((limited.status, limited.headers.first(name: "retry-after")) == (429, "7"))
            await #expect(throws: (any Error).self) { try await post(url, "{}") }
            unanswered = Task { try await post(url, "{}") }
            try await slack.wait { $0.refusedPosts == 3 }
            #expect(try await post(url, "{}").status == 200)
            _ = try await control(slack, "/posts", #"{"count":3,"fault":"silence"}"#)
            _ = try await control(slack, "/posts", #"{"count":0}"#)
            #expect(try await post(url, "{}").status == 200)
        }
        // It ended without an answer when the simulator stopped.
        await #expect(throws: (any Error).self) { try await unanswered?.value }
    }

    @Test("send with wait_ms answers when all is settled, with what the person sees")
    func controlWait() async throws {
        try await withSlack { slack in
            let socket = try await TestSocket.open(slack)
            _ = try await socket.nextMessage()
            async let sent = control(
                slack, "/send", #"{"sample":"command","command":"/deploy","count":2,"wait_ms":600000}"#)
            for _ in 0..<2 {
                let id = try await socket.nextEnvelope().id
                try await socket.send(.text, Array(#"{"envelope_id":"\#(id)","payload":{"text":"hi"}}"#.utf8))
            }
            let answer = try await sent
            let envelopes = try #require(answer["envelopes"] as? [[String: Any]])
            #expect(envelopes.compactMap { $0["envelope_id"] as? String } == answer["envelope_ids"] as? [String])
            #expect(envelopes.map { $0["state"] as? String } == ["acknowledged", "acknowledged"])
            #expect(envelopes.map { $0["seen"] as? [String] } == [["only you: hi"], ["only you: hi"]])
            #expect(envelopes.allSatisfy { ($0["acknowledged_after_ms"] as? Int ?? -1) >= 0 })
            let url = try #require(envelopes[1]["response_url"] as? String)
            #expect(try await post(url, #"{"text":"later","replace_original":true}"#).status == 200)
            let id = try #require(envelopes[1]["envelope_id"] as? String)
            let record = try await control(slack, "/envelopes/\(id)")
            let posted = try #require((record["posts"] as? [[String: Any]])?.first)
            #expect((posted["body"] as? [String: Any])?["text"] as? String == "later")
            let after = try #require(posted["after_ms"] as? Int)
            #expect(
                record["seen"] as? [String] == ["only you: hi", "after \(after) ms, the message is replaced: later"])
        }
    }

    @Test("send with wait_ms answers when the time is up, too; what nobody got is settled at once")
    func controlWaitOver() async throws {
        try await withSlack { slack in
            let lost = try await control(slack, "/send", #"{"sample":"view_submission","wait_ms":600000}"#)
            let seen = (lost["envelopes"] as? [[String: Any]])?.first?["seen"] as? [String]
            #expect(seen == ["the modal stays open: We had some trouble connecting. Try again?"])
            _ = try await TestSocket.open(slack).nextMessage()
            let waiting = try await control(slack, "/send", #"{"sample":"command","wait_ms":1}"#)
            #expect((waiting["envelopes"] as? [[String: Any]])?.first?["state"] as? String == "waiting")
            let frame = try await control(slack, "/send", #"{"frame":"garbage","wait_ms":1}"#)
            #expect((frame["envelopes"] as? [Any])?.isEmpty == true)
        }
    }

    @Test("ids and the flag of a sample can be chosen, and a payload of one's own can hold a working URL")
    func controlValues() async throws {
        try await withSlack { slack in
            let socket = try await TestSocket.open(slack)
            _ = try await socket.nextMessage()
            _ = try await control(
                slack, "/send", #"{"sample":"dialog_submission","callback_id":"c1","accepts_response_payload":false}"#)
            let dialog = try await socket.nextEnvelope()
            #expect(dialog.attributes.callbackID == "c1")
            #expect(!dialog.acceptsResponsePayload)
            _ = try await control(
                slack, "/send", #"{"sample":"block_actions","action_id":"a1","accepts_response_payload":true}"#)
            let button = try await socket.nextEnvelope()
            #expect(button.attributes.actionIDs == ["a1"])
            #expect(button.acceptsResponsePayload)
            _ = try await control(
                slack, "/send",
                #"{"kind":"interaction","payload":{"type":"block_actions","response_url":"{{response_url}}"}}"#)
            let own = try await socket.nextEnvelope()
            let url = try #require(try await slack.record(of: own.id)?.responseURL)
            let escaped = url.replacing("/", with: #"\/"#)
            #expect(own.payload == Payload(#"{"type":"block_actions","response_url":"\#(escaped)"}"#))
            #expect(try await post(url, "{}").status == 200)
        }
    }

    @Test("whoever observes is told of each settled envelope and each post, and of the end")
    func news() async throws {
        try await withSlack { slack in
            var news = try await slack.envelopeNews().makeAsyncIterator()
            let record = try await sendCommand(slack)
            #expect(await news.next() == .settled(record))
            _ = try await post(record.responseURL, #"{"text":"done"}"#)
            #expect(await news.next() == .posted(try await slack.waitForPost(to: record.id)))
            await slack.stop()
            #expect(await news.next() == nil)
        }
    }
}
