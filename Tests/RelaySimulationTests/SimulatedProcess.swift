// One life of a gateway: the real parts, wired as in the program, on simulated edges.

import Logging
import Metrics
import Relay
import RelayCore
import RelayTestKit
import SocketMode

/// From start to kill, or to the end of its drain. Of its own it has nothing but what the program's composition has.
final class SimulatedProcess: @unchecked Sendable {  // one thread per run
    let replica: Int
    let life: Int
    let dice: Dice
    private(set) var isAlive = true
    /// `run` has returned, after a drain.
    private(set) var hasEnded = false
    private(set) var isDraining = false
    private unowned let world: SimulatedWorld
    private let disk: SimulatedDisk
    private var parts: Parts?
    private var main: Task<Void, Never>?
    private var drainTask: Task<Void, Never>?
    private var parked: [Int: CheckedContinuation<Void, Never>] = [:]
    private var lastParked = 0
    private let arrivals: AsyncStream<Arrival>
    private let arrivalsToTake: AsyncStream<Arrival>.Continuation
    /// Batches that the gateway is not done with.
    private(set) var openBatches = 0
    /// Requests that wait for a backend's answer.
    var openQuestions = 0
    private let health = QueueHealth(logger: .silent)

    struct Batch: Sendable {
        var envelopes: [Envelope]
        var connection: ConnectionID
    }

    private enum Arrival: Sendable {
        case batch(Batch)
        /// In the place of another one.
        case dispatcher(Dispatcher)
    }

    /// How often each backend got a new dispatcher.
    private(set) var reloads: [BackendName: Int] = [:]
    /// What a person does with backends that is not done yet: a reload waits for it.
    var openActs = 0

    private struct Parts {
        var queue: SimulatedQueue
        var connector: SimulatedConnector
        var dispatchers: Dispatchers
        var edges: ProcessEdges
        var answerer: Answerer
        var poster: LateAnswerPoster
        var gateway: Gateway
        var keeper: QueueKeeper
        var replays: ReplayService
    }

    init(_ world: SimulatedWorld, replica: Int, life: Int, disk: SimulatedDisk) {
        self.world = world
        self.replica = replica
        self.life = life
        self.disk = disk
        dice = world.dice.fork()
        (arrivals, arrivalsToTake) = AsyncStream.makeStream()
    }

    var name: String { "gateway \(replica)/\(life)" }
    var queue: SimulatedQueue? { parts?.queue }
    var connector: SimulatedConnector? { parts?.connector }
    var dispatchers: Dispatchers { parts?.dispatchers ?? [:] }
    var now: Timestamp { world.clock.now }

    // MARK: Life

    func start() {
        world.note("\(name) starts")
        let parts = makeParts()
        self.parts = parts
        main = Task(executorPreference: world.executor) { await self.live() }
        parts.connector.take(.started)
    }

    private func live() async {
        await parts?.queue.open()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.keep() }
            group.addTask { await self.replay() }
            group.addTask { await self.carry() }
            await group.next()
            group.cancelAll()
        }
        await parts?.queue.close()
        guard isAlive else { return }
        hasEnded = true
        world.note("\(name) has ended")
        die()
    }

    /// As TrafficService: everything that carries envelopes.
    private func carry() async {
        guard let parts else { return }
        await withDiscardingTaskGroup { group in
            for dispatcher in parts.dispatchers.sorted { group.addTask { await dispatcher.run() } }
            group.addTask { await parts.answerer.run() }
            group.addTask { await parts.poster.run() }
            for await arrival in arrivals {
                switch arrival {
                case .batch(let batch): take(batch, parts, in: &group)
                case .dispatcher(let dispatcher): group.addTask { await dispatcher.run() }
                }
            }
        }
    }

    /// In the order read, as SlackConnector does it.
    private func take(_ batch: Batch, _ parts: Parts, in group: inout DiscardingTaskGroup) {
        openBatches += 1
        group.addImmediateTask {
            if self.world.sabotage == .acknowledgesEarly {
                parts.connector.acknowledge(batch.envelopes.map(\.id), on: batch.connection)
            }
            await parts.gateway.receive(
                batch.envelopes, on: batch.connection, acknowledgeThrough: parts.connector)
            self.openBatches -= 1
            if self.world.sabotage != .keepsBatches { parts.connector.finished(batch) }
        }
    }

    /// As QueueKeeper's `run`, less often.
    private func keep() async {
        while (try? await world.clock.sleep(for: .seconds(5))) != nil {
            if health.problem != nil { await parts?.keeper.check() }
        }
    }

    private func replay() async {
        guard world.sabotage != .losesReplays, let replays = parts?.replays else { return await keep() }
        await replays.goOn()
    }

    /// There is another replay, or one was canceled.
    func replaysChanged() { parts?.replays.replaysChanged() }

    func deliver(_ batch: Batch) {
        if isAlive { arrivalsToTake.yield(.batch(batch)) }
    }

    /// The sockets are gone, after a drain.
    func connectorFinished() { arrivalsToTake.finish() }

    /// As TrafficService, with its timeout.
    func drain() {
        guard isAlive, !isDraining, let parts else { return }
        isDraining = true
        world.note("\(name) drains")
        drainTask = Task(executorPreference: world.executor) {
            await withDiscardingTaskGroup { group in
                group.addTask {
                    await parts.connector.drain(timeout: Self.drainTimeout)
                    await parts.answerer.drain()
                    await parts.poster.drain()
                }
                for dispatcher in parts.dispatchers.sorted { group.addTask { await dispatcher.drain() } }
            }
        }
        world.after(Self.drainTimeout) {
            guard self.isAlive else { return }
            self.world.drainRanOut(self)
            parts.connector.closeAll()
            self.main?.cancel()
        }
    }

    /// As Reloader, when a backend is configured otherwise: the new dispatcher starts at once, and the old one finishes
    /// what it has begun.
    func reload(_ backend: Backend) {
        guard isAlive, !isDraining, openActs == 0, let parts else { return }
        openActs += 1
        Task(executorPreference: world.executor) {
            defer { self.openActs -= 1 }
            let before = parts.dispatchers[backend.name]
            let pause = await before?.pause
            guard self.isAlive, !self.isDraining else { return }
            self.reloads[backend.name, default: 0] += 1
            let next = self.makeDispatcher(backend, parts.queue, parts.edges, pause: pause)
            parts.dispatchers.set(next, for: backend.name)
            self.arrivalsToTake.yield(.dispatcher(next))
            await before?.drain()
        }
    }

    static let drainTimeout = Duration.seconds(25)

    /// kill -9: from here on nothing that it does reaches anybody.
    func die() {
        guard isAlive else { return }
        isAlive = false
        if !hasEnded { world.note("\(name) is killed") }
        parts?.connector.processDied()
        main?.cancel()
        drainTask?.cancel()
        for id in parked.keys.sorted() { parked.removeValue(forKey: id)?.resume() }
    }

    /// The end of a run: breaks the rings that hold everything.
    func forget() {
        die()
        parts = nil
        main = nil
        drainTask = nil
    }

    /// Waits until `resume` is called, or the process dies; a canceled task waits, too.
    func park(_ begin: (_ resume: @escaping () -> Void) -> Void) async {
        guard isAlive else { return }
        lastParked += 1
        let id = lastParked
        await withCheckedContinuation { continuation in
            parked[id] = continuation
            begin { self.parked.removeValue(forKey: id)?.resume() }
        }
    }

    // MARK: Wiring

    private func makeDispatcher(
        _ backend: Backend, _ queue: SimulatedQueue, _ edges: ProcessEdges, pause: Pause?
    ) -> Dispatcher {
        var backend = backend
        if world.sabotage == .ignoresMaxInFlight { backend.maxInFlight *= 4 }
        return Dispatcher(
            backend, queue: queue, pause: pause, sender: edges, clock: world.clock, random: { self.dice.unit() },
            health: health, metrics: BackendMetrics(backend: backend.name, factory: NOOPMetricsHandler.instance),
            logger: .silent)
    }

    /// As in Composition.
    private func makeParts() -> Parts {
        let plan = world.plan
        let queue = SimulatedQueue(disk: disk, process: self, world: world)
        let connector = SimulatedConnector(world, self, queue)
        let edges = ProcessEdges(world: world, process: self, disk: disk)
        let dispatchers = Dispatchers(
            Dictionary(
                uniqueKeysWithValues: plan.backends.map {
                    ($0.name, makeDispatcher($0, queue, edges, pause: disk.pauses[$0.name]))
                }))
        let intake = Intake(queue: queue, dispatchers: dispatchers, health: health)
        let metrics = GatewayMetrics(factory: NOOPMetricsHandler.instance)
        let account = AnswerAccount(
            gateway: metrics, backends: [:], factory: NOOPMetricsHandler.instance, logger: .silent)
        let owed = disk.lateAnswers.values
            .sorted { ($0.expiresAt, $0.id.envelopeID) < ($1.expiresAt, $1.id.envelopeID) }
            .map(\.id)
        let poster = LateAnswerPoster(
            way: { _ in edges }, store: queue, owed: owed, clock: world.clock, random: { self.dice.unit() },
            health: health, account: account)
        let answerer = Answerer(
            .init(backends: plan.backends), instance: 2, sender: edges, intake: intake, dispatchers: dispatchers,
            lateAnswers: queue, poster: poster, clock: world.clock, health: health, account: account)
        let gateway = Gateway(
            .init(
                router: Router(routes: plan.routes), backends: plan.backends, maxPendingBytes: plan.maxPendingBytes),
            intake: intake, answerer: answerer, clock: world.clock, metrics: metrics, account: account, logger: .silent)
        return Parts(
            queue: queue, connector: connector, dispatchers: dispatchers, edges: edges, answerer: answerer,
            poster: poster,
            gateway: gateway, keeper: QueueKeeper(queue: queue, health: health, clock: world.clock),
            replays: ReplayService(archive: queue, clock: world.clock, logger: .silent) { backends in
                await dispatchers.deliveriesBecameDue(for: backends)
            })
    }
}

/// What a process reaches of the backends and of `response_url`s.
struct ProcessEdges: AttemptSender, AnswerSender, ResponsePoster, @unchecked Sendable {  // one thread per run
    let world: SimulatedWorld
    let process: SimulatedProcess
    let disk: SimulatedDisk

    func send(_ delivery: Delivery, attempt number: Int) async -> AttemptResult {
        guard process.isAlive, let backend = world.backends[delivery.backend] else {
            return AttemptResult(.failed(.connectionReset))
        }
        if world.sabotage == .attemptsTwice {
            async let first = backend.attempt(delivery, by: process, on: disk)
            async let second = backend.attempt(delivery, by: process, on: disk)
            _ = await first
            return await second
        }
        return await backend.attempt(delivery, by: process, on: disk)
    }

    func ask(_ delivery: Delivery, attempt number: Int, deadline: Timestamp) async -> AskResult {
        guard process.isAlive, let backend = world.backends[delivery.backend] else {
            return AskResult(AttemptResult(.failed(.connectionReset)))
        }
        process.openQuestions += 1
        defer { process.openQuestions -= 1 }
        if world.sabotage == .neverAnswers { await process.park { _ in } }
        return await backend.ask(delivery, deadline: deadline, by: process)
    }

    func mayPost(to url: ResponseURL) -> Bool { true }

    func post(_ body: Payload, to url: ResponseURL) async -> ResponsePostResult {
        await world.slack.post(body, to: url, by: process)
    }
}

extension Logger {
    static let silent = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
}
