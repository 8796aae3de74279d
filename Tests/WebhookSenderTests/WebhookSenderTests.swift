// Attempts over real sockets: what the backend gets, and what its answer comes to.

import Curl
import RelayCore
import RelayTestKit
import Signing
import Synchronization
import Testing
import WebhookSender

@Suite struct WebhookSenderTests {
    @Test("the backend gets the payload with a signature it can verify")
    func signed() async throws {
        try await withSender { backend, sender in
            let result = await sender.send(delivery(payload: #"{"a": "b\/c"}"#), attempt: 1)
            #expect(result == AttemptResult(.accepted, status: 200, detail: "HTTP 200"))
            let request = try #require(backend.requests.first)
            #expect(request.method == "POST")
            #expect(request.target == "/slack/events?x=1")
            #expect(request.text == #"{"a": "b\/c"}"#)
            #expect(request.header("X-Slack-Request-Timestamp") == "1700000000")
            #expect(
                SlackSignature.verify(
                    request.header("X-Slack-Signature") ?? "", secret: Array("app secret".utf8),
                    timestamp: 1_700_000_000, body: request.body))
        }
    }

    @Test("the headers on the wire, in order")
    func headersOnTheWire() async throws {
        try await withSender { backend, sender in
            _ = await sender.send(delivery(kind: .interaction), attempt: 1)
            #expect(
                backend.requests.first?.headers.map(\.name) == [
                    "Host", "User-Agent", "Accept", "Accept-Encoding", "Content-Type", "X-Slack-Request-Timestamp",
                    "X-Slack-Signature", "X-Relay-Delivery-Id", "X-Relay-Attempt", "X-Relay-Route",
                    "X-Relay-Received-At", "traceparent", "Content-Length",
                ])
        }
    }

    @Test("a replay says so, and which one it is")
    func replay() async throws {
        try await withSender { backend, sender in
            var delivery = delivery()
            _ = await sender.send(delivery, attempt: 1)
            delivery.replays = 2
            _ = await sender.send(delivery, attempt: 1)
            #expect(backend.requests.map { $0.header("X-Relay-Replay") } == [nil, "2"])
        }
    }

    @Test(
        "a backend is verified when it gives the challenge back, in whatever form",
        arguments: [
            (200, #"{"challenge":"c7"}"#, true), (200, "c7", true), (200, "challenge=c7", true), (200, "ok", false),
            (404, "c7", false),
        ])
    func urlVerification(_ status: Int, _ body: String, _ isVerified: Bool) async throws {
        try await withSender(answer: { _ in .respond(status: status, body: Array(body.utf8)) }) { backend, sender in
            let verification = try #require(await sender.verifyURL(of: "b", challenge: "c7", instance: 1))
            #expect(verification.isVerified == isVerified)
            let request = try #require(backend.requests.first)
            #expect(request.text == #"{"type":"url_verification","token":"relay","challenge":"c7"}"#)
            #expect(request.header("X-Slack-Signature") != nil)
        }
    }

    @Test("one that may belong to several apps is verified with any one's secret; else the best answer counts")
    func urlVerificationOfApps() async throws {
        @Sendable func isOf(_ app: String, _ request: RecordingBackend.Request) -> Bool {
            SlackSignature.verify(
                request.header("X-Slack-Signature") ?? "", secret: Array("\(app) secret".utf8),
                timestamp: 1_700_000_000, body: request.body)
        }
        func result(
            of apps: [AppName], _ answer: @escaping RecordingBackend.Script, requests: Int,
            configure: (inout Backend) -> Void = { _ in }
        ) async throws -> URLVerification? {
            var verification: URLVerification?
            try await withSender(answer: answer, configure: configure) { server, sender in
                let secrets: [AppName: SecretReference] = [
                    App.defaultName: .environment("APP"), "second": .environment("BACKEND"),
                ]
                var backend = Backend(name: "b", url: server.url, timeout: .seconds(60), connectTimeout: .seconds(30))
                configure(&backend)
                let sender = sender.reconfigured(backends: [backend], signingSecrets: secrets)
                verification = await sender.verifyURL(of: backend, apps: apps)
                #expect(server.requests.count == requests)
            }
            return verification
        }
        let apps: [AppName] = [App.defaultName, "second", "third"]
        let second = try await result(
            of: apps,
            { isOf("backend", $0) ? .respond(status: 200, body: $0.body) : .status(401) }, requests: 2)
        #expect(second?.isVerified == true)
        // The third has no secret here: that is not the best that came of it.
        let nobody = try await result(of: apps, { isOf("app", $0) ? .ok : .status(401) }, requests: 2)
        #expect(nobody?.isVerified == false && nobody?.result.outcome == .accepted)
        let refused = try await result(of: apps, { _ in .status(401) }, requests: 2)
        #expect(refused?.result.status == 401)
        // It signs in its own way, whichever app it is.
        let own = try await result(of: apps, { _ in .status(401) }, requests: 1) {
            $0.signing = [SigningEntry(scheme: .slack, secret: .environment("BACKEND"))]
        }
        #expect(own?.result.status == 401)
        let away = try await result(of: apps, { _ in .ok }, requests: 0) { $0.url = nowhere }
        #expect(away?.result.outcome == .failed(.connectionRefused))
    }

    @Test("one that answers slowly is not tried for app after app without an end, and the result says so")
    func urlVerificationIsBounded() async throws {
        let time = Mutex(started)
        let script: RecordingBackend.Script = { _ in
            time.withLock { $0 = $0.advanced(by: .seconds(20)) }
            return .status(401)
        }
        try await withSender(answer: script, now: { time.withLock { $0 } }) { server, sender in
            let apps = (1...20).map { AppName("app\($0)") }
            let backend = Backend(name: "b", url: server.url)
            let secrets = Dictionary(uniqueKeysWithValues: apps.map { ($0, SecretReference.environment("APP")) })
            let verification = try #require(
                await sender.reconfigured(backends: [backend], signingSecrets: secrets)
                    .verifyURL(of: backend, apps: apps))
            #expect(server.requests.count == 3 && verification.untriedApps == 17)
            #expect(verification.result.status == 401)
        }
    }

    @Test("a backend without a URL for events, and one that is unknown, is not asked")
    func noURLVerification() async throws {
        try await withSender(configure: { $0 = Backend(name: "b", urls: [.command: nowhere]) }) { backend, sender in
            #expect(await sender.verifyURL(of: "b", challenge: "c7", instance: 1) == nil)
            #expect(await sender.verifyURL(of: "other", challenge: "c7", instance: 1) == nil)
            #expect(backend.requests == [])
        }
    }

    @Test("the response of what was not accepted is kept, without what could be a credential")
    func recordedResponse() async throws {
        try await withSender(answer: { _ in
            .respond(status: 500, headers: [("X-Trace", "7"), ("Set-Cookie", "s=1")], body: Array("no disk".utf8))
        }) { _, sender in
            let response = try #require(await sender.send(delivery(), attempt: 1).response)
            #expect(response.status == 500)
            #expect(response.body == Array("no disk".utf8))
            #expect(response.headers.contains(.init(name: "X-Trace", value: "7")))
            #expect(response.headers.contains(.init(name: "Set-Cookie", value: "***")))
        }
    }

    @Test("each attempt is stamped and signed anew")
    func freshTimestamp() async throws {
        let seconds = Mutex<Int64>(1_700_000_000)
        try await withSender(now: { Timestamp(millisecondsSinceEpoch: seconds.withLock { $0 } * 1000) }) {
            backend, sender in
            _ = await sender.send(delivery(), attempt: 1)
            seconds.withLock { $0 += 300 }
            _ = await sender.send(delivery(), attempt: 2)
            #expect(backend.requests.map { $0.header("X-Slack-Request-Timestamp") } == ["1700000000", "1700000300"])
            #expect(Set(backend.requests.map { $0.header("X-Slack-Signature") }).count == 2)
            #expect(backend.requests.map { $0.header("X-Relay-Attempt") } == ["1", "2"])
        }
    }

    @Test("a backend's own signing secret is used, and a kind's own URL, and a route's path")
    func ownSecretAndURLs() async throws {
        try await withSender(
            configure: { backend in
                backend.signing = [SigningEntry(scheme: .slack, secret: .environment("BACKEND"))]
                backend.urls = [.command: (backend.url ?? "").replacing("/slack/events", with: "/slack/commands")]
            }
        ) { backend, sender in
            _ = await sender.send(delivery(kind: .command, payload: #"{"command":"/x"}"#), attempt: 1)
            var routed = delivery()
            routed.path = "/deploy"
            _ = await sender.send(routed, attempt: 1)
            #expect(backend.requests.map(\.target) == ["/slack/commands?x=1", "/deploy?x=1"])
            #expect(backend.requests.first?.text == "command=%2Fx")
            for request in backend.requests {
                let signature = request.header("X-Slack-Signature") ?? ""
                let secret = Array("backend secret".utf8)
                #expect(
                    SlackSignature.verify(signature, secret: secret, timestamp: 1_700_000_000, body: request.body))
            }
        }
    }

    @Test(
        "what an answer comes to",
        arguments: [
            (.status(204), .accepted, nil),
            (.status(301, ("Location", "/else")), .failed(.redirect), nil),
            (.status(410), .rejected(.http(status: 410)), nil),
            (.status(500), .failed(.http(status: 500)), nil),
            (.status(500, ("X-Slack-No-Retry", "1")), .rejected(.http(status: 500)), nil),
            (.status(200, ("X-Slack-No-Retry", "1")), .accepted, nil),
            (.status(429, ("Retry-After", "7")), .failed(.http(status: 429)), .seconds(7)),
            (
                .status(503, ("Retry-After", "Tue, 14 Nov 2023 22:14:20 GMT")), .failed(.http(status: 503)),
                .seconds(60)
            ),
            (.status(500, ("Retry-After", "7")), .failed(.http(status: 500)), nil),
            (.status(429, ("Retry-After", "soon")), .failed(.http(status: 429)), nil),
            (.close, .failed(.connectionReset), nil),
            (.reset, .failed(.connectionReset), nil),
            (.raw("220 mail ESMTP\r\n"), .failed(.connectionReset), nil),
            (.raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), .accepted, nil),
            (.raw("HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nhalf"), .failed(.http(status: 500)), nil),
            (.raw("HTTP/1.1 200 OK\r\nContent-Encoding: UTF-8\r\nContent-Length: 2\r\n\r\nok"), .accepted, nil),
            (.raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n"), .failed(.connectionReset), nil),
        ] as [(RecordingBackend.Answer, AttemptOutcome, Duration?)])
    func outcomes(answer: RecordingBackend.Answer, outcome: AttemptOutcome, retryAfter: Duration?) async throws {
        try await withSender(answer: { _ in answer }) { backend, sender in
            let result = await sender.send(delivery(), attempt: 1)
            #expect(result.outcome == outcome)
            #expect(result.retryAfter == retryAfter)
            #expect(backend.requests.count == 1)
        }
    }

    @Test(
        "a body over 1 MiB does not undo the status",
        arguments: [(200, .accepted), (500, .failed(.http(status: 500)))] as [(Int, AttemptOutcome)])
    func largeBody(status: Int, outcome: AttemptOutcome) async throws {
        let answer = RecordingBackend.Answer.respond(status: status, body: [UInt8](repeating: 0x20, count: 2 << 20))
        try await withSender(answer: { _ in answer }) { _, sender in
            let result = await sender.send(delivery(), attempt: 1)
            #expect(result.outcome == outcome)
            #expect(result.status == status)
        }
    }

    @Test("a body over 1 MiB does not undo what the head asks for, and what there is of it is kept")
    func largeBodyWithHeaders() async throws {
        let headers = [("X-Slack-No-Retry", "1"), ("Retry-After", "30")]
        try await withSender(answer: { request in
            .respond(
                status: request.target.contains("no-retry") ? 500 : 503,
                headers: request.target.contains("no-retry") ? [headers[0]] : [headers[1]],
                body: [UInt8](repeating: 0x20, count: 2 << 20))
        }) { _, sender in
            var refused = delivery()
            refused.path = "/no-retry"
            let final = await sender.send(refused, attempt: 1)
            #expect(final.outcome == .rejected(.http(status: 500)))
            #expect(final.response?.headers.contains(.init(name: "X-Slack-No-Retry", value: "1")) == true)
            #expect(final.response?.body.count == RecordedResponse.maxBodyBytes && final.response?.isTruncated == true)
            let asked = await sender.ask(refused, attempt: 1, deadline: started.advanced(by: .seconds(60)))
            #expect(asked.wantsNoRetry && asked.reply == nil)
            let busy = await sender.send(delivery(), attempt: 1)
            #expect(busy.outcome == .failed(.http(status: 503)) && busy.retryAfter == .seconds(30))
        }
    }

    @Test("a head over 100 KiB is too large")
    func largeHead() async throws {
        let value = String(repeating: "x", count: 90_000)
        try await withSender(answer: { _ in .status(200, ("X-Large", value), ("X-More", value)) }) { _, sender in
            #expect(await sender.send(delivery(), attempt: 1).outcome == .failed(.responseTooLarge))
        }
    }

    @Test("a backend that never answers is a timeout")
    func timeout() async throws {
        try await withSender(
            answer: { _ in .silence },
            configure: { backend in
                backend.timeout = .milliseconds(500)
            }
        ) { backend, sender in
            let result = await sender.send(delivery(), attempt: 1)
            #expect(result.outcome == .failed(.timeout))
            #expect(result.status == nil)
            #expect(await backend.requests(atLeast: 1).count == 1)
        }
    }

    @Test("a compressed answer is read")
    func gzip() async throws {
        let broken = RecordingBackend.Answer.respond(
            headers: [("Content-Encoding", "gzip")], body: Array("no gzip".utf8))
        let whole = RecordingBackend.Answer.respond(
            headers: [("Content-Encoding", "gzip")],
            body: [
                0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00,
                0x86, 0xa6, 0x10, 0x36, 0x05, 0x00, 0x00, 0x00,
            ])
        try await withSender(answer: { $0.text == "broken" ? broken : whole }) { _, sender in
            #expect(await sender.send(delivery(), attempt: 1).outcome == .accepted)
            #expect(await sender.send(delivery(payload: "broken"), attempt: 1).outcome == .accepted)
        }
    }

    @Test("a backend that is not there")
    func refused() async throws {
        try await withSender(configure: { $0.url = nowhere }) { _, sender in
            let result = await sender.send(delivery(), attempt: 1)
            #expect(result.outcome == .failed(.connectionRefused))
            #expect(result.detail.contains("127.0.0.1"))
        }
    }

    @Test("deliveries one after another share a connection, and none is sent twice when it closes under them")
    func keepAlive() async throws {
        try await withSender(answer: { $0.text == "last" ? .close : .ok }) { backend, sender in
            for _ in 0..<3 { #expect(await sender.send(delivery(), attempt: 1).outcome == .accepted) }
            #expect(await sender.send(delivery(payload: "last"), attempt: 1).outcome == .failed(.connectionReset))
            #expect(backend.requests.map(\.connection) == [1, 1, 1, 1])
            #expect(backend.requests.filter { $0.text == "last" }.count == 1)
        }
    }

    @Test("over a Unix domain socket")
    func unixSocket() async throws {
        let path = temporarySocketPath()
        let server = try await RecordingBackend(unixSocket: path)
        let client = CurlClient()
        let backend = Backend(name: "b", url: "http://legacy.example/slack/events", unixSocket: path)
        let sender = WebhookSender(
            backends: [backend], signingSecrets: [App.defaultName: .environment("APP")], secrets: Secrets(),
            client: client, now: { started })
        #expect(await sender.send(delivery(), attempt: 1).outcome == .accepted)
        #expect(server.requests.first?.header("Host") == "legacy.example")
        #expect(server.requests.first?.target == "/slack/events")
        client.shutdown()
        await server.shutDown()
    }

    @Test("a proxy is used when there is one")
    func proxy() async throws {
        let proxy = try await RecordingBackend()
        let client = CurlClient()
        let sender = WebhookSender(
            backends: [Backend(name: "b", url: "http://backend.example/hook", proxy: proxy.url)],
            signingSecrets: [App.defaultName: .environment("APP")], secrets: Secrets(), client: client,
            now: { started })
        #expect(await sender.send(delivery(), attempt: 1).outcome == .accepted)
        #expect(proxy.requests.first?.target == "http://backend.example/hook")
        client.shutdown()
        await proxy.shutDown()
    }

    @Test(
        "an address that egress does not allow is not connected to, and the attempt may pass later",
        arguments: [
            EgressPolicy(preset: .public), EgressPolicy(deny: [try IPNetwork("127.0.0.0/8")]),
            EgressPolicy(allow: [try IPNetwork("127.0.0.1")], deny: [try IPNetwork("127.0.0.1")]),
        ])
    func blockedAddress(egress: EgressPolicy) async throws {
        try await withSender(configure: { $0.egress = egress }) { backend, sender in
            for attempt in 1...2 {
                let result = await sender.send(delivery(), attempt: attempt)
                #expect(result.outcome == .failed(.blockedAddress))
                #expect(result.detail.hasPrefix("egress does not allow 127.0.0.1: "))
                #expect(
                    await sender.ask(delivery(), attempt: 1, deadline: started).attempt.outcome
                        == .failed(.blockedAddress))
            }
            #expect(backend.connectionCount == 0)
        }
    }

    @Test("egress asks nothing of a Unix domain socket, and of a proxy the proxy's address and that in the URL")
    func egressOnTheWay() async throws {
        let path = temporarySocketPath()
        let server = try await RecordingBackend(unixSocket: path)
        let proxy = try await RecordingBackend()
        let client = CurlClient()
        func outcome(_ backend: Backend) async -> AttemptOutcome {
            await WebhookSender(
                backends: [backend], signingSecrets: [App.defaultName: .environment("APP")], secrets: Secrets(),
                client: client, now: { started }
            ).send(delivery(), attempt: 1).outcome
        }
        let nothing = EgressPolicy(deny: [try IPNetwork("0.0.0.0/0"), try IPNetwork("::/0")])
        let noMetadata = EgressPolicy()
        #expect(
            await outcome(Backend(name: "b", url: "http://h/", unixSocket: path, egress: nothing)) == .accepted)
        #expect(
            await outcome(Backend(name: "b", url: "http://h.example/", egress: nothing, proxy: proxy.url))
                == .failed(.blockedAddress))
        #expect(
            await outcome(Backend(name: "b", url: "http://h.example/", egress: noMetadata, proxy: proxy.url))
                == .accepted)
        for host in ["169.254.169.254", "169.254.169.254.", "0xa9fea9fe", "[::ffff:169.254.169.254]", "u:p@0"] {
            #expect(
                await outcome(Backend(name: "b", url: "http://\(host)/", egress: noMetadata, proxy: proxy.url))
                    == .failed(.blockedAddress), "\(host)")
        }
        #expect(proxy.requests.map(\.target) == ["http://h.example/"])
        client.shutdown()
        await server.shutDown()
        await proxy.shutDown()
    }

    @Test("whether a backend can be connected to is found out in the way that requests go, and without one")
    func connects() async throws {
        try await withSender { backend, sender in
            let url = backend.url
            func connects(_ change: (inout Backend) -> Void) async -> Bool {
                var target = Backend(name: "b", url: url)
                change(&target)
                return await sender.connects(to: target)
            }
            #expect(await connects { _ in })
            #expect(await !connects { $0.urls[.command] = "http://127.0.0.1:9/" })
            #expect(await !connects { $0.egress = EgressPolicy(preset: .public) })
            #expect(await !connects { $0.unixSocket = "/nonexistent.sock" })
            #expect(await !connects { $0.proxy = "http://127.0.0.1:9" })
            #expect(await !connects { $0.url = url.replacing("http:", with: "https:") })
            #expect(backend.requests.isEmpty)
            // None of it is held against the server: the next requests share a connection.
            for attempt in 1...2 { _ = await sender.send(delivery(), attempt: attempt) }
            #expect(Set(backend.requests.map(\.connection)).count == 1)
        }
    }

    @Test("TLS with the backend's own authority and Relay's certificate, over HTTP/2 where the backend speaks it")
    func mutualTLS() async throws {
        let files = try [
            TestCertificate.localhost.authority, TestCertificate.client.certificate, TestCertificate.client.privateKey,
        ].map { try TemporaryFile($0) }
        let tls = Backend.TLS(
            caFile: files[0].path, clientCertificateFile: files[1].path, clientKeyFile: files[2].path)
        let server = try await RecordingBackend(tls: .localhost, client: .client)
        let modern = try await HTTP2Backend()
        let client = CurlClient()
        // Where the server's end of the connection overtakes its alert, the attempt sees a reset.
        let refused = [AttemptOutcome.failed(.tlsError), .failed(.connectionReset)]
        for (url, tls, outcomes) in [
            (server.url, tls, [.accepted]), (modern.url, tls, [.accepted]),
            (server.url, .init(caFile: files[0].path), refused), (server.url, .init(), [.failed(.tlsError)]),
        ] as [(String, Backend.TLS, [AttemptOutcome])] {
            let sender = WebhookSender(
                backends: [
                    Backend(
                        name: "b", url: url, timeout: .seconds(60), connectTimeout: .seconds(30), tls: tls)
                ],
                signingSecrets: [App.defaultName: .environment("APP")], secrets: Secrets(), client: client,
                now: { started })
            #expect(outcomes.contains(await sender.send(delivery(payload: "{}"), attempt: 1).outcome))
        }
        #expect(server.requests.count == 1)
        #expect(modern.requests.map(\.text) == ["{}"])
        client.shutdown()
        await server.shutDown()
        await modern.shutDown()
    }

    @Test("retry headers tell why the attempt before failed")
    func retryHeaders() async throws {
        try await withSender(
            answer: { _ in .status(503) },
            configure: { backend in
                backend.retryHeaders = .relay
            }
        ) { backend, sender in
            for attempt in 1...2 { _ = await sender.send(delivery(), attempt: attempt) }
            #expect(backend.requests.map { $0.header("X-Slack-Retry-Num") } == [nil, "1"])
            #expect(backend.requests.map { $0.header("X-Slack-Retry-Reason") } == [nil, "http_error"])
        }
    }

    @Test("a canceled attempt ends and is not accepted")
    func canceled() async throws {
        try await withSender(answer: { _ in .silence }) { backend, sender in
            let attempt = Task { await sender.send(delivery(), attempt: 1) }
            _ = await backend.requests(atLeast: 1)
            attempt.cancel()
            #expect(await attempt.value.outcome == .failed(.connectionReset))
        }
    }
}

@Suite struct RequestErrorTests {
    @Test("a payload that cannot be rendered is rejected, without a request")
    func payload() async throws {
        try await withSender { backend, sender in
            let result = await sender.send(delivery(kind: .command, payload: "[secret words]"), attempt: 1)
            #expect(result.outcome == .rejected(.requestError))
            #expect(!result.detail.contains("secret words"))
            #expect(backend.requests.isEmpty)
        }
    }

    @Test("a secret that cannot be read may be readable later")
    func secret() async throws {
        try await withSender(
            configure: { backend in
                backend.signing = [SigningEntry(scheme: .slack, secret: .environment("MISSING"))]
            }
        ) { backend, sender in
            let result = await sender.send(delivery(), attempt: 1)
            #expect(result.outcome == .failed(.requestError))
            #expect(result.detail == "secret env:MISSING: not set")
            #expect(backend.requests.isEmpty)
        }
    }

    @Test("gaps in the configuration are told by name")
    func gaps() async throws {
        try await withSender(
            configure: { backend in
                backend.urls = [.event: backend.url ?? ""]
                backend.url = nil
            }
        ) { _, sender in
            let noURL = await sender.send(delivery(kind: .options), attempt: 1)
            #expect(noURL == AttemptResult(.failed(.requestError), detail: "backend b has no url for kind options"))
            var unknown = delivery()
            unknown.backend = "gone"
            let noBackend = await sender.send(unknown, attempt: 1)
            #expect(
                noBackend == AttemptResult(.failed(.requestError), detail: "backend gone is not in the configuration"))
            var otherApp = delivery()
            otherApp.app = "second"
            #expect(await sender.send(otherApp, attempt: 1).outcome == .failed(.requestError))
        }
    }
}
