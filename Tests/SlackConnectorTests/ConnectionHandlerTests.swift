// When acknowledgements leave.

import Foundation
import Logging
import MetricsTestKit
import NIOCore
import NIOEmbedded
import NIOWebSocket
import RelayCore
import RelayTestKit
import SocketMode
import Testing

@testable import SlackConnector

@Suite struct ConnectionHandlerTests {
    private let channel: EmbeddedChannel
    private let handler: ConnectionHandler
    private let flushes = FlushCounter()

    init() throws {
        let metrics = TestMetrics()
        let (_, deliver) = AsyncStream.makeStream(of: [Envelope].self)
        let around = ConnectionHandler.Surroundings(
            app: AppName("main"), timing: ConnectionTiming(), limits: ConnectionLimits(), clock: WallClock(),
            metrics: ConnectorMetrics(app: AppName("main"), factory: metrics),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, report: { _ in },
            passOn: { Issue.record("passed on: \($0)") }, takesOthers: { _ in })
        handler = ConnectionHandler(id: ConnectionID(1), around: around, deliver: deliver)
        channel = EmbeddedChannel(handlers: [flushes, handler])
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    @Test("acknowledgements of the same turn of the thread leave together, those of the next one after them")
    func together() throws {
        handler.acknowledge(["a", "b"], via: .same)
        #expect(handler.acknowledge("c", with: Payload("{}"), via: .same))
        #expect(flushes.count == 0)
        channel.embeddedEventLoop.run()
        #expect(flushes.count == 1)
        #expect(try sent() == [#"{"envelope_id":"a"}"#, #"{"envelope_id":"b"}"#, #"{"envelope_id":"c","payload":{}}"#])
        #expect(handler.acknowledge("d", with: nil, via: .same))
        channel.embeddedEventLoop.run()
        #expect(flushes.count == 2)
        #expect(try sent() == [#"{"envelope_id":"d"}"#])
        _ = try channel.finish()
    }

    @Test("an envelope of an unknown kind is acknowledged with the read that brought it, though nothing comes after it")
    func unknownKind() throws {
        let text = #"{"envelope_id":"a","type":"telepathy","payload":{}}"#
        try channel.writeInbound(WebSocketFrame(fin: true, opcode: .text, data: ByteBuffer(string: text)))
        #expect(flushes.count == 1)
        #expect(try sent() == [#"{"envelope_id":"a"}"#])
        _ = try channel.finish()
    }

    @Test("an acknowledgement leaves before the close frame that the same turn brings")
    func beforeClose() throws {
        #expect(handler.acknowledge("a", with: nil, via: .same))
        handler.close(.drained)
        channel.embeddedEventLoop.run()
        let frame = try #require(try channel.readOutbound(as: WebSocketFrame.self))
        #expect(String(buffer: frame.data) == #"{"envelope_id":"a"}"#)
        #expect(try channel.readOutbound(as: WebSocketFrame.self)?.opcode == .connectionClose)
        _ = try channel.finish()
    }

    @Test("an acknowledgement leaves though the connection is cut in the same turn")
    func beforeCut() throws {
        try channel.pipeline.syncOperations.addHandlers([WriteCoalescer(), WebSocketFrameEncoder()], position: .first)
        #expect(handler.acknowledge("a", with: nil, via: .same))
        channel.pipeline.fireErrorCaught(IOError(errnoCode: ECONNRESET, reason: "test"))
        #expect(try channel.readOutbound(as: ByteBuffer.self)?.readableBytes ?? 0 > 20)
        _ = try? channel.finish()
    }

    /// The text of the frames that left since the last call.
    private func sent() throws -> [String] {
        var texts: [String] = []
        while let frame = try channel.readOutbound(as: WebSocketFrame.self) {
            texts.append(String(buffer: frame.data))
        }
        return texts
    }
}

private final class FlushCounter: ChannelOutboundHandler {
    typealias OutboundIn = WebSocketFrame
    private(set) var count = 0

    func flush(context: ChannelHandlerContext) {
        count += 1
        context.flush()
    }
}
