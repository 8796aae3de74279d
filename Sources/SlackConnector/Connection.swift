// One WebSocket as others see it: a handle that can be used from anywhere.

import NIOCore
import RelayCore
import SocketMode

/// Each call is made on the connection's event loop: at once when it comes from there, else in the order of the calls.
final class Connection: Sendable {
    let id: ConnectionID
    /// What each read brought; ends with the connection.
    let batches: AsyncStream<[Envelope]>
    private let handler: NIOLoopBound<ConnectionHandler>
    private let channel: any Channel

    /// On the event loop of the channel.
    init(id: ConnectionID, batches: AsyncStream<[Envelope]>, handler: ConnectionHandler, channel: any Channel) {
        self.id = id
        self.batches = batches
        self.handler = NIOLoopBound(handler, eventLoop: channel.eventLoop)
        self.channel = channel
    }

    func acknowledge(_ envelopeIDs: [String], via: AcknowledgementWay) {
        onLoop { $0.acknowledge(envelopeIDs, via: via) }
    }

    /// For one that could not send them itself. Never at once: two that both cannot would call each other.
    func takeOver(_ envelopeIDs: [String]) {
        channel.eventLoop.execute { [handler] in handler.value.acknowledge(envelopeIDs, via: .other) }
    }

    /// Whether it is on its way to the socket.
    func acknowledge(_ envelopeID: String, with payload: Payload?, via: AcknowledgementWay) async -> Bool {
        if channel.eventLoop.inEventLoop { return handler.value.acknowledge(envelopeID, with: payload, via: via) }
        let sent = channel.eventLoop.submit { [handler] in
            handler.value.acknowledge(envelopeID, with: payload, via: via)
        }
        // An event loop that has ended sends nothing.
        return (try? await sent.get()) ?? false
    }

    func finished(_ count: Int, bytes: Int) { onLoop { $0.finished(count, bytes: bytes) } }
    func retire() { onLoop { $0.retire() } }
    func drain() { onLoop { $0.drain() } }
    func close(_ reason: EndReason) { onLoop { $0.close(reason) } }

    /// Closes, and waits until TCP has ended: at most the close timeout. Waits also in a canceled task, so that every
    /// exit is an orderly one.
    func end(_ reason: EndReason) async {
        close(reason)
        try? await channel.closeFuture.get()
    }

    private func onLoop(_ body: @escaping @Sendable (ConnectionHandler) -> Void) {
        if channel.eventLoop.inEventLoop { return body(handler.value) }
        channel.eventLoop.execute { [handler] in body(handler.value) }
    }
}
