// Makes replays go on: over restarts, at their rate.

package import Logging
package import RelayCore
import ServiceLifecycle

/// Runs the replays that the archive has, until the group shuts down. What is left goes on after the next start.
package struct ReplayService: Service, CustomStringConvertible {
    private let archive: any DeliveryArchive
    private let becameDue: @Sendable (Set<BackendName>) async -> Void
    private let clock: any RelayClock
    private let logger: Logger
    private let wakes: AsyncStream<Wake>
    private let wake: AsyncStream<Wake>.Continuation

    private enum Wake: Sendable {
        /// It is this late.
        case timer(Timestamp)
        /// There are other replays.
        case changed
    }

    /// After the store did not work.
    private static let retryDelay = Duration.seconds(1)

    /// - Parameter becameDue: told the backends that have deliveries to be made now.
    package init(
        archive: any DeliveryArchive, clock: any RelayClock, logger: Logger,
        becameDue: @escaping @Sendable (Set<BackendName>) async -> Void
    ) {
        self.archive = archive
        self.becameDue = becameDue
        self.clock = clock
        self.logger = logger
        (wakes, wake) = AsyncStream.makeStream()
    }

    package var description: String { "ReplayService" }

    /// There is another replay, or one was canceled.
    package func replaysChanged() { wake.yield(.changed) }

    package func run() async throws {
        await cancelWhenGracefulShutdown { await goOn() }
    }

    /// Until its task is canceled. Once in its life.
    package func goOn() async {
        await withDiscardingTaskGroup { group in
            var pacer = ReplayPacer()
            // Times that a child task waits for already.
            var timers: Set<Timestamp> = []
            // Those that cannot be read, and were told of.
            var unreadable: Set<Replay.ID> = []
            await find(&pacer, &unreadable)
            // One reader for its whole life: a stream ends with the first reader that is canceled.
            var wakes = wakes.makeAsyncIterator()
            while !Task.isCancelled {
                switch pacer.next(now: clock.now) {
                case .advance(let id, let limit):
                    await advance(id, limit, &pacer)
                case .wait(let time):
                    if let time, timers.insert(time).inserted { group.addTask { await sleep(until: time) } }
                    switch await wakes.next() {
                    case .changed: await find(&pacer, &unreadable)
                    case .timer(let time): timers.remove(time)
                    case nil: break
                    }
                }
            }
            group.cancelAll()
        }
    }

    private func sleep(until time: Timestamp) async {
        guard (try? await clock.sleep(until: time, tolerance: nil)) != nil else { return }
        wake.yield(.timer(time))
    }

    private func find(_ pacer: inout ReplayPacer, _ unreadable: inout Set<Replay.ID>) async {
        while !Task.isCancelled {
            do throws(QueueError) {
                let replays = try await archive.replays()
                pacer.found(replays, now: clock.now)
                for replay in replays where replay.state == .running && replay.request.filter == nil {
                    guard unreadable.insert(replay.id).inserted else { continue }
                    logger.error(
                        "a replay cannot be read and does not go on: cancel it",
                        metadata: [LogKey.replayID: "\(replay.id)"])
                }
                return
            } catch {
                // Whatever is wrong with the store is said by those who must use it.
                guard (try? await clock.sleep(for: Self.retryDelay)) != nil else { return }
            }
        }
    }

    private func advance(_ id: Replay.ID, _ limit: Int, _ pacer: inout ReplayPacer) async {
        do throws(QueueError) {
            let (replay, backends) = try await archive.advanceReplay(id, limit: limit, now: clock.now)
            pacer.advanced(id, replay, now: clock.now)
            if !backends.isEmpty { await becameDue(backends) }
            if let replay, replay.state == .done {
                logger.notice(
                    "replay finished",
                    metadata: [
                        LogKey.replayID: "\(replay.id)", LogKey.replayCount: "\(replay.replayed)",
                        LogKey.replayWithoutPayload: "\(replay.withoutPayload)",
                    ])
            }
        } catch {
            guard pacer.failed(id, retryAfter: Self.retryDelay, now: clock.now) else { return }
            logger.error(
                "a replay does not go on; trying again",
                metadata: [LogKey.replayID: "\(id)", LogKey.error: "\(error)"])
        }
    }
}
