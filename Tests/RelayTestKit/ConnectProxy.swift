// An HTTP proxy for tests: opens the tunnels it is asked for and remembers where to.

internal import Foundation
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// Answers CONNECT (RFC 9110 §9.3.6) with a tunnel, without the right credentials with a 407, and anything else with
/// the end of the connection. Stop it with `shutDown()`.
package final class ConnectProxy: Sendable {
    fileprivate struct State {
        var targets: [String] = []
        var open: [ObjectIdentifier: any Channel] = [:]
    }

    private let state = SharedProxyState()
    private let listener: any Channel
    private let credentials: String?

    /// Listens on a free port of 127.0.0.1.
    /// - Parameter credentials: `user:password` that clients must send by the Basic scheme (RFC 7617); nil: none.
    package init(credentials: String? = nil) async throws {
        let state = state
        self.credentials = credentials
        let authorization = credentials.map { "Basic " + Data($0.utf8).base64EncodedString() }
        listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    state.keep(channel)
                    try channel.pipeline.syncOperations.addHandler(
                        ConnectHandler(state: state, authorization: authorization))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    package var port: Int { listener.localAddress?.port ?? 0 }
    /// With the credentials that it wants.
    package var url: String { "http://\(credentials.map { "\($0)@" } ?? "")127.0.0.1:\(port)" }

    /// What tunnels have been opened to, as `host:port`.
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
    private let authorization: String?
    private var head = ""

    init(state: SharedProxyState, authorization: String?) {
        self.state = state
        self.authorization = authorization
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        head += String(buffer: unwrapInboundIn(data))
        // Clients wait for the answer before they send on, so that nothing follows the head.
        guard head.hasSuffix("\r\n\r\n") else { return }
        let words = head.prefix { $0 != "\r\n" }.split(separator: " ")
        guard words.count == 3, words[0] == "CONNECT", let colon = words[1].lastIndex(of: ":"),
            let port = Int(words[1][words[1].index(after: colon)...])
        else { return context.close(promise: nil) }
        guard isAuthorized else { return refuse(context.channel) }
        state.value.withLock { $0.targets.append(String(words[1])) }
        openTunnel(context.channel, host: String(words[1][..<colon]), port: port)
    }

    private var isAuthorized: Bool {
        guard let authorization else { return true }
        return head.split(separator: "\r\n").contains { line in
            let field = line.split(separator: ":", maxSplits: 1)
            return field.count == 2 && field[0].lowercased() == "proxy-authorization"
                && field[1].drop { $0 == " " } == authorization
        }
    }

    private func refuse(_ client: any Channel) {
        let answer =
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"test\"\r\nContent-Length: 0\r\n\r\n"
        client.writeAndFlush(ByteBuffer(string: answer)).whenComplete { _ in client.close(promise: nil) }
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
