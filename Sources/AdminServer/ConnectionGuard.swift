// Keeps one connection of the admin API within its bounds: a peer that sends or reads too slowly is cut off.

import Foundation
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes

/// Stands behind the HTTP codec. The time for a head is bounded by the server's idle timeout, which counts from the
/// connection's beginning and from each response's end; here is the rest.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let limits: AdminServer.Limits
    private var reading: Scheduled<Void>?
    private var writing: Scheduled<Void>?
    /// Requests whose response has not been written.
    private var openRequests = 0

    init(_ limits: AdminServer.Limits) { self.limits = limits }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            openRequests += 1
            reading?.cancel()
            reading = closeLater(context, after: limits.bodyTimeout)
        case .body: break
        case .end:
            reading?.cancel()
            reading = nil
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { openRequests -= 1 }
        context.write(data, promise: promise)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        writing?.cancel()
        writing = context.channel.isWritable ? nil : closeLater(context, after: limits.writeTimeout)
        context.fireChannelWritabilityChanged()
    }

    /// What is no HTTP, or too much of it, gets its problem, too.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError, openRequests == 0 else {
            context.fireErrorCaught(error)
            return
        }
        let problem =
            error == .headerOverflow
            ? Problem(.headTooLarge, "the head must be at most \(limits.headBytes) bytes and \(limits.headers) fields")
            : Problem(.malformedRequest, "this is not HTTP/1.1 as it should be")
        let body = ByteBuffer(bytes: (try? AdminJSON.encode(problem.body)) ?? Data())
        let head = HTTPResponse(
            status: problem.status,
            headerFields: [
                .contentType: "application/problem+json", .contentLength: "\(body.readableBytes)", .connection: "close",
            ])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(body)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.close(promise: nil)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        reading?.cancel()
        writing?.cancel()
    }

    func channelInactive(context: ChannelHandlerContext) {
        reading?.cancel()
        writing?.cancel()
        context.fireChannelInactive()
    }

    private func closeLater(_ context: ChannelHandlerContext, after time: Duration) -> Scheduled<Void> {
        context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(time)) { context.close(promise: nil) }
    }
}
