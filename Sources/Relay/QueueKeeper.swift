// What the queue needs from time to time: retention, and a look whether a full disk is back.

package import Logging
package import RelayCore
import ServiceLifecycle

/// Prunes the queue in small steps and lets the gateway recover from write errors without traffic.
package struct QueueKeeper: Service {
    private let queue: any DeliveryQueue
    private let gateway: Gateway
    private let clock: any RelayClock
    private let logger: Logger

    /// How often a queue that could not store is asked again.
    private static let checkInterval = Duration.seconds(1)
    /// Looks for something to prune each so many checks.
    private static let checksPerPruning = 10

    package init(queue: any DeliveryQueue, gateway: Gateway, clock: any RelayClock, logger: Logger) {
        self.queue = queue
        self.gateway = gateway
        self.clock = clock
        self.logger = logger
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var checks = 0
            var hasFailed = false
            while (try? await clock.sleep(for: Self.checkInterval)) != nil {
                await gateway.checkQueue()
                checks += 1
                guard checks % Self.checksPerPruning == 0 else { continue }
                do {
                    // Between two steps the queue is free for everybody else.
                    while try await queue.prune(now: clock.now), !Task.isCancelled { await Task.yield() }
                    hasFailed = false
                } catch {
                    if !hasFailed { logger.warning("retention failed", metadata: [LogKey.error: "\(error)"]) }
                    hasFailed = true
                }
            }
        }
    }
}
