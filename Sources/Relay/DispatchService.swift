// The dispatchers' life: they run together, and are drained together.

package import RelayCore
import ServiceLifecycle

/// Runs every dispatcher until the group shuts down; then lets what is in flight finish, at most for the drain timeout.
package struct DispatchService: Service {
    private let dispatchers: [Dispatcher]
    private let drainTimeout: Duration
    private let clock: any RelayClock

    package init(dispatchers: [Dispatcher], drainTimeout: Duration, clock: any RelayClock) {
        self.dispatchers = dispatchers
        self.drainTimeout = drainTimeout
        self.clock = clock
    }

    package func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await withDiscardingTaskGroup { dispatching in
                    for dispatcher in dispatchers { dispatching.addTask { await dispatcher.run() } }
                }
            }
            group.addTask {
                guard (try? await gracefulShutdown()) != nil else { return }
                for dispatcher in dispatchers { await dispatcher.drain() }
                try? await clock.sleep(for: drainTimeout)
            }
            // Drained, or out of time: what is still in flight is attempted again after the next start.
            await group.next()
            group.cancelAll()
        }
    }
}
