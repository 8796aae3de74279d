// The least HTTP client: what tests ask of health endpoints and of the simulator's control endpoint.

import NIOCore
import NIOHTTP1
import NIOPosix

enum LoopbackHTTP {
    struct Reply: Sendable {
        var status: Int
        var body: String
    }

    struct Failure: Error {
        var url: String
    }

    /// GET on a connection of its own.
    static func get(_ url: String) async throws -> Reply {
        let parts = url.dropFirst("http://".count).split(separator: "/", maxSplits: 1)
        let address = parts.first?.split(separator: ":") ?? []
        guard address.count == 2, let port = Int(address[1]) else { throw Failure(url: url) }
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let reply = eventLoop.makePromise(of: Reply.self)
        let channel = try await ClientBootstrap(group: eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(ReplyReader(reply))
                }
            }
            .connect(host: String(address[0]), port: port).get()
        var head = HTTPRequestHead(
            version: .http1_1, method: .GET, uri: "/" + (parts.count > 1 ? String(parts[1]) : ""))
        head.headers = ["host": "127.0.0.1", "connection": "close"]
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        return try await reply.futureResult.get()
    }

    private final class ReplyReader: ChannelInboundHandler {
        typealias InboundIn = HTTPClientResponsePart

        private let promise: EventLoopPromise<Reply>
        private var reply = Reply(status: 0, body: "")

        init(_ promise: EventLoopPromise<Reply>) { self.promise = promise }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): reply.status = Int(head.status.code)
            case .body(let bytes): reply.body += String(buffer: bytes)
            case .end:
                promise.succeed(reply)
                context.close(promise: nil)
            }
        }

        /// After the end this changes nothing: a promise is kept once.
        func channelInactive(context: ChannelHandlerContext) { promise.fail(ChannelError.eof) }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { promise.fail(error) }
    }
}
