// Holds back the end of TCP until what was read before it has found its reader.

import NIOCore
import NIOSSL

/// Stands before the HTTP decoder of a dial. Slack can send its 101, a `disconnect` and the end of TCP at once
/// (slack-protocol.md §2.4), and NIO takes its HTTP decoder out one turn of the event loop after the 101. A decoder
/// that hears of the end before its turn throws the frame behind the 101 away: `too_many_websockets` would look like a
/// reset, and be dialed again at once. So the end waits for a turn, too.
final class EndKeeper: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func channelInactive(context: ChannelHandlerContext) { later(context) { $0.fireChannelInactive() } }

    /// An end of TCP without the goodbye of TLS is an error first.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard case .uncleanShutdown? = error as? NIOSSLError else { return context.fireErrorCaught(error) }
        later(context) { $0.fireErrorCaught(error) }
    }

    private func later(_ context: ChannelHandlerContext, _ action: @escaping @Sendable (ChannelHandlerContext) -> Void)
    {
        let context = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.eventLoop.execute { action(context.value) }
    }
}
