// Makes one write of all that is written between two flushes.

import NIOCore

/// Stands between the frame encoder and the socket: a hundred acknowledgements that are written together leave as one
/// buffer, in one TLS record and one system call.
final class WriteCoalescer: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var pending = ByteBuffer()
    /// Of the writes in `pending`; nil when none of them asked for one.
    private var promise: EventLoopPromise<Void>?

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        var buffer = unwrapOutboundIn(data)
        pending.writeBuffer(&buffer)
        if let promise {
            if let first = self.promise { first.futureResult.cascade(to: promise) } else { self.promise = promise }
        }
    }

    func flush(context: ChannelHandlerContext) {
        writePending(context)
        context.flush()
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        flush(context: context)
        context.close(mode: mode, promise: promise)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        promise?.fail(ChannelError.ioOnClosedChannel)
        promise = nil
    }

    private func writePending(_ context: ChannelHandlerContext) {
        guard pending.readableBytes > 0 else { return }
        context.write(wrapOutboundOut(pending), promise: promise)
        // A new buffer, because the old one is not ours until it is written.
        pending = ByteBuffer()
        promise = nil
    }
}
