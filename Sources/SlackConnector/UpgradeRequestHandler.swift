// Asks for the upgrade, and reads the answer that is none.

import NIOCore
import NIOHTTP1
import SocketMode

/// Sits behind NIO's upgrade handler, which adds the headers of RFC 6455, takes a good 101 away and removes this
/// handler. Whatever reaches this one instead is a failed upgrade.
final class UpgradeRequestHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let url: WebSocketURL
    private let onFailure: (ConnectFailure) -> Void

    init(url: WebSocketURL, onFailure: @escaping (ConnectFailure) -> Void) {
        self.url = url
        self.onFailure = onFailure
    }

    /// The channel is connected; with TLS the request waits for the end of the handshake.
    func handlerAdded(context: ChannelHandlerContext) {
        let head = HTTPRequestHead(
            version: .http1_1, method: .GET, uri: url.requestTarget,
            headers: ["Host": url.hostHeader, "User-Agent": "relay"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data) else { return }
        onFailure(.upgrade(head))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The answer itself follows: it says more.
        if error is NIOHTTPClientUpgradeError { return }
        onFailure(.handshake(error))
    }
}

/// Remembers the proxy's answer: the handler that asks for the tunnel keeps it to itself.
final class ProxyAnswerRecorder: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart

    private(set) var head: HTTPResponseHead?

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head(let head) = unwrapInboundIn(data) { self.head = head }
        context.fireChannelRead(data)
    }
}
