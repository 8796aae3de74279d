// The life of what carries envelopes: the connections to Slack, the answerer and the dispatchers. They run together, and
// are drained together.

import RelayCore
import ServiceLifecycle
import SlackConnector
import Synchronization

/// Runs until the group shuts down. Then, all at once and within one drain timeout: no new attempt is started, the
/// connections end with close frames, and what is in flight finishes. Meanwhile connectors and dispatchers come and go
/// with the configuration.
final class TrafficService: Service {
    private let connectors: Connectors
    private let dispatchers: Dispatchers
    private let answerer: Answerer
    private let poster: LateAnswerPoster
    private let drainTimeout: @Sendable () -> Duration
    private let clock: any RelayClock
    private let parts: AsyncStream<Part>
    private let newParts: AsyncStream<Part>.Continuation
    private let draining = Mutex(false)

    /// A child task.
    private typealias Part = @Sendable () async throws -> Void

    /// - Parameter drainTimeout: asked when the drain begins.
    init(
        connectors: Connectors, dispatchers: Dispatchers, answerer: Answerer, poster: LateAnswerPoster,
        drainTimeout: @escaping @Sendable () -> Duration, clock: any RelayClock
    ) {
        self.connectors = connectors
        self.dispatchers = dispatchers
        self.answerer = answerer
        self.poster = poster
        self.drainTimeout = drainTimeout
        self.clock = clock
        (parts, newParts) = AsyncStream.makeStream()
    }

    /// Whether the end has begun: nothing is to be started any more.
    var isDraining: Bool { draining.withLock { $0 } }

    func run() async throws {
        for dispatcher in dispatchers.sorted { start(dispatcher) }
        for connector in connectors.sorted { start(connector) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.runAll() }
            group.addTask {
                guard (try? await gracefulShutdown()) != nil else { return }
                await self.drain()
            }
            group.addTask {
                guard (try? await gracefulShutdown()) != nil else { return }
                try? await self.clock.sleep(for: self.drainTimeout())
            }
            // Drained, or out of time: what is still in flight is attempted again after the next start.
            try await group.next()
            group.cancelAll()
        }
    }

    private func runAll() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { await self.answerer.run() }
            group.addTask { await self.poster.run() }
            for await part in parts {
                group.addTask {
                    do {
                        try await part()
                    } catch {
                        // The group is canceled then, but not this loop.
                        self.newParts.finish()
                        throw error
                    }
                }
            }
        }
    }

    /// Returns when everything is drained. Nothing here can be hurried: what is out of time is canceled in `runAll`.
    private func drain() async {
        draining.withLock { $0 = true }
        let timeout = drainTimeout()
        await withDiscardingTaskGroup { group in
            group.addTask {
                // In the order in which they give each other work.
                await withDiscardingTaskGroup { apps in
                    for connector in self.connectors.sorted {
                        apps.addTask { await connector.drain(timeout: timeout) }
                    }
                }
                await self.answerer.drain()
                await self.poster.drain()
            }
            for dispatcher in dispatchers.sorted { group.addTask { await dispatcher.drain() } }
        }
        newParts.finish()
    }

    // MARK: With the configuration

    func start(_ connector: SlackConnector) { newParts.yield { try await connector.run() } }

    /// Runs it until it is drained. What it gave back then is for the one that has taken its place.
    func start(_ dispatcher: Dispatcher) {
        newParts.yield { [dispatchers] in
            await dispatcher.run()
            guard let next = dispatchers[dispatcher.backend.name], next !== dispatcher else { return }
            await next.deliveriesStored([], othersWait: true)
        }
    }

    /// Lets an app go whose connector nobody looks up any more.
    func end(_ connector: SlackConnector, timeout: Duration) {
        newParts.yield { await connector.drain(timeout: timeout) }
    }
}
