// Looks at each frame before fragments are joined.

import NIOCore
import NIOWebSocket

/// Tells of every frame, fragments included, because each of them is a sign of life; and refuses what RFC 6455 forbids
/// a server to send.
final class FrameInspector: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias InboundOut = WebSocketFrame

    enum Violation: Error {
        /// RFC 6455 §5.1
        case maskedByServer
        /// A reserved bit or opcode, which only an extension may give a meaning; none was offered (§5.2).
        case reserved
    }

    private let onFrame: () -> Void

    init(onFrame: @escaping () -> Void) { self.onFrame = onFrame }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        onFrame()
        if frame.maskKey != nil {
            context.fireErrorCaught(Violation.maskedByServer)
        } else if !frame.reservedBits.isEmpty {
            context.fireErrorCaught(Violation.reserved)
        } else {
            context.fireChannelRead(data)
        }
    }
}
