// When an envelope is acknowledged, and when it is not.

import AdminServer
import Logging
import Metrics
import RelayCore
import RelayTestKit
import Synchronization
import Testing

@testable import Relay

@Suite struct GatewayTests {
    let acknowledger = RecordingAcknowledger()
    let queue = StubbornQueue()
    let log = RecordedLog()

    let health: QueueHealth

    init() { health = QueueHealth(logger: log.logger) }

    func makeGateway(routes: [Route] = [.toLegacy()], maxPendingBytes: Int = 1_000) -> Gateway {
        let clock = VirtualClock(now: .zero)
        let intake = Intake(queue: queue, dispatchers: [:], health: health)
        let metrics = GatewayMetrics(factory: NOOPMetricsHandler.instance)
        let account = AnswerAccount(
            gateway: metrics, backends: [:], factory: NOOPMetricsHandler.instance, logger: log.logger)
        let poster = LateAnswerPoster(
            way: { _ in NobodyPosts() }, store: queue, owed: [], clock: clock, random: { 0 }, health: health,
            account: account)
        let answerer = Answerer(
            .init(backends: []), instance: 1, sender: NobodyAsks(), intake: intake,
            dispatchers: [:], lateAnswers: queue, poster: poster, clock: clock, health: health, account: account)
        return Gateway(
            .init(router: Router(routes: routes), maxPendingBytes: maxPendingBytes), intake: intake,
            answerer: answerer, clock: clock, metrics: metrics, account: account, logger: log.logger)
    }

    func receive(_ envelopes: Envelope..., by gateway: Gateway) async {
        await gateway.receive(envelopes, on: ConnectionID(1), acknowledgeThrough: acknowledger)
    }

    @Test("what is stored is acknowledged, together in one call")
    func stored() async {
        await receive(.event("1"), .event("2"), by: makeGateway())
        #expect(acknowledger.calls == [["1", "2"]])
    }

    @Test("what is not stored is not acknowledged", arguments: [QueueError.Code.unavailable, .full, .corrupt])
    func notStored(code: QueueError.Code) async {
        let gateway = makeGateway()
        queue.fails(with: code)
        await receive(.event("1"), by: gateway)
        #expect(acknowledger.calls == [])
        #expect(health.problem?.code == code)
    }

    @Test("a copy of what is stored is acknowledged and not stored again")
    func duplicate() async throws {
        let gateway = makeGateway()
        await receive(.event("1", key: "Ev1"), by: gateway)
        await receive(.event("2", key: "Ev1"), by: gateway)
        #expect(acknowledger.calls == [["1"], ["2"]])
        #expect(try await queue.statistics()["legacy"]?.waitingCount == 1)
    }

    @Test("a queue that fails and works again is logged once each, however often it is used")
    func recovers() async {
        let gateway = makeGateway()
        queue.fails(with: .unavailable)
        await receive(.event("1"), by: gateway)
        await receive(.event("2"), by: gateway)
        queue.fails(with: nil)
        await receive(.event("3"), by: gateway)
        await receive(.event("4"), by: gateway)
        #expect(health.problem == nil)
        #expect(log.levels == [.error, .notice])
    }

    @Test("without traffic the keeper finds out that the queue fails, and that it works again")
    func keeper() async {
        let keeper = QueueKeeper(queue: queue, health: health, clock: VirtualClock(now: .zero))
        queue.fails(with: .unavailable)
        await keeper.check()
        #expect(health.problem?.code == .unavailable)
        queue.fails(with: nil)
        await keeper.check()
        #expect(health.problem == nil)
    }

    @Test("a queue that has not answered its keeper for more than ten seconds cannot store, whatever it was asked for")
    func hangs() async {
        queue.holds()
        let keeper = QueueKeeper(queue: queue, health: health, clock: VirtualClock(now: .zero))
        await withDiscardingTaskGroup { group in
            group.addTask { await keeper.check() }
            await queue.waitForCall()
            health.look(now: .zero.advanced(by: .seconds(10)))
            #expect(health.problem == nil)
            health.look(now: .zero.advanced(by: .seconds(11)))
            #expect(health.problem?.code == .unavailable)
            queue.letsGo()
        }
        #expect(health.problem == nil)
        health.look(now: .zero.advanced(by: .seconds(100)))
        #expect(health.problem == nil)
        #expect(log.levels == [.error, .notice])
    }

    @Test("what no route takes is logged once per kind and name, with what a route could match on")
    func unroutedIsLoggedOnce() async {
        let gateway = makeGateway(routes: [.toLegacy(Match([.init(.event, ["app_mention"])]))])
        await receive(
            .event("1"), .event("2"), .command("3", "/help"), .command("4", "/help"), .command("5", "/deploy"),
            by: gateway)
        #expect(log.levels == [.warning, .warning, .warning])
        #expect(log.values(of: "envelope.command") == ["/help", "/deploy"])
        #expect(log.values(of: "envelope.event") == ["message"])
        #expect(log.values(of: "envelope.id") == ["1", "3", "5"])
    }

    @Test("how many names are logged is bounded, whatever an app makes up")
    func manyUnroutedNames() {
        var names = UnroutedNames()
        for number in 1..<UnroutedNames.max {
            #expect(names.cameUnrouted(.command("1", "/\(number)")) == .log([.command: "/\(number)"]))
        }
        #expect(names.cameUnrouted(.command("1", "/1")) == .count)
        let long = String(repeating: "x", count: 1_000)
        #expect(names.cameUnrouted(.command("1", long)) == .logLast([.command: String(long.prefix(255))]))
        #expect(names.cameUnrouted(.command("1", "/one-more")) == .count)
    }

    @Test("what Slack had to send again is counted")
    func retries() {
        let registry = MetricsRegistry(help: [:])
        let metrics = GatewayMetrics(factory: registry)
        metrics.received(.event("1"))
        var again = Envelope.event("2")
        again.retry = SlackRetry(attempt: 1, reason: "timeout")
        metrics.received(again)
        #expect(registry.render().contains(#"relay_slack_retries_total{app="default",kind="event"} 1"#))
    }

    @Test("unrouted events are acknowledged, unrouted commands withheld, by default")
    func unrouted() async {
        let gateway = makeGateway(routes: [.toLegacy(Match([.init(.event, ["app_mention"])]))])
        await receive(.event("1"), .command("2"), by: gateway)
        #expect(acknowledger.calls == [["1"]])
    }

    @Test("a command is acknowledged when stored on a route that says mode: queue")
    func commands() async {
        await receive(.command("2"), by: makeGateway(routes: [.toLegacy(mode: .queue)]))
        #expect(acknowledger.calls == [["2"]])
    }

    @Test("more than may wait for the store is not acknowledged")
    func overloaded() async {
        let gateway = makeGateway(maxPendingBytes: 10)
        await withTaskGroup(of: Void.self) { group in
            queue.holds()
            group.addTask { await receive(.event("1"), by: gateway) }
            await queue.waitForCall()
            await receive(.event("2"), by: gateway)
            queue.letsGo()
        }
        #expect(acknowledger.calls == [["1"]])
    }
}

/// Keeps what was logged.
final class RecordedLog: Sendable {
    private let recorded = Mutex<[(level: Logger.Level, metadata: Logger.Metadata)]>([])

    var levels: [Logger.Level] { recorded.withLock { $0.map(\.level) } }

    /// Of all lines that have the key.
    func values(of key: String) -> [String] {
        recorded.withLock { $0.compactMap { $0.metadata[key].map { "\($0)" } } }
    }

    var logger: Logger {
        Logger(label: "test") { _ in Handler(log: self) }
    }

    private struct Handler: LogHandler {
        let log: RecordedLog
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.info

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { log.recorded.withLock { $0.append((event.level, event.metadata ?? [:])) } }
    }
}

/// Keeps what was acknowledged, a list per call.
final class RecordingAcknowledger: Acknowledger {
    private let recorded = Mutex<[[String]]>([])

    var calls: [[String]] { recorded.withLock { $0 } }

    func acknowledge(_ envelopeIDs: [String], on connection: ConnectionID) {
        recorded.withLock { $0.append(envelopeIDs) }
    }

    func acknowledge(
        _ envelopeID: String, with payload: Payload?, on connection: ConnectionID
    ) async -> AcknowledgementWay {
        recorded.withLock { $0.append([envelopeID]) }
        return .same
    }
}

/// For gateways whose routes ask for no answers.
struct NobodyAsks: AnswerSender {
    func ask(_ delivery: Delivery, attempt number: Int, deadline: Timestamp) async -> AskResult {
        Issue.record("nobody waits for an answer")
        return AskResult(AttemptResult(.failed(.requestError)))
    }
}

struct NobodyPosts: ResponsePoster {
    func mayPost(to url: ResponseURL) -> Bool { false }
    func post(_ body: Payload, to url: ResponseURL) async -> ResponsePostResult { .refused(detail: "as told") }
}

/// The in-memory queue, which fails or makes wait when told to.
final class StubbornQueue: DeliveryQueue, LateAnswerStore, PauseStore {
    private let queue = MemoryQueue(limits: .init(), queueID: 1)
    private let failure = Mutex<QueueError.Code?>(nil)
    private let gate = Mutex<Gate?>(nil)
    private let requests = Mutex<[EnqueueRequest]>([])
    private let beforeLateAnswer = Mutex<@Sendable () async -> Void>({})
    private let afterPause = Mutex<@Sendable (Pause?) async -> Void>({ _ in })

    /// Done whenever a late answer is stored, before it is.
    func storesLateAnswers(after wait: @escaping @Sendable () async -> Void) { beforeLateAnswer.withLock { $0 = wait } }

    /// Done whenever a pause, or its end, is stored, before the caller is told.
    func storesPauses(before work: @escaping @Sendable (Pause?) async -> Void) { afterPause.withLock { $0 = work } }

    /// All that was stored, in order.
    var enqueued: [EnqueueRequest] { requests.withLock { $0 } }

    func fails(with code: QueueError.Code?) { failure.withLock { $0 = code } }
    func holds() { gate.withLock { $0 = Gate() } }
    func letsGo() { gate.withLock { $0 }?.open() }
    /// Returns when a call of `enqueue` or `prune` is being held.
    func waitForCall() async { await gate.withLock { $0 }?.waitForArrival() }

    private func mayFail() throws(QueueError) {
        if let code = failure.withLock({ $0 }) { throw QueueError(code, "as told") }
    }

    func enqueue(_ requests: [EnqueueRequest]) async throws(QueueError) -> [EnqueueResult] {
        await gate.withLock { $0 }?.pass()
        try mayFail()
        let results = try await queue.enqueue(requests)
        self.requests.withLock { $0 += requests }
        return results
    }

    func store(_ answer: LateAnswer) async throws(QueueError) {
        await beforeLateAnswer.withLock { $0 }()
        try mayFail()
        try await queue.store(answer)
    }

    func remove(_ id: LateAnswer.ID) async throws(QueueError) {
        try mayFail()
        try await queue.remove(id)
    }

    func lateAnswer(_ id: LateAnswer.ID) async throws(QueueError) -> LateAnswer? { try await queue.lateAnswer(id) }
    func lateAnswerIDs() async throws(QueueError) -> [LateAnswer.ID] { try await queue.lateAnswerIDs() }

    func remembers(_ envelope: Envelope) async throws(QueueError) -> Bool {
        try mayFail()
        return try await queue.remembers(envelope)
    }

    func lease(_ backend: BackendName, _ bounds: LeaseBounds, now: Timestamp) async throws(QueueError) -> LeaseResult {
        try mayFail()
        return try await queue.lease(backend, bounds, now: now)
    }

    func settle(_ settlements: [Settlement]) async throws(QueueError) {
        try mayFail()
        try await queue.settle(settlements)
    }

    func pauses() async throws(QueueError) -> [BackendName: Pause] { try await queue.pauses() }

    func setPause(_ pause: Pause?, of backend: BackendName) async throws(QueueError) {
        try mayFail()
        try await queue.setPause(pause, of: backend)
        await afterPause.withLock { $0 }(pause)
    }

    func probe() async throws(QueueError) { try mayFail() }
    func release(_ ids: [DeliveryID]) async { await queue.release(ids) }
    func prune(now: Timestamp) async throws(QueueError) -> Bool {
        await gate.withLock { $0 }?.pass()
        return try await queue.prune(now: now)
    }
    func statistics() async throws(QueueError) -> [BackendName: QueueStatistics] {
        try mayFail()
        return try await queue.statistics()
    }
    func backendsWithWaitingDeliveries() async throws(QueueError) -> [BackendName] { [] }
    func appsWithWaitingDeliveries() async throws(QueueError) -> [AppName] { [] }
    func close() async { await queue.close() }
}

extension Timestamp {
    static let zero = Timestamp(nanosecondsSinceEpoch: 0)
}

extension Logger {
    static var silent: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}

extension Route {
    static func toLegacy(_ match: Match = .init(), mode: Mode? = nil) -> Route {
        Route(name: "all", match: match, to: ["legacy"], mode: mode)
    }
}

extension Envelope {
    static func event(_ id: String, key: String? = nil) -> Envelope {
        var attributes = EnvelopeAttributes()
        attributes.event = "message"
        return Envelope(
            id: id, kind: .event, payload: Payload("{\"id\":\(id)}"), attributes: attributes, deduplicationKey: key,
            receivedAt: .zero)
    }

    static func command(_ id: String, _ command: String? = nil) -> Envelope {
        var attributes = EnvelopeAttributes()
        attributes.command = command
        return Envelope(id: id, kind: .command, payload: Payload("{}"), attributes: attributes, receivedAt: .zero)
    }
}
