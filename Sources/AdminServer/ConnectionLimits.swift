// What peers can take of a listener, and a server that keeps them to it.

import Hummingbird
import Logging
import NIOCore
import RelayCore
import ServiceLifecycle

/// What one peer, and all of them, can take.
package struct ConnectionLimits: Sendable {
    /// Of one listener of this process.
    package static let maxConnections = 64

    /// At a time; more wait until one is free.
    package var connections = Self.maxConnections
    package var headBytes = 16 << 10
    package var headers = 64
    /// From the beginning of a connection, and from when a response has gone out, to the end of the next head.
    package var idleTimeout = Duration.seconds(10)
    /// From the end of a head to the end of its body.
    package var bodyTimeout = Duration.seconds(10)
    /// A peer that reads nothing of what is there for it is cut off after this time, at most twice of it. One that reads,
    /// however slowly, gets all.
    package var writeTimeout = Duration.seconds(30)
    /// From when the group shuts down to the end of all that is under way: then handlers are canceled, and connections
    /// closed.
    package var shutdownTimeout = Duration.seconds(1)

    package init() {}
}

extension Application {
    /// A server within limits. Its idle timeout is `ConnectionGuard`'s: that of Hummingbird begins when a response is
    /// written, although it may not have gone out yet.
    init(
        responder: Responder, address: ListenAddress, limits: ConnectionLimits,
        onListening: @escaping @Sendable (_ port: Int) async -> Void, logger: Logger
    ) {
        self.init(
            responder: responder,
            server: .http1(
                configuration: .init(
                    additionalChannelHandlers: [ConnectionGuard(limits)],
                    httpDecoderConfiguration: .init(
                        maxHeaderFieldSize: limits.headBytes, maxHeaderListSize: limits.headBytes,
                        maxHeaderFieldCount: limits.headers))),
            configuration: .init(
                address: .hostname(address.host, port: address.port), serverName: nil,
                availableConnectionsDelegate: .maximum(limits.connections, logger: logger)),
            onServerRunning: { channel in await onListening(channel.localAddress?.port ?? 0) },
            logger: logger)
    }

    /// Serves until the group shuts down. Who is being answered then, or sends or reads slowly, does not hold up the end.
    ///
    /// Throws `ListenError` when it cannot listen.
    /// - Parameter what: is served, for messages.
    func serve(_ what: String, on address: ListenAddress, _ limits: ConnectionLimits) async throws {
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.run() }
                group.addTask {
                    guard (try? await gracefulShutdown()) != nil else { return }
                    try? await Task.sleep(for: limits.shutdownTimeout)
                }
                // The first to end: the server, or its time.
                try await group.next()
                group.cancelAll()
            }
        } catch {
            throw ListenError(what, on: address, error)
        }
    }
}
