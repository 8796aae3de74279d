// HTTP/2 to servers that choose it: what holds for HTTP/1.1 holds there, too.

import Curl
import RelayTestKit
import Testing

@Suite(.enabled(if: CurlClient.speaksHTTP2, "this libcurl was built without HTTP/2"))
struct HTTP2Tests {
    private func post(_ text: String, to url: String, ca: String) -> CurlRequest {
        CurlRequest(
            url: url + "/hook", method: .post, headers: [("X-Empty", ""), ("Content-Type", "text/plain")],
            body: Array(text.utf8), proxy: .none, caFile: ca, allowsHTTP2: true)
    }

    /// Runs a test with a backend, a client and a function that posts, and stops both.
    private func withHTTP2(
        _ script: @escaping HTTP2Backend.Script = { _ in .respond() },
        test: (HTTP2Backend, CurlClient, @escaping @Sendable (String) -> CurlRequest) async throws -> Void
    ) async throws {
        let ca = try TemporaryFile(TestCertificate.localhost.authority)
        let backend = try await HTTP2Backend(answer: script)
        // Patient: the machine may have more to do than this test.
        let client = CurlClient(maxIdle: .seconds(60))
        let (url, path) = (backend.url, ca.path)
        var failure: (any Error)?
        do { try await test(backend, client, { post($0, to: url, ca: path) }) } catch { failure = error }
        client.shutdown()
        await backend.shutDown()
        withExtendedLifetime(ca) {}
        if let failure { throw failure }
    }

    @Test("a request and its response, on a connection that is used again")
    func exchange() async throws {
        try await withHTTP2 {
            .respond(status: 418, headers: [("x-one", "a"), ("x-one", "b")], body: Array("\($0.body.count)".utf8))
        } test: { backend, client, post in
            for text in ["first", String(repeating: "second", count: 200_000)] {
                let response = try await client.perform(post(text))
                #expect(response.status == 418)
                #expect(response.body == Array("\(text.utf8.count)".utf8))
                #expect(response.header("X-One") == "a")
            }
            #expect(backend.requests.map(\.connection) == [1, 1])
            #expect(backend.requests.map(\.stream) == [1, 3])
        }
    }

    @Test("a server that does not know HTTP/2 gets HTTP/1.1, and so does one without TLS")
    func fallback() async throws {
        let ca = try TemporaryFile(TestCertificate.localhost.authority)
        for tls in [TestCertificate.localhost, nil] {
            let backend = try await RecordingBackend(tls: tls)
            let client = CurlClient()
            let request = CurlRequest(
                url: backend.url, method: .post, body: [1], proxy: .none, caFile: ca.path, allowsHTTP2: true)
            #expect(try await client.perform(request).status == 200)
            #expect(backend.requests.first?.header("Upgrade") == nil)
            client.shutdown()
            await backend.shutDown()
        }
    }

    @Test("a server that speaks nothing else gets no HTTP/2 from a request that does not allow it")
    func notAllowed() async throws {
        try await withHTTP2 { backend, client, post in
            var request = post("x")
            request.allowsHTTP2 = false
            #expect(await client.code(of: request) != nil)
            #expect(backend.requests.isEmpty)
        }
    }

    @Test("requests at the same time have a connection each, which the next ones use")
    func connections() async throws {
        let gate = Gate()
        try await withHTTP2 { _ in
            await gate.pass()
            return .respond()
        } test: { backend, client, post in
            for _ in 1...2 {
                await withTaskGroup(of: Bool.self) { group in
                    for _ in 0..<8 { group.addTask { (try? await client.perform(post("x")))?.status == 200 } }
                    while backend.connectionCount < 8 { await Task.yield() }
                    gate.open()
                    for await isAnswered in group { #expect(isAnswered) }
                }
            }
            #expect(backend.connectionCount == 8)
            #expect(backend.requests.count == 16)
        }
    }

    @Test(
        "a POST arrives once when the server takes back a connection or a stream",
        arguments: [HTTP2Backend.Answer.close, .goAway, .reset(code: 2), .reset(code: 7)])
    func noSecondPost(answer: HTTP2Backend.Answer) async throws {
        try await withHTTP2 { request in
            request.text == "second" ? answer : .respond()
        } test: { backend, client, post in
            _ = try await client.perform(post("first"))
            #expect(await client.code(of: post("second")) == .connectionReset)
            _ = try await client.perform(post("third"))
            #expect(backend.requests.map(\.text) == ["first", "second", "third"])
        }
    }

    @Test("the same on a new connection", arguments: [HTTP2Backend.Answer.close, .goAway, .reset(code: 7)])
    func noSecondPostAtFirst(answer: HTTP2Backend.Answer) async throws {
        try await withHTTP2 { _ in
            answer
        } test: { backend, client, post in
            #expect(await client.code(of: post("first")) == .connectionReset)
            #expect(backend.requests.map(\.text) == ["first"])
        }
    }

    @Test("a connection that the server has said goodbye on is not used again, and nothing is lost")
    func goodbye() async throws {
        try await withHTTP2 { _ in
            .respondAndGoAway
        } test: { backend, client, post in
            for text in ["a", "b", "c"] { _ = try await client.perform(post(text)) }
            #expect(backend.requests.map(\.text) == ["a", "b", "c"])
            #expect(backend.requests.map(\.connection) == [1, 2, 3])
        }
    }

    @Test("a connection on which a request timed out or was canceled is not used again")
    func deadConnection() async throws {
        try await withHTTP2 { request in
            request.text == "ok" ? .respond() : .silence
        } test: { backend, client, post in
            _ = try await client.perform(post("ok"))
            var waiting = post("wait")
            waiting.timeout = .seconds(2)
            #expect(await client.code(of: waiting) == .timeout)
            _ = try await client.perform(post("ok"))
            let task = Task { await client.code(of: post("cancel")) }
            while !backend.requests.contains(where: { $0.text == "cancel" }) { await Task.yield() }
            task.cancel()
            #expect(await task.value == .canceled)
            _ = try await client.perform(post("ok"))
            let connections = backend.requests.filter { $0.text == "ok" }.map(\.connection)
            #expect(connections.count == 3 && Set(connections).count == 3)
        }
    }

    /// Of a head nghttp2 or libcurl may lose patience first, and end the connection.
    @Test(
        "a head or body without end, and a small head that unpacks to a large one, are cut off",
        arguments: [HTTP2Backend.Answer.endlessHead, .headerBomb, .endlessBody])
    func tooLarge(answer: HTTP2Backend.Answer) async throws {
        try await withHTTP2 { request in
            request.text == "ok" ? .respond() : answer
        } test: { backend, client, post in
            let code = try #require(await client.code(of: post("large")))
            #expect([.responseTooLarge, .connectionReset].contains(code))
            _ = try await client.perform(post("ok"))
            #expect(backend.requests.map(\.text) == ["large", "ok"])
        }
    }
}
