// What the queue needs from time to time: retention, and a look whether a full disk is back.

package import RelayCore
import ServiceLifecycle

/// Prunes the queue in small steps, and asks it now and then whether it can write: a dead disk is noticed, and one that
/// is back is used, without any traffic.
package struct QueueKeeper: Service {
    private let queue: any DeliveryQueue
    private let health: QueueHealth
    private let clock: any RelayClock

    /// How often a queue that fails is asked again.
    private static let checkInterval = Duration.seconds(1)
    /// A queue that works is probed and pruned each so many checks.
    private static let checksPerRound = 10

    package init(queue: any DeliveryQueue, health: QueueHealth, clock: any RelayClock) {
        self.queue = queue
        self.health = health
        self.clock = clock
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var checks = 0
            while (try? await clock.sleep(for: Self.checkInterval)) != nil {
                checks += 1
                guard checks % Self.checksPerRound == 0 || health.problem != nil else { continue }
                await check()
            }
        }
    }

    /// Retention, and then a probe: a full queue may have room afterwards.
    package func check() async {
        do {
            // Between two steps the queue is free for everybody else.
            while try await timed({ () throws(QueueError) in try await queue.prune(now: clock.now) }), !Task.isCancelled
            {
                await Task.yield()
            }
            health.worked(.prune)
        } catch {
            health.failed(.prune, error)
        }
        do {
            try await timed { () throws(QueueError) in try await queue.probe() }
            health.worked(.store)
        } catch {
            health.failed(.store, error)
        }
    }

    private func timed<Result>(_ body: () async throws(QueueError) -> Result) async throws(QueueError) -> Result {
        health.askedQueue(now: clock.now)
        defer { health.queueAnswered() }
        return try await body()
    }
}

/// Notices a disk that hangs, which fails nothing.
struct QueueWatch: Service {
    let health: QueueHealth
    let clock: any RelayClock

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while (try? await clock.sleep(for: .seconds(1))) != nil { health.look(now: clock.now) }
        }
    }
}
