// The life of what carries envelopes: the connections to Slack, the answerer and the dispatchers. They run together, and
// are drained together.

import RelayCore
import ServiceLifecycle
import SlackConnector

/// Runs until the group shuts down. Then, all at once and within one drain timeout: no new attempt is started, the
/// connections end with close frames, and what is in flight finishes.
struct TrafficService: Service {
    let connectors: [SlackConnector]
    let dispatchers: [Dispatcher]
    let answerer: Answerer
    let poster: LateAnswerPoster
    let drainTimeout: Duration
    let clock: any RelayClock

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await runAll() }
            group.addTask {
                guard (try? await gracefulShutdown()) != nil else { return }
                await drain()
            }
            group.addTask {
                guard (try? await gracefulShutdown()) != nil else { return }
                try? await clock.sleep(for: drainTimeout)
            }
            // Drained, or out of time: what is still in flight is attempted again after the next start.
            try await group.next()
            group.cancelAll()
        }
    }

    private func runAll() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for dispatcher in dispatchers { group.addTask { await dispatcher.run() } }
            group.addTask { await answerer.run() }
            group.addTask { await poster.run() }
            for connector in connectors { group.addTask { try await connector.run() } }
            try await group.waitForAll()
        }
    }

    /// Returns when everything is drained. Nothing here can be hurried: what is out of time is canceled in `runAll`.
    private func drain() async {
        await withDiscardingTaskGroup { group in
            group.addTask {
                // In the order in which they give each other work.
                await withDiscardingTaskGroup { apps in
                    for connector in connectors {
                        apps.addTask { await connector.drain(timeout: drainTimeout) }
                    }
                }
                await answerer.drain()
                await poster.drain()
            }
            for dispatcher in dispatchers { group.addTask { await dispatcher.drain() } }
        }
    }
}
