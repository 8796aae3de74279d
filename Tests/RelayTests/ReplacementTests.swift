// One dispatcher takes another one's place: on virtual time, among deliveries that come all the while.

import Logging
import Metrics
import Relay
import RelayCore
import RelayTestKit
import Synchronization
import Testing

@Suite("Replacing a dispatcher")
struct ReplacementTests {
    @Test("each delivery is attempted once, by the old one or by the new one, and none is left", arguments: 0..<50)
    func handOver(seed: UInt64) async throws {
        let story = ReplacementStory(seed: seed)
        story.play(events: 60, replacedAt: .milliseconds(Int64(seed) * 3))
        #expect(story.attempts.count == 60)
        #expect(story.attempts.values.allSatisfy { $0 == 1 })
        #expect(try await story.queue.statistics()["app"]?.waitingCount == 0)
    }

    @Test("what is stored for a backend that nobody serves any more waits in the queue")
    func nobody() async throws {
        let story = ReplacementStory(seed: 1)
        story.play(events: 10, replacedAt: .zero, byNobody: true)
        #expect(story.attempts.isEmpty)
        #expect(try await story.queue.statistics()["app"]?.waiting == [.pending: 10])
    }
}

/// Events come each few milliseconds for a backend that takes longer than that, and its dispatcher is replaced.
private final class ReplacementStory: Sendable {
    let clock = VirtualClock(now: .zero)
    let queue = MemoryQueue(limits: .init(), queueID: 1)
    private let counts = Mutex<[DeliveryID: Int]>([:])
    private let executor: SeededExecutor
    private let dispatchers = Dispatchers()
    private let health = QueueHealth(logger: .silent)

    init(seed: UInt64) { executor = SeededExecutor(random: SeededRandom(seed: seed)) }

    var attempts: [DeliveryID: Int] { counts.withLock { $0 } }

    func play(events: Int, replacedAt time: Duration, byNobody: Bool = false) {
        let main = Task(executorPreference: executor) { await self.live(events, time, byNobody) }
        // A dispatcher looks at the queue for ever.
        repeat { executor.runUntilIdle() } while clock.advance() && clock.now < Timestamp.zero.advanced(by: .seconds(5))
        main.cancel()
        executor.runUntilIdle()
    }

    private func live(_ events: Int, _ time: Duration, _ byNobody: Bool) async {
        let old = makeDispatcher(timeout: .seconds(10))
        dispatchers.set(old, for: "app")
        let intake = Intake(queue: queue, dispatchers: dispatchers, health: health)
        let account = AnswerAccount(
            gateway: GatewayMetrics(factory: NOOPMetricsHandler.instance), backends: [:],
            factory: NOOPMetricsHandler.instance, logger: .silent)
        let poster = LateAnswerPoster(
            way: { _ in NobodyPosts() }, store: queue, owed: [], clock: clock, random: { 0 }, health: health,
            account: account)
        let answerer = Answerer(
            .init(backends: []), instance: 1, sender: NobodyAsks(), intake: intake, dispatchers: dispatchers,
            lateAnswers: queue, poster: poster, clock: clock, health: health, account: account)
        let gateway = Gateway(
            .init(router: Router(routes: [Route(name: "all", to: ["app"])])), intake: intake, answerer: answerer,
            clock: clock, metrics: GatewayMetrics(factory: NOOPMetricsHandler.instance), account: account,
            logger: .silent)
        await withDiscardingTaskGroup { group in
            group.addTask {
                await old.run()
                await self.dispatchers["app"]?.deliveriesStored([], othersWait: true)
            }
            group.addTask {
                try? await self.clock.sleep(for: time)
                let new = byNobody ? nil : self.makeDispatcher(timeout: .seconds(20))
                self.dispatchers.set(new, for: "app")
                await old.drain()
                await new?.run()
            }
            for number in 0..<events {
                group.addTask {
                    try? await self.clock.sleep(for: .milliseconds(Int64(number) * 2 + (byNobody ? 1 : 0)))
                    await gateway.receive(
                        [.event("\(number)")], on: ConnectionID(1), acknowledgeThrough: RecordingAcknowledger())
                }
            }
        }
    }

    private func makeDispatcher(timeout: Duration) -> Dispatcher {
        Dispatcher(
            Backend(name: "app", url: "http://127.0.0.1", timeout: timeout, maxInFlight: 4), queue: queue,
            sender: Sender(story: self), clock: clock, random: { 0 }, health: health,
            metrics: BackendMetrics(backend: "app", factory: NOOPMetricsHandler.instance), logger: .silent)
    }

    private struct Sender: AttemptSender {
        let story: ReplacementStory

        func send(_ delivery: Delivery, attempt number: Int) async -> AttemptResult {
            story.counts.withLock { $0[delivery.id, default: 0] += 1 }
            try? await story.clock.sleep(for: .milliseconds(15))
            return AttemptResult(.accepted, status: 200)
        }
    }
}
