// Who is let in, and how much of the server one peer can take.

import AdminServer
import Curl
import Foundation
import Logging
import RelayCore
import Synchronization
import Testing

@Suite("Admin API: access and bounds", .timeLimit(.minutes(1)))
struct AdminAccessTests {
    static let token = "0123456789abcdef0123456789abcdef"

    @Test("with a token every request must show it")
    func token() async throws {
        try await AdminStage.with(token: Self.token) { stage in
            #expect(try await stage.get("/status", headers: [("Authorization", "Bearer \(Self.token)")]).status == 200)
            #expect(try await stage.get("/status", headers: [("Authorization", "bearer \(Self.token)")]).status == 200)
            let reply = try await stage.get("/status")
            #expect(reply.status == 401 && reply.type == "application/problem+json")
            #expect(reply.response.header("WWW-Authenticate") == #"Bearer realm="relay""#)
            #expect(try reply.problem.code == "unauthorized")
            // What is there is nobody's business either.
            #expect(try await stage.get("/nothing").status == 401)
        }
    }

    @Test(
        "a token that is not the right one is refused, and neither said nor logged",
        arguments: [
            "Bearer 0123456789abcdef0123456789abcdeX", "Bearer 0123456789abcdef", "Bearer ", "Bearer", "Basic dTpw",
            "0123456789abcdef0123456789abcdef", "Bearer " + String(repeating: "x", count: 1_025),
        ])
    func wrongToken(header: String) async throws {
        try await AdminStage.with(token: Self.token) { stage in
            let reply = try await stage.get("/status", headers: [("Authorization", header)])
            #expect(reply.status == 401)
            #expect(!reply.text.contains("0123456789"))
            let line = try #require(stage.log.lines.first { $0.message == "admin request refused" })
            #expect(line.level == .warning)
            #expect(line.metadata["admin.remote"] == "127.0.0.1" && line.metadata["reason"] == "unauthorized")
            #expect(line.metadata["error"].map { !$0.isEmpty && !$0.contains("0123456789") } == true)
        }
    }

    @Test("a token is read for each request, and one that cannot be read lets nobody in")
    func rotatedToken() async throws {
        let present = Present()
        let reader: @Sendable () throws(SecretError) -> Secret = { () throws(SecretError) in try present.secret() }
        try await AdminStage.with(tokenReader: reader) { stage in
            let first = try await stage.status("first-first-first")
            #expect(first == 200)
            present.value.withLock { $0 = "second-second-sec" }
            #expect(try await stage.status("first-first-first") == 401)
            #expect(try await stage.status("second-second-sec") == 200)
            present.value.withLock { $0 = nil }
            // Where it is kept is for the log.
            let reply = try await stage.get("/status", headers: [("Authorization", "Bearer second-second-sec")])
            #expect(reply.status == 503)
            #expect(try reply.problem.detail == "the log of Relay says why")
            let line = try #require(stage.log.lines.first { $0.metadata["reason"] == "token_unavailable" })
            #expect(line.metadata["error"] == "secret file:/token: cannot be opened")
        }
    }

    @Test(
        "on loopback Host must name this machine",
        arguments: [
            ("localhost", 200), ("LOCALHOST:1", 200), ("127.0.0.1:9391", 200), ("[::1]:9391", 200), ("[::1]", 200),
            ("127.9.9.9", 200), ("localhost.", 200), ("relay.example", 403), ("localhost.example:9391", 403),
            ("127.0.0.1.example", 403), ("example:127.0.0.1", 403), ("10.0.0.1", 403), ("[::2]", 403), ("", 403),
            ("localhost:x", 403), ("user@localhost", 403),
        ])
    func host(host: String, status: Int) async throws {
        try await AdminStage.with { stage in
            let reply = try await stage.exchange(
                "GET /api/v1/status HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
            #expect(reply.hasPrefix("HTTP/1.1 \(status) "), "\(reply)")
            if status == 403 { #expect(reply.contains("forbidden_host")) }
        }
    }

    @Test("off loopback any Host is taken, with the token")
    func offLoopback() async throws {
        try await AdminStage.with(token: Self.token, host: "0.0.0.0") { stage in
            let reply = try await stage.exchange(
                "GET /api/v1/status HTTP/1.1\r\nHost: relay.example\r\nAuthorization: Bearer \(Self.token)\r\n"
                    + "Connection: close\r\n\r\n")
            #expect(reply.hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test(
        "a web page of another origin is refused",
        arguments: [
            ("Origin: https://example.com", 403), ("Origin: null", 403), ("Origin: http://localhost:1", 403),
            ("Sec-Fetch-Site: cross-site", 403), ("Sec-Fetch-Site: same-site", 403),
            ("Sec-Fetch-Site: same-origin\r\nOrigin: http://localhost:9391", 200), ("Sec-Fetch-Site: none", 200),
        ])
    func origin(headers: String, status: Int) async throws {
        try await AdminStage.with { stage in
            let reply = try await stage.exchange(
                "GET /api/v1/status HTTP/1.1\r\nHost: localhost:9391\r\n\(headers)\r\nConnection: close\r\n\r\n")
            #expect(reply.hasPrefix("HTTP/1.1 \(status) "))
        }
    }

    // MARK: Paths, methods, bodies

    @Test(
        "what is not there is 404",
        arguments: ["/", "/api/v1", "/api/v1/", "/api/v2/status", "/api/v1/status/", "/status"])
    func unknownPath(path: String) async throws {
        try await AdminStage.with { stage in
            let reply = try await stage.send(.get, path)
            #expect(reply.status == 404 && reply.type == "application/problem+json")
            #expect(try reply.problem.code == "unknown_path")
        }
    }

    @Test("a method that a path does not have is 405 and names those it has")
    func method() async throws {
        try await AdminStage.with { stage in
            let reply = try await stage.send(.delete, "/api/v1/status")
            #expect(reply.status == 405)
            #expect(reply.response.header("Allow") == "GET")
            #expect(try reply.problem.code == "method_not_allowed")
            // The stream is not a delivery.
            #expect(try await stage.send(.delete, "/api/v1/deliveries/stream").status == 405)
            #expect(try await stage.send(.post, "/api/v1/deliveries").response.header("Allow") == "GET, DELETE")
            let head = try await stage.exchange(
                "HEAD /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            #expect(head.hasPrefix("HTTP/1.1 405 ") && head.hasSuffix("\r\n\r\n"))
        }
    }

    @Test("a body is JSON and says so")
    func mediaType() async throws {
        try await AdminStage.with { stage in
            for type in ["text/plain", "application/x-www-form-urlencoded", ""] {
                let reply = try await stage.send(
                    .post, "/api/v1/replays", json: "{}", headers: [("Content-Type", type)])
                #expect(reply.status == 415)
                #expect(try reply.problem.code == "unsupported_media_type")
            }
            let reply = try await stage.send(
                .post, "/api/v1/replays", json: #"{"filter":{}}"#,
                headers: [("Content-Type", "Application/JSON; charset=utf-8")])
            #expect(reply.status == 201)
        }
    }

    @Test("a body that is no HTTP is the peer's mistake, and no error of Relay")
    func brokenBody() async throws {
        try await AdminStage.with { stage in
            let reply = try await stage.exchange(
                "POST /api/v1/replays HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    + "Transfer-Encoding: chunked\r\n\r\nzz\r\n")
            #expect(reply.hasPrefix("HTTP/1.1 400 "), "\(reply)")
            #expect(reply.contains("malformed_request"))
            #expect(!stage.log.lines.contains { $0.level >= .error })
        }
    }

    @Test("a body is at most 64 KiB, and none where none is wanted")
    func bodySize() async throws {
        try await AdminStage.with { stage in
            let large = try await stage.post("/replays", String(repeating: " ", count: (64 << 10) + 1))
            #expect(large.status == 413)
            #expect(try large.problem.code == "body_too_large")
            #expect(try await stage.post("/drain", "{}").status == 422)
        }
    }

    @Test(
        "a head that is too large, or no HTTP, gets its problem",
        arguments: [
            (
                "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nX: \(String(repeating: "x", count: 17 << 10))\r\n\r\n",
                431
            ),
            ("GET /api/v1/\(String(repeating: "x", count: 17 << 10)) HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
            ("GET / HTTP/1.1\r\n" + (0...64).map { "X-\($0): y\r\n" }.joined() + "\r\n", 431),
            ("this is not HTTP\r\n\r\n", 400),
        ])
    func head(text: String, status: Int) async throws {
        try await AdminStage.with { stage in
            let reply = try await stage.exchange(text)
            #expect(reply.hasPrefix("HTTP/1.1 \(status) "), "\(reply.prefix(100))")
            #expect(reply.contains("application/problem+json"))
        }
    }

    // MARK: Slow peers

    private static let hasty: ConnectionLimits = {
        var limits = ConnectionLimits()
        limits.idleTimeout = .milliseconds(300)
        limits.bodyTimeout = .milliseconds(300)
        limits.writeTimeout = .milliseconds(300)
        return limits
    }()

    @Test(
        "a peer that sends its request too slowly is cut off",
        arguments: [
            "GET /api/v1/status HTTP/1.1\r\nX-Slow: ",
            "POST /api/v1/replays HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n",
        ])
    func slowRequest(beginning: String) async throws {
        try await AdminStage.with(limits: Self.hasty) { stage in
            try await RawConnection.with(port: stage.port) { connection in
                try? await connection.send(beginning)
                // A byte now and then keeps nothing alive.
                async let drip: Void = {
                    while !Task.isCancelled {
                        try? await Task.sleep(for: .milliseconds(50))
                        guard (try? await connection.send("1")) != nil else { return }
                    }
                }()
                #expect(await connection.rest() == "")
                await drip
            }
        }
    }

    @Test("at most so many connections are open, and one that ends makes room")
    func connections() async throws {
        var limits = ConnectionLimits()
        limits.connections = 1
        limits.idleTimeout = .seconds(60)
        try await AdminStage.with(limits: limits) { stage in
            try await RawConnection.with(port: stage.port) { first in
                try await first.send("GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
                _ = await first.text(until: #""version":"1.2.3"}"#)
                try await RawConnection.with(port: stage.port) { second in
                    try await second.send("GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    // What comes later on the first one is answered meanwhile.
                    try await first.send("GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    _ = await first.text(until: #""version":"1.2.3"}"#)
                    #expect(second.receivedBytes == 0)
                    try await first.send("GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    #expect(await second.rest().hasPrefix("HTTP/1.1 200"))
                }
            }
        }
    }
}

extension AdminStage {
    /// With a token.
    fileprivate func status(_ token: String) async throws -> Int {
        try await get("/status", headers: [("Authorization", "Bearer \(token)")]).status
    }
}

/// A secret that changes.
final class Present: Sendable {
    let value = Mutex<String?>("first-first-first")

    func secret() throws(SecretError) -> Secret {
        guard let value = value.withLock({ $0 }) else { throw SecretError(.file("/token"), reason: "cannot be opened") }
        return Secret(value)
    }
}
