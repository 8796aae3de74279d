// The simulator over real sockets on loopback.

import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL
import NIOWebSocket
import RelayCore
import RelayTestKit
import SlackSimulator
import SocketMode
import Testing

@Suite(.timeLimit(.minutes(1))) struct SlackSimulatorTests {
    /// Runs a simulator on a free port for the length of a test.
    /// By default it waits longer for acknowledgements and with its pings than Slack does: on a busy machine neither a
    /// redelivery nor a ping comes in between.
    func withSlack(
        _ configuration: SlackSimulatorConfiguration = .init(
            acknowledgementDeadline: .seconds(60), firstPing: .seconds(3600)),
        _ body: (SlackSimulator) async throws -> Void
    ) async throws {
        let slack = try await SlackSimulator.start(configuration)
        do {
            try await body(slack)
        } catch {
            await slack.stop()
            throw error
        }
        await slack.stop()
    }

    func control(_ slack: SlackSimulator, _ path: String, _ body: String? = nil) async throws -> [String: Any] {
        try await HTTPExchange.send(body == nil ? .GET : .POST, slack.controlURL + path, body: body ?? "").json()
    }

    // MARK: The way in

    @Test("the API answers like Slack's: escaped slashes, a ticket, 64 hex digits, scopes in headers")
    func openConnection() async throws {
        try await withSlack { slack in
            let answer = try await HTTPExchange.send(
                .POST, slack.apiURL + "/apps.connections.open", headers: ["authorization": "Bearer xapp-1"])
            #expect(answer.status == 200)
            #expect(answer.headers.first(name: "x-oauth-scopes") == "connections:write")
            #expect(answer.body.contains(#"ws:\/\/127.0.0.1:\#(slack.port)\/link\/?ticket="#))
            let text = try #require(try answer.json()["url"] as? String)
            let url = try #require(URLComponents(string: text))
            #expect(url.queryItems?.first { $0.name == "app_id" }?.value?.count == 64)
        }
    }

    @Test("a GET, a missing token, an unknown method and an unknown page are refused as Slack refuses them")
    func refusals() async throws {
        try await withSlack { slack in
            let get = try await HTTPExchange.send(.GET, slack.apiURL + "/apps.connections.open")
            #expect(try get.json()["error"] as? String == "insecure_request")
            let bare = try await HTTPExchange.send(.POST, slack.apiURL + "/apps.connections.open")
            #expect(try bare.json()["error"] as? String == "not_authed")
            let other = try await HTTPExchange.send(.POST, slack.apiURL + "/chat.explode")
            #expect(try other.json()["error"] as? String == "unknown_method")
            #expect(
                try await HTTPExchange.send(.GET, slack.controlURL.replacingOccurrences(of: "/control", with: "/x"))
                    .status == 404)
            #expect(
                try await HTTPExchange.send(.GET, slack.controlURL.replacingOccurrences(of: "/control", with: "/link/"))
                    .status == 400)
        }
    }

    @Test("a URL that was used once does not work again")
    func ticketOnce() async throws {
        try await withSlack { slack in
            let url = try await TestSocket.ticketURL(slack)
            guard case .hello = try await TestSocket.dial(url).nextMessage() else {
                Issue.record("no hello")
                return
            }
            guard case .refused(403, _) = try await TestSocket.dial(url).next() else {
                Issue.record("a second upgrade")
                return
            }
        }
    }

    @Test("failed upgrades have the status, the headers of Slack's edge, and those that were asked for")
    func failedUpgrade() async throws {
        try await withSlack { slack in
            try await slack.failUpgrades(
                1, with: .status(429, headers: [.init(name: "retry-after", value: "7")], body: "slow down"))
            guard case .refused(429, let head) = try await TestSocket.open(slack).next() else {
                Issue.record("not refused")
                return
            }
            #expect(head.contains("via: envoy-wss") && head.contains("server: envoy"))
            #expect(head.contains("connection: close") && head.contains("retry-after: 7"))
            guard case .hello = try await TestSocket.open(slack).nextMessage() else {
                Issue.record("still refused")
                return
            }
            #expect(try await slack.statistics().refusedUpgrades == 1)
        }
    }

    @Test("an upgrade can be answered with a page, a reset, a disconnect, or nothing")
    func strangeUpgrades() async throws {
        try await withSlack { slack in
            try await slack.failUpgrades(1, with: .html)
            guard case .refused(200, let page) = try await TestSocket.open(slack).next() else { throw Unexpected() }
            #expect(page.contains("text/html"))
            try await slack.failUpgrades(1, with: .reset)
            #expect(try await TestSocket.open(slack).next() == .ended(isReset: true))
            try await slack.failUpgrades(1, with: .disconnect(reason: "link_disabled"))
            let refused = try await TestSocket.open(slack)
            #expect(try await refused.nextMessage() == .disconnect(.init(reason: .linkDisabled, host: "applink-1")))
            #expect(try await refused.next() == .ended(isReset: false))
            try await slack.failUpgrades(1, with: .noHello)
            let silent = try await TestSocket.open(slack)
            try await slack.wait(for: .refused, times: 2)
            #expect(try await slack.connections().map(\.state) == [.refused])
            try await silent.close()
        }
    }

    @Test("API calls fail as told, then work")
    func failedCalls() async throws {
        try await withSlack { slack in
            try await slack.failAPICalls(1, with: .status(429, retryAfter: 2))
            try await slack.failAPICalls(1, with: .html)
            try await slack.failAPICalls(1, with: .error(code: "fatal_error"))
            let call = {
                try await HTTPExchange.send(
                    .POST, slack.apiURL + "/apps.connections.open", headers: ["authorization": "Bearer xapp-1"])
            }
            let limited = try await call()
            #expect(limited.status == 429)
            #expect(limited.headers.first(name: "retry-after") == "2")
            #expect(try limited.json()["error"] as? String == "ratelimited")
            #expect(try await call().body.contains("<html>"))
            #expect(try await call().json()["error"] as? String == "fatal_error")
            #expect(try await call().json()["ok"] as? Bool == true)
            try await slack.failAPICalls(1, with: .reset)
            await #expect(throws: (any Error).self) { try await call() }
        }
    }

    // MARK: Frames

    @Test("client pings are echoed exactly, on the same connection")
    func clientPing() async throws {
        try await withSlack { slack in
            let socket = try await TestSocket.open(slack)
            _ = try await socket.nextMessage()
            try await socket.send(.ping, Array("Ping from client (7)".utf8))
            guard case .frame(let pong) = try await socket.next() else { throw Unexpected() }
            #expect(pong.opcode == .pong)
            #expect(String(buffer: pong.data) == "Ping from client (7)")
        }
    }

    @Test("server pings name the host")
    func serverPing() async throws {
        try await withSlack(.init(firstPing: .zero, pingInterval: .milliseconds(1))) { slack in
            let socket = try await TestSocket.open(slack)
            _ = try await socket.nextMessage()
            for _ in 0..<3 {
                guard case .frame(let ping) = try await socket.next() else { throw Unexpected() }
                #expect(ping.opcode == .ping)
                #expect(String(buffer: ping.data) == "Ping from applink-1")
            }
        }
    }

    @Test("20,480 bytes may be sent, one byte more closes with 1009")
    func frameLimit() async throws {
        try await withSlack { slack in
            let socket = try await TestSocket.open(slack)
            _ = try await socket.nextMessage()
            try await socket.send(.text, [UInt8](repeating: 0x20, count: 20_480))
            try await slack.wait { $0.strangeMessages == 1 }
            try await socket.send(.text, [UInt8](repeating: 0x20, count: 20_481))
            guard case .frame(let close) = try await socket.next() else { throw Unexpected() }
            #expect(close.opcode == .connectionClose)
            #expect(close.data.getInteger(at: close.data.readerIndex, as: UInt16.self) == 1009)
            // A reset when the rest of the frame had not been read.
            guard case .ended = try await socket.next() else { throw Unexpected() }
            #expect(try await slack.statistics().oversizedFrames == 1)
        }
    }

    @Test("an unmasked frame is a protocol error, a fragmented acknowledgement is lost")
    func brokenFrames() async throws {
        try await withSlack { slack in
            let socket = try await TestSocket.open(slack)
            _ = try await socket.nextMessage()
            let id = try await slack.send(.message)[0]
            _ = try await socket.nextEnvelope()
            let text = AcknowledgementFrame.encode(envelopeID: id)
            try await socket.send(.text, Array(text.prefix(10)), fin: false)
            try await socket.send(.continuation, Array(text.dropFirst(10)))
            try await socket.send(.text, text, isMasked: false)
            guard case .frame(let close) = try await socket.next() else { throw Unexpected() }
            #expect(close.data.getInteger(at: close.data.readerIndex, as: UInt16.self) == 1002)
            #expect(try await slack.record(of: id)?.state == .waiting)
        }
    }

    @Test("large payloads and fragmented frames arrive whole", arguments: [nil, 100, 65_536])
    func largeFrames(fragmentBytes: Int?) async throws {
        try await withSlack(.init(fragmentBytes: fragmentBytes)) { slack in
            let socket = try await TestSocket.open(slack)
            _ = try await socket.nextMessage()
            let text = String(repeating: "0123456789", count: 20_000)
            let id = try await slack.send(.message, .init(text: text))[0]
            let envelope = try await socket.nextEnvelope()
            #expect(envelope.id == id)
            #expect(envelope.payload.bytes.count > 200_000)
        }
    }

    // MARK: Life

    @Test("close frames are echoed and TCP stays open until the client cuts it")
    func closing() async throws {
        try await withSlack { slack in
            let socket = try await TestSocket.open(slack)
            _ = try await socket.nextMessage()
            try await socket.send(.connectionClose, [0x03, 0xE8])
            guard case .frame(let close) = try await socket.next() else { throw Unexpected() }
            #expect(close.opcode == .connectionClose)
            #expect(try await slack.connections().map(\.state) == [.closing])
            try await socket.close()
            try await slack.wait(for: .ended)
            #expect(try await slack.connections() == [])
        }
    }

    @Test("a refresh warns, asks, closes; the history shows that another connection was there all the time")
    func refresh() async throws {
        try await withSlack(.init(warningLead: .milliseconds(1), closeDelay: .milliseconds(1))) { slack in
            let old = try await TestSocket.open(slack)
            _ = try await old.nextMessage()
            let other = try await TestSocket.open(slack)
            _ = try await other.nextMessage()
            try await slack.disturb(.oldest, .refresh)
            #expect(try await old.nextMessage() == .disconnect(.init(reason: .warning, host: "applink-1")))
            #expect(try await old.nextMessage() == .disconnect(.init(reason: .refreshRequested, host: "applink-1")))
            guard case .frame(let close) = try await old.next() else { throw Unexpected() }
            #expect(close.opcode == .connectionClose)
            #expect(try await slack.history().allSatisfy { $0.connected >= 1 })
        }
    }

    @Test("a reset is an RST, a cut is an end without a close frame, silence is neither")
    func faults() async throws {
        try await withSlack { slack in
            let reset = try await TestSocket.open(slack)
            _ = try await reset.nextMessage()
            try await slack.disturb(.all, .reset)
            #expect(try await reset.next() == .ended(isReset: true))
            let cut = try await TestSocket.open(slack)
            _ = try await cut.nextMessage()
            try await slack.disturb(.all, .cut)
            #expect(try await cut.next() == .ended(isReset: false))
            let silent = try await TestSocket.open(slack)
            _ = try await silent.nextMessage()
            try await slack.disturb(.all, .text(""))
            #expect(try await silent.nextText() == "")
            try await slack.disturb(.all, .silence)
            let id = try await slack.send(.message)[0]
            #expect(try await slack.record(of: id)?.copies.first?.connection == ConnectionID(3))
            #expect(try await slack.connections().map(\.state) == [.silent])
            try await silent.close()
            try await slack.wait(for: .ended, times: 3)
            #expect(try await control(slack, "/state")["ghosts"] as? Int == 1)
        }
    }

    @Test("waiting ends with an error when the simulator stops, and when its task is canceled")
    func stopping() async throws {
        try await withSlack { slack in
            let waiting = Task { try await slack.waitForConnections(atLeast: 1) }
            let canceled = Task { try await slack.waitForConnections(atLeast: 1) }
            canceled.cancel()
            await #expect(throws: CancellationError.self) { try await canceled.value }
            await slack.stop()
            await #expect(throws: (any Error).self) { try await waiting.value }
        }
    }

    @Test("a taken port is an error that names it")
    func takenPort() async throws {
        try await withSlack { slack in
            await #expect {
                try await SlackSimulator.start(.init(port: slack.port))
            } throws: { error in
                (error as? SlackSimulatorError)?.code == .bind && "\(error)".contains("127.0.0.1:\(slack.port)")
            }
        }
    }

    @Test("thousands of envelopes are distributed, acknowledged and accounted for")
    func load() async throws {
        try await withSlack { slack in
            let sockets = [try await TestSocket.open(slack), try await TestSocket.open(slack)]
            try await slack.waitForConnections(atLeast: 2)
            let count = 4_000
            let clients = Task {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for socket in sockets {
                        group.addTask {
                            _ = try await socket.nextMessage()
                            for _ in 0..<count / 2 { try await socket.acknowledge(try await socket.nextEnvelope().id) }
                        }
                    }
                    try await group.waitForAll()
                }
            }
            let ids = try await slack.send(.message, count: count)
            try await slack.waitUntilSettled()
            try await clients.value
            #expect(Set(ids).count == count)
            let statistics = try await slack.statistics()
            #expect((statistics.acknowledged, statistics.redeliveries, statistics.lost) == (count, 0, 0))
            #expect(try await slack.connections().map(\.acknowledged) == [count / 2, count / 2])
        }
    }

    // MARK: Control

    @Test("the control endpoint sends a payload byte for byte and tells of its acknowledgement")
    func controlSend() async throws {
        try await withSlack { slack in
            let socket = try await TestSocket.open(slack)
            _ = try await socket.nextMessage()
            let payload = #"{ "event_id":"Ev1", "n":12345678901234567890, "event":{"type":"x\/y"} }"#
            let sent = try await control(slack, "/send", #"{"kind":"event","payload":\#(payload)}"#)
            let id = try #require((sent["envelope_ids"] as? [String])?.first)
            let envelope = try await socket.nextEnvelope()
            #expect(envelope.payload == Payload(payload))
            #expect(envelope.id == id)
            #expect(try await control(slack, "/envelopes/\(id)")["state"] as? String == "waiting")
            async let settled = control(slack, "/envelopes/\(id)?wait_ms=30000")
            try await socket.send(.text, Array(#"{"envelope_id":"\#(id)","payload":{"text":"hi"}}"#.utf8))
            let record = try await settled
            #expect(record["state"] as? String == "acknowledged")
            let copy = try #require((record["copies"] as? [[String: Any]])?.first)
            #expect((copy["payload"] as? [String: String]) == ["text": "hi"])
            #expect(copy["connection"] as? Int == 1)
            #expect(try await control(slack, "/state")["acknowledged"] as? Int == 1)
            #expect((try await control(slack, "/connections")["history"] as? [[String: Any]])?.count == 1)
            #expect(
                (try await control(slack, "/envelopes?state=acknowledged&limit=5")["envelopes"] as? [Any])?.count == 1)
        }
    }

    @Test("samples, whole envelopes and any text can be sent through the control endpoint")
    func controlSamples() async throws {
        try await withSlack { slack in
            let socket = try await TestSocket.open(slack)
            _ = try await socket.nextMessage()
            _ = try await control(
                slack, "/send", #"{"sample":"command","command":"/deploy","text":"now","channel":"C7","count":2}"#)
            for _ in 0..<2 {
                let attributes = try await socket.nextEnvelope().attributes
                #expect((attributes.command, attributes.channel) == ("/deploy", "C7"))
            }
            _ = try await control(slack, "/send", #"{"envelope":{"type":"new","envelope_id":"e1"}}"#)
            #expect(try await socket.nextMessage() == .unsupported(type: "new", envelopeID: "e1"))
            _ = try await control(slack, "/send", #"{"frame":"UNAUTHENTICATED: cache_error"}"#)
            #expect(try await socket.nextMessage() == .ignored(.notJSON))
        }
    }

    @Test("faults and settings can be set through the control endpoint")
    func controlFaults() async throws {
        try await withSlack { slack in
            _ = try await control(slack, "/upgrades", #"{"count":1,"status":409}"#)
            guard case .refused(409, _) = try await TestSocket.open(slack).next() else { throw Unexpected() }
            _ = try await control(slack, "/api", #"{"error":"internal_error"}"#)
            let refused = try await HTTPExchange.send(
                .POST, slack.apiURL + "/apps.connections.open", headers: ["authorization": "Bearer xapp-1"])
            #expect(try refused.json()["error"] as? String == "internal_error")
            _ = try await control(
                slack, "/settings", #"{"ghosts":2,"redelivery":"fast","warning_lead_ms":null,"close_delay_ms":0}"#)
            let socket = try await TestSocket.open(slack)
            guard case .hello(let hello) = try await socket.nextMessage() else { throw Unexpected() }
            #expect(hello.connectionCount == 3)
            _ = try await control(slack, "/connections", #"{"do":"refresh","which":1}"#)
            #expect(try await socket.nextMessage() == .disconnect(.init(reason: .refreshRequested, host: "applink-1")))
        }
    }

    @Test(
        "what a control request says wrong is named",
        arguments: [
            ("/send", "{}", "needs one of"), ("/send", #"{"sample":"x"}"#, "is x"),
            ("/send", #"{"payload":{}}"#, "needs kind or type"),
            ("/send", #"{"sample":"message","tempo":1}"#, "unknown key tempo"), ("/send", "[", "JSON object"),
            ("/send", #"{"sample":"message","count":0}"#, "from 1 to 100000"),
            ("/upgrades", #"{"status":99}"#, "200 to 599"),
            ("/upgrades", #"{"fault":"x"}"#, "is x"), ("/api", #"{"errors":"x"}"#, "unknown key errors"),
            ("/connections", #"{"do":"dance"}"#, "'dance'"),
            ("/connections", #"{"do":"cut","which":"first"}"#, "is first"),
            ("/settings", #"{"ghosts":-1}"#, "0 to 1000"), ("/settings", #"{"distribution":"fair"}"#, "is fair"),
            ("/send", #"{"sample":"message","wait_ms":-1}"#, "from 0 to 600000"),
            ("/send", #"{"sample":"message","accepts_response_payload":1}"#, "must be true or false"),
            ("/posts", #"{"fault":"html"}"#, "is html"), ("/posts", #"{"status":1}"#, "200 to 599"),
            ("/nowhere", "{}", "no such page"),
        ])
    func controlErrors(_ path: String, body: String, message: String) async throws {
        try await withSlack { slack in
            let answer = try await HTTPExchange.send(.POST, slack.controlURL + path, body: body)
            #expect(answer.status == (path == "/nowhere" ? 404 : 400))
            let error = try #require(try answer.json()["error"] as? String)
            #expect(error.contains(message))
        }
    }

    // MARK: TLS

    @Test("with a certificate of a private CA the API and the WebSocket are served over TLS")
    func tls() async throws {
        let localhost = TestCertificate.localhost
        let certificate = try TemporaryFile(localhost.certificate)
        let key = try TemporaryFile(localhost.privateKey)
        try await withSlack(.init(tls: .init(certificateFile: certificate.path, keyFile: key.path))) { slack in
            let trust = try NIOSSLCertificate.fromPEMBytes(Array(localhost.authority.utf8))[0]
            #expect(slack.apiURL.hasPrefix("https://"))
            let socket = try await TestSocket.open(slack, trust: trust, host: "localhost")
            guard case .hello = try await socket.nextMessage() else { throw Unexpected() }
            let id = try await slack.send(.message)[0]
            try await socket.acknowledge(try await socket.nextEnvelope().id)
            #expect(try await slack.waitForAcknowledgement(of: id).state == .acknowledged)
        }
    }

    @Test("a missing certificate is an error that names the files")
    func missingCertificate() async throws {
        await #expect {
            try await SlackSimulator.start(
                .init(tls: .init(certificateFile: "/nowhere/c.pem", keyFile: "/nowhere/k.pem")))
        } throws: { error in
            (error as? SlackSimulatorError)?.code == .tls && "\(error)".contains("/nowhere/c.pem")
        }
    }

    @Test("the help names every page of the control endpoint, every sample and every setting")
    func help() {
        let words = SimulatedSample.allCases.map(\.rawValue) + EnvelopeRecord.State.allCases.map(\.rawValue)
        let pages = ["send", "state", "connections", "envelopes", "upgrades", "api", "posts", "settings"]
        for word in words + pages.map({ "$control/" + $0 }) + ["wait_ms", SimulatedPayload.responseURLPlaceholder] {
            #expect(SlackSimulator.help.contains(word))
        }
        #expect(SlackSimulator.help.split(separator: "\n").allSatisfy { $0.count <= 120 })
    }
}

struct Unexpected: Error {}
