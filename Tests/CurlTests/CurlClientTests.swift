// The client against real sockets on loopback: what is sent, what comes back, what is never done.

import Curl
import RelayTestKit
import Synchronization
import Testing

@Suite struct CurlClientTests {
    @Test("a POST arrives with its headers in order, its length and its bytes")
    func post() async throws {
        try await withBackend { backend, client in
            let response = try await client.perform(
                .init(
                    url: backend.url + "/a/../b?c=d", method: .post,
                    headers: [("User-Agent", "t"), ("Accept", "*/*"), ("Content-Type", "text/x"), ("X-Empty", "")],
                    body: [0, 255, 10]))
            #expect(response.status == 200)
            let request = try #require(backend.requests.first)
            #expect(request.method == "POST")
            #expect(request.target == "/a/../b?c=d")
            #expect(request.body == [0, 255, 10])
            #expect(
                request.headers == [
                    .init("Host", "127.0.0.1:\(backend.port)"), .init("User-Agent", "t"), .init("Accept", "*/*"),
                    .init("Content-Type", "text/x"), .init("X-Empty", ""), .init("Content-Length", "3"),
                ])
        }
    }

    @Test("a large body is sent without waiting for 100 Continue")
    func largeBody() async throws {
        try await withBackend { backend, client in
            let body = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0) }
            _ = try await client.perform(.init(url: backend.url, method: .post, body: body))
            let request = try #require(backend.requests.first)
            #expect(request.body == body)
            #expect(request.header("Expect") == nil)
            #expect(request.header("Content-Type") == nil)
            #expect(request.header("Content-Length") == "3000000")
        }
    }

    @Test("a GET has no body")
    func get() async throws {
        try await withBackend { backend, client in
            _ = try await client.perform(.init(url: backend.url + "/x"))
            #expect(backend.requests.map(\.method) == ["GET"])
            #expect(backend.requests.first?.header("Content-Length") == nil)
        }
    }

    @Test("a DELETE has no body, and the next request of the client is what it is")
    func delete() async throws {
        try await withBackend { backend, client in
            _ = try await client.perform(.init(url: backend.url + "/x", method: .delete))
            _ = try await client.perform(.init(url: backend.url + "/x"))
            #expect(backend.requests.map(\.method) == ["DELETE", "GET"])
            #expect(backend.requests.first?.header("Content-Length") == nil)
        }
    }

    @Test("a body can be read as it comes, and the reader can end it")
    func bodyReader() async throws {
        try await withBackend { _ in
            .endless("HTTP/1.1 200 OK\r\n\r\n", again: "a piece\n")
        } test: { backend, client in
            let read = Mutex(0)
            var request = CurlRequest(url: backend.url, maxResponseBytes: 1)
            request.bodyReader = { piece in
                read.withLock { count in
                    count += piece.count
                    return count < 100_000
                }
            }
            #expect(await client.code(of: request) == .responseTooLarge)
            #expect(read.withLock { $0 } >= 100_000)
        }
    }

    @Test("status, headers and body of the response")
    func response() async throws {
        let answer = RecordingBackend.Answer.respond(
            status: 418, headers: [("X-One", " a "), ("x-two", "b:c"), ("X-One", "d")], body: Array("tea".utf8))
        try await withBackend { _ in
            answer
        } test: { backend, client in
            let response = try await client.perform(.init(url: backend.url))
            #expect(response.status == 418)
            #expect(response.body == Array("tea".utf8))
            #expect(response.headers.map(\.name) == ["X-One", "x-two", "X-One", "Content-Length"])
            #expect(response.header("x-ONE") == "a")
            #expect(response.header("X-Two") == "b:c")
            #expect(response.header("X-Tw") == nil)
        }
    }

    @Test("interim responses and trailers are not taken for the response")
    func interim() async throws {
        let text =
            "HTTP/1.1 103 Early\r\nX-Early: 1\r\n\r\nHTTP/1.1 200 OK\r\nX-Late: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n"
        try await withBackend { _ in
            .raw(text)
        } test: { backend, client in
            let response = try await client.perform(.init(url: backend.url))
            #expect(response.status == 200)
            #expect(response.body == Array("ok".utf8))
            #expect(response.headers.map(\.name) == ["X-Late", "Transfer-Encoding"])
        }
    }

    @Test("redirects are not followed")
    func redirect() async throws {
        try await withBackend { _ in
            .status(302, ("Location", "/else"))
        } test: { backend, client in
            let response = try await client.perform(.init(url: backend.url))
            #expect(response.status == 302)
            #expect(backend.requests.count == 1)
        }
    }

    @Test("requests one after another share a connection")
    func keepAlive() async throws {
        try await withBackend { backend, client in
            for _ in 0..<5 { _ = try await client.perform(.init(url: backend.url, method: .post, body: [1])) }
            #expect(backend.requests.map(\.connection) == [1, 1, 1, 1, 1])
        }
    }

    @Test("connections of a burst are kept for the next one")
    func burst() async throws {
        let gate = Gate()
        try await withBackend { _ in
            await gate.pass()
            return .ok
        } test: { backend, client in
            for burst in 1...2 {
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<20 {
                        group.addTask {
                            _ = try? await client.perform(.init(url: backend.url, method: .post, body: [1]))
                        }
                    }
                    // All of the first burst are open at one time; those of the second one find them open.
                    _ = await backend.requests(atLeast: 20 * burst)
                    gate.open()
                }
                #expect(backend.connectionCount == 20)
            }
        }
    }

    @Test("requests for which there is no connection wait for one, and an idle one makes room for another server")
    func boundedConnections() async throws {
        let gate = Gate()
        let backend = try await RecordingBackend(answer: { _ in
            await gate.pass()
            return .ok
        })
        let other = try await RecordingBackend(answer: { _ in .ok })
        let client = CurlClient(maxConnections: 2, maxIdle: .seconds(60))
        let answered = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<5 {
                group.addTask {
                    try await client.perform(.init(url: backend.url, method: .post, body: [1])).status
                }
            }
            _ = await backend.requests(atLeast: 2)
            gate.open()
            return try await group.reduce(0) { $0 + ($1 == 200 ? 1 : 0) }
        }
        #expect(answered == 5)
        #expect(backend.connectionCount == 2)
        #expect(try await client.perform(.init(url: other.url)).status == 200)
        client.shutdown()
        await backend.shutDown()
        await other.shutDown()
    }

    @Test("gzip is decoded when asked for, and its header can stand among the request's own")
    func gzip() async throws {
        let answer = RecordingBackend.Answer.respond(headers: [("Content-Encoding", "gzip")], body: gzippedHello)
        try await withBackend { _ in
            answer
        } test: { backend, client in
            let request = CurlRequest(
                url: backend.url, headers: [("Accept-Encoding", "gzip,deflate"), ("Accept", "*/*")],
                acceptEncoding: "gzip,deflate")
            let decoded = try await client.perform(request)
            #expect(decoded.body == Array("hello".utf8))
            #expect(backend.requests.first?.headers.map(\.name) == ["Host", "Accept-Encoding", "Accept"])
            let undecoded = try await client.perform(.init(url: backend.url))
            #expect(undecoded.body == gzippedHello)
        }
    }

    @Test("over a Unix domain socket, with the URL's host and path")
    func unixSocket() async throws {
        let path = temporarySocketPath()
        let backend = try await RecordingBackend(unixSocket: path)
        let client = CurlClient()
        let request = CurlRequest(
            url: "http://backend.example/hook", method: .post, body: [1], unixSocketPath: path,
            proxy: .url("http://127.0.0.1:9"))
        #expect(try await client.perform(request).status == 200)
        #expect(backend.requests.first?.header("Host") == "backend.example")
        #expect(backend.requests.first?.target == "/hook")
        client.shutdown()
        await backend.shutDown()
    }

    @Test("a proxy gets the request where one is named, and is left out where not")
    func proxy() async throws {
        try await withBackend { backend, client in
            let viaProxy = CurlRequest(
                url: "http://backend.example/hook?x=1", method: .post, body: [1], proxy: .url(backend.url))
            #expect(try await client.perform(viaProxy).status == 200)
            #expect(backend.requests.last?.target == "http://backend.example/hook?x=1")
            _ = try await client.perform(.init(url: backend.url + "/direct", proxy: .none))
            #expect(backend.requests.last?.target == "/direct")
        }
    }

    @Test("TLS with an authority of one's own")
    func privateAuthority() async throws {
        let authority = try TemporaryFile(TestCertificate.localhost.authority)
        let backend = try await RecordingBackend(tls: .localhost)
        let client = CurlClient()
        var request = CurlRequest(
            url: backend.url + "/tls", method: .post, body: [1], proxy: .none, caFile: authority.path)
        #expect(try await client.perform(request).status == 200)
        request.caFile = nil
        #expect(await client.code(of: request) == .tlsError)
        client.shutdown()
        await backend.shutDown()
    }

    @Test("a server that wants a certificate of the client gets it; connections with and without one are not mixed")
    func clientCertificate() async throws {
        let authority = try TemporaryFile(TestCertificate.localhost.authority)
        let certificate = try TemporaryFile(TestCertificate.client.certificate)
        let key = try TemporaryFile(TestCertificate.client.privateKey)
        let backend = try await RecordingBackend(tls: .localhost, client: .client)
        let client = CurlClient()
        let without = CurlRequest(url: backend.url, method: .post, body: [1], proxy: .none, caFile: authority.path)
        var with = without
        with.clientCertificateFile = certificate.path
        with.clientKeyFile = key.path
        for _ in 1...2 {
            #expect(try await client.perform(with).status == 200)
            // Where the server's end of the connection overtakes its alert, the transfer sees a reset.
            let error = await #expect(throws: CurlError.self) { try await client.perform(without) }
            #expect([.tlsError, .connectionReset].contains(error?.code))
            #expect(error?.message.contains("certificate") == true)
        }
        #expect(backend.requests.count == 2)
        client.shutdown()
        await backend.shutDown()
    }

    @Test("files that are replaced hold for the next connection")
    func replacedFiles() async throws {
        let authority = try TemporaryFile(TestCertificate.client.authority)
        let backend = try await RecordingBackend(tls: .localhost) { _ in
            .status(200, ("Connection", "close"))
        }
        let client = CurlClient()
        let request = CurlRequest(url: backend.url, proxy: .none, caFile: authority.path)
        #expect(await client.code(of: request) == .tlsError)
        try authority.replace(with: TestCertificate.localhost.authority)
        #expect(try await client.perform(request).status == 200)
        try authority.replace(with: TestCertificate.client.authority)
        #expect(await client.code(of: request) == .tlsError)
        client.shutdown()
        await backend.shutDown()
    }

    @Test("TLS through the tunnel of a proxy")
    func tunnel() async throws {
        let authority = try TemporaryFile(TestCertificate.localhost.authority)
        let backend = try await RecordingBackend(tls: .localhost)
        let proxy = try await ConnectProxy()
        let client = CurlClient(maxIdle: .seconds(60))
        let request = CurlRequest(
            url: backend.url + "/tls", method: .post, body: [1], proxy: .url(proxy.url), caFile: authority.path)
        for _ in 1...2 {
            let response = try await client.perform(request)
            #expect(response.status == 200)
            #expect(response.headers.map(\.name) == ["Content-Length"])
        }
        #expect(proxy.targets == ["localhost:\(backend.port)"])
        #expect(backend.requests.map(\.target) == ["/tls", "/tls"])
        client.shutdown()
        await proxy.shutDown()
        await backend.shutDown()
    }

    @Test("many at once from many tasks all get their own answer")
    func many() async throws {
        try await withBackend { request in
            .respond(body: request.body)
        } test: { backend, client in
            await withTaskGroup(of: Bool.self) { group in
                for task in 0..<32 {
                    group.addTask {
                        for number in 0..<20 {
                            let body = Array("\(task)-\(number)".utf8)
                            let response = try? await client.perform(.init(url: backend.url, method: .post, body: body))
                            guard response?.body == body else { return false }
                        }
                        return true
                    }
                }
                for await isRight in group { #expect(isRight) }
            }
            #expect(backend.requests.count == 640)
            #expect(backend.connectionCount <= 32)
        }
    }
}
