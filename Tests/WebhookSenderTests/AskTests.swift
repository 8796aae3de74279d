// Asking for an answer over real sockets: what counts as one, for people and for events.

import Curl
import Glibc
import RelayCore
import RelayTestKit
import Signing
import Synchronization
import Testing
import WebhookSender

@Suite struct AskTests {
    typealias Answer = RecordingBackend.Answer

    private static let forPeople: [Kind] = [.command, .interaction, .options]

    @Test(
        "a person's answer is a 200, and nothing else",
        arguments: [
            (.json("{\"a\":1}"), .accepted, .payload(Payload("{\"a\":1}"))),
            (.text("hi"), .accepted, .payload(Payload("{\"text\":\"hi\"}"))),
            (.status(200), .accepted, .empty),
            (.json("[]"), .accepted, .unusable(.notAnObject)),
            (.status(200, ("X-Slack-No-Retry", "1")), .accepted, .empty),
            (.raw("HTTP/1.1 200 OK\r\n\r\nto the end"), .accepted, .payload(Payload("{\"text\":\"to the end\"}"))),
            (.status(201), .failed(.http(status: 201)), nil),
            (.status(204), .failed(.http(status: 204)), nil),
            (.status(299), .failed(.http(status: 299)), nil),
            (.status(302, ("Location", "/else")), .failed(.redirect), nil),
            (.status(400), .rejected(.http(status: 400)), nil),
            (.status(404), .failed(.http(status: 404)), nil),
            (.status(500), .failed(.http(status: 500)), nil),
            (.status(500, ("X-Slack-No-Retry", "1")), .rejected(.http(status: 500)), nil),
            (.close, .failed(.connectionReset), nil),
            (.raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), .accepted, .unusable(.incomplete)),
            (.raw("HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nhalf"), .failed(.http(status: 500)), nil),
        ] as [(Answer, AttemptOutcome, BackendReply?)])
    func people(answer: Answer, outcome: AttemptOutcome, reply: BackendReply?) async throws {
        try await withSender(answer: { _ in answer }) { backend, sender in
            for kind in Self.forPeople {
                let result = await sender.ask(delivery(kind: kind), attempt: 1, deadline: started)
                #expect(result.attempt.outcome == outcome)
                #expect(result.reply == reply)
                #expect(!result.wantsNoRetry)
            }
            #expect(backend.requests.count == Self.forPeople.count)
        }
    }

    @Test(
        "an event asks for a 2xx, and its body is not read",
        arguments: [
            (.json("{\"a\":1}"), .accepted, false),
            (.json("broken"), .accepted, false),
            (.status(201), .accepted, false),
            (.status(204), .accepted, false),
            (.status(200, ("X-Slack-No-Retry", "1")), .accepted, false),
            (.raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), .accepted, false),
            (.status(302, ("Location", "/else")), .failed(.redirect), false),
            (.status(302, ("X-Slack-No-Retry", "1")), .rejected(.redirect), true),
            (.status(500), .failed(.http(status: 500)), false),
            (.status(500, ("X-Slack-No-Retry", "1")), .rejected(.http(status: 500)), true),
            (.status(500, ("X-Slack-No-Retry", "0")), .failed(.http(status: 500)), false),
            (.status(410), .rejected(.http(status: 410)), false),
            (.close, .failed(.connectionReset), false),
        ] as [(Answer, AttemptOutcome, Bool)])
    func events(answer: Answer, outcome: AttemptOutcome, wantsNoRetry: Bool) async throws {
        try await withSender(answer: { _ in answer }) { _, sender in
            let result = await sender.ask(delivery(), attempt: 1, deadline: started)
            #expect(result.attempt.outcome == outcome)
            #expect(result.reply == (outcome == .accepted ? .empty : nil))
            #expect(result.wantsNoRetry == wantsNoRetry)
        }
    }

    @Test("a body of 1 MiB is read, a longer one is no answer to a person, and no matter for an event")
    func largeBody() async throws {
        let size = Mutex(0)
        try await withSender(answer: { _ in .respond(body: [UInt8](repeating: 0x78, count: size.withLock { $0 })) }) {
            _, sender in
            size.withLock { $0 = 1 << 20 }
            let whole = await sender.ask(delivery(kind: .options), attempt: 1, deadline: started)
            #expect(whole.reply == .payload(Payload("{\"text\":\"\(String(repeating: "x", count: 1 << 20))\"}")))
            size.withLock { $0 += 1 }
            for kind in Self.forPeople {
                let result = await sender.ask(delivery(kind: kind), attempt: 1, deadline: started)
                #expect(result.attempt.status == 200)
                #expect(result.reply == .unusable(.incomplete))
            }
            let event = await sender.ask(delivery(), attempt: 1, deadline: started)
            #expect(event.attempt.outcome == .accepted)
            #expect(event.reply == .empty)
        }
    }

    @Test("nothing listens at the backend", arguments: Kind.allCases)
    func refused(kind: Kind) async throws {
        try await withSender(configure: { $0.url = nowhere }) { _, sender in
            let result = await sender.ask(delivery(kind: kind), attempt: 1, deadline: started)
            #expect(result.attempt.outcome == .failed(.connectionRefused))
            #expect(result.reply == nil)
        }
    }

    @Test("what is left until the deadline is told, and nothing of it in a delivery")
    func deadline() async throws {
        let clock = Mutex(started)
        try await withSender(now: { clock.withLock { $0 } }) { backend, sender in
            let deadline = started.advanced(by: .milliseconds(2500))
            for attempt in 1...3 {
                _ = await sender.ask(delivery(kind: .command), attempt: attempt, deadline: deadline)
                clock.withLock { $0 = $0.advanced(by: .milliseconds(1400)) }
            }
            _ = await sender.ask(delivery(), attempt: 1, deadline: clock.withLock { $0.advanced(by: .milliseconds(1)) })
            _ = await sender.send(delivery(kind: .command), attempt: 1)
            #expect(backend.requests.map { $0.header("X-Relay-Deadline-Ms") } == ["2500", "1100", "0", "1", nil])
        }
    }

    @Test("the request is the delivery's, with a signature the backend can verify")
    func signed() async throws {
        try await withSender { backend, sender in
            _ = await sender.ask(delivery(kind: .command, payload: #"{"text":"a b"}"#), attempt: 2, deadline: started)
            let request = try #require(backend.requests.first)
            #expect(request.text == "text=a+b")
            #expect(request.header("X-Relay-Attempt") == "2")
            #expect(
                SlackSignature.verify(
                    request.header("X-Slack-Signature") ?? "", secret: Array("app secret".utf8),
                    timestamp: 1_700_000_000, body: request.body))
        }
    }

    @Test("retry headers tell why the answer before failed")
    func retryHeaders() async throws {
        try await withSender(
            answer: { _ in .status(503) },
            configure: { backend in
                backend.retryHeaders = .relay
            }
        ) { backend, sender in
            for attempt in 1...2 {
                _ = await sender.ask(delivery(kind: .command), attempt: attempt, deadline: started)
            }
            #expect(backend.requests.map { $0.header("X-Slack-Retry-Num") } == [nil, "1"])
            #expect(backend.requests.map { $0.header("X-Slack-Retry-Reason") } == [nil, "http_error"])
        }
    }

    @Test("a payload that cannot be rendered is rejected, without a request")
    func payload() async throws {
        try await withSender { backend, sender in
            let result = await sender.ask(delivery(kind: .command, payload: "[]"), attempt: 1, deadline: started)
            #expect(result.attempt.outcome == .rejected(.requestError))
            #expect(result.reply == nil)
            #expect(backend.requests.isEmpty)
        }
    }

    @Test("who asks goes on where he was")
    func wayBack() async throws {
        let elsewhere = CurlClient()
        try await withSender { _, sender in
            let asker = Asker()
            let own = await Task(executorPreference: elsewhere.executor) { pthread_self() }.value
            #expect(await withTaskExecutorPreference(elsewhere.executor) { await asker.ask(sender) } == own)
        }
        elsewhere.shutdown()
    }
}

/// An actor, as the one that asks in the gateway.
private actor Asker {
    /// Where it goes on.
    func ask(_ sender: WebhookSender) async -> pthread_t {
        _ = await sender.ask(delivery(), attempt: 1, deadline: started)
        return pthread_self()
    }
}

extension RecordingBackend.Answer {
    fileprivate static func json(_ body: String) -> Self {
        .respond(headers: [("Content-Type", "application/json")], body: Array(body.utf8))
    }

    fileprivate static func text(_ body: String) -> Self {
        .respond(headers: [("Content-Type", "text/plain")], body: Array(body.utf8))
    }
}
