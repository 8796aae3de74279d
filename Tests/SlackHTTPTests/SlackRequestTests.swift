// Requests of every kind against what slack-protocol.md §4 says, written out by hand.

import RelayCore
import SlackHTTP
import Testing

@Suite struct SlackRequestTests {
    @Test("an event: headers in order, and the payload's bytes as they are")
    func event() throws {
        // Spaces, escapes, a number too large for a double, a name that comes twice: nothing is read and written again.
        let payload =
            #"{"token":"t", "event":{"text":"a\/b \u00e9 é","n":12345678901234567890},"type":"event_callback","type":"x"}"#
        let request = try SlackRequest.render(delivery(.event, payload), attempt: 1, for: Backend(name: "b"))
        #expect(request.body == Array(payload.utf8))
        #expect(
            lines(request) == [
                "User-Agent: Slackbot 1.0 (+https://api.slack.com/robots)",
                "Accept: */*",
                "Accept-Encoding: gzip,deflate",
                "Content-Type: application/json",
                "X-Slack-Request-Timestamp: 1700000000",
                "X-Slack-Signature: v0=abc",
                "X-Relay-Delivery-Id: 3f9c2a1b-1234",
                "X-Relay-Attempt: 1",
                "X-Relay-Route: deploys",
                "X-Relay-Received-At: 1699999999123",
            ])
    }

    @Test("a command: headers, and the fields in Slack's order")
    func command() throws {
        let payload = """
            {"trigger_id":"13345224609.738474920.8088930838d88f008e0","response_url":"https:\\/\\/hooks.slack.com\\/commands\\/1234\\/5678",\
            "text":"94070 & more=less~* caf\\u00e9 (line1\\nline2)","command":"/weather","user_name":"Steve","user_id":"U2147483697",\
            "channel_name":"test","channel_id":"C2147483705","team_domain":"example","team_id":"T0001",\
            "token":"gIkuvaNzQIHg97ATvDxqgjtO","is_enterprise_install":"false","api_app_id":"A123456"}
            """
        let request = try SlackRequest.render(delivery(.command, payload), attempt: 1, for: Backend(name: "b"))
        #expect(
            String(decoding: request.body, as: UTF8.self) == """
                token=gIkuvaNzQIHg97ATvDxqgjtO&team_id=T0001&team_domain=example&channel_id=C2147483705&channel_name=test\
                &user_id=U2147483697&user_name=Steve&command=%2Fweather\
                &text=94070+%26+more%3Dless%7E%2A+caf%C3%A9+%28line1%0Aline2%29\
                &api_app_id=A123456&is_enterprise_install=false\
                &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2F1234%2F5678\
                &trigger_id=13345224609.738474920.8088930838d88f008e0
                """)
        #expect(
            lines(request).prefix(4) == [
                "User-Agent: Slackbot 1.0 (+https://api.slack.com/robots)",
                "Accept: application/json,*/*",
                "Accept-Encoding: gzip,deflate",
                "Content-Type: application/x-www-form-urlencoded",
            ])
    }

    @Test(
        "an interaction and an options load: one form field that holds the JSON",
        arguments: [Kind.interaction, .options])
    func interaction(kind: Kind) throws {
        let payload =
            #"{"type":"block_actions","response_url":"https:\/\/hooks.slack.com\/a","block_id":"=+ü","text":"a b"}"#
        let request = try SlackRequest.render(delivery(kind, payload), attempt: 1, for: Backend(name: "b"))
        #expect(
            String(decoding: request.body, as: UTF8.self) == """
                payload=%7B%22type%22%3A%22block_actions%22%2C%22response_url%22%3A%22https%3A%5C%2F%5C%2Fhooks.slack.com\
                %5C%2Fa%22%2C%22block_id%22%3A%22%3D%2B%C3%BC%22%2C%22text%22%3A%22a+b%22%7D
                """)
        #expect(formDecoded(request.body).map(\.name) == ["payload"])
        #expect(formDecoded(request.body).map(\.value) == [payload])
        #expect(
            lines(request).prefix(4) == [
                "User-Agent: Slackbot 1.0 (+https://api.slack.com/robots)",
                "Accept: application/json,*/*",
                "Accept-Encoding: gzip,deflate",
                "Content-Type: application/x-www-form-urlencoded",
            ])
    }

    @Test(
        "who waits for an answer says how long, in whole milliseconds and never less than none",
        arguments: [
            (Duration.milliseconds(2500), "2500"), (.microseconds(1999), "1"), (.microseconds(999), "0"),
            (.zero, "0"), (.milliseconds(-1), "0"), (.seconds(-60), "0"),
        ])
    func deadline(timeLeft: Duration, sent: String) throws {
        let request = try SlackRequest.render(
            delivery(.command, "{}"), attempt: 1, for: Backend(name: "b"), timeLeft: timeLeft)
        #expect(lines(request).suffix(2) == ["X-Relay-Received-At: 1699999999123", "X-Relay-Deadline-Ms: \(sent)"])
    }

    @Test("configured headers come last, and take the place of one with their name")
    func configuredHeaders() throws {
        let backend = Backend(
            name: "b", headers: [.init(name: "X-Tenant", value: "7"), .init(name: "accept", value: "text/plain")],
            userAgent: "mine")
        let request = try SlackRequest.render(delivery(.event, "{}"), attempt: 1, for: backend)
        let lines = lines(request)
        #expect(lines.first == "User-Agent: mine")
        #expect(lines.dropFirst().first == "accept: text/plain")
        #expect(lines.last == "X-Tenant: 7")
        #expect(lines.filter { $0.lowercased().hasPrefix("accept:") }.count == 1)
    }

    @Test("an attempt has its number, the trace of its delivery and a span of its own")
    func attempts() throws {
        func headers(sequence: Int64, attempt: Int) throws -> [String: String] {
            let request = try SlackRequest.render(
                delivery(.event, "{}", sequence: sequence), attempt: attempt, for: Backend(name: "b"))
            let headers = request.headers(slackSigned())
            return Dictionary(uniqueKeysWithValues: headers.map { ($0.name, $0.value) })
        }
        let first = try headers(sequence: 1, attempt: 1)
        let second = try headers(sequence: 1, attempt: 2)
        let other = try headers(sequence: 2, attempt: 1)
        #expect(second["X-Relay-Attempt"] == "2")
        let spans = [first, second, other].map { $0["traceparent"]?.split(separator: "-") ?? [] }
        for span in spans {
            #expect(span.map(\.count) == [2, 32, 16, 2])
            #expect(span.first == "00" && span.last == "01")
            #expect(span.joined().allSatisfy { $0.isHexDigit && !$0.isUppercase })
        }
        try #require(spans.allSatisfy { $0.count == 4 })
        #expect(spans[0][1] == spans[1][1])
        #expect(spans[0][1] != spans[2][1])
        #expect(Set(spans.map { $0[2] }).count == 3)
        #expect(try headers(sequence: 1, attempt: 1) == first)
    }
}

/// Golden requests: the signature headers of each scheme and where they stand, written out by hand.
@Suite struct SignatureHeadersTests {
    private func lines(_ signatures: [RequestSignatures.Signature]) throws -> [String] {
        var delivery = delivery(.event, "{}")
        delivery.slackRetry = SlackRetry(attempt: 1, reason: "timeout")
        let request = try SlackRequest.render(
            delivery, attempt: 1,
            for: Backend(name: "b", headers: [.init(name: "X-Tenant", value: "7")], retryHeaders: .slack))
        return SlackHTTPTests.lines(
            request.headers(
                RequestSignatures(id: "3f9c2a1b-1234", timestamp: 1_700_000_000, signatures: signatures)))
    }

    private let before = [
        "User-Agent: Slackbot 1.0 (+https://api.slack.com/robots)",
        "Accept: */*",
        "Accept-Encoding: gzip,deflate",
        "Content-Type: application/json",
    ]
    private let slack = ["X-Slack-Request-Timestamp: 1700000000", "X-Slack-Signature: v0=abc"]
    private let retry = ["X-Slack-Retry-Num: 1", "X-Slack-Retry-Reason: http_timeout"]
    private let after = [
        "X-Relay-Delivery-Id: 3f9c2a1b-1234",
        "X-Relay-Attempt: 1",
        "X-Relay-Route: deploys",
        "X-Relay-Received-At: 1699999999123",
        "X-Tenant: 7",
    ]

    @Test("Slack alone: its headers where Slack has them")
    func slackAlone() throws {
        #expect(try lines([.init(.slack, "v0=abc")]) == before + slack + retry + after)
    }

    @Test("Standard Webhooks during a rotation: both signatures in one header, and nothing of Slack's signature")
    func rotation() throws {
        let webhook = [
            "webhook-id: 3f9c2a1b-1234", "webhook-timestamp: 1700000000", "webhook-signature: v1,new= v1,old=",
        ]
        let signatures = [
            RequestSignatures.Signature(.standardWebhooks, "v1,new="), .init(.standardWebhooks, "v1,old="),
        ]
        #expect(try lines(signatures) == before + retry + webhook + after)
    }

    @Test("Ed25519 alone")
    func ed25519() throws {
        let webhook = [
            "webhook-id: 3f9c2a1b-1234", "webhook-timestamp: 1700000000", "webhook-signature: v1a,abc==",
        ]
        #expect(try lines([.init(.ed25519, "v1a,abc==")]) == before + retry + webhook + after)
    }

    @Test("GitHub alone: no time, no id")
    func github() throws {
        #expect(
            try lines([.init(.github, "sha256=abc")]) == before + retry + ["X-Hub-Signature-256: sha256=abc"] + after)
    }

    @Test("all schemes side by side: Slack's first, both versions of Standard Webhooks in their order in one header")
    func mixed() throws {
        let others = [
            "webhook-id: 3f9c2a1b-1234", "webhook-timestamp: 1700000000", "webhook-signature: v1a,abc== v1,abc=",
            "X-Hub-Signature-256: sha256=abc",
        ]
        let signatures: [RequestSignatures.Signature] = [
            .init(.github, "sha256=abc"), .init(.ed25519, "v1a,abc=="), .init(.slack, "v0=abc"),
            .init(.standardWebhooks, "v1,abc="),
        ]
        #expect(try lines(signatures) == before + slack + retry + others + after)
    }
}

@Suite struct RetryHeadersTests {
    @Test(
        "Slack's own retries are sent on in Slack's words",
        arguments: [
            ("timeout", "http_timeout"), ("http_timeout", "http_timeout"), ("http_error", "http_error"),
            ("connection_failed", "connection_failed"), ("", "unknown_error"), ("a\r\nX: y", "unknown_error"),
        ])
    func slack(word: String, sent: String) throws {
        let retry = SlackRetry(attempt: 2, reason: word)
        #expect(try retryHeaders(.slack, kind: .event, retry: retry, attempt: 4) == ["2", sent])
        #expect(try retryHeaders(.none, kind: .event, retry: retry, attempt: 4) == [])
    }

    @Test("the first copy, and kinds that Slack never sends again, have none")
    func slackFirst() throws {
        #expect(try retryHeaders(.slack, kind: .event, retry: nil, attempt: 3) == [])
        #expect(
            try retryHeaders(.slack, kind: .interaction, retry: .init(attempt: 1, reason: "timeout"), attempt: 1) == [])
    }

    @Test(
        "Relay's attempts are counted from the second on, with the true reason",
        arguments: [
            (AttemptReason.timeout, "http_timeout"), (.connectTimeout, "http_timeout"),
            (.redirect, "too_many_redirects"),
            (.dnsError, "connection_failed"), (.connectionRefused, "connection_failed"),
            (.connectionReset, "connection_failed"), (.blockedAddress, "connection_failed"), (.tlsError, "ssl_error"),
            (.http(status: 503), "http_error"), (.responseTooLarge, "unknown_error"), (.requestError, "unknown_error"),
        ])
    func relay(reason: AttemptReason, sent: String) throws {
        #expect(try retryHeaders(.relay, kind: .command, retry: nil, attempt: 3, lastReason: reason) == ["2", sent])
        #expect(try retryHeaders(.relay, kind: .command, retry: nil, attempt: 3) == ["2", "unknown_error"])
        #expect(try retryHeaders(.relay, kind: .command, retry: nil, attempt: 1) == [])
    }

    /// The values of the two headers, which follow the signature.
    private func retryHeaders(
        _ policy: Backend.RetryHeaders, kind: Kind, retry: SlackRetry?, attempt: Int, lastReason: AttemptReason? = nil
    ) throws -> [String] {
        var delivery = delivery(kind, "{}")
        delivery.slackRetry = retry
        let request = try SlackRequest.render(
            delivery, attempt: attempt, for: Backend(name: "b", retryHeaders: policy), lastReason: lastReason)
        let retries = request.headers(slackSigned()).filter { $0.name.hasPrefix("X-Slack-Retry") }
        #expect(retries.isEmpty || retries.map(\.name) == ["X-Slack-Retry-Num", "X-Slack-Retry-Reason"])
        return retries.map(\.value)
    }
}

func delivery(_ kind: Kind, _ payload: String, sequence: Int64 = 1234) -> Delivery {
    Delivery(
        id: DeliveryID(queue: 0x3f9c_2a1b, sequence: sequence), backend: "b", route: "deploys", kind: kind,
        payload: Payload(payload), receivedAt: Timestamp(millisecondsSinceEpoch: 1_699_999_999_123))
}

func slackSigned(at timestamp: Int64 = 1) -> RequestSignatures {
    RequestSignatures(id: "3f9c2a1b-1234", timestamp: timestamp, signatures: [.init(.slack, "v0=abc")])
}

/// As `name: value`, without the trace, which is derived.
private func lines(_ request: SlackRequest) -> [String] {
    lines(request.headers(slackSigned(at: 1_700_000_000)))
}

private func lines(_ headers: [Backend.Header]) -> [String] {
    headers.filter { $0.name != "traceparent" }
        .map { "\($0.name): \($0.value)" }
}
