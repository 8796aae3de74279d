// One WebSocket of the simulator: frames in and out.

import NIOCore
import NIOWebSocket
import RelayCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Tells `SimulatorLoop` what the client does, and writes what it is told.
final class WebSocketHandler: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    private let loop: SimulatorLoop
    private let admission: SlackStateMachine.Admission
    private var context: ChannelHandlerContext?
    private var id: ConnectionID?
    private var isSilent = false

    init(_ loop: SimulatorLoop, _ admission: SlackStateMachine.Admission) {
        self.loop = loop
        self.admission = admission
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.opened(self, admission)
    }

    /// Told by the loop before it has the first thing written.
    func register(as id: ConnectionID) { self.id = id }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelInactive(context: ChannelHandlerContext) {
        if let id { loop.ended(id) }
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let id, !isSilent else { return }
        let frame = Self.unwrapInboundIn(data)
        // RFC 6455 §5.1: a client masks every frame. No extension is ever agreed on, so no reserved bit may be set
        // (§5.2).
        guard frame.maskKey != nil, !frame.rsv1, !frame.rsv2, !frame.rsv3 else {
            return loop.brokenFrameReceived(id, code: 1002)
        }
        switch frame.opcode {
        // Slack does not put fragments together (slack-protocol.md §2.10): they are lost.
        case .text where frame.fin: loop.textReceived(Array(frame.unmaskedData.readableBytesView), on: id)
        case .ping: write(.pong, frame.unmaskedData)
        case .connectionClose:
            var data = frame.unmaskedData
            loop.closeReceived(id, code: data.readInteger(as: UInt16.self))
        default: break
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        flush()
        context.fireChannelReadComplete()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let id, !isSilent else { return }
        switch error {
        case NIOWebSocketError.invalidFrameLength: loop.brokenFrameReceived(id, code: 1009)
        case is NIOWebSocketError: loop.brokenFrameReceived(id, code: 1002)
        default: context.close(promise: nil)
        }
    }

    // MARK: Out

    /// In frames of at most `fragmentBytes`, or in one.
    func write(text: [UInt8], fragmentBytes: Int?) {
        guard let fragmentBytes, fragmentBytes > 0, text.count > fragmentBytes else {
            return write(.text, ByteBuffer(bytes: text))
        }
        for start in stride(from: 0, to: text.count, by: fragmentBytes) {
            let end = min(text.count, start + fragmentBytes)
            write(start == 0 ? .text : .continuation, ByteBuffer(bytes: text[start..<end]), isLast: end == text.count)
        }
    }

    func write(ping payload: [UInt8]) { write(.ping, ByteBuffer(bytes: payload)) }

    func writeAndFlush(closeCode: UInt16, reason: String) {
        var data = ByteBuffer(integer: closeCode)
        data.writeString(reason)
        write(.connectionClose, data)
        flush()
    }

    private func write(_ opcode: WebSocketOpcode, _ data: ByteBuffer, isLast: Bool = true) {
        guard let context, !isSilent else { return }
        context.write(Self.wrapOutboundOut(WebSocketFrame(fin: isLast, opcode: opcode, data: data)), promise: nil)
    }

    func flush() { context?.flush() }

    /// After what was written before.
    func closeTCP() {
        flush()
        context?.close(promise: nil)
    }

    /// Closing with a linger time of zero sends RST (socket(7), SO_LINGER).
    func reset() {
        guard let context else { return }
        context.channel.closeWithReset()
    }

    /// Reads no more and writes no more; TCP stays as it is.
    func silence() {
        flush()
        isSilent = true
        _ = context?.channel.setOption(.autoRead, value: false)
    }
}

extension Channel {
    /// Closes TCP with RST where the channel is a socket, else plainly.
    func closeWithReset() {
        guard let socket = self as? any SocketOptionProvider else { return close(promise: nil) }
        socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { [self] _ in close(promise: nil) }
    }
}
