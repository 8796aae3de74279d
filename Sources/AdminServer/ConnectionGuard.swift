// Keeps one connection within its bounds: a peer that sends too slowly, or does not read, is cut off.

import Foundation
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes

/// Stands behind the HTTP codec, and has a timer for each thing that a peer can be waited for: the next head (`idling`),
/// the rest of a body (`reading`), that it takes what was written (`writing`); and for all of it once the server ends
/// (`ending`).
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let limits: ConnectionLimits
    private var idling: Scheduled<Void>?
    private var reading: Scheduled<Void>?
    private var writing: Scheduled<Void>?
    private var ending: Scheduled<Void>?
    /// Requests whose response has not been written.
    private var openRequests = 0
    private var progress = WriteProgress()

    init(_ limits: ConnectionLimits) { self.limits = limits }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { waitForHead(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        waitForHead(context)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            openRequests += 1
            idling?.cancel()
            reading?.cancel()
            reading = later(context, after: limits.bodyTimeout) { _ in context.close(promise: nil) }
        case .body: break
        case .end:
            reading?.cancel()
            reading = nil
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        var bytes = 0
        switch unwrapOutboundIn(data) {
        case .head: break
        case .body(let body): bytes = body.readableBytes
        case .end: openRequests -= 1
        }
        if progress.waitingParts == 0 { waitForReader(context) }
        progress.wrote(bytes: bytes)
        let promise = promise ?? context.eventLoop.makePromise()
        promise.futureResult.assumeIsolated().whenComplete { _ in self.partGone(context) }
        context.write(data, promise: promise)
    }

    private func partGone(_ context: ChannelHandlerContext) {
        progress.partGone()
        guard progress.waitingParts == 0 else { return }
        writing?.cancel()
        if openRequests == 0, context.channel.isActive { waitForHead(context) }
    }

    private func waitForHead(_ context: ChannelHandlerContext) {
        idling?.cancel()
        idling = later(context, after: limits.idleTimeout) { _ in context.close(promise: nil) }
    }

    private func waitForReader(_ context: ChannelHandlerContext) {
        writing?.cancel()
        writing = later(context, after: limits.writeTimeout) { this in
            // An option that every socket has: without it a reader counts as one that does not read.
            let waiting = try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)
            guard this.progress.looked(waitingBytes: waiting ?? .max) else { return context.close(promise: nil) }
            this.waitForReader(context)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            ending = later(context, after: limits.shutdownTimeout) { _ in context.close(promise: nil) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// What is no HTTP, or too much of it, gets its problem, too; in the midst of a request it is the body's reader who
    /// is told.
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

    func handlerRemoved(context: ChannelHandlerContext) { stopWaiting() }

    func channelInactive(context: ChannelHandlerContext) {
        stopWaiting()
        context.fireChannelInactive()
    }

    private func stopWaiting() {
        for timer in [idling, reading, writing, ending] { timer?.cancel() }
    }

    private func later(
        _ context: ChannelHandlerContext, after time: Duration, _ body: @escaping (ConnectionGuard) -> Void
    ) -> Scheduled<Void> {
        context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(time)) { [weak self] in
            if let self { body(self) }
        }
    }
}
