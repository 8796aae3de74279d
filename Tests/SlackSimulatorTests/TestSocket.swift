// A WebSocket client whose frames a test reads and writes one by one: it answers nothing by itself.

import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOWebSocket
import RelayCore
import SlackSimulator
import SocketMode
import Testing

struct TestSocket: Sendable {
    enum Event: Sendable, Equatable {
        /// The upgrade was refused.
        case refused(status: Int, head: String)
        case frame(WebSocketFrame)
        case ended(isReset: Bool)
    }

    let channel: any Channel
    private let events: AsyncStream<Event>

    /// Gets a URL from the API and dials it, as a client does.
    static func open(_ slack: SlackSimulator, trust: NIOSSLCertificate? = nil, host: String? = nil) async throws
        -> TestSocket
    {
        let url = try await ticketURL(slack, trust: trust, host: host)
        return try await dial(url, trust: trust)
    }

    static func ticketURL(_ slack: SlackSimulator, trust: NIOSSLCertificate? = nil, host: String? = nil) async throws
        -> String
    {
        let api = host.map { slack.apiURL.replacingOccurrences(of: slack.host, with: $0) } ?? slack.apiURL
        let answer = try await HTTPExchange.send(
            .POST, api + "/apps.connections.open", headers: ["authorization": "Bearer xapp-test"], trust: trust)
        return try #require(try answer.json()["url"] as? String)
    }

    static func dial(_ url: String, trust: NIOSSLCertificate? = nil) async throws -> TestSocket {
        let url = try #require(URLComponents(string: url))
        let (events, continuation) = AsyncStream<Event>.makeStream()
        let channel = try await HTTPExchange.bootstrap(
            url, trust: trust, on: MultiThreadedEventLoopGroup.singleton.next()
        ) {
            try $0.pipeline.syncOperations.addHandler(UpgradeReader(continuation))
        }
        let request = """
            GET \(url.percentEncodedPath)?\(url.percentEncodedQuery ?? "") HTTP/1.1\r
            Host: \(url.host ?? "")\r
            Connection: Upgrade\r
            Upgrade: websocket\r
            Sec-WebSocket-Version: 13\r
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
            \r

            """
        try await channel.writeAndFlush(ByteBuffer(string: request))
        return TestSocket(channel: channel, events: events)
    }

    func next() async throws -> Event {
        for await event in events { return event }
        throw ChannelError.eof
    }

    /// The next text, its fragments joined; pings and pongs are passed over.
    func nextText() async throws -> String {
        var text = ""
        while true {
            let event = try await next()
            guard case .frame(let frame) = event else {
                Issue.record("\(event) in place of a text")
                throw ChannelError.eof
            }
            guard frame.opcode == .text || frame.opcode == .continuation else { continue }
            text += String(buffer: frame.data)
            if frame.fin { return text }
        }
    }

    func nextMessage() async throws -> SlackMessage {
        .parse(Array(try await nextText().utf8), app: "demo", receivedAt: Timestamp(millisecondsSinceEpoch: 0))
    }

    func nextEnvelope() async throws -> Envelope {
        let message = try await nextMessage()
        guard case .envelope(let envelope) = message else {
            Issue.record("\(message) in place of an envelope")
            throw ChannelError.eof
        }
        return envelope
    }

    func send(_ opcode: WebSocketOpcode, _ data: [UInt8], fin: Bool = true, isMasked: Bool = true) async throws {
        let frame = WebSocketFrame(
            fin: fin, opcode: opcode, maskKey: isMasked ? .random() : nil, data: ByteBuffer(bytes: data))
        try await channel.writeAndFlush(frame)
    }

    func acknowledge(_ id: String) async throws {
        try await send(.text, AcknowledgementFrame.encode(envelopeID: id))
    }

    func close() async throws { try await channel.close() }
}

/// Reads the head of the answer to an upgrade; behind a 101 it makes way for frames.
private final class UpgradeReader: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let events: AsyncStream<TestSocket.Event>.Continuation
    private var head = ByteBuffer()

    init(_ events: AsyncStream<TestSocket.Event>.Continuation) { self.events = events }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var part = Self.unwrapInboundIn(data)
        head.writeBuffer(&part)
        let text = String(buffer: head)
        guard let end = text.range(of: "\r\n\r\n") else { return }
        guard text.hasPrefix("HTTP/1.1 101") else {
            events.yield(.refused(status: Int(text.dropFirst(9).prefix(3)) ?? 0, head: text.lowercased()))
            return
        }
        head.moveReaderIndex(forwardBy: text[..<end.upperBound].utf8.count)
        do {
            let pipeline = context.pipeline.syncOperations
            try pipeline.addHandler(WebSocketFrameEncoder())
            try pipeline.addHandler(ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: 1 << 24)))
            try pipeline.addHandler(FrameReader(events))
        } catch {
            context.fireErrorCaught(error)
        }
        if head.readableBytes > 0 { context.fireChannelRead(data: head) }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        events.yield(.ended(isReset: false))
        events.finish()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        events.yield(.ended(isReset: (error as? IOError)?.errnoCode == ECONNRESET))
        events.finish()
    }
}

extension ChannelHandlerContext {
    fileprivate func fireChannelRead(data: ByteBuffer) { fireChannelRead(NIOAny(data)) }
}

private final class FrameReader: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame

    private let events: AsyncStream<TestSocket.Event>.Continuation

    init(_ events: AsyncStream<TestSocket.Event>.Continuation) { self.events = events }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { events.yield(.frame(Self.unwrapInboundIn(data))) }

    func channelInactive(context: ChannelHandlerContext) {
        events.yield(.ended(isReset: false))
        events.finish()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        events.yield(.ended(isReset: (error as? IOError)?.errnoCode == ECONNRESET))
        events.finish()
    }
}
