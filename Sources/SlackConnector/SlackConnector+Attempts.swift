// The child tasks of a connector: asking for a URL, and a connection from dial to end.

import Logging
import NIOCore
import NIOWebSocket
import RelayCore
import SocketMode

extension SlackConnector {
    /// Asks for a URL, unless given up, and reports.
    func open(_ id: ConnectionID, until abandoned: AsyncStream<Never>) async {
        await unless(abandoned) {
            switch await self.urls.open() {
            case .success(let url): self.report(.opened(id, url: url))
            case .failure(let failure): self.report(.attemptFailed(id, failure))
            }
        }
    }

    /// Dials, unless given up, and stays until the connection has ended. The handler reports the upgrade and what
    /// follows it; a dial that fails is reported here.
    func connect(_ id: ConnectionID, to url: Secret, until abandoned: AsyncStream<Never>) async {
        await unless(abandoned) {
            do throws(ConnectFailure) {
                let url = try WebSocketURL(url, allowsPlaintext: self.configuration.apiURL.hasPrefix("http://"))
                let connection = try await self.dialer.dial(url) { try self.install(id, on: $0) }
                await self.serve(connection)
            } catch {
                self.report(.attemptFailed(id, error))
            }
        }
    }

    /// Hands each batch to the receiver, in a task of its own, until the connection ends. Where somebody may wait for an
    /// answer, an envelope is a batch of its own, so that it keeps no others open.
    private func serve(_ connection: Connection) async {
        await withTaskCancellationHandler {
            await withDiscardingTaskGroup { group in
                for await batch in connection.batches {
                    for part in batch.apart(where: { $0.kind != .event }) {
                        // Batches reach an actor in the order read.
                        group.addTaskNow { await self.handOn(part, from: connection) }
                    }
                }
            }
        } onCancel: {
            // A receiver that hangs does not keep Slack waiting for the close frame.
            connection.close(.drained)
        }
        // Over already, or the task was canceled.
        await connection.end(.drained)
        registry.remove(connection.id)
    }

    private func handOn(_ batch: [Envelope], from connection: Connection) async {
        await receiver.receive(batch, on: connection.id, acknowledgeThrough: self)
        connection.finished(batch.count, bytes: batch.payloadBytes)
    }

    /// The handlers of an upgraded channel, which has NIO's frame encoder and decoder. On its event loop.
    private func install(_ id: ConnectionID, on channel: any Channel) throws -> Connection {
        let (batches, deliver) = AsyncStream<[Envelope]>.makeStream()
        let handler = ConnectionHandler(id: id, around: surroundings(of: id), deliver: deliver)
        let connection = Connection(id: id, batches: batches, handler: handler, channel: channel)
        // Before the handler reports the upgrade: the pool's answer to that must find the connection.
        registry.add(connection)
        let pipeline = channel.pipeline.syncOperations
        let encoder = try pipeline.handler(type: WebSocketFrameEncoder.self)
        try pipeline.addHandler(WriteCoalescer(), position: .before(encoder))
        try pipeline.addHandler(FrameInspector { [weak handler] in handler?.frameReceived() })
        try pipeline.addHandler(
            NIOWebSocketFrameAggregator(
                minNonFinalFragmentSize: 0, maxAccumulatedFrameCount: 65536,
                maxAccumulatedFrameSize: SlackConnectorConfiguration.maximumMessageBytes))
        try pipeline.addHandler(handler)
        channel.closeFuture.assumeIsolated().whenComplete { _ in handler.transportClosed() }
        return connection
    }

    private func surroundings(of id: ConnectionID) -> ConnectionHandler.Surroundings {
        var logger = logger
        logger[metadataKey: LogKey.connectionID] = "\(id)"
        return ConnectionHandler.Surroundings(
            app: configuration.app, timing: configuration.timing, limits: configuration.limits, clock: clock,
            metrics: metrics, logger: logger,
            report: { [weak self] in self?.report($0) },
            passOn: { [weak self] in self?.passOn($0, from: id) },
            takesOthers: { [registry] in $0 ? registry.markOpen(id) : registry.markClosing(id) })
    }

    /// Does the work, and cancels it when the stream ends first.
    private func unless(_ abandoned: AsyncStream<Never>, _ work: @escaping @Sendable () async -> Void) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await work() }
            group.addTask { for await _ in abandoned {} }
            await group.next()
            group.cancelAll()
        }
    }
}

extension [Envelope] {
    /// In order, in as few parts as can be, with each of some in a part of its own.
    fileprivate func apart(where standsAlone: (Envelope) -> Bool) -> [[Envelope]] {
        guard contains(where: standsAlone) else { return [self] }
        var parts: [[Envelope]] = []
        var isOpen = false
        for envelope in self {
            let isAlone = standsAlone(envelope)
            if isOpen, !isAlone { parts[parts.count - 1].append(envelope) } else { parts.append([envelope]) }
            isOpen = !isAlone
        }
        return parts
    }
}
