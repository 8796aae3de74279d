// The admin API's listener.

import Hummingbird
package import Logging
import NIOCore
package import RelayCore
import ServiceLifecycle

/// Serves the admin API over HTTP until the group shuts down.
package struct AdminServer: Service, CustomStringConvertible {
    /// Where and for whom.
    package struct Listener: Sendable {
        /// An address or a host name; IPv6 without brackets.
        package var host: String
        /// 0 takes any free one.
        package var port: Int
        /// Asked at each request; nil: no token is wanted, which only loopback may have.
        package var token: (@Sendable () throws(SecretError) -> Secret)?

        package init(host: String, port: Int, token: (@Sendable () throws(SecretError) -> Secret)?) {
            self.host = host
            self.port = port
            self.token = token
        }
    }

    /// What one peer, and all of them, can take.
    package struct Limits: Sendable {
        /// At a time; more wait until one is free.
        package var connections = 64
        package var headBytes = 16 << 10
        package var headers = 64
        /// From the beginning of a connection, and from the end of a response, to the end of the next head.
        package var idleTimeout = Duration.seconds(10)
        /// From the end of a head to the end of its body.
        package var bodyTimeout = Duration.seconds(10)
        /// How long a peer may read nothing of what is there for it.
        package var writeTimeout = Duration.seconds(30)
        /// Between comments of a stream in which nothing happens.
        package var heartbeat = Duration.seconds(15)

        package init() {}
    }

    private let listener: Listener
    private let limits: Limits
    private let handlers: AdminHandlers
    private let now: @Sendable () -> Timestamp
    private let onListening: @Sendable (_ port: Int) async -> Void
    private let logger: Logger

    /// - Parameter onListening: told the port once connections are accepted.
    package init(
        _ listener: Listener, archive: any DeliveryArchive, control: any GatewayControl, feed: DeliveryFeed,
        limits: Limits = Limits(), now: @escaping @Sendable () -> Timestamp,
        onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }, logger: Logger
    ) {
        precondition(
            listener.token != nil || IPAddress.isLoopback(host: listener.host),
            "the admin API has no token, and \(listener.host) is not loopback")
        self.listener = listener
        self.limits = limits
        self.handlers = AdminHandlers(archive: archive, control: control, feed: feed)
        self.now = now
        self.onListening = onListening
        self.logger = logger
    }

    /// For the log of the service group, which else shows all that is in it.
    package var description: String { "AdminServer on \(listener.host):\(listener.port)" }

    /// Throws `ListenError` when it cannot listen.
    package func run() async throws {
        let onListening = onListening
        let limits = limits
        let responder = AdminResponder(
            access: AccessCheck(isOnLoopback: IPAddress.isLoopback(host: listener.host), token: listener.token),
            handlers: handlers, now: now, heartbeat: limits.heartbeat, logger: logger)
        let application = Application(
            responder: responder,
            server: .http1(
                configuration: .init(
                    additionalChannelHandlers: [ConnectionGuard(limits)], idleTimeout: TimeAmount(limits.idleTimeout),
                    httpDecoderConfiguration: .init(
                        maxHeaderFieldSize: limits.headBytes, maxHeaderListSize: limits.headBytes,
                        maxHeaderFieldCount: limits.headers))),
            configuration: .init(
                address: .hostname(listener.host, port: listener.port), serverName: nil,
                availableConnectionsDelegate: .maximum(limits.connections, logger: logger)),
            onServerRunning: { channel in await onListening(channel.localAddress?.port ?? 0) },
            logger: logger)
        // A stream has no end of its own, and the server waits for its responses.
        try await withGracefulShutdownHandler {
            do {
                try await application.run()
            } catch {
                throw ListenError("the admin API", host: listener.host, port: listener.port, error)
            }
        } onGracefulShutdown: {
            handlers.feed.close()
        }
    }
}
