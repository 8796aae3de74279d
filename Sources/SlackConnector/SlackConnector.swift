// The connections of one Slack app: does what the pool decides.

package import Curl
import Foundation
package import Logging
package import Metrics
package import NIOCore
import NIOWebSocket
package import RelayCore
import SocketMode
import Synchronization

/// Holds the connections of one Slack app, hands what they read to an `EnvelopeReceiver` and sends its
/// acknowledgements.
///
/// `run()` is the whole life: connections, dials and the receiver's work are child tasks of it. Everything that happens
/// is told to one `PoolStateMachine`, in one place, one event after the other.
package final class SlackConnector: Acknowledger, Sendable {
    let receiver: any EnvelopeReceiver
    let clock: any RelayClock
    let metrics: ConnectorMetrics
    let logger: Logger
    let registry = ConnectionRegistry()
    let timerLoop: any EventLoop
    private let events: AsyncStream<PoolStateMachine.Event>
    private let eventSink: AsyncStream<PoolStateMachine.Event>.Continuation
    private let settings: Mutex<Settings>
    private let makeDialer: @Sendable (SlackConnectorConfiguration) -> WebSocketDialer
    private let shared: Mutex<Shared>

    /// What a reload can change.
    private struct Settings {
        var configuration: SlackConnectorConfiguration
        var urls: any ConnectionURLSource
        var dialer: WebSocketDialer
    }

    private struct Shared {
        var status: ConnectorStatus
        /// What is in the metrics of `status.blindWindows`.
        var blindTimeCounted: Duration = .zero
        var hasStarted = false
        var hasEnded = false
        var waiters: [CheckedContinuation<Void, Never>] = []
        var watchers: [UInt64: AsyncStream<ConnectorStatus>.Continuation] = [:]
        var lastWatcher: UInt64 = 0
    }

    /// - Parameters:
    ///   - receiver: called for each batch in a task of its own; the reader does not wait for it.
    ///   - token: the app-level token (`xapp-…`), read for each attempt.
    ///   - http: makes the calls of apps.connections.open.
    ///   - group: whose threads read and write the sockets.
    package convenience init(
        configuration: SlackConnectorConfiguration, receiver: any EnvelopeReceiver, http: CurlClient,
        token: @escaping @Sendable () throws -> Secret, clock: any RelayClock, logger: Logger,
        metrics: any MetricsFactory, group: any EventLoopGroup
    ) {
        self.init(
            configuration: configuration, receiver: receiver,
            urls: ConnectionsOpen(http: http, configuration: configuration, token: token), clock: clock,
            logger: logger, metrics: metrics, group: group)
    }

    /// With a source of URLs in place of Slack's API.
    package init(
        configuration: SlackConnectorConfiguration, receiver: any EnvelopeReceiver, urls: any ConnectionURLSource,
        clock: any RelayClock, logger: Logger, metrics: any MetricsFactory,
        group: any EventLoopGroup,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) {
        self.receiver = receiver
        self.clock = clock
        var logger = logger
        logger[metadataKey: LogKey.app] = "\(configuration.app)"
        self.logger = logger
        self.metrics = ConnectorMetrics(app: configuration.app, factory: metrics)
        makeDialer = { configuration in
            WebSocketDialer(
                group: group, caFile: configuration.caFile, proxy: configuration.proxy,
                timeout: configuration.dialTimeout, environment: environment)
        }
        settings = Mutex(
            Settings(configuration: configuration, urls: urls, dialer: makeDialer(configuration)))
        timerLoop = group.next()
        (events, eventSink) = AsyncStream.makeStream()
        let status = ConnectorStatus(app: configuration.app, blindWindows: BlindWindows(since: clock.now))
        shared = Mutex(Shared(status: status))
    }

    /// Connects, and stays connected until `drain` is through. In a canceled task it ends as soon as each connection
    /// has sent its close frame, at most the close timeout later. Call it once.
    package func run() async throws {
        let isFirst = shared.withLock { shared in
            defer { shared.hasStarted = true }
            return !shared.hasStarted
        }
        precondition(isFirst, "SlackConnector.run() must be called once")
        defer { ended() }
        await withDiscardingTaskGroup { group in
            group.addTask {
                await self.configuration.waitForBackends()
                self.report(.started)
            }
            var driver = PoolDriver(self)
            for await event in events {
                driver.take(event, in: &group)
                if driver.isFinished { break }
            }
            // After a drain only the wait for backends can be left. In a canceled task every child ends its connection
            // in order.
            group.cancelAll()
        }
    }

    /// Lets each connection finish what it has, sends close frames, and returns when all sockets are gone: at most the
    /// timeout and the close timeout later. A second call with a shorter timeout hurries the first one.
    package func drain(timeout: Duration) async {
        report(.drain(timeout: timeout))
        await withCheckedContinuation { continuation in
            let isOver = shared.withLock { shared in
                if shared.hasStarted, !shared.hasEnded { shared.waiters.append(continuation) }
                return !shared.hasStarted || shared.hasEnded
            }
            if isOver { continuation.resume() }
        }
    }

    /// Other settings hold from now on; those of `waitForBackends` and of the start have had their time.
    /// - Parameters:
    ///   - configuration: of the same app.
    ///   - replacesConnections: whether those that are open were made with settings that no longer hold. They are
    ///     replaced, each in its turn, make before break; while the new settings do not work the old ones stay open.
    package func reconfigure(
        _ configuration: SlackConnectorConfiguration, http: CurlClient,
        token: @escaping @Sendable () throws -> Secret, replacesConnections: Bool
    ) {
        reconfigure(
            configuration, urls: ConnectionsOpen(http: http, configuration: configuration, token: token),
            replacesConnections: replacesConnections)
    }

    /// With a source of URLs in place of Slack's API.
    package func reconfigure(
        _ configuration: SlackConnectorConfiguration, urls: any ConnectionURLSource, replacesConnections: Bool
    ) {
        let dialer = makeDialer(configuration)
        settings.withLock { $0 = Settings(configuration: configuration, urls: urls, dialer: dialer) }
        report(.reconfigured(configuration.pool, replacesConnections: replacesConnections))
    }

    /// Replaces every connection by a new one, each in its turn, make before break.
    package func refresh() { report(.refreshWanted) }

    package var status: ConnectorStatus { shared.withLock { $0.status } }

    /// Counts what has passed of a time without connection. To be called before metrics are read.
    package func refreshMetrics() {
        let now = clock.now
        let uncounted = shared.withLock { shared in
            let blind = max(shared.blindTimeCounted, shared.status.blindWindows.duration(until: now))
            defer { shared.blindTimeCounted = blind }
            return blind - shared.blindTimeCounted
        }
        if uncounted > .zero { metrics.wasBlind(for: uncounted) }
    }

    /// The status now and after each change; a reader that is slow misses the ones in between. Ends with the connector.
    package var statusUpdates: AsyncStream<ConnectorStatus> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: ConnectorStatus.self, bufferingPolicy: .bufferingNewest(1))
        let number = shared.withLock { shared -> UInt64 in
            shared.lastWatcher += 1
            continuation.yield(shared.status)
            if shared.hasEnded { continuation.finish() } else { shared.watchers[shared.lastWatcher] = continuation }
            return shared.lastWatcher
        }
        continuation.onTermination = { [weak self] _ in
            self?.shared.withLock { _ = $0.watchers.removeValue(forKey: number) }
        }
        return stream
    }

    package func acknowledge(_ envelopeIDs: [String], on connection: ConnectionID) {
        guard !envelopeIDs.isEmpty else { return }
        guard let (connection, via) = registry.route(connection) else {
            lost(envelopeIDs)
            return
        }
        connection.acknowledge(envelopeIDs, via: via)
    }

    package func acknowledge(
        _ envelopeID: String, with payload: Payload?, on connection: ConnectionID
    ) async -> AcknowledgementWay {
        guard let (first, way) = registry.route(connection) else { return lost([envelopeID]) }
        if await first.acknowledge(envelopeID, with: payload, via: way) { return way }
        guard let other = registry.another(than: first.id),
            await other.acknowledge(envelopeID, with: payload, via: .other)
        else { return lost([envelopeID]) }
        return .other
    }

    // MARK: For the driver and the connections

    var configuration: SlackConnectorConfiguration { settings.withLock { $0.configuration } }
    var urls: any ConnectionURLSource { settings.withLock { $0.urls } }
    var dialer: WebSocketDialer { settings.withLock { $0.dialer } }

    /// To the pool, from any thread; in order.
    func report(_ event: PoolStateMachine.Event) { eventSink.yield(event) }

    func show(_ status: ConnectorStatus) {
        let watchers = shared.withLock { shared in
            shared.status = status
            return Array(shared.watchers.values)
        }
        for watcher in watchers { watcher.yield(status) }
        metrics.show(status)
    }

    /// Acknowledgements that found their connection closing.
    func passOn(_ envelopeIDs: [String], from id: ConnectionID) {
        guard let other = registry.another(than: id) else {
            lost(envelopeIDs)
            return
        }
        other.takeOver(envelopeIDs)
    }

    @discardableResult
    private func lost(_ envelopeIDs: [String]) -> AcknowledgementWay {
        metrics.acknowledged(envelopeIDs.count, via: .lost)
        logger.warning(
            "no open connection to acknowledge on: events come again, people see Slack's error",
            metadata: [LogKey.envelopeCount: "\(envelopeIDs.count)"])
        return .lost
    }

    private func ended() {
        eventSink.finish()
        let (waiters, watchers) = shared.withLock { shared in
            shared.hasEnded = true
            defer { (shared.waiters, shared.watchers) = ([], [:]) }
            return (shared.waiters, Array(shared.watchers.values))
        }
        for watcher in watchers { watcher.finish() }
        for waiter in waiters { waiter.resume() }
    }
}
