// The connector over real sockets: all the ways in which a connection does not come about.

import Foundation
import NIOCore
import RelayCore
import RelayTestKit
import SlackConnector
import SocketMode
import Testing

@Suite(.timeLimit(.minutes(1))) struct ConnectFailureTests {
    @Test(
        "F1, F39, F40: each refused upgrade is one failed attempt, and the next one has a new ticket",
        arguments: [
            ("409 Conflict", ConnectOutcome.upgradeRejected), ("429 Too Many Requests", .rateLimited),
            ("408 Request Timeout", .upgradeRejected), ("404 Not Found", .upgradeRejected),
            ("500 Internal Server Error", .upgradeRejected), ("502 Bad Gateway", .upgradeRejected),
            ("503 Service Unavailable", .upgradeRejected), ("302 Found", .upgradeRejected),
            ("200 OK", .upgradeRejected),
        ])
    func refused(status: String, outcome: ConnectOutcome) async throws {
        try await ScriptedSlack.run { socket, number in
            guard number > 8 else {
                let head = try await socket.readHead()
                #expect(head.contains("ticket=\(number)&"))
                return try await socket.answer(
                    status, ["via: envoy-wss-1", "server: envoy", "Content-Type: text/html"], body: "<html>")
            }
            try await socket.hello()
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack))
            try await bench.run { await bench.connected() }
            #expect(bench.connects(outcome) == 8)
            #expect(bench.connects(.connected) == 1)
            #expect(bench.urls.count == 9)
        }
    }

    @Test("a connection that ends before the upgrade is answered is one failed attempt")
    func reset() async throws {
        try await ScriptedSlack.run { socket, number in
            if number <= 3 { return _ = try await socket.readHead() }
            try await socket.hello()
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack))
            try await bench.run { await bench.connected() }
            #expect(bench.connects(.reset) == 3)
            #expect(bench.urls.count == 4)
        }
    }

    @Test("no hello in time: a close frame, and the next attempt")
    func helloTimeout() async throws {
        try await ScriptedSlack.run { socket, number in
            if number == 1 {
                try await socket.upgrade()
                #expect(try await socket.nextFrame().opcode == ScriptedSocket.Frame.close)
                return
            }
            try await socket.hello()
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack), timing: .init(helloTimeout: .milliseconds(30)))
            try await bench.run { await bench.connected() }
            #expect(bench.connects(.helloTimeout) >= 1)
        }
    }

    @Test("a disconnect in place of hello is read, also when it comes with the 101 and TCP ends at once")
    func refusedAtOnce() async throws { try await expectRefusals(tls: nil) }

    @Test("over TLS, too, where TCP ends without the goodbye of TLS")
    func refusedAtOnceOverTLS() async throws { try await expectRefusals(tls: .localhost) }

    private func expectRefusals(tls: TestCertificate?) async throws {
        let attempts = 40
        let file = try TemporaryFile(TestCertificate.localhost.authority)
        try await ScriptedSlack.run(tls: tls) { socket, number in
            guard number <= attempts else {
                try await socket.hello()
                return try await socket.untilEnd()
            }
            let disconnect = #"{"type":"disconnect","reason":"refresh_requested"}"#
            try await socket.upgrade(following: ScriptedSocket.frame(ScriptedSocket.Frame.text, Array(disconnect.utf8)))
            if tls != nil { try await socket.cut() }
        } body: { slack in
            let bench = Bench(
                urls: URLs(slack, host: "localhost"), timing: .init(helloTimeout: .seconds(1)), caFile: file.path,
                plaintext: tls == nil)
            try await bench.run { await bench.connected() }
            #expect(bench.connects(.refused) == Int64(attempts))
            #expect(bench.connects(.helloTimeout) == 0)
        }
    }

    @Test("a 101 that RFC 6455 does not accept is a failed attempt", arguments: [0, 1])
    func badUpgrade(flaw: Int) async throws {
        try await ScriptedSlack.run { socket, number in
            guard number > 1 else {
                try await socket.upgrade(
                    headers: flaw == 0 ? [] : ["Sec-WebSocket-Extensions: permessage-deflate"],
                    accept: flaw == 0 ? "bm90IHRoZSByaWdodCBvbmU=" : nil)
                return try await socket.untilEnd()
            }
            try await socket.hello()
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack))
            try await bench.run { await bench.connected() }
            #expect(bench.connects(.upgradeRejected) == 1)
        }
    }

    @Test("what is not HTTP is a failed attempt")
    func notHTTP() async throws {
        try await ScriptedSlack.run { socket, number in
            guard number > 1 else {
                _ = try await socket.readHead()
                try await socket.send("SSH-2.0-OpenSSH_9.6\r\n\r\n")
                return try await socket.untilEnd()
            }
            try await socket.hello()
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack))
            try await bench.run { await bench.connected() }
            #expect(bench.connects(.upgradeRejected) == 1)
        }
    }

    @Test("plain WebSockets are refused unless the API is plain too")
    func plaintext() async throws {
        let bench = Bench(urls: URLs { _ in "ws://127.0.0.1:1/" }, plaintext: false)
        try await bench.run { await bench.urls.asked(3) }
        #expect(bench.connects(.apiError) >= 2)
        #expect(bench.connects(.connectError) == 0)
    }

    @Test("nothing listens: a failed attempt")
    func nothingListens() async throws {
        let bench = Bench(urls: URLs { _ in "ws://127.0.0.1:1/" })
        try await bench.run { await bench.urls.asked(3) }
        #expect(bench.connects(.connectError) >= 2)
    }

    @Test("a drain in the middle of a dial ends it at once")
    func drainWhileDialing() async throws {
        let dialed = Signal()
        try await ScriptedSlack.run { socket, _ in
            _ = try await socket.readHead()
            dialed.fire()
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack))
            try await bench.run { await dialed.wait() }
            #expect(bench.connects(.canceled) == 1)
        }
    }

    // MARK: TLS

    @Test("TLS with a private authority: connected when it is trusted")
    func privateAuthority() async throws {
        let file = try TemporaryFile(TestCertificate.localhost.authority)
        try await ScriptedSlack.run(tls: .localhost) { socket, _ in
            try await socket.hello()
            try await socket.send(text: ScriptedSlack.eventText("a"))
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack, host: "localhost"), caFile: file.path, plaintext: false)
            try await bench.run { #expect(await bench.receiver.next()?.ids == ["a"]) }
        }
    }

    @Test("TLS with a private authority: refused when it is not trusted")
    func unknownAuthority() async throws {
        try await ScriptedSlack.run(tls: .localhost) { socket, _ in
            try await socket.hello()
        } body: { slack in
            let bench = Bench(urls: URLs(slack, host: "localhost"), plaintext: false)
            try await bench.run { await bench.urls.asked(2) }
            #expect(bench.connects(.tlsError) >= 1)
            #expect(bench.connects(.connected) == 0)
        }
    }

    @Test("a CA file that cannot be read is a failed attempt, not a missing check")
    func missingAuthority() async throws {
        let bench = Bench(urls: URLs { _ in "wss://127.0.0.1:1/" }, caFile: "/nowhere/ca.pem")
        try await bench.run { await bench.urls.asked(2) }
        #expect(bench.connects(.tlsError) >= 1)
    }

    // MARK: Proxies

    @Test("F41: through a CONNECT proxy, with its user and password", arguments: [true, false])
    func proxy(isSecure: Bool) async throws {
        let file = try TemporaryFile(TestCertificate.localhost.authority)
        try await ScriptedSlack.run(tls: isSecure ? .localhost : nil) { socket, _ in
            try await socket.hello()
            try await socket.send(text: ScriptedSlack.eventText("a"))
            try await socket.untilEnd()
        } body: { slack in
            try await ScriptedSlack.run { socket, _ in
                let head = try await socket.readHead()
                #expect(head.hasPrefix("CONNECT localhost:\(slack.port) HTTP/1.1"))
                #expect(head.contains("Proxy-Authorization: Basic dXNlcjpwYTpzcw=="))
                try await socket.send("HTTP/1.1 200 Connection established\r\n\r\n")
                try await socket.tunnel(to: slack.port)
            } body: { proxy in
                let bench = Bench(
                    urls: URLs(slack, host: "localhost"), proxy: "http://user:pa%3Ass@127.0.0.1:\(proxy.port)",
                    caFile: file.path)
                try await bench.run { #expect(await bench.receiver.next()?.ids == ["a"]) }
            }
        }
    }

    @Test("the proxy of the environment is used as well, and NO_PROXY is heeded", arguments: [true, false])
    func environment(isExcepted: Bool) async throws {
        let asked = Signal()
        try await ScriptedSlack.run { socket, _ in
            _ = try await socket.readHead()
            asked.fire()
            try await socket.answer("407 Proxy Authentication Required")
        } body: { proxy in
            var environment = ["http_proxy": "127.0.0.1:\(proxy.port)"]
            if isExcepted { environment["NO_PROXY"] = "127.0.0.0/8" }
            let bench = Bench(urls: URLs { _ in "ws://127.0.0.1:1/" }, environment: environment)
            try await bench.run {
                if !isExcepted { await asked.wait() }
                await bench.urls.asked(3)
            }
            #expect(bench.connects(.proxyError) >= (isExcepted ? 0 : 2))
            #expect((bench.connects(.connectError) > 0) == isExcepted)
        }
    }
}

/// A file that is removed with its owner.
final class TemporaryFile: Sendable {
    let path: String

    init(_ content: String) throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        try Data(content.utf8).write(to: URL(fileURLWithPath: path))
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
