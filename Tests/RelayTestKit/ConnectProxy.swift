// An HTTP proxy for tests: opens the tunnels it is asked for and remembers where to.

internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// Answers CONNECT (RFC 9110 §9.3.6) with a tunnel, anything else with the end of the connection. Stop it with `shutDown()`.
package final class ConnectProxy: Sendable {
    fileprivate struct State {
        var targets: [String] = []
        var open: [ObjectIdentifier: any Channel] = [:]
    }

    private let state = SharedProxyState()
    private let listener: any Channel

    /// Listens on a free port of 127.0.0.1.
    package init() async throws {
        let state = state
        listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    state.keep(channel)
                    try channel.pipeline.syncOperations.addHandler(ConnectHandler(state: state))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    package var port: Int { listener.localAddress?.port ?? 0 }
    package var url: String { "http://127.0.0.1:\(port)" }

    /// What tunnels have been asked for, as `host:port`.
    package var targets: [String] { state.value.withLock { $0.targets } }

    package func shutDown() async {
        try? await listener.close()
        for channel in state.value.withLock({ Array($0.open.values) }) { try? await channel.close() }
    }
}

private final class SharedProxyState: Sendable {
    let value = Mutex(ConnectProxy.State())

    func keep(_ channel: any Channel) {
        value.withLock { $0.open[ObjectIdentifier(channel)] = channel }
        channel.closeFuture.whenComplete { _ in self.value.withLock { $0.open[ObjectIdentifier(channel)] = nil } }
    }
}

/// Reads the head of the request, then hands the connection over to two `TunnelHandler`s.
private final class ConnectHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let state: SharedProxyState
    private var head = ""

    init(state: SharedProxyState) {
        self.state = state
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        head += String(buffer: unwrapInboundIn(data))
        // Clients wait for the answer before they send on, so that nothing follows the head.
        guard head.hasSuffix("\r\n\r\n") else { return }
        let words = head.prefix { $0 != "\r\n" }.split(separator: " ")
        guard words.count == 3, words[0] == "CONNECT", let colon = words[1].lastIndex(of: ":"),
            let port = Int(words[1][words[1].index(after: colon)...])
        else { return context.close(promise: nil) }
        state.value.withLock { $0.targets.append(String(words[1])) }
        openTunnel(context.channel, host: String(words[1][..<colon]), port: port)
    }

    private func openTunnel(_ client: any Channel, host: String, port: Int) {
        let state = state
        ClientBootstrap(group: client.eventLoop)
            .channelInitializer { server in
                server.eventLoop.makeCompletedFuture {
                    state.keep(server)
                    try server.pipeline.syncOperations.addHandler(TunnelHandler(peer: client))
                }
            }
            .connect(host: host, port: port)
            .whenComplete { result in
                guard case .success(let server) = result,
                    (try? client.pipeline.syncOperations.addHandler(TunnelHandler(peer: server))) != nil
                else { return client.close(promise: nil) }
                client.pipeline.context(handlerType: ConnectHandler.self).whenSuccess {
                    client.pipeline.syncOperations.removeHandler(context: $0, promise: nil)
                    client.writeAndFlush(
                        ByteBuffer(string: "HTTP/1.1 200 Connection established\r\n\r\n"), promise: nil)
                }
            }
    }
}

/// Passes what it reads on to the other side.
private final class TunnelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let peer: any Channel

    init(peer: any Channel) {
        self.peer = peer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        peer.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        peer.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
