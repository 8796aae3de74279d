// The real parts of one life of a gateway.

import Logging
import Metrics
import Relay
import RelayCore
import RelayTestKit

/// Wired as in Composition.
struct ProcessParts: Sendable {
    let queue: SimulatedQueue
    let connector: SimulatedConnector
    let dispatchers: Dispatchers
    let edges: ProcessEdges
    let answerer: Answerer
    let poster: LateAnswerPoster
    let gateway: Gateway
    let handover: Handover
    let keeper: QueueKeeper
    let replays: ReplayService
    let metrics: GatewayMetrics
    let account: AnswerAccount

    init(_ process: SimulatedProcess, _ world: SimulatedWorld, _ disk: SimulatedDisk) {
        let (clock, health, configuration) = (world.clock, process.health, disk.configuration)
        let (queue, dispatchers) = (SimulatedQueue(disk: disk, process: process, world: world), Dispatchers())
        let edges = ProcessEdges(world: world, process: process, disk: disk)
        for backend in configuration.backends {
            let pause = disk.pauses[backend.name]
            dispatchers.set(Self.makeDispatcher(backend, queue, edges, pause: pause), for: backend.name)
        }
        let intake = Intake(queue: queue, dispatchers: dispatchers, health: health)
        metrics = GatewayMetrics(factory: NOOPMetricsHandler.instance)
        account = AnswerAccount(
            gateway: metrics, backends: [:], factory: NOOPMetricsHandler.instance, logger: .silent)
        let owed = disk.lateAnswers.values
            .sorted { ($0.expiresAt, $0.id.envelopeID) < ($1.expiresAt, $1.id.envelopeID) }
            .map(\.id)
        poster = LateAnswerPoster(
            way: { _ in edges }, store: queue, owed: owed, clock: clock, random: { process.dice.unit() },
            health: health, account: account)
        answerer = Answerer(
            configuration.answerer(world), instance: 2, sender: edges, intake: intake, dispatchers: dispatchers,
            lateAnswers: queue, poster: poster, clock: clock, health: health, account: account)
        gateway = Gateway(
            configuration.gateway(world), intake: intake, answerer: answerer, clock: clock, metrics: metrics,
            account: account, logger: .silent)
        handover = Handover(gateway: gateway, answerer: answerer, dispatchers: dispatchers) { dispatcher in
            if world.sabotage != .startsNoDispatcher { process.begin(dispatcher) }
        }
        keeper = QueueKeeper(queue: queue, health: health, clock: clock)
        replays = ReplayService(archive: queue, clock: clock, logger: .silent) { backends in
            await dispatchers.deliveriesBecameDue(for: backends)
        }
        connector = SimulatedConnector(world, process, queue)
        (self.queue, self.dispatchers, self.edges) = (queue, dispatchers, edges)
    }

    private static func makeDispatcher(
        _ backend: Backend, _ queue: SimulatedQueue, _ edges: ProcessEdges, pause: Pause?
    ) -> Dispatcher {
        let process = edges.process
        var backend = backend
        switch edges.world.sabotage {
        case .ignoresMaxInFlight: backend.maxInFlight *= 4
        case .givesUpEarly: backend.retry.schedule = []
        case .givesUpOrderEarly: backend.orderBlockMax = .seconds(1)
        case .blocksForEver: backend.orderBlockMax = .seconds(100_000)
        case .expiresEvents: backend.maxAge[.event] = .seconds(1)
        case .retriesAtOnce: backend.retry.schedule = backend.retry.schedule.map { _ in .zero }
        case .retriesForEver: backend.retry.schedule += backend.retry.schedule
        case .ignoresRate: backend.rateLimit = nil
        default: break
        }
        return Dispatcher(
            backend, queue: queue, pause: pause, sender: edges, clock: edges.world.clock,
            random: { process.dice.unit() }, health: process.health,
            metrics: BackendMetrics(backend: backend.name, factory: NOOPMetricsHandler.instance), logger: .silent)
    }

    /// As Reloader does it, from where it knows that nothing can fail.
    func goOn(
        with next: SimulatedConfiguration, after last: SimulatedConfiguration, _ pauses: [BackendName: Pause]
    ) async {
        let (edges, queue) = (edges, queue)
        let removed = last.backends.filter { backend in !next.backends.contains { $0.name == backend.name } }
        let changed = next.backends.filter { backend in
            last.backends.contains { $0.name == backend.name && $0 != backend }
        }
        await handover.goOn(
            with: .init(
                gateway: next.gateway(edges.world), answerer: next.answerer(edges.world), sender: edges,
                metrics: metrics,
                account: account, changed: Set(changed.map(\.name)), removed: removed, pauses: pauses
            ) { backend, pause in
                edges.process.reloads[backend.name, default: 0] += 1
                let isForgotten = edges.world.sabotage == .reloadForgetsPauses
                return Self.makeDispatcher(backend, queue, edges, pause: isForgotten ? nil : pause)
            })
        for backend in removed { await handover.letGo(backend.name) }
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
        if world.sabotage == .skipsAttempts { return AttemptResult(.accepted, status: 200) }
        if world.sabotage == .attemptsTwice {
            async let first = backend.attempt(delivery, number, by: process, on: disk)
            async let second = backend.attempt(delivery, number, by: process, on: disk)
            _ = await first
            return await second
        }
        if world.sabotage == .sendsAgain { _ = await backend.attempt(delivery, number, by: process, on: disk) }
        var delivery = delivery
        if world.sabotage == .emptiesDeliveries { delivery.payload = Payload("") }
        let result = await backend.attempt(
            delivery, world.sabotage == .forgetsAttempts ? 1 : number, by: process, on: disk)
        return switch (world.sabotage, result.outcome) {
        case (.misunderstands, _): AttemptResult(.failed(.requestError))
        case (.takesFailuresForRejections, .failed): AttemptResult(.rejected(.http(status: 400)), status: 400)
        default: result
        }
    }

    func ask(_ delivery: Delivery, attempt number: Int, deadline: Timestamp) async -> AskResult {
        guard process.isAlive, let backend = world.backends[delivery.backend] else {
            return AskResult(AttemptResult(.failed(.connectionReset)))
        }
        if world.sabotage == .keepsAnswers { await process.park { _ in } }
        process.openQuestions += 1
        defer { process.openQuestions -= 1 }
        if world.sabotage == .neverAnswers { await process.park { _ in } }
        if world.sabotage == .asksNobody { return AskResult(AttemptResult(.failed(.connectionReset))) }
        if world.sabotage == .asksTwice { _ = await backend.ask(delivery, deadline: deadline, by: process) }
        return await backend.ask(delivery, deadline: deadline, by: process)
    }

    func mayPost(to url: ResponseURL) -> Bool { true }

    func post(_ body: Payload, to url: ResponseURL) async -> ResponsePostResult {
        let body =
            switch world.sabotage {
            case .postsNonsense: Payload(#"{"text":"nonsense"}"#)
            case .postsFailures: Payload(#"{"text":"\#(Route.FailurePolicy().lateMessage)"}"#)
            default: body
            }
        if world.sabotage == .postsTwice { _ = await world.slack.post(body, to: url, by: process) }
        return await world.slack.post(body, to: url, by: process)
    }
}

extension Logger {
    static let silent = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
}
