// The connector over real sockets: envelopes in, acknowledgements out, and the end.

import NIOCore
import RelayCore
import RelayTestKit
import SlackConnector
import SocketMode
import Testing

@Suite(.timeLimit(.minutes(1))) struct ConnectionLifeTests {
    typealias Frame = ScriptedSocket.Frame

    @Test("an envelope is handed on and acknowledged on its connection, in a masked frame")
    func envelope() async throws {
        try await ScriptedSlack.run { socket, _ in
            try await socket.hello()
            try await socket.send(text: ScriptedSlack.eventText("a"))
            let frame = try await socket.nextFrame()
            #expect(frame.text == ScriptedSlack.acknowledgement("a"))
            try await socket.send(text: ScriptedSlack.eventText("b"))
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack))
            try await bench.run {
                let first = await bench.receiver.next()
                #expect(first?.ids == ["a"])
                #expect(first?.envelopes.first?.payload.bytes.isEmpty == false)
                _ = await bench.receiver.next()
                let status = bench.connector.status
                #expect(status.connectedCount == 1)
                #expect(status.connections.first?.host == "applink-1")
                #expect(status.reported == 1)
                #expect(bench.gauge("relay_connections", ("state", "connected")) == 1)
                #expect(bench.gauge("relay_reported_connections") == 1)
            }
            #expect(bench.connects(.connected) == 1)
            #expect(bench.disconnects(.drained) == 1)
            #expect(bench.acknowledgements(via: "same") == 2)
        }
    }

    @Test(
        "the upgrade asks for the ticket as given, offers no extension, and a hello in the segment of the 101 is not lost"
    )
    func upgradeRequest() async throws {
        try await ScriptedSlack.run { socket, _ in
            let hello = ScriptedSocket.frame(Frame.text, Array(ScriptedSlack.helloText(1).utf8))
            let event = ScriptedSocket.frame(Frame.text, Array(ScriptedSlack.eventText("a").utf8))
            let head = try await socket.upgrade(following: hello + event)
            #expect(head.hasPrefix("GET /link/?ticket=1&app_id=abc HTTP/1.1\r\n"))
            #expect(head.lowercased().contains("host: 127.0.0.1:"))
            #expect(head.lowercased().contains("sec-websocket-version: 13"))
            #expect(!head.lowercased().contains("sec-websocket-extensions"))
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack))
            try await bench.run { #expect(await bench.receiver.next()?.ids == ["a"]) }
        }
    }

    @Test("envelopes that are read together are handed on together, and acknowledged together")
    func batch() async throws {
        try await ScriptedSlack.run { socket, _ in
            try await socket.hello()
            let frames = (1...50).flatMap {
                ScriptedSocket.frame(Frame.text, Array(ScriptedSlack.eventText("\($0)").utf8))
            }
            try await socket.send(frames)
            for number in 1...50 {
                #expect(try await socket.nextFrame().text == ScriptedSlack.acknowledgement("\(number)"))
            }
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack))
            try await bench.run {
                var ids: [String] = []
                var batches = 0
                while ids.count < 50, let batch = await bench.receiver.next() {
                    ids += batch.ids
                    batches += 1
                }
                #expect(ids == (1...50).map(String.init))
                #expect(batches < 50)
            }
        }
    }

    @Test("F13: a ping before hello is answered with its payload")
    func pingBeforeHello() async throws {
        try await ScriptedSlack.run { socket, _ in
            try await socket.upgrade()
            try await socket.send(ScriptedSocket.frame(Frame.ping, Array("Ping from applink-1".utf8)))
            #expect(
                try await socket.nextFrame() == Frame(opcode: Frame.pong, payload: Array("Ping from applink-1".utf8)))
            try await socket.send(text: ScriptedSlack.helloText(1))
            try await socket.send(text: ScriptedSlack.eventText("a"))
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack))
            try await bench.run { #expect(await bench.receiver.next()?.ids == ["a"]) }
        }
    }

    @Test("F42: a receiver that is busy does not keep the reader from answering pings and reading on")
    func busyReceiver() async throws {
        let answered = Signal()
        let receiver = Receiver(isPrompt: false)
        try await ScriptedSlack.run { socket, _ in
            try await socket.hello()
            try await socket.send(text: ScriptedSlack.eventText("a"))
            try await socket.send(ScriptedSocket.frame(Frame.ping, [7]))
            #expect(try await socket.nextFrame() == Frame(opcode: Frame.pong, payload: [7]))
            try await socket.send(text: ScriptedSlack.eventText("b"))
            answered.fire()
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack), receiver: receiver)
            try await bench.run {
                #expect(await receiver.next()?.ids == ["a"])
                await answered.wait()
                #expect(await receiver.next()?.ids == ["b"])
                receiver.release.finish()
            }
        }
    }

    @Test("F46: a message in fragments with a ping between them, and one of more than 64 KiB, arrive whole")
    func fragmentsAndLarge() async throws {
        try await ScriptedSlack.run { socket, _ in
            try await socket.hello()
            let event = Array(ScriptedSlack.eventText("fragmented").utf8)
            try await socket.send(ScriptedSocket.frame(Frame.text, Array(event[..<10]), isFinal: false))
            try await socket.send(ScriptedSocket.frame(Frame.ping, [1, 2, 3]))
            try await socket.send(ScriptedSocket.frame(0, Array(event[10..<20]), isFinal: false))
            try await socket.send(ScriptedSocket.frame(0, Array(event[20...])))
            #expect(try await socket.nextFrame() == Frame(opcode: Frame.pong, payload: [1, 2, 3]))
            #expect(try await socket.nextFrame().text == ScriptedSlack.acknowledgement("fragmented"))
            try await socket.send(text: ScriptedSlack.eventText("large", padding: 300_000))
            #expect(try await socket.nextFrame().text == ScriptedSlack.acknowledgement("large"))
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack))
            try await bench.run {
                #expect(await bench.receiver.next()?.ids == ["fragmented"])
                let large = await bench.receiver.next()
                #expect(large?.ids == ["large"])
                #expect((large?.envelopes.first?.payload.bytes.count ?? 0) > 300_000)
            }
        }
    }

    @Test("F17, F47: empty text, text that is not JSON, broken JSON and binary are ignored, and the connection stays")
    func garbage() async throws {
        try await ScriptedSlack.run { socket, _ in
            try await socket.hello()
            for text in ["", "UNAUTHENTICATED: cache_error", "{\"type\":", "[]", "{\"type\":\"news\"}"] {
                try await socket.send(text: text)
            }
            try await socket.send(ScriptedSocket.frame(Frame.binary, [0, 1, 2]))
            try await socket.send(text: ScriptedSlack.eventText("a"))
            #expect(try await socket.nextFrame().text == ScriptedSlack.acknowledgement("a"))
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack))
            try await bench.run { #expect(await bench.receiver.next()?.ids == ["a"]) }
            #expect(bench.urls.count == 1)
        }
    }

    @Test("F18: an envelope of an unknown kind is acknowledged without delivery")
    func unknownKind() async throws {
        let acknowledged = Signal()
        try await ScriptedSlack.run { socket, _ in
            try await socket.hello()
            try await socket.send(text: #"{"envelope_id":"x","type":"new_kind","payload":{}}"#)
            #expect(try await socket.nextFrame().text == ScriptedSlack.acknowledgement("x"))
            acknowledged.fire()
            try await socket.untilEnd()
        } body: { slack in
            try await Bench(urls: URLs(slack)).run { await acknowledged.wait() }
        }
    }

    @Test(
        "frames that RFC 6455 forbids are answered with a close frame",
        arguments: [
            // A message of 17 MiB.
            ([0x81, 127, 0, 0, 0, 0, 0x01, 0x10, 0, 0], 1009),
            // Masked by the server.
            ([0x81, 0x81, 0, 0, 0, 0, 0x61], 1002),
            // A reserved bit.
            ([0xc1, 1, 0x61], 1002),
            // A reserved opcode.
            ([0x83, 1, 0x61], 1002),
            // A continuation of nothing.
            ([0x80, 1, 0x61], 1002),
            // A control frame in fragments.
            ([0x09, 1, 0x61], 1002),
        ] as [([UInt8], UInt16)])
    func violations(bytes: [UInt8], code: UInt16) async throws {
        let closed = Signal()
        try await ScriptedSlack.run { socket, number in
            try await socket.hello()
            guard number == 1 else { return try await socket.untilEnd() }
            try await socket.send(bytes)
            let frame = try await socket.nextFrame()
            #expect(frame.opcode == Frame.close)
            #expect(frame.payload.prefix(2).elementsEqual([UInt8(code >> 8), UInt8(code & 0xff)]))
            try await socket.untilEnd()
            closed.fire()
        } body: { slack in
            try await Bench(urls: URLs(slack), timing: .init(closeTimeout: .milliseconds(20))).run {
                await closed.wait()
            }
        }
    }

    @Test("a late acknowledgement leaves on another connection when its own is gone")
    func lateAcknowledgement() async throws {
        let acknowledged = Signal()
        let received = Signal()
        let receiver = Receiver(isPrompt: false)
        try await ScriptedSlack.run { socket, number in
            try await socket.hello(connections: number)
            guard number == 1 else {
                #expect(try await socket.nextFrame().text == ScriptedSlack.acknowledgement("late"))
                acknowledged.fire()
                return try await socket.untilEnd()
            }
            try await socket.send(text: ScriptedSlack.eventText("late"))
            await received.wait()
            // No close frame: the connection is just gone.
        } body: { slack in
            let bench = Bench(urls: URLs(slack), receiver: receiver)
            try await bench.run {
                let batch = await receiver.next()
                received.fire()
                // Until the second connection had its hello, there is nothing to acknowledge on.
                await bench.connected(2)
                batch?.acknowledge()
                await acknowledged.wait()
                receiver.release.finish()
            }
            #expect(bench.acknowledgements(via: "other") == 1, "\(bench.log.value)")
            #expect(bench.disconnects(.reset) == 1)
        }
    }

    @Test("an acknowledgement with no connection at all is counted as lost")
    func lostAcknowledgement() {
        let bench = Bench(urls: URLs { _ in "ws://127.0.0.1:1/" })
        bench.connector.acknowledge(["a", "b"], on: ConnectionID(1))
        #expect(bench.acknowledgements(via: "lost") == 2)
    }

    @Test("F33: a refreshed connection is read and acknowledged on until nothing is outstanding, then closed")
    func refresh() async throws {
        let receiver = Receiver(isPrompt: false)
        let connected = Signal()
        let refreshed = Signal()
        try await ScriptedSlack.run { socket, number in
            try await socket.hello(connections: number)
            guard number == 1 else {
                connected.fire()
                return try await socket.untilEnd()
            }
            try await socket.send(text: ScriptedSlack.eventText("old"))
            try await socket.send(text: #"{"type":"disconnect","reason":"warning"}"#)
            #expect(try await socket.nextFrame().text == ScriptedSlack.acknowledgement("old"))
            let close = try await socket.nextFrame()
            #expect(close == Frame(opcode: Frame.close, payload: [0x03, 0xe8]))
            try await socket.send(ScriptedSocket.frame(Frame.close, close.payload))
            refreshed.fire()
        } body: { slack in
            let bench = Bench(urls: URLs(slack), receiver: receiver)
            try await bench.run {
                let batch = await receiver.next()
                await connected.wait()
                await bench.connected(2)
                batch?.acknowledge()
                receiver.release.yield()
                await refreshed.wait()
            }
            #expect(bench.acknowledgements(via: "same") == 1)
            #expect(bench.disconnects(.refreshed) == 1)
            #expect(bench.urls.count == 2)
        }
    }

    // MARK: The end

    @Test("F5, F7: a drain sends a close frame, and cuts TCP when Slack does not")
    func drain() async throws {
        let ended = Signal()
        try await ScriptedSlack.run { socket, _ in
            try await socket.hello()
            try await socket.send(text: ScriptedSlack.eventText("a"))
            #expect(try await socket.nextFrame().text == ScriptedSlack.acknowledgement("a"))
            #expect(try await socket.nextFrame() == Frame(opcode: Frame.close, payload: [0x03, 0xe9]))
            // No close frame in return, TCP left open: the client must end it.
            try await socket.untilEnd()
            ended.fire()
        } body: { slack in
            let bench = Bench(urls: URLs(slack), timing: .init(closeTimeout: .milliseconds(20)))
            try await bench.run { _ = await bench.receiver.next() }
            await ended.wait()
            #expect(bench.connector.status.connectedCount == 0)
        }
    }

    @Test("over TLS, too, TCP is cut: without a goodbye, which a peer that reads nothing never answers")
    func cutOverTLS() async throws {
        let file = try TemporaryFile(TestCertificate.localhost.authority)
        let cut = Watched<Bool?>(nil)
        try await ScriptedSlack.run(tls: .localhost) { socket, _ in
            try await socket.hello()
            #expect(try await socket.nextFrame() == Frame(opcode: Frame.close, payload: [0x03, 0xe9]))
            try await socket.untilEnd()
            let isCutShort = socket.isCutShort
            cut.update { $0 = isCutShort }
        } body: { slack in
            let bench = Bench(
                urls: URLs(slack, host: "localhost"), timing: .init(closeTimeout: .milliseconds(20)), caFile: file.path,
                plaintext: false)
            try await bench.run { await bench.connected() }
            await cut.wait { $0 != nil }
            #expect(cut.value == true)
        }
    }

    @Test("a drain lets what is outstanding be acknowledged before the close frame")
    func drainOutstanding() async throws {
        let receiver = Receiver(isPrompt: false)
        try await ScriptedSlack.run { socket, _ in
            try await socket.hello()
            try await socket.send(text: ScriptedSlack.eventText("a"))
            #expect(try await socket.nextFrame().text == ScriptedSlack.acknowledgement("a"))
            #expect(try await socket.nextFrame().opcode == Frame.close)
        } body: { slack in
            let bench = Bench(urls: URLs(slack), receiver: receiver)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await bench.connector.run() }
                let batch = await receiver.next()
                group.addTask { await bench.connector.drain(timeout: .seconds(20)) }
                await bench.log.wait { $0.contains { $0.hasPrefix("draining") } }
                batch?.acknowledge()
                receiver.release.finish()
                try await group.waitForAll()
            }
            #expect(bench.disconnects(.drained) == 1)
            #expect(bench.acknowledgements(via: "same") == 1)
        }
    }

    @Test("a canceled run ends with a close frame too")
    func cancel() async throws {
        let ended = Signal()
        try await ScriptedSlack.run { socket, _ in
            try await socket.hello()
            try await socket.send(text: ScriptedSlack.eventText("a"))
            #expect(try await socket.nextFrame().text == ScriptedSlack.acknowledgement("a"))
            #expect(try await socket.nextFrame().opcode == Frame.close)
            ended.fire()
        } body: { slack in
            let bench = Bench(urls: URLs(slack))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await bench.connector.run() }
                _ = await bench.receiver.next()
                group.cancelAll()
                try await group.waitForAll()
            }
            await ended.wait()
        }
    }

    @Test("F7: so does one whose receiver hangs")
    func cancelWhileReceiverHangs() async throws {
        let receiver = Receiver(isPrompt: false)
        let ended = Signal()
        try await ScriptedSlack.run { socket, _ in
            try await socket.hello()
            try await socket.send(text: ScriptedSlack.eventText("a"))
            #expect(try await socket.nextFrame().opcode == Frame.close)
            ended.fire()
        } body: { slack in
            let bench = Bench(urls: URLs(slack), receiver: receiver)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await bench.connector.run() }
                _ = await receiver.next()
                group.cancelAll()
                await ended.wait()
                receiver.release.finish()
                try await group.waitForAll()
            }
        }
    }

    @Test("connections that end in the moment of their upgrade are ends like any other")
    func endAtUpgrade() async throws {
        try await ScriptedSlack.run { socket, number in
            let hello = ScriptedSocket.frame(Frame.text, Array(ScriptedSlack.helloText(1).utf8))
            try await socket.upgrade(following: number > 30 || number.isMultiple(of: 2) ? hello : [])
            if number > 30 { try await socket.untilEnd() }
        } body: { slack in
            let bench = Bench(urls: URLs(slack))
            try await bench.run { await bench.urls.asked(31) }
            #expect(bench.connector.status.connections.allSatisfy { $0.connection == nil })
        }
    }

    @Test(
        "an attempt that a reload or a drain gives up has one outcome, though its URL comes, and the next one follows")
    func urlTooLate() async throws {
        let bench = Bench(urls: URLs(comesTooLate: true) { _ in "ws://127.0.0.1:1/link" })
        try await bench.run {
            await bench.urls.asked(1)
            bench.connector.reconfigure(bench.configuration, urls: bench.urls, replacesConnections: true)
            await bench.urls.asked(2)
        }
        #expect(bench.connects(.canceled) == 2)
        for outcome in ConnectOutcome.allCases where outcome != .canceled { #expect(bench.connects(outcome) <= 0) }
    }

    @Test("Slack's close frame is answered with one")
    func closedBySlack() async throws {
        let answered = Signal()
        try await ScriptedSlack.run { socket, number in
            try await socket.hello()
            guard number == 1 else { return try await socket.untilEnd() }
            try await socket.send(ScriptedSocket.frame(Frame.close, [0x03, 0xe8]))
            #expect(try await socket.nextFrame() == Frame(opcode: Frame.close, payload: [0x03, 0xe8]))
            answered.fire()
        } body: { slack in
            let bench = Bench(urls: URLs(slack))
            try await bench.run {
                await answered.wait()
                await bench.urls.asked(2)
            }
            #expect(bench.disconnects(.closedBySlack) == 1)
        }
    }

    @Test("F9: a half-open connection is noticed by silence, and replaced")
    func silence() async throws {
        let replaced = Signal()
        try await ScriptedSlack.run { socket, number in
            // In the segment of the 101, so that no delay of the test's own comes before hello.
            try await socket.upgrade(
                following: ScriptedSocket.frame(Frame.text, Array(ScriptedSlack.helloText(1).utf8)))
            if number > 1 { return replaced.fire() }
            // Silent, pongs included.
            while true { try await socket.readMore() }
        } body: { slack in
            let bench = Bench(
                urls: URLs(slack),
                timing: .init(
                    pingInterval: .milliseconds(20), deadAfter: .milliseconds(60), closeTimeout: .milliseconds(20)))
            try await bench.run { await replaced.wait() }
            #expect(bench.disconnects(.dead) >= 1)
        }
    }
}
