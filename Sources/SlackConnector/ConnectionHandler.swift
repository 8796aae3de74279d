// Drives one WebSocket: frames to the state machine, what it decides to the socket.

import Logging
import NIOCore
import NIOSSL
import NIOWebSocket
import RelayCore
import SocketMode

/// The last handler of an upgraded channel; lives on its event loop. Each method feeds `ConnectionStateMachine` and
/// does what it returns.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    /// What a connection needs of the world around it.
    struct Surroundings: Sendable {
        var app: AppName
        var timing: ConnectionTiming
        var limits: ConnectionLimits
        var clock: any RelayClock
        var metrics: ConnectorMetrics
        /// With the connection's identifiers.
        var logger: Logger
        /// To the pool.
        var report: @Sendable (PoolStateMachine.Event) -> Void
        /// Acknowledgements that cannot be sent here any more.
        var passOn: @Sendable ([String]) -> Void
        /// Whether acknowledgements of other connections may be sent here.
        var takesOthers: @Sendable (Bool) -> Void
    }

    private let id: ConnectionID
    private let around: Surroundings
    private let deliver: AsyncStream<[Envelope]>.Continuation
    private var machine: ConnectionStateMachine
    private var hello = SlackMessage.Hello()
    private var timers: [ConnectionStateMachine.Timer: Scheduled<Void>] = [:]
    /// Envelopes of the read that is under way.
    private var batch: [Envelope] = []
    /// Acknowledgements are written that leave when the thread has done what it has to do now.
    private var isFlushAwaited = false
    private var context: ChannelHandlerContext?

    /// - Parameter deliver: takes what each read brought; finished when TCP has ended.
    init(id: ConnectionID, around: Surroundings, deliver: AsyncStream<[Envelope]>.Continuation) {
        self.id = id
        self.around = around
        self.deliver = deliver
        machine = ConnectionStateMachine(timing: around.timing, limits: around.limits, now: .uptime)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        around.report(.upgraded(id))
        perform(machine.upgraded(now: .uptime))
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    // MARK: From Slack

    func frameReceived() { machine.frameReceived(now: .uptime) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        switch frame.opcode {
        case .text: messageReceived(Array(frame.data.readableBytesView))
        case .ping: pingReceived(frame.data, context)
        case .pong: break
        case .connectionClose: closeReceived(frame.data)
        case .binary:
            around.logger.debug(
                "binary message ignored", metadata: [LogKey.bytes: "\(frame.data.readableBytes)"])
        default: errorCaught(context: context, error: FrameInspector.Violation.reserved)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        deliverBatch()
        // What was acknowledged while frames were read: where TCP ends with them, there is no later.
        if isFlushAwaited { context.flush() }
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        transportClosed()
        context.fireChannelInactive()
    }

    /// TCP has ended. Told twice, by `channelInactive` and by the channel's close future: a connection that is never
    /// seen to end would hold its slot for ever.
    func transportClosed() {
        deliverBatch()
        perform(machine.transportClosed())
        deliver.finish()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case NIOWebSocketError.invalidFrameLength,
            NIOWebSocketFrameAggregator.Error.accumulatedFrameSizeIsTooLarge,
            NIOWebSocketFrameAggregator.Error.tooManyFragments:
            perform(machine.protocolViolated(.messageTooLarge))
        case is NIOWebSocketError, is NIOWebSocketFrameAggregator.Error, is FrameInspector.Violation:
            around.logger.info("frame breaks RFC 6455", metadata: [LogKey.error: "\(error)"])
            perform(machine.protocolViolated(.malformed))
        default:
            // Of the socket or of TLS: nothing more can be said on it.
            around.logger.debug("socket error", metadata: [LogKey.error: "\(error)"])
            context.close(promise: nil)
        }
    }

    private func messageReceived(_ bytes: [UInt8]) {
        switch SlackMessage.parse(bytes, app: around.app, receivedAt: around.clock.now) {
        case .envelope(let envelope):
            batch.append(envelope)
        case .hello(let message):
            hello = message
            hello.host = message.host.map { String($0.prefix(200)) }
            perform(machine.helloReceived())
        case .disconnect(let message):
            around.logger.info(
                "Slack asks to disconnect", metadata: [LogKey.reason: "\("\(message.reason)".prefix(64))"])
            perform(machine.disconnectReceived(SlackDisconnect(message.reason)))
        case .unsupported(let type, let envelopeID):
            around.logger.warning(
                "envelope of an unknown kind acknowledged without delivery",
                metadata: [LogKey.envelopeID: "\(envelopeID.prefix(64))", LogKey.messageType: "\(type.prefix(64))"])
            acknowledge([envelopeID], via: .same)
        case .ignored(let reason):
            around.logger.info(
                "message ignored", metadata: [LogKey.reason: "\(reason)", LogKey.bytes: "\(bytes.count)"])
        }
    }

    private func pingReceived(_ payload: ByteBuffer, _ context: ChannelHandlerContext) {
        // A peer that sends pings and reads nothing must not fill our memory with pongs.
        guard machine.maySend, context.channel.isWritable else { return }
        write(.pong, payload, context)
        context.flush()
    }

    private func closeReceived(_ payload: ByteBuffer) {
        var payload = payload
        let code = payload.readInteger(as: UInt16.self)
        around.logger.info(
            "close frame received", metadata: [LogKey.closeCode: "\(code.map(String.init) ?? "none")"])
        deliverBatch()
        perform(machine.closeFrameReceived())
    }

    /// What was read together goes on together.
    private func deliverBatch() {
        guard !batch.isEmpty else { return }
        switch machine.envelopesReceived(batch.count, bytes: batch.payloadBytes) {
        case .deliver: deliver.yield(batch)
        case .leave(let why):
            around.logger.warning(
                "envelopes left to Slack", metadata: [LogKey.reason: "\(why)", LogKey.envelopeCount: "\(batch.count)"])
        }
        batch.removeAll(keepingCapacity: true)
    }

    // MARK: From the gateway and the pool

    /// The receiver is done with a batch.
    func finished(_ count: Int, bytes: Int) { perform(machine.envelopesFinished(count, bytes: bytes)) }
    func retire() { perform(machine.retire()) }
    func drain() { perform(machine.drain()) }
    func close(_ reason: EndReason) { perform(machine.close(reason)) }

    /// All of them here, or all of them to another connection.
    func acknowledge(_ envelopeIDs: [String], via: AcknowledgementWay) {
        guard let context, context.channel.isActive, machine.maySend else { return around.passOn(envelopeIDs) }
        for id in envelopeIDs {
            write(.text, ByteBuffer(bytes: AcknowledgementFrame.encode(envelopeID: id)), context)
        }
        flushSoon(context)
        around.metrics.acknowledged(envelopeIDs.count, via: via)
    }

    /// Returns false when nothing may be sent here any more.
    func acknowledge(_ envelopeID: String, with payload: Payload?, via: AcknowledgementWay) -> Bool {
        guard let context, context.channel.isActive, machine.maySend else { return false }
        let frame = AcknowledgementFrame.encode(envelopeID: envelopeID, payload: payload)
        write(.text, ByteBuffer(bytes: frame), context)
        flushSoon(context)
        around.metrics.acknowledged(1, via: via)
        return true
    }

    /// What is acknowledged one by one in the same turn of the thread leaves together.
    private func flushSoon(_ context: ChannelHandlerContext) {
        guard !isFlushAwaited else { return }
        isFlushAwaited = true
        context.eventLoop.assumeIsolated().execute { [weak self] in
            guard let self else { return }
            isFlushAwaited = false
            self.context?.flush()
        }
    }

    // MARK: What the machine decides

    private func perform(_ actions: [ConnectionStateMachine.Action]) {
        for action in actions { perform(action) }
    }

    private func perform(_ action: ConnectionStateMachine.Action) {
        switch action {
        case .schedule(let timer, let delay): schedule(timer, after: delay)
        case .cancel(let timer): timers.removeValue(forKey: timer)?.cancel()
        case .report(let report): tell(report)
        case .cut: cut()
        case .sendPing: writeControl(.ping, ByteBuffer(string: "relay"))
        case .sendClose(let code): writeControl(.connectionClose, ByteBuffer(integer: code))
        }
    }

    /// Beneath TLS, which would say goodbye, and wait for seconds for that of a peer that reads nothing.
    private func cut() {
        let tls = try? context?.pipeline.syncOperations.context(handlerType: NIOSSLClientHandler.self)
        (tls ?? context)?.close(mode: .all, promise: nil)
    }

    private func schedule(_ timer: ConnectionStateMachine.Timer, after delay: Duration) {
        guard let eventLoop = context?.eventLoop.assumeIsolated() else { return }
        timers.updateValue(
            eventLoop.scheduleTask(in: TimeAmount(delay)) { [weak self] in
                guard let self else { return }
                perform(machine.timerFired(timer, now: .uptime))
            }, forKey: timer)?.cancel()
    }

    private func tell(_ report: ConnectionStateMachine.Report) {
        switch report {
        case .connected:
            around.takesOthers(true)
            around.report(.connected(id, hello))
        case .refreshAsked: around.report(.refreshAsked(id))
        case .closing(let reason):
            around.takesOthers(false)
            around.report(.closing(id, reason))
        case .closed(let reason): around.report(.closed(id, reason))
        }
    }

    private func writeControl(_ opcode: WebSocketOpcode, _ payload: ByteBuffer) {
        guard let context, context.channel.isActive else { return }
        write(opcode, payload, context)
        context.flush()
    }

    /// Each frame with a mask of its own (RFC 6455 §5.3).
    private func write(_ opcode: WebSocketOpcode, _ payload: ByteBuffer, _ context: ChannelHandlerContext) {
        let frame = WebSocketFrame(fin: true, opcode: opcode, maskKey: .random(), data: payload)
        context.write(wrapOutboundOut(frame), promise: nil)
    }
}

extension [Envelope] {
    var payloadBytes: Int { reduce(0) { $0 + $1.payload.bytes.count } }
}

extension Duration {
    /// The time that machines are fed with: since the system started, by a clock that does not jump.
    static var uptime: Duration { .nanoseconds(NIODeadline.now().uptimeNanoseconds) }
}

extension TimeAmount {
    /// Not more than a year, so that no sum of times overflows.
    init(_ duration: Duration) { self = .nanoseconds(min(duration, .seconds(365 * 24 * 3600)).nanoseconds) }
}
