// Answers over real sockets: acknowledgements with a payload, and envelopes that people wait behind.

import RelayCore
import SlackConnector
import SocketMode
import Testing

@Suite(.timeLimit(.minutes(1))) struct AnswerLifeTests {
    typealias Frame = ScriptedSocket.Frame

    /// A payload, or none, and the frame that it makes for the envelope `c`.
    static let acknowledgements: [(Payload?, String)] = [
        (Payload(#"{"text": "caf\u00e9 é"}"#), #"{"envelope_id":"c","payload":{"text": "caf\u00e9 é"}}"#),
        (nil, #"{"envelope_id":"c"}"#),
    ]

    @Test("an acknowledgement leaves on the connection of its envelope", arguments: acknowledgements)
    func same(payload: Payload?, frame: String) async throws {
        let acknowledged = Signal()
        let receiver = Receiver(isPrompt: false)
        try await ScriptedSlack.run { socket, number in
            try await socket.hello(connections: number)
            guard number == 1 else { return try await socket.untilEnd() }
            try await socket.send(text: ScriptedSlack.commandText("c"))
            #expect(try await socket.nextFrame() == Frame(opcode: Frame.text, payload: Array(frame.utf8)))
            acknowledged.fire()
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack), receiver: receiver, connections: 2)
            try await bench.run {
                // With another one open: the envelope's own is the one.
                await bench.connected(2)
                #expect(await receiver.next()?.acknowledge(with: payload) == .same)
                await acknowledged.wait()
                receiver.release.finish()
            }
            #expect(bench.acknowledgements(via: "same") == 1)
        }
    }

    @Test("the largest acknowledgement arrives in one frame")
    func largest() async throws {
        let receiver = Receiver(isPrompt: false)
        let text = String(repeating: "x", count: AcknowledgementFrame.maximumPayloadBytes(envelopeID: "c") - 11)
        let acknowledged = Signal()
        try await ScriptedSlack.run { socket, _ in
            try await socket.hello()
            try await socket.send(text: ScriptedSlack.eventText("a"))
            #expect(try await socket.nextFrame().text == ScriptedSlack.acknowledgement("a"))
            let frame = try await socket.nextFrame()
            #expect(frame.payload.count == 19_999)
            #expect(frame.text == "{\"envelope_id\":\"c\",\"payload\":{\"text\":\"\(text)\"}}")
            acknowledged.fire()
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack), receiver: receiver)
            try await bench.run {
                let batch = await receiver.next()
                batch?.acknowledge()
                #expect(await batch?.acknowledge("c", with: Payload("{\"text\":\"\(text)\"}")) == .same)
                await acknowledged.wait()
                receiver.release.finish()
            }
        }
    }

    @Test("an acknowledgement leaves on another connection when its own is gone", arguments: acknowledgements)
    func other(payload: Payload?, frame: String) async throws {
        let received = Signal()
        let acknowledged = Signal()
        let receiver = Receiver(isPrompt: false)
        try await ScriptedSlack.run { socket, number in
            try await socket.hello(connections: number)
            guard number == 1 else {
                #expect(try await socket.nextFrame().text == frame)
                acknowledged.fire()
                return try await socket.untilEnd()
            }
            try await socket.send(text: ScriptedSlack.commandText("c"))
            await received.wait()
            // No close frame: the connection is just gone.
        } body: { slack in
            let bench = Bench(urls: URLs(slack), receiver: receiver)
            try await bench.run {
                let batch = await receiver.next()
                received.fire()
                await bench.connected(2)
                #expect(await batch?.acknowledge(with: payload) == .other)
                await acknowledged.wait()
                receiver.release.finish()
            }
            #expect(bench.acknowledgements(via: "other") == 1, "\(bench.log.value)")
        }
    }

    @Test("Slack's close frame leaves time to acknowledge before ours", arguments: acknowledgements)
    func closedBySlack(payload: Payload?, frame: String) async throws {
        let receiver = Receiver(isPrompt: false)
        let closed = Signal()
        try await ScriptedSlack.run { socket, number in
            try await socket.hello(connections: number)
            guard number == 1 else { return try await socket.untilClose() }
            try await socket.send(text: ScriptedSlack.commandText("c"))
            try await socket.send(ScriptedSocket.frame(Frame.close, [0x03, 0xe8]))
            #expect(try await socket.nextFrame().text == frame)
            #expect(try await socket.nextFrame() == Frame(opcode: Frame.close, payload: [0x03, 0xe8]))
            closed.fire()
        } body: { slack in
            let bench = Bench(urls: URLs(slack), receiver: receiver, timing: .init(closeTimeout: .seconds(50)))
            try await bench.run {
                let batch = await receiver.next()
                // The second one is dialed when the first one is closing.
                await bench.connected(2)
                #expect(await batch?.acknowledge(with: payload) == .same)
                receiver.release.finish()
                await closed.wait()
            }
            #expect(bench.acknowledgements(via: "same") == 1, "\(bench.log.value)")
        }
    }

    @Test("nothing is sent after our close frame, though TCP still stands", arguments: acknowledgements)
    func closing(payload: Payload?, frame: String) async throws {
        let received = Signal()
        let closing = Signal()
        let acknowledged = Signal()
        let over = Signal()
        let receiver = Receiver(isPrompt: false)
        try await ScriptedSlack.run { socket, number in
            try await socket.hello(connections: number)
            guard number == 1 else {
                #expect(try await socket.nextFrame().text == frame)
                acknowledged.fire()
                return try await socket.untilClose()
            }
            try await socket.send(text: ScriptedSlack.commandText("c"))
            await received.wait()
            // A reserved bit.
            try await socket.send([0xc1, 1, 0x61])
            #expect(try await socket.nextFrame() == Frame(opcode: Frame.close, payload: [0x03, 0xea]))
            closing.fire()
            await over.wait()
        } body: { slack in
            let bench = Bench(urls: URLs(slack), receiver: receiver, timing: .init(closeTimeout: .seconds(50)))
            try await bench.run {
                let batch = await receiver.next()
                received.fire()
                await closing.wait()
                await bench.connected(2)
                #expect(await batch?.acknowledge(with: payload) == .other)
                await acknowledged.wait()
                over.fire()
                receiver.release.finish()
            }
            #expect(bench.acknowledgements(via: "other") == 1, "\(bench.log.value)")
            #expect(bench.acknowledgements(via: "same") <= 0)
        }
    }

    @Test("an acknowledgement is lost when no connection has had its hello", arguments: acknowledgements)
    func lost(payload: Payload?, frame: String) async throws {
        let received = Signal()
        let receiver = Receiver(isPrompt: false)
        try await ScriptedSlack.run { socket, number in
            try await socket.upgrade()
            guard number == 1 else { return try await socket.untilEnd() }
            try await socket.send(text: ScriptedSlack.helloText(1))
            try await socket.send(text: ScriptedSlack.commandText("c"))
            await received.wait()
        } body: { slack in
            let bench = Bench(urls: URLs(slack), receiver: receiver)
            try await bench.run {
                let batch = await receiver.next()
                received.fire()
                // The next one is dialed when this one is gone.
                await bench.urls.asked(2)
                #expect(await batch?.acknowledge(with: payload) == .lost)
                receiver.release.finish()
            }
            #expect(bench.acknowledgements(via: "lost") == 1, "\(bench.log.value)")
        }
    }

    @Test("before the first connection and after the last one, an acknowledgement is lost")
    func noConnection() async throws {
        let bench = Bench(urls: URLs { _ in "ws://127.0.0.1:1/" })
        #expect(await bench.connector.acknowledge("c", with: Payload("{}"), on: ConnectionID(1)) == .lost)
        #expect(await bench.connector.acknowledge("c", with: nil, on: ConnectionID(1)) == .lost)
        #expect(bench.acknowledgements(via: "lost") == 2)
    }

    @Test("what people wait behind is handed on alone, events of one read together, all in order")
    func apart() async throws {
        let frames = [
            ScriptedSlack.eventText("e1"), ScriptedSlack.eventText("e2"), ScriptedSlack.commandText("c1"),
            ScriptedSlack.eventText("e3"), ScriptedSlack.interactiveText("i1", type: "view_submission"),
            ScriptedSlack.interactiveText("o1", type: "block_suggestion"), ScriptedSlack.eventText("e4"),
            ScriptedSlack.eventText("e5"),
        ]
        try await ScriptedSlack.run { socket, _ in
            // In one segment with the 101, so that they are read together.
            let texts = [ScriptedSlack.helloText(1)] + frames
            try await socket.upgrade(following: texts.flatMap { ScriptedSocket.frame(Frame.text, Array($0.utf8)) })
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack))
            try await bench.run {
                var batches: [[String]] = []
                while batches.joined().count < 8, let batch = await bench.receiver.next() { batches.append(batch.ids) }
                #expect(batches == [["e1", "e2"], ["c1"], ["e3"], ["i1"], ["o1"], ["e4", "e5"]])
            }
        }
    }

    @Test("someone who waits keeps neither the envelopes read with theirs nor later ones waiting")
    func waiting() async throws {
        let receiver = Receiver(isPrompt: false)
        try await ScriptedSlack.run { socket, _ in
            let texts = [ScriptedSlack.helloText(1), ScriptedSlack.commandText("c"), ScriptedSlack.eventText("e")]
            try await socket.upgrade(following: texts.flatMap { ScriptedSocket.frame(Frame.text, Array($0.utf8)) })
            #expect(try await socket.nextFrame().text == ScriptedSlack.acknowledgement("e"))
            try await socket.send(text: ScriptedSlack.eventText("later"))
            #expect(try await socket.nextFrame().text == ScriptedSlack.acknowledgement("later"))
            #expect(try await socket.nextFrame().text == #"{"envelope_id":"c","payload":{}}"#)
            try await socket.untilEnd()
        } body: { slack in
            let bench = Bench(urls: URLs(slack), receiver: receiver)
            try await bench.run {
                let command = await receiver.next()
                #expect(command?.ids == ["c"])
                for id in ["e", "later"] {
                    let batch = await receiver.next()
                    #expect(batch?.ids == [id])
                    batch?.acknowledge()
                }
                #expect(await command?.acknowledge(with: Payload("{}")) == .same)
                receiver.release.finish()
            }
            #expect(bench.acknowledgements(via: "same") == 3)
        }
    }
}

extension Receiver.Batch {
    /// The batch's only envelope, or the one named.
    fileprivate func acknowledge(_ id: String? = nil, with payload: Payload?) async -> AcknowledgementWay {
        await acknowledger.acknowledge(id ?? ids.joined(), with: payload, on: connection)
    }
}

extension ScriptedSocket {
    /// Reads until the client's close frame, so that it need not wait for the close timeout.
    fileprivate func untilClose() async throws {
        while try await nextFrame().opcode != Frame.close {}
    }
}

extension ScriptedSlack {
    fileprivate static func commandText(_ id: String) -> String {
        #"{"envelope_id":"\#(id)","payload":{"command":"/x"},"type":"slash_commands","accepts_response_payload":true}"#
    }

    fileprivate static func interactiveText(_ id: String, type: String) -> String {
        #"{"envelope_id":"\#(id)","payload":{"type":"\#(type)"},"type":"interactive","accepts_response_payload":true}"#
    }
}
