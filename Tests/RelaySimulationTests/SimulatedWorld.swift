// The whole gateway on virtual time: real Gateway and Dispatchers between a simulated Slack, disk and backends, in a
// process that dies.

import Logging
import Metrics
import Relay
import RelayCore
import RelayTestKit
import Synchronization

/// One run. The same seed gives the same run on every machine.
final class SimulatedWorld: Sendable {
    static let backends: [BackendName] = ["orders", "audit"]
    private static let start = Timestamp(millisecondsSinceEpoch: 0)

    let slack: SimulatedSlack
    let disk = SimulatedDisk()
    private let clock = VirtualClock(now: SimulatedWorld.start)
    private let random: SharedRandom
    private let executor: SeededExecutor
    private let faults: SimulatedQueue.Faults
    private let gateway = Mutex<(gateway: Gateway, process: SimulatedProcess)?>(nil)
    private let isHealed = Mutex(false)
    private let isOver = Mutex(false)

    init(seed: UInt64, lies: Bool = false) {
        random = SharedRandom(seed: seed)
        executor = SeededExecutor(random: random.fork())
        faults = SimulatedQueue.Faults(commitFails: random.chance(0.5) ? 0.2 : 0, lies: lies)
        slack = SimulatedSlack(
            clock: clock, random: random, disk: disk, loseAcknowledgements: random.chance(0.5) ? 0.1 : 0)
    }

    /// Runs to the end, and checks what must hold then.
    func run(events: Int, crashes: Int) {
        let main = Task(executorPreference: executor) { await self.main(events: events, crashes: crashes) }
        repeat { executor.runUntilIdle() } while !isOver.withLock { $0 } && clock.advance()
        main.cancel()
        executor.runUntilIdle()
        if !isOver.withLock({ $0 }) { slack.violation("the run came to a standstill before its end") }
        check(events: events)
    }

    func receive(_ envelope: Envelope) async {
        guard let (gateway, process) = gateway.withLock({ $0 }) else { return }
        await gateway.receive([envelope], on: ConnectionID(1), acknowledgeThrough: process)
    }

    /// A backend answers: in its own time, and well or badly until the world is healed.
    func attempt(_ delivery: Delivery, by process: SimulatedProcess) async -> AttemptResult {
        let event = String(decoding: delivery.payload.bytes, as: UTF8.self)
        try? await clock.sleep(for: random.duration(.milliseconds(1) ... .seconds(2)))
        guard process.isAlive else { return AttemptResult(.failed(.connectionReset)) }
        let fails = !isHealed.withLock { $0 } && random.chance(0.3)
        // A backend can take a delivery and fail to say so: then it gets it again.
        if !fails || random.chance(0.3) { slack.accepted(event, by: delivery.backend) }
        slack.note("\(delivery.backend) \(fails ? "fails" : "accepts") \(event) (attempt \(delivery.attemptsMade + 1))")
        guard fails else { return AttemptResult(.accepted, status: 200) }
        return random.chance(0.5)
            ? AttemptResult(.failed(.http(status: 503)), status: 503, retryAfter: .seconds(2))
            : AttemptResult(.failed(.timeout))
    }

    // MARK: -

    private func main(events: Int, crashes: Int) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.live(crashes: crashes) }
            await withTaskGroup(of: Void.self) { senders in
                for number in 1...events {
                    let wait = random.duration(.zero ... .seconds(60))
                    senders.addTask {
                        try? await self.clock.sleep(until: Self.start.advanced(by: wait), tolerance: nil)
                        await self.slack.send(event: "Ev\(number)", copies: 40, to: self)
                    }
                }
            }
            isHealed.withLock { $0 = true }
            // Longer than the whole retry schedule of the backends below: by then everything must have come to rest.
            try? await clock.sleep(for: .seconds(3_600))
            isOver.withLock { $0 = true }
            group.cancelAll()
        }
    }

    /// Starts a process, lets it die, starts the next one on what was durable.
    private func live(crashes: Int) async {
        for life in 0...crashes {
            let queue = SimulatedQueue(disk: disk, clock: clock, random: random, faults: faults)
            let process = SimulatedProcess(world: self, queue: queue)
            let dispatchers = Self.backends.map { name in makeDispatcher(name, process) }
            let named = Dictionary(uniqueKeysWithValues: zip(Self.backends, dispatchers))
            let gateway = makeGateway(Dispatchers(named), process)
            self.gateway.withLock { $0 = (gateway, process) }
            slack.note("process \(life) starts")
            let lifetime: Duration =
                life == crashes ? .seconds(1_000_000) : random.duration(.seconds(1) ... .seconds(30))
            await withTaskGroup(of: Void.self) { group in
                for dispatcher in dispatchers { group.addTask { await dispatcher.run() } }
                try? await clock.sleep(for: lifetime)
                process.die()
                group.cancelAll()
            }
            slack.note("process \(life) is dead")
        }
    }

    private func makeDispatcher(_ name: BackendName, _ process: SimulatedProcess) -> Dispatcher {
        let retry = RetryPolicy(schedule: Array(repeating: .seconds(5), count: 400), jitter: 0.5)
        return Dispatcher(
            Backend(name: name, maxInFlight: 2, retry: retry), queue: process.queue, sender: process, clock: clock,
            random: { [random] in random.unit() }, health: QueueHealth(logger: .silent),
            metrics: BackendMetrics(backend: name, factory: NOOPMetricsHandler.instance), logger: .silent)
    }

    private func makeGateway(_ dispatchers: Dispatchers, _ process: SimulatedProcess) -> Gateway {
        let health = QueueHealth(logger: .silent)
        let intake = Intake(queue: process.queue, dispatchers: dispatchers, health: health)
        let metrics = GatewayMetrics(factory: NOOPMetricsHandler.instance)
        let account = AnswerAccount(
            gateway: metrics, backends: [:], factory: NOOPMetricsHandler.instance, logger: .silent)
        let poster = LateAnswerPoster(
            way: { _ in process }, store: process.queue, owed: [], clock: clock,
            random: { [random] in random.unit() }, health: health, account: account)
        let answerer = Answerer(
            .init(backends: [], instance: 2), sender: process, intake: intake,
            dispatchers: dispatchers, lateAnswers: process.queue, poster: poster, clock: clock, health: health,
            account: account)
        return Gateway(
            .init(router: Router(routes: [Route(name: "all", to: Self.backends)])), intake: intake,
            answerer: answerer, clock: clock, metrics: metrics, account: account, logger: .silent)
    }

    /// Guarantees 1 and 2 of docs/architecture.md, and that everything came to rest.
    private func check(events: Int) {
        for event in slack.acknowledgedEvents {
            for backend in Self.backends where slack.timesAccepted(event, by: backend) == 0 {
                slack.violation("\(event) was acknowledged, but \(backend) never accepted it")
            }
        }
        disk.content.withLock { content in
            var seen: Set<String> = []
            for row in content.rows.values.sorted(by: { $0.delivery.id.sequence < $1.delivery.id.sequence }) {
                let duty = "\(row.key ?? "") for \(row.delivery.backend)"
                if !seen.insert(duty).inserted { slack.violation("\(duty) is stored twice") }
                if row.state != .delivered { slack.violation("\(duty) has not come to rest: \(row.state.rawValue)") }
            }
        }
        if slack.acknowledgedEvents.count < events { slack.violation("not every event was acknowledged in the end") }
    }
}

/// What one process has of the outside: its queue, its backends, its sockets. All of it ends when the process dies.
final class SimulatedProcess: AttemptSender, AnswerSender, ResponsePoster, Acknowledger {
    let queue: SimulatedQueue
    private let world: SimulatedWorld
    private let alive = Mutex(true)

    init(world: SimulatedWorld, queue: SimulatedQueue) {
        self.world = world
        self.queue = queue
    }

    var isAlive: Bool { alive.withLock { $0 } }

    func die() {
        alive.withLock { $0 = false }
        queue.die()
    }

    func send(_ delivery: Delivery, attempt number: Int) async -> AttemptResult {
        await world.attempt(delivery, by: self)
    }

    func acknowledge(_ envelopeIDs: [String], on connection: ConnectionID) {
        if isAlive { world.slack.acknowledge(envelopeIDs) }
    }

    func acknowledge(
        _ envelopeID: String, with payload: Payload?, on connection: ConnectionID
    ) async -> AcknowledgementWay {
        acknowledge([envelopeID], on: connection)
        return isAlive ? .same : .lost
    }

    // Answers have their own stories, in RelayTests; they join this world with its people.

    func ask(_ delivery: Delivery, attempt number: Int, deadline: Timestamp) async -> AskResult {
        AskResult(await world.attempt(delivery, by: self))
    }

    func mayPost(to url: ResponseURL) -> Bool { false }
    func post(_ body: Payload, to url: ResponseURL) async -> ResponsePostResult {
        .refused(detail: "nobody to post to")
    }
}

extension Logger {
    static var silent: Logger { Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() } }
}
