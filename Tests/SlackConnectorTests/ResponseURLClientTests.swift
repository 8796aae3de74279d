// Posts to response URLs: where they may go, what answers mean, and real posts.

import Curl
import RelayCore
import RelayTestKit
import Testing

@testable import SlackConnector

@Suite(.timeLimit(.minutes(1))) struct ResponseURLClientTests {
    // MARK: Where

    @Test(
        "Slack's own hosts, over TLS",
        arguments: [
            "https://hooks.slack.com/commands/T1/2/3", "https://hooks.slack.com/actions/1?a=b#c",
            "https://hooks.slack-gov.com/commands/1", "https://my-team.slack.com/commands/1",
            "https://a.b.enterprise.slack.com/x", "https://hooks.slack.com", "https://hooks.slack.com:443/x",
            "https://Hooks.SLACK.com/x", "https://hooks.slack.com?x", "https://hooks.slack.com#x",
            "https://hooks.slack.com/%2e%2e/@evil.example", "https://hooks.slack.com/x?u=http://evil.example",
        ])
    func allowed(url: String) { #expect(mayPost(to: url)) }

    @Test(
        "no other host, however it is written",
        arguments: [
            // Not TLS, or no URL at all.
            "http://hooks.slack.com/x", "HTTPS://hooks.slack.com/x", "ftp://hooks.slack.com/x",
            "wss://hooks.slack.com/",
            "//hooks.slack.com/x", "hooks.slack.com/x", "https:hooks.slack.com", "https:/hooks.slack.com/x", "",
            "javascript://hooks.slack.com/", "file://hooks.slack.com/etc/passwd", " https://hooks.slack.com/x",
            // No host.
            "https://", "https:///x", "https:///hooks.slack.com/x", "https://:443/", "https://?hooks.slack.com",
            "https://#hooks.slack.com", "https://evil.example?.slack.com", "https://evil.example#.slack.com",
            // Other hosts that look like it.
            "https://slack.com.evil.example/", "https://hooks.slack.com.evil.example/", "https://xslack.com/",
            "https://hooksslack.com/", "https://hooks-slack.com/", "https://slack-gov.com/",
            "https://team.slack-gov.com/", "https://hooks.slack-gov.com.evil.example/", "https://slack.com/x",
            "https://hooks.slack.com./x", "https://hooks.slack.co/", "https://evil.example/hooks.slack.com",
            // User information.
            "https://hooks.slack.com@evil.example/", "https://hooks.slack.com:443@evil.example/",
            "https://user@hooks.slack.com/", "https://:@hooks.slack.com/", "https://evil.example@.slack.com/",
            // Bytes that readers of URLs do not agree on.
            "https://evil.example\\@hooks.slack.com/", "https://evil.example\\.slack.com/",
            "https:\\\\hooks.slack.com/x", "https://evil.example\t.slack.com/", "https://evil.example\n.slack.com/",
            "https://hooks.slack.com/\r\nX: y", "https://hooks.slack.com/a b", "https://evil.example\0.slack.com/",
            "https://evil.example%2f.slack.com/", "https://evil.example%00.slack.com/", "https://hooks%2eslack.com/",
            "https://evil.example;.slack.com/", "https://evil.example,.slack.com/", "https://evil_.slack.com/",
            "https://hooks。slack。com/", "https://hooks．slack.com/", "https://ｈooks.slack.com/",
            "https://hooks.slack.com/é", "https://evil.example\u{2044}.slack.com/",
            // Ports.
            "https://hooks.slack.com:80/x", "https://hooks.slack.com:8443/x", "https://hooks.slack.com:0443/x",
            "https://hooks.slack.com:443:443/x", "https://hooks.slack.com:+443/x", "https://hooks.slack.com:x/",
            // Addresses.
            "https://[::1]/x", "https://[::1].slack.com/x", "https://[::ffff:127.0.0.1]:443/", "https://127.0.0.1/",
            "https://169.254.169.254/.slack.com", "https://2130706433/", "https://localhost/",
        ])
    func forbidden(url: String) {
        #expect(!mayPost(to: url))
        #expect(!mayPost(to: url, api: "http://127.0.0.1:8080/api"))
    }

    @Test(
        "a configured API's own scheme, host and port, and Slack's",
        arguments: [
            ("http://127.0.0.1:8080/api", "http://127.0.0.1:8080/response/1", true),
            ("http://127.0.0.1:8080/api", "http://127.0.0.1:8080", true),
            ("http://127.0.0.1:8080/api", "https://hooks.slack.com/1", true),
            ("http://127.0.0.1:8080/api", "https://127.0.0.1:8080/1", false),
            ("http://127.0.0.1:8080/api", "http://127.0.0.1:8081/1", false),
            ("http://127.0.0.1:8080/api", "http://127.0.0.1/1", false),
            ("http://127.0.0.1:8080/api", "http://127.0.0.2:8080/1", false),
            ("http://127.0.0.1:8080/api", "http://localhost:8080/1", false),
            ("http://127.0.0.1:8080/api", "http://127.0.0.1:8080@evil.example/1", false),
            ("http://127.0.0.1:8080/api", "http://127.0.0.1:8080.evil.example/1", false),
            ("http://localhost", "http://localhost/1", true),
            ("http://localhost", "http://LOCALHOST/1", true),
            ("http://localhost", "http://localhost:1/1", false),
            ("https://slack.test/api", "https://slack.test/1", true),
            ("https://slack.test/api", "http://slack.test/1", false),
            ("https://slack.test/api", "https://sub.slack.test/1", false),
        ])
    func ownAPI(api: String, url: String, isAllowed: Bool) { #expect(mayPost(to: url, api: api) == isAllowed) }

    @Test(
        "Slack's API opens no other host than the hooks",
        arguments: [
            ("https://slack.com/api", "https://slack.com/api/chat.postMessage"),
            ("https://slack.com:443/api", "https://slack.com:443/1"), ("http://slack.com/api", "http://slack.com/1"),
            ("https://slack-gov.com/api", "https://slack-gov.com/1"),
            ("https://api.slack-gov.com/api", "https://api.slack-gov.com/1"),
            ("https://www.slack.com:8443/api", "https://www.slack.com:8443/1"), ("", ":///1"), ("slack", "slack/1"),
        ])
    func slackAPI(api: String, url: String) {
        #expect(!mayPost(to: url, api: api))
        #expect(mayPost(to: "https://hooks.slack.com/1", api: api))
    }

    private func mayPost(to url: String, api: String = "https://slack.com/api") -> Bool {
        let http = CurlClient()
        defer { http.shutdown() }
        return ResponseURLClient(http: http, configuration: .init(apiURL: api)).mayPost(to: ResponseURL(url))
    }

    // MARK: What

    @Test(
        "what an answer means",
        arguments: [
            (200, "ok", .posted), (200, "", .posted), (200, #"{"ok":true}"#, .posted), (204, "", .posted),
            (200, "{\"ok\":", .posted), (200, #"{"error":"x"}"#, .posted), (200, "[]", .posted),
            (200, #"{"ok":"false"}"#, .posted),
            (
                200, #"{"ok":false,"error":"expired_url"}"#,
                .refused(detail: "Slack refuses the post: expired_url")
            ),
            (200, #"{"error":"used_url","ok":false}"#, .refused(detail: "Slack refuses the post: used_url")),
            (200, #"{"ok":false}"#, .refused(detail: "Slack refuses the post: unknown")),
            (200, #"{"ok":false,"error":7}"#, .refused(detail: "Slack refuses the post: unknown")),
            (301, "", .refused(detail: "HTTP 301")), (302, "ok", .refused(detail: "HTTP 302")),
            (400, "", .refused(detail: "HTTP 400")), (403, "", .refused(detail: "HTTP 403")),
            (404, #"{"ok":false,"error":"used_url"}"#, .refused(detail: "HTTP 404")),
            (410, "", .refused(detail: "HTTP 410")),
            (408, "", .failed(retryAfter: nil, detail: "HTTP 408")),
            (429, "", .failed(retryAfter: nil, detail: "HTTP 429")),
            (500, "ok", .failed(retryAfter: nil, detail: "HTTP 500")),
            (503, "", .failed(retryAfter: nil, detail: "HTTP 503")),
            (599, "", .failed(retryAfter: nil, detail: "HTTP 599")),
        ] as [(Int, String, ResponsePostResult)])
    func read(status: Int, body: String, result: ResponsePostResult) {
        #expect(ResponseURLClient.read(status: status, retryAfter: nil, body: Array(body.utf8)) == result)
    }

    @Test(
        "Retry-After counts in seconds, where Slack asks for patience",
        arguments: [
            (429, "30", .seconds(30)), (503, "1", .seconds(1)), (429, "0", .zero), (429, "-1", nil), (429, "soon", nil),
            (429, "99999999999", .seconds(86400)),
        ] as [(Int, String, Duration?)])
    func retryAfter(status: Int, value: String, wait: Duration?) {
        #expect(
            ResponseURLClient.read(status: status, retryAfter: value, body: [])
                == .failed(retryAfter: wait, detail: "HTTP \(status)"))
    }

    @Test("a long error is cut")
    func longError() {
        let code = String(repeating: "x", count: 1000)
        let result = ResponseURLClient.read(
            status: 200, retryAfter: nil, body: Array(#"{"ok":false,"error":"\#(code)"}"#.utf8))
        #expect(result == .refused(detail: "Slack refuses the post: \(code.prefix(64))"))
    }

    // MARK: Real posts

    @Test("the body is posted as JSON, as it is, once")
    func post() async throws {
        try await withBackend { backend, client in
            let body = Payload(#"{"text": "caf\u00e9 é\/"}"#)
            #expect(await client.post(body, to: ResponseURL("\(backend.url)/commands/1?x=%20")) == .posted)
            let request = try #require(backend.requests.first)
            #expect(request.method == "POST")
            #expect(request.target == "/commands/1?x=%20")
            #expect(request.body == body.bytes)
            #expect(request.header("Content-Type") == "application/json")
            #expect(request.header("Content-Length") == "\(body.bytes.count)")
            #expect(request.header("Authorization") == nil)
            #expect(backend.requests.count == 1)
        }
    }

    @Test(
        "answers on the wire",
        arguments: [
            (.respond(body: Array(#"{"ok":false,"error":"expired_url"}"#.utf8)), "refused"),
            (.status(404), "refused"), (.status(500), "failed"), (.status(429, ("Retry-After", "7")), "failed after 7"),
            // The status counts, whatever becomes of the body.
            (.respond(body: [UInt8](repeating: 0x20, count: 1 << 20)), "posted"),
            (.respond(status: 500, body: [UInt8](repeating: 0x20, count: 1 << 20)), "failed"),
            (.raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), "posted"),
            (.raw("HTTP/1.1 404 No\r\nContent-Length: 100\r\n\r\nhalf"), "refused"),
            (.close, "failed"), (.reset, "failed"), (.raw("220 mail ESMTP\r\n"), "failed"),
        ] as [(RecordingBackend.Answer, String)])
    func wire(answer: RecordingBackend.Answer, expected: String) async throws {
        try await withBackend(answer: { _ in answer }) { backend, client in
            #expect(await client.post(Payload("{}"), to: ResponseURL("\(backend.url)/1")).word == expected)
            #expect(backend.requests.count == 1)
        }
    }

    @Test("a redirect is not followed")
    func redirect() async throws {
        try await withBackend { elsewhere, _ in
            let target = elsewhere.url + "/stolen"
            try await withBackend(answer: { _ in .status(307, ("Location", target)) }) { backend, client in
                let result = await client.post(Payload("{}"), to: ResponseURL("\(backend.url)/1"))
                #expect(result == .refused(detail: "HTTP 307"))
                #expect(backend.requests.count == 1)
            }
            #expect(elsewhere.connectionCount == 0)
        }
    }

    @Test("an address that is not allowed is not dialed")
    func notAllowed() async throws {
        try await withBackend { backend, _ in
            let http = CurlClient()
            let client = ResponseURLClient(http: http, configuration: .init(), timeout: .seconds(60))
            let result = await client.post(Payload("{}"), to: ResponseURL("\(backend.url)/1"))
            #expect(result == .refused(detail: "not a response URL of Slack's"))
            #expect(backend.connectionCount == 0)
            http.shutdown()
        }
    }

    @Test("nothing listens there")
    func refused() async throws {
        // A port that is given to nobody: one that was just closed may be another test's by now.
        let http = CurlClient()
        let client = ResponseURLClient(
            http: http, configuration: .init(apiURL: "http://127.0.0.1:1/api"), timeout: .seconds(60))
        #expect(await client.post(Payload("{}"), to: ResponseURL("http://127.0.0.1:1/hook")).word == "failed")
        http.shutdown()
    }

    @Test("an answer that does not come has its time, and may come next time")
    func silence() async throws {
        try await withBackend(answer: { _ in .silence }, timeout: .milliseconds(100)) { backend, client in
            #expect(await client.post(Payload("{}"), to: ResponseURL("\(backend.url)/1")).word == "failed")
        }
    }

    @Test("a body that never ends has its time; its status counts", arguments: [(200, "posted"), (503, "failed")])
    func endless(status: Int, expected: String) async throws {
        try await ScriptedSlack.run { socket, _ in
            _ = try await socket.readHead()
            try await socket.send("HTTP/1.1 \(status) X\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"ok\r\n")
            while true { try await socket.readMore() }
        } body: { slack in
            let http = CurlClient()
            let client = ResponseURLClient(
                http: http, configuration: .init(apiURL: "http://127.0.0.1:\(slack.port)/api"),
                timeout: .seconds(2))
            let url = ResponseURL("http://127.0.0.1:\(slack.port)/1")
            #expect(await client.post(Payload("{}"), to: url).word == expected)
            http.shutdown()
        }
    }

    @Test("what is told of a failure names no path: whoever has that can post")
    func detail() async throws {
        try await withBackend(answer: { _ in .close }) { backend, client in
            for path in ["/ticket", "/ticket?ticket#ticket"] {
                let result = await client.post(Payload("{}"), to: ResponseURL(backend.url + path))
                #expect(result.word == "failed")
                #expect(!"\(result)".contains("ticket"))
            }
        }
    }

    /// A server on loopback, and a client whose API is there.
    private func withBackend(
        answer: @escaping RecordingBackend.Script = { _ in .ok }, timeout: Duration = .seconds(60),
        test: (RecordingBackend, ResponseURLClient) async throws -> Void
    ) async throws {
        let backend = try await RecordingBackend(answer: answer)
        let http = CurlClient()
        let client = ResponseURLClient(
            http: http, configuration: .init(apiURL: backend.url + "/api"), timeout: timeout)
        var failure: (any Error)?
        do { try await test(backend, client) } catch { failure = error }
        http.shutdown()
        await backend.shutDown()
        if let failure { throw failure }
    }
}

extension ResponsePostResult {
    /// Without the detail.
    fileprivate var word: String {
        switch self {
        case .posted: "posted"
        case .failed(let retryAfter?, _): "failed after \(retryAfter.components.seconds)"
        case .failed(nil, _): "failed"
        case .refused: "refused"
        }
    }
}
