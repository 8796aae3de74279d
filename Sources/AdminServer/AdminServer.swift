// The admin API's listener.

import Hummingbird
package import Logging
package import RelayCore
import ServiceLifecycle

/// Serves the admin API over HTTP until the group shuts down.
package struct AdminServer: Service, CustomStringConvertible {
    /// Where and for whom.
    package struct Listener: Sendable {
        package var address: ListenAddress
        /// Asked at each request; nil: no token is wanted, which only loopback may have.
        package var token: (@Sendable () throws(SecretError) -> Secret)?

        package init(_ address: ListenAddress, token: (@Sendable () throws(SecretError) -> Secret)?) {
            self.address = address
            self.token = token
        }
    }

    private let listener: Listener
    private let limits: ConnectionLimits
    private let heartbeat: Duration
    private let handlers: AdminHandlers
    private let now: @Sendable () -> Timestamp
    private let onListening: @Sendable (_ port: Int) async -> Void
    private let logger: Logger

    /// - Parameters:
    ///   - heartbeat: between comments of a stream in which nothing happens.
    ///   - onListening: told the port once connections are accepted.
    package init(
        _ listener: Listener, archive: any DeliveryArchive, control: any GatewayControl, feed: DeliveryFeed,
        limits: ConnectionLimits = .init(), heartbeat: Duration = .seconds(15),
        now: @escaping @Sendable () -> Timestamp,
        onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }, logger: Logger
    ) {
        precondition(
            listener.token != nil || listener.address.isLoopback,
            "the admin API has no token, and \(listener.address) is not loopback")
        self.listener = listener
        self.limits = limits
        self.heartbeat = heartbeat
        self.handlers = AdminHandlers(archive: archive, control: control, feed: feed)
        self.now = now
        self.onListening = onListening
        self.logger = logger
    }

    /// For the log of the service group, which else shows all that is in it.
    package var description: String { "AdminServer on \(listener.address)" }

    /// Throws `ListenError` when it cannot listen.
    package func run() async throws {
        let responder = AdminResponder(
            access: AccessCheck(isOnLoopback: listener.address.isLoopback, token: listener.token),
            handlers: handlers, now: now, heartbeat: heartbeat, logger: logger)
        let application = Application(
            responder: responder, address: listener.address, limits: limits, onListening: onListening, logger: logger)
        // A stream has no end of its own, and the server waits for its responses.
        try await withGracefulShutdownHandler {
            try await application.serve("the admin API", on: listener.address, limits)
        } onGracefulShutdown: {
            handlers.feed.close()
        }
    }
}
