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
    private let executor: any TaskExecutor
    private let deliveryExecutor: any TaskExecutor
    private let drainTimeout: @Sendable () -> Duration
    private let clock: any RelayClock
    private let parts: AsyncStream<Part>
    private let newParts: AsyncStream<Part>.Continuation
    private let draining = Mutex(false)

    /// A child task.
    private typealias Part = @Sendable () async throws -> Void

    /// - Parameters:
    ///   - executor: that all of it runs on but the dispatchers.
    ///   - deliveryExecutor: that the dispatchers run on.
    ///   - drainTimeout: asked when the drain begins.
    init(
        connectors: Connectors, dispatchers: Dispatchers, answerer: Answerer, poster: LateAnswerPoster,
        executor: any TaskExecutor, deliveryExecutor: any TaskExecutor,
        drainTimeout: @escaping @Sendable () -> Duration, clock: any RelayClock
    ) {
        self.connectors = connectors
        self.dispatchers = dispatchers
        self.answerer = answerer
        self.poster = poster
        self.executor = executor
        self.deliveryExecutor = deliveryExecutor
        self.drainTimeout = drainTimeout
        self.clock = clock
        (parts, newParts) = AsyncStream.makeStream()
        for dispatcher in dispatchers.sorted { start(dispatcher) }
        for connector in connectors.sorted { start(connector) }
    }

    /// Whether the end has begun: nothing is to be started any more.
    var isDraining: Bool { draining.withLock { $0 } }

    func run() async throws {
        /// What a child task has come to.
        enum End { case isRequested, isHere }
        try await withThrowingTaskGroup(of: End.self) { group in
            group.addTask {
                try await withTaskExecutorPreference(self.executor) { try await self.runAll() }
                return .isHere
            }
            group.addTask {
                guard (try? await gracefulShutdown()) != nil else { return .isRequested }
                await self.drain()
                return .isRequested
            }
            group.addTask {
                guard (try? await gracefulShutdown()) != nil else { return .isRequested }
                try? await self.clock.sleep(for: self.drainTimeout())
                return .isHere
            }
            // Every part has come to its end, or is out of time: what is still in flight then is attempted again after
            // the next start.
            while try await group.next() == .isRequested {}
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

    /// Tells every part to come to its end, and returns when the connections have: dispatchers and late answers finish
    /// what they have in flight in `runAll`. Nothing here can be hurried: what is out of time is canceled there.
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

    /// One that comes when the end has begun, and that the drain did not see, does nothing.
    func start(_ connector: SlackConnector) {
        newParts.yield {
            guard !self.isDraining else { return }
            try await connector.run()
        }
    }

    /// Runs it until it is drained.
    func start(_ dispatcher: Dispatcher) {
        newParts.yield {
            if self.isDraining { await dispatcher.drain() }
            await withTaskExecutorPreference(self.deliveryExecutor) { await dispatcher.run() }
        }
    }

    /// Lets an app go whose connector nobody looks up any more.
    func end(_ connector: SlackConnector, timeout: Duration) {
        newParts.yield { await connector.drain(timeout: timeout) }
    }
}
