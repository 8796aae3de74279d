// What goes wrong on real sockets, and that a POST is never sent twice.

import Curl
import NIOCore
import RelayTestKit
import Testing

@Suite struct CurlFailureTests {
    @Test("a POST arrives once when the server closes a reused connection after reading it", arguments: [false, true])
    func noSecondPost(withReset: Bool) async throws {
        try await withBackend { request in
            request.text == "second" ? (withReset ? .reset : .close) : .ok
        } test: { backend, client in
            _ = try await client.perform(.init(url: backend.url, method: .post, body: Array("first".utf8)))
            let second = CurlRequest(url: backend.url, method: .post, body: Array("second".utf8))
            let error = await #expect(throws: CurlError.self) { try await client.perform(second) }
            #expect(error?.code == .connectionReset)
            #expect(error?.message == "the server closed a reused connection before it answered")
            _ = try await client.perform(.init(url: backend.url, method: .post, body: Array("third".utf8)))
            #expect(backend.requests.map(\.text) == ["first", "second", "third"])
            #expect(backend.requests.prefix(2).map(\.connection) == [1, 1])
        }
    }

    @Test("a large POST arrives once when the server closes amid its body", arguments: [false, true])
    func noSecondLargePost(withReset: Bool) async throws {
        try await withBackend(answerHead: { $0.target == "/large" ? (withReset ? .reset : .close) : nil }) {
            backend, client in
            _ = try await client.perform(.init(url: backend.url + "/first", method: .post, body: [1]))
            let large = [UInt8](repeating: 1, count: 20_000_000)
            let request = CurlRequest(url: backend.url + "/large", method: .post, body: large)
            #expect(await client.code(of: request) == .connectionReset)
            #expect(backend.requests.map(\.target) == ["/first", "/large"])
        }
    }

    @Test("a GET is sent again over a new connection")
    func repeatedGet() async throws {
        try await withBackend {
            $0.target == "/again" && $0.connection == 1 ? .close : .ok
        } test: { backend, client in
            for path in ["/first", "/again"] { _ = try await client.perform(.init(url: backend.url + path)) }
            #expect(backend.requests.map(\.target) == ["/first", "/again", "/again"])
        }
    }

    @Test("an answer that comes before the body has been sent counts")
    func earlyAnswer() async throws {
        try await withBackend(answerHead: { _ in .status(413) }) { backend, client in
            let large = [UInt8](repeating: 1, count: 20_000_000)
            let response = try await client.perform(.init(url: backend.url, method: .post, body: large))
            #expect(response.status == 413)
        }
    }

    @Test("a server that closed a reused connection under a request gets a connection for each of the next")
    func hastyServer() async throws {
        try await withBackend {
            $0.text == "lost" ? .close : .ok
        } test: { backend, client in
            for text in ["first", "lost", "a", "b", "c"] {
                _ = try? await client.perform(.init(url: backend.url, method: .post, body: Array(text.utf8)))
            }
            #expect(backend.requests.map(\.text) == ["first", "lost", "a", "b", "c"])
            #expect(Set(backend.requests.suffix(3).map(\.connection)).count == 3)
        }
    }

    @Test("a POST without a body arrives once, too")
    func noSecondEmptyPost() async throws {
        try await withBackend { request in
            request.target == "/second" ? .close : .ok
        } test: { backend, client in
            _ = try await client.perform(.init(url: backend.url + "/first", method: .post, body: [1]))
            #expect(await client.code(of: .init(url: backend.url + "/second", method: .post)) == .connectionReset)
            #expect(backend.requests.map(\.target) == ["/first", "/second"])
        }
    }

    @Test("a reset right after the TLS handshake may hide a refused certificate; one of a used connection does not")
    func resetAfterHandshake() async throws {
        let authority = try TemporaryFile(TestCertificate.localhost.authority)
        let backend = try await RecordingBackend(tls: .localhost) { $0.target == "/reset" ? .reset : .ok }
        let client = CurlClient(maxIdle: .seconds(60))
        func error() async -> CurlError? {
            let request = CurlRequest(
                url: backend.url + "/reset", method: .post, body: [1], proxy: .none, caFile: authority.path)
            return await #expect(throws: CurlError.self) { try await client.perform(request) }
        }
        let first = await error()
        #expect(first?.code == .connectionReset)
        #expect(first?.message.contains("wants a certificate") == true)
        _ = try await client.perform(.init(url: backend.url, proxy: .none, caFile: authority.path))
        let used = await error()
        #expect(used?.code == .connectionReset)
        #expect(used?.message.contains("certificate") == false)
        client.shutdown()
        await backend.shutDown()
    }

    @Test("a connection that the server closed while idle is noticed, and the POST goes over a new one")
    func closedWhileIdle() async throws {
        try await withBackend { backend, client in
            _ = try await client.perform(.init(url: backend.url, method: .post, body: [1]))
            await backend.closeConnections()
            _ = try await client.perform(.init(url: backend.url, method: .post, body: [2]))
            #expect(backend.requests.map(\.body) == [[1], [2]])
            #expect(backend.requests.map(\.connection) == [1, 2])
        }
    }

    @Test(
        "an answer that breaks off",
        arguments: ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
    func brokenOff(text: String) async throws {
        try await withBackend { _ in
            .raw(text)
        } test: { backend, client in
            #expect(await client.code(of: .init(url: backend.url, method: .post, body: [1])) == .connectionReset)
            #expect(backend.requests.count == 1)
        }
    }

    @Test("an answer that is not HTTP", arguments: ["SSH-2.0-OpenSSH\r\n", "HTTP/1.1 abc\r\n\r\n"])
    func notHTTP(text: String) async throws {
        try await withBackend { _ in
            .raw(text)
        } test: { backend, client in
            #expect(await client.code(of: .init(url: backend.url, method: .post, body: [1])) == .other)
        }
    }

    @Test("nothing listens")
    func refused() async throws {
        let backend = try await RecordingBackend()
        await backend.shutDown()
        let client = CurlClient()
        #expect(await client.code(of: .init(url: backend.url, proxy: .none)) == .connectionRefused)
        let socket = temporarySocketPath()
        #expect(await client.code(of: .init(url: "http://x", unixSocketPath: socket)) == .connectionRefused)
        client.shutdown()
    }

    @Test("a Unix socket that cannot be connected to is named, and not the URL's host")
    func noSuchSocket() async throws {
        let client = CurlClient()
        let path = temporarySocketPath()
        let error = await #expect(throws: CurlError.self) {
            try await client.perform(.init(url: "http://app.example/slack/events", unixSocketPath: path))
        }
        #expect(error?.message == "cannot connect to the Unix socket \(path): No such file or directory")
        client.shutdown()
    }

    @Test("a name without an address (RFC 6761 §6.4)")
    func unknownName() async {
        let client = CurlClient()
        #expect(await client.code(of: .init(url: "http://backend.invalid/", proxy: .none)) == .dnsError)
        client.shutdown()
    }

    @Test("a server that never answers is a timeout, on a new connection and on a reused one")
    func timeout() async throws {
        try await withBackend {
            $0.text == "wait" ? .silence : .ok
        } test: { backend, client in
            let wait = CurlRequest(
                url: backend.url, method: .post, body: Array("wait".utf8), timeout: .milliseconds(500))
            #expect(await client.code(of: wait) == .timeout)
            _ = try await client.perform(.init(url: backend.url, method: .post, body: [1]))
            #expect(await client.code(of: wait) == .timeout)
            #expect(await backend.requests(atLeast: 3).map(\.connection) == [1, 2, 2])
        }
    }

    @Test("a TLS handshake that never ends is a connect timeout")
    func connectTimeout() async throws {
        let listener = try await makeSilentListener()
        let port = try #require(listener.localAddress?.port)
        let client = CurlClient()
        let request = CurlRequest(
            url: "https://127.0.0.1:\(port)/", connectTimeout: .milliseconds(50), proxy: .none)
        #expect(await client.code(of: request) == .connectTimeout)
        client.shutdown()
        try await listener.close()
    }

    @Test("a body over the limit, a body at the limit, a head over the limit")
    func tooLarge() async throws {
        try await withBackend { request in
            request.target == "/head"
                ? .respond(headers: (0..<200).map { ("X-\($0)", String(repeating: "x", count: 1000)) })
                : .respond(body: [UInt8](repeating: 1, count: 100_000))
        } test: { backend, client in
            #expect(await client.code(of: .init(url: backend.url, maxResponseBytes: 99_999)) == .responseTooLarge)
            let cut = await #expect(throws: CurlError.self) {
                try await client.perform(.init(url: backend.url, maxResponseBytes: 10))
            }
            #expect(cut?.status == 200)
            let head = await #expect(throws: CurlError.self) {
                try await client.perform(.init(url: backend.url + "/head"))
            }
            #expect(head?.status == nil)
            let whole = try await client.perform(.init(url: backend.url, maxResponseBytes: 100_000))
            #expect(whole.body.count == 100_000)
            #expect(await client.code(of: .init(url: backend.url + "/head")) == .responseTooLarge)
        }
    }

    @Test(
        "a response that does not end is cut off when it is too large",
        arguments: [
            ("HTTP/1.1 200 OK\r\n", "X-More: \(String(repeating: "x", count: 1_000))\r\n", nil),
            ("HTTP/1.1 103 Early\r\n\r\n", "HTTP/1.1 103 Early\r\n\r\n", nil),
            ("HTTP/1.1 200 OK\r\n\r\n", String(repeating: "x", count: 10_000), 200),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "2710\r\n\(String(repeating: "x", count: 10_000))\r\n", 200
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
                "X-Trailer: \(String(repeating: "x", count: 1_000))\r\n", 200
            ),
        ] as [(String, String, Int?)])
    func endlessAndLarge(beginning: String, again: String, status: Int?) async throws {
        try await withBackend { _ in
            .endless(beginning, again: again)
        } test: { backend, client in
            let error = await #expect(throws: CurlError.self) { try await client.perform(.init(url: backend.url)) }
            #expect(error?.code == .responseTooLarge)
            #expect(error?.status == status)
        }
    }

    @Test("a header line that does not end is cut off by libcurl, which then calls its memory exhausted")
    func endlessLine() async throws {
        try await withBackend { _ in
            .endless("HTTP/1.1 200 OK\r\nX-More: ", again: String(repeating: "x", count: 1_000))
        } test: { backend, client in
            let code = try #require(await client.code(of: .init(url: backend.url)))
            #expect([.responseTooLarge, .other].contains(code))
        }
    }

    @Test(
        "a response that does not end is cut off when the time is up, however little comes at a time",
        arguments: [
            ("HTTP/1.1 200 OK\r\n", "X: y\r\n", nil), ("HTTP/1.1 200 OK\r\n\r\n", "x", 200),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", 200),
        ] as [(String, String, Int?)])
    func endlessAndSlow(beginning: String, again: String, status: Int?) async throws {
        try await withBackend { _ in
            .endless(beginning, again: again, pause: .milliseconds(20))
        } test: { backend, client in
            let error = await #expect(throws: CurlError.self) {
                try await client.perform(.init(url: backend.url, timeout: .seconds(1)))
            }
            let code = try #require(error?.code)
            // On a machine that is very busy the time is up before there is a status, or a connection.
            #expect([.timeout, .connectTimeout].contains(code))
            #expect([status, nil].contains(error?.status))
        }
    }

    @Test("a small body that decodes to a large one is too large")
    func decodedTooLarge() async throws {
        let answer = RecordingBackend.Answer.respond(headers: [("Content-Encoding", "gzip")], body: gzippedHello)
        try await withBackend { _ in
            answer
        } test: { backend, client in
            let request = CurlRequest(url: backend.url, maxResponseBytes: 4, acceptEncoding: "gzip")
            #expect(await client.code(of: request) == .responseTooLarge)
        }
    }

    @Test("a proxy that refuses the tunnel, and one that has no name")
    func proxyRefuses() async throws {
        try await withBackend { _ in
            .status(403)
        } test: { backend, client in
            let refused = CurlRequest(url: "https://backend.example/", proxy: .url(backend.url))
            #expect(await client.code(of: refused) == .proxyError)
            #expect(backend.requests.map(\.method) == ["CONNECT"])
            let unknown = CurlRequest(url: "https://backend.example/", proxy: .url("http://proxy.invalid:1"))
            #expect(await client.code(of: unknown) == .proxyError)
        }
    }

    @Test("a client certificate that is not there, and a private key that is not there or is encrypted")
    func missingClientCertificate() async throws {
        let ca = try TemporaryFile(TestCertificate.localhost.authority)
        let certificate = try TemporaryFile(TestCertificate.client.certificate)
        let encrypted = try TemporaryFile(TestCertificate.encryptedClientKey)
        let backend = try await RecordingBackend(tls: .localhost, client: .client)
        let client = CurlClient()
        for (certificate, key) in [
            ("/nonexistent/cert.pem", encrypted.path), (certificate.path, "/nonexistent/key.pem"),
            (certificate.path, encrypted.path), (certificate.path, certificate.path),
        ] {
            let request = CurlRequest(
                url: backend.url, proxy: .none, caFile: ca.path, clientCertificateFile: certificate, clientKeyFile: key)
            #expect(await client.code(of: request) == .tlsError)
        }
        client.shutdown()
        await backend.shutDown()
    }

    @Test("a CA file that is not there")
    func missingAuthority() async throws {
        try await withBackend { backend, client in
            let request = CurlRequest(
                url: "https://127.0.0.1:\(backend.port)/", proxy: .none, caFile: "/nonexistent/ca.pem")
            #expect(await client.code(of: request) == .tlsError)
        }
    }

    @Test(
        "requests that cannot be made",
        arguments: [
            CurlRequest(url: "ftp://host/"), CurlRequest(url: "http://ho st/"), CurlRequest(url: "http://host:99999/"),
            CurlRequest(url: "http://host/\r\nX: y"), CurlRequest(url: "http://host/", headers: [("X", "a\r\nY: b")]),
            CurlRequest(url: "http://host/", headers: [("X Y", "a")]),
            CurlRequest(url: "http://host/", headers: [("", "a")]),
        ])
    func invalid(request: CurlRequest) async {
        let client = CurlClient()
        #expect(await client.code(of: request) == .invalidRequest)
        client.shutdown()
    }

    @Test("a header's name holds the characters of a token (RFC 9110 §5.6.2) and no others")
    func tokens() async {
        let client = CurlClient()
        for byte in UInt8(1)...127 {
            let character = Character(UnicodeScalar(byte))
            let isToken = character.isLetter || character.isNumber || "!#$%&'*+-.^_`|~".contains(character)
            let request = CurlRequest(url: "http://127.0.0.1:1", headers: [("X\(character)", "a")], proxy: .none)
            #expect(await client.code(of: request) == (isToken ? .connectionRefused : .invalidRequest), "\(byte)")
        }
        client.shutdown()
    }

    @Test("an error tells neither query nor user information")
    func discreet() async throws {
        let backend = try await RecordingBackend()
        await backend.shutDown()
        let client = CurlClient()
        let url = "http://user:hunter2@127.0.0.1:\(backend.port)/path?token=hunter3"
        let error = await #expect(throws: CurlError.self) { try await client.perform(.init(url: url, proxy: .none)) }
        #expect(error?.message.contains("127.0.0.1") == true)
        #expect(error?.message.contains("hunter") == false)
        client.shutdown()
    }

    @Test("a canceled task ends its request")
    func cancel() async throws {
        try await withBackend { _ in
            .silence
        } test: { backend, client in
            let task = Task { await client.code(of: .init(url: backend.url, method: .post, body: [1])) }
            _ = await backend.requests(atLeast: 1)
            task.cancel()
            #expect(await task.value == .canceled)
        }
    }

    @Test("a request of a task that is canceled already is not made")
    func canceledBefore() async throws {
        try await withBackend { backend, client in
            let gate = Gate()
            let task = Task {
                await gate.pass()
                return await client.code(of: .init(url: backend.url))
            }
            task.cancel()
            gate.open()
            #expect(await task.value == .canceled)
            _ = try await client.perform(.init(url: backend.url + "/after"))
            #expect(backend.requests.map(\.target) == ["/after"])
        }
    }

    @Test("shutdown ends what is running and refuses what comes after")
    func shutdown() async throws {
        try await withBackend { _ in
            .silence
        } test: { backend, client in
            let running = Task { await client.code(of: .init(url: backend.url)) }
            _ = await backend.requests(atLeast: 1)
            client.shutdown()
            #expect(await running.value == .canceled)
            #expect(await client.code(of: .init(url: backend.url)) == .canceled)
            client.shutdown()
        }
    }
}
