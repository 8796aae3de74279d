// A full queue that drops its oldest delivery: who waited for that one goes on at once. On virtual time.

import Logging
import Metrics
import Relay
import RelayCore
import RelayTestKit
import Synchronization
import Testing

@Suite("Room")
struct RoomTests {
    @Test("when room is made for another backend by dropping the first of an order key, the next of the key is made")
    func nextOfKey() {
        let story = RoomStory()
        story.play()
        // The first one failed, and would be tried again after an hour.
        #expect(story.attempts == ["0 s: first", "2 s: second"])
    }
}

/// Two events of a channel for the backend `app`, which fails at the first; then one for another backend, for which there
/// is no room.
private final class RoomStory: Sendable {
    private let clock = VirtualClock(now: .zero)
    private let queue = MemoryQueue(limits: .init(maxBytes: 1_200, whenFull: .dropOldest), queueID: 1)
    private let made = Mutex<[String]>([])
    private let executor = SeededExecutor(random: SeededRandom(seed: 1))

    var attempts: [String] { made.withLock { $0 } }

    func play() {
        let main = Task(executorPreference: executor) { await self.live() }
        repeat { executor.runUntilIdle() } while clock.advance() && clock.now < Timestamp.zero.advanced(by: .seconds(5))
        main.cancel()
        executor.runUntilIdle()
    }

    private func live() async {
        let app = Backend(
            name: "app", url: "http://127.0.0.1", orderBy: .channel,
            retry: .init(schedule: [.seconds(3_600)], jitter: 0))
        let health = QueueHealth(logger: .silent)
        let dispatcher = Dispatcher(
            app, queue: queue, sender: Sender(story: self), clock: clock, random: { 0 }, health: health,
            metrics: BackendMetrics(backend: "app", factory: NOOPMetricsHandler.instance), logger: .silent)
        let intake = Intake(queue: queue, dispatchers: ["app": dispatcher], health: health)
        let account = AnswerAccount(
            gateway: GatewayMetrics(factory: NOOPMetricsHandler.instance), backends: [:],
            factory: NOOPMetricsHandler.instance, logger: .silent)
        let poster = LateAnswerPoster(
            way: { _ in NobodyPosts() }, store: queue, owed: [], clock: clock, random: { 0 }, health: health,
            account: account)
        let answerer = Answerer(
            .init(backends: []), instance: 1, sender: NobodyAsks(), intake: intake, dispatchers: [:],
            lateAnswers: queue, poster: poster, clock: clock, health: health, account: account)
        let routes = [
            Route(name: "ordered", match: Match([.init(.channel, ["C1"])]), to: ["app"]),
            Route(name: "rest", to: ["other"]),
        ]
        let gateway = Gateway(
            .init(router: Router(routes: routes), backends: [app]), intake: intake, answerer: answerer, clock: clock,
            metrics: GatewayMetrics(factory: NOOPMetricsHandler.instance), account: account, logger: .silent)
        await withDiscardingTaskGroup { group in
            group.addTask { await dispatcher.run() }
            for (text, channel) in [("first", "C1"), ("second", "C1"), ("third", "C2")] {
                await gateway.receive(
                    [envelope(text, channel)], on: ConnectionID(1), acknowledgeThrough: RecordingAcknowledger())
                try? await clock.sleep(for: .seconds(1))
            }
        }
    }

    private func envelope(_ text: String, _ channel: String) -> Envelope {
        var attributes = EnvelopeAttributes()
        attributes.channel = channel
        return Envelope(
            id: text, kind: .event, payload: Payload(text), attributes: attributes, receivedAt: clock.now)
    }

    private struct Sender: AttemptSender {
        let story: RoomStory

        func send(_ delivery: Delivery, attempt number: Int) async -> AttemptResult {
            let text = String(decoding: delivery.payload.bytes, as: UTF8.self)
            let seconds = Timestamp.zero.duration(to: story.clock.now).components.seconds
            story.made.withLock { $0.append("\(seconds) s: \(text)") }
            return text == "first" ? AttemptResult(.failed(.timeout)) : AttemptResult(.accepted, status: 200)
        }
    }
}
