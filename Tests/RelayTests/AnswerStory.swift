// A story on virtual time: the real Answerer and LateAnswerPoster between a scripted backend, Slack and a queue in memory.

import Logging
import Metrics
import Relay
import RelayCore
import RelayTestKit
import Synchronization

/// Plays envelopes against a backend, and keeps what happened, each line with its virtual time.
final class AnswerStory: Sendable {
    /// What the backend does with one request.
    struct Reaction: Sendable {
        var delay: Duration
        var result: AskResult

        static func replies(_ text: String? = nil, after delay: Duration = .zero) -> Reaction {
            let reply = text.map { BackendReply.payload(Payload(#"{"text":"\#($0)"}"#)) } ?? .empty
            return Reaction(delay: delay, result: AskResult(AttemptResult(.accepted, status: 200), reply: reply))
        }

        static func fails(_ reason: AttemptReason = .http(status: 500), after delay: Duration = .zero) -> Reaction {
            Reaction(delay: delay, result: AskResult(AttemptResult(.failed(reason))))
        }

        static let wantsNoRetry = Reaction(
            delay: .zero,
            result: AskResult(AttemptResult(.rejected(.http(status: 500)), status: 500), wantsNoRetry: true))
    }

    let clock = VirtualClock(now: .zero)
    let queue: StubbornQueue
    private let lines = Mutex<[String]>([])
    private let reactions: Mutex<[Reaction]>
    private let posts = Mutex<[ResponsePostResult]>([])
    private let hasConnection = Mutex(true)
    /// As posted.
    private let alarms = Mutex<[String]>([])
    private let executor: SeededExecutor
    private let backend: Backend
    private let deadlines: [AppName: Duration]

    /// - Parameters:
    ///   - reactions: one per request, the last one again and again.
    ///   - posts: what Slack says to posts, one each; then it takes them.
    init(
        _ reactions: Reaction..., posts: [ResponsePostResult] = [], maxWaiting: Int = 1_000, maxInFlight: Int = 16,
        deadlines: [AppName: Duration] = [:], queue: StubbornQueue = StubbornQueue(), seed: UInt64 = 1
    ) {
        self.deadlines = deadlines
        self.reactions = Mutex(reactions)
        self.posts.withLock { $0 = posts }
        self.queue = queue
        backend = Backend(name: "app", url: "http://127.0.0.1", maxInFlight: maxInFlight, maxWaiting: maxWaiting)
        executor = SeededExecutor(random: SeededRandom(seed: seed))
    }

    var history: [String] { lines.withLock { $0 } }
    var alarmsPosted: [String] { alarms.withLock { $0 } }

    func disconnect() { hasConnection.withLock { $0 = false } }

    /// Runs one process until nothing happens any more, or until it is killed.
    func play(
        _ envelopes: Envelope..., route: Route = Route(name: "all", to: ["app"]), killedAt end: Duration? = nil
    ) {
        let main = Task(executorPreference: executor) { await self.live(envelopes, route) }
        repeat {
            executor.runUntilIdle()
            if let end, Timestamp.zero.duration(to: clock.now) >= end { break }
        } while clock.advance()
        main.cancel()
        executor.runUntilIdle()
    }

    private func live(_ envelopes: [Envelope], _ route: Route) async {
        let health = QueueHealth(logger: .silent)
        let alarms = AlarmService(
            repeatInterval: .seconds(3600),
            post: { _, body in
                self.alarms.withLock { $0.append(String(decoding: body, as: UTF8.self)) }
                return nil
            }, makeID: { "1" }, clock: clock, factory: NOOPMetricsHandler.instance, logger: .silent)
        let account = AnswerAccount(
            gateway: GatewayMetrics(factory: NOOPMetricsHandler.instance), backends: [:],
            factory: NOOPMetricsHandler.instance, logger: .silent, observer: Observer(story: self),
            alarms: alarms)
        let poster = LateAnswerPoster(
            way: { _ in Poster(story: self) }, store: queue, owed: (try? await queue.lateAnswerIDs()) ?? [],
            clock: clock,
            random: { 0 }, health: health, account: account)
        let intake = Intake(queue: queue, dispatchers: [:], health: health)
        let answerer = Answerer(
            .init(deadlines: deadlines, backends: [backend]), instance: 7, sender: Sender(story: self),
            intake: intake, dispatchers: [:], lateAnswers: queue, poster: poster, clock: clock, health: health,
            account: account)
        let gateway = Gateway(
            .init(router: Router(routes: [route])), intake: intake, answerer: answerer, clock: clock,
            metrics: GatewayMetrics(factory: NOOPMetricsHandler.instance), account: account, logger: .silent)
        await withDiscardingTaskGroup { group in
            group.addTask { try? await alarms.run() }
            group.addTask { await answerer.run() }
            group.addTask { await poster.run() }
            for envelope in envelopes {
                group.addTask {
                    try? await self.clock.sleep(until: envelope.receivedAt, tolerance: nil)
                    await gateway.receive([envelope], on: ConnectionID(1), acknowledgeThrough: Slack(story: self))
                }
            }
        }
    }

    func note(_ line: String) {
        lines.withLock { $0.append("\(Timestamp.zero.duration(to: clock.now).milliseconds) ms: \(line)") }
    }

    private struct Sender: AnswerSender {
        let story: AnswerStory

        func ask(_ delivery: Delivery, attempt number: Int, deadline: Timestamp) async -> AskResult {
            story.note(number == 1 ? "asked" : "asked again")
            let reaction = story.reactions.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
            guard (try? await story.clock.sleep(for: reaction.delay)) != nil else {
                return AskResult(AttemptResult(.failed(.connectionReset)))
            }
            return reaction.result
        }
    }

    private struct Slack: Acknowledger {
        let story: AnswerStory

        func acknowledge(_ envelopeIDs: [String], on connection: ConnectionID) {
            for id in envelopeIDs { story.note("\(id) acknowledged when stored") }
        }

        func acknowledge(
            _ envelopeID: String, with payload: Payload?, on connection: ConnectionID
        ) async -> AcknowledgementWay {
            guard story.hasConnection.withLock({ $0 }) else { return .lost }
            story.note("\(envelopeID) acknowledged\(payload.map { " with \($0.text)" } ?? "")")
            return .same
        }
    }

    private struct Poster: ResponsePoster {
        let story: AnswerStory

        func mayPost(to url: ResponseURL) -> Bool { url.text.hasPrefix("https://hooks.slack.com/") }

        func post(_ body: Payload, to url: ResponseURL) async -> ResponsePostResult {
            let result = story.posts.withLock { $0.isEmpty ? .posted : $0.removeFirst() }
            story.note(result == .posted ? "posted \(body.text)" : "post not taken")
            return result
        }
    }

    private struct Observer: DeliveryObserver {
        let story: AnswerStory

        func attemptFinished(_ delivery: Delivery, _ result: AttemptResult, number: Int, duration: Duration) {}
        func settled(_ settlements: [Settlement], of backend: BackendName) {}
        func answered(_ report: AnswerReport) { story.note(report.outcome.rawValue) }
        func posted(_ id: LateAnswer.ID, isDone: Bool, isAccepted: Bool, detail: String) {}
    }
}

extension Payload {
    fileprivate var text: String { String(decoding: bytes, as: UTF8.self) }
}

extension Envelope {
    /// Somebody waits.
    static func person(
        _ id: String, _ kind: Kind = .command, app: AppName = App.defaultName, type: String? = nil,
        at time: Duration = .zero,
        key: String? = nil
    ) -> Envelope {
        var attributes = EnvelopeAttributes()
        attributes.payloadType = type
        return Envelope(
            app: app, id: id, kind: kind, payload: Payload("{}"), attributes: attributes, deduplicationKey: key,
            acceptsResponsePayload: true, responseURL: ResponseURL("https://hooks.slack.com/commands/1"),
            receivedAt: Timestamp.zero.advanced(by: time))
    }

    static func event(_ id: String, at time: Duration, key: String? = nil) -> Envelope {
        var envelope = Envelope.event(id, key: key)
        envelope.receivedAt = Timestamp.zero.advanced(by: time)
        return envelope
    }
}
