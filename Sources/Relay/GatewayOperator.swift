// What the admin API can see of the running gateway, and do to it.

import AdminServer
import RelayConfiguration
import RelayCore
import SlackConnector
import SocketMode
import WebhookSender

/// The gateway as `GatewayControl` wants it. What a reload can replace is looked up at each use.
struct GatewayOperator: GatewayControl {
    private let queue: any Store
    private let health: QueueHealth
    private let records: BackendRecords
    private let current: CurrentGeneration
    private let dispatchers: Dispatchers
    private let connectors: Connectors
    private let traffic: TrafficService
    private let replays: ReplayService
    private let reloader: Reloader
    private let drainRequest: DrainRequest
    private let clock: any RelayClock
    private let startedAt: Timestamp

    init(
        queue: any Store, health: QueueHealth, records: BackendRecords, current: CurrentGeneration,
        dispatchers: Dispatchers, connectors: Connectors, traffic: TrafficService, replays: ReplayService,
        reloader: Reloader, drainRequest: DrainRequest, clock: any RelayClock
    ) {
        self.queue = queue
        self.health = health
        self.records = records
        self.current = current
        self.dispatchers = dispatchers
        self.connectors = connectors
        self.traffic = traffic
        self.replays = replays
        self.reloader = reloader
        self.drainRequest = drainRequest
        self.clock = clock
        startedAt = clock.now
    }

    private var running: Configuration { current.value.configuration }

    private var loaded: API.Loaded {
        get async {
            let refusal = await reloader.refusal
            let generation = current.value
            return API.Loaded(
                generation: generation.number, fingerprint: generation.configuration.fingerprint,
                loadedAt: generation.loadedAt.rfc3339Milliseconds,
                refused: refusal.map { .init(at: $0.at.rfc3339Milliseconds, mistakes: $0.problems) })
        }
    }

    func status() async -> API.Status {
        let configuration = running
        let statuses = connectors.sorted.map(\.status)
        let statistics = await statistics
        let problems = health.problems
        return await API.Status(
            version: RelayVersion.text, startedAt: startedAt.rfc3339Milliseconds,
            state: state,
            problems: Readiness(apps: statuses, queueProblem: problems.first?.error).problems,
            apps: statuses.map { status in
                API.Status.App(
                    name: status.app.text, connected: status.connectedCount,
                    wanted: configuration.apps.first { $0.name == status.app }?.connections ?? 0,
                    reported: status.reported, refused: status.fatal, lastFailure: status.lastFailure?.text,
                    lastFailureAt: status.lastFailure?.at.rfc3339Milliseconds,
                    nextAttemptAt: status.nextAttemptAt?.rfc3339Milliseconds)
            },
            backends: shown(statistics),
            queue: .init(
                isWritable: problems.isEmpty,
                failing: problems.isEmpty
                    ? nil : problems.map { .init(operation: $0.operation.rawValue, detail: "\($0.error)") },
                waiting: statistics.values.reduce(0) { $0 + $1.waitingCount },
                oldestReceivedAt: statistics.values.compactMap(\.oldestReceivedAt).min()?.rfc3339Milliseconds,
                dead: statistics.values.reduce(0) { $0 + $1.dead },
                dropped: statistics.values.reduce(0) { $0 + $1.dropped }), configuration: loaded)
    }

    // MARK: Connections

    func connections() async -> [API.Connection] {
        connectors.sorted.map(\.status).flatMap { status in
            status.connections.map { connection in
                API.Connection(
                    app: status.app.text, slot: connection.slot, id: connection.connection?.description,
                    state: connection.state.rawValue, since: connection.since.rfc3339Milliseconds,
                    host: connection.host, reported: connection.numConnections)
            }
        }
    }

    func refreshConnections(of app: AppName?) async -> Int? {
        let chosen = connectors.sorted.filter { app == nil || $0.status.app == app }
        guard app == nil || !chosen.isEmpty else { return nil }
        for connector in chosen { connector.refresh() }
        return chosen.reduce(0) { $0 + $1.status.connectedCount }
    }

    // MARK: Backends

    func backends() async -> [API.Backend] {
        await shown(await statistics)
    }

    private func shown(_ statistics: [BackendName: QueueStatistics]) async -> [API.Backend] {
        var shown: [API.Backend] = []
        for backend in running.backends {
            if let dispatcher = dispatchers[backend.name] {
                shown.append(await show(backend, dispatcher, statistics[backend.name] ?? QueueStatistics()))
            }
        }
        return shown
    }

    /// Nothing where the queue cannot be read: that is among the problems of the status.
    private var statistics: [BackendName: QueueStatistics] {
        get async { (try? await queue.statistics()) ?? [:] }
    }

    func backend(_ name: BackendName) async -> API.Backend? {
        guard let backend = running.backends.first(where: { $0.name == name }),
            let dispatcher = dispatchers[name]
        else { return nil }
        return await show(backend, dispatcher, await statistics[name] ?? QueueStatistics())
    }

    private func show(_ backend: Backend, _ dispatcher: Dispatcher, _ figures: QueueStatistics) async -> API.Backend {
        let (status, pause) = (await dispatcher.status, await dispatcher.pause)
        let record = records[backend.name]
        let waiting = figures.waiting(isHeld: status.isHeld)
        let url = Kind.allCases.lazy.compactMap { backend.url(for: $0) }.first ?? ""
        return API.Backend(
            name: backend.name.text, url: url.withoutUserinfo, unixSocket: backend.unixSocket, state: status.word,
            isHeld: status.isHeld,
            paused: pause.map { .init(since: $0.since.rfc3339Milliseconds, cause: $0.cause.rawValue) },
            probeDue: status.probeDue?.rfc3339Milliseconds, retryAfter: status.retryAfter?.rfc3339Milliseconds,
            waiting: .init(
                pending: waiting[.pending] ?? 0, scheduled: waiting[.scheduled] ?? 0,
                inFlight: waiting[.inFlight] ?? 0, held: waiting[.held] ?? 0),
            oldestReceivedAt: figures.oldestReceivedAt?.rfc3339Milliseconds, dead: figures.dead,
            lastAcceptedAt: record.lastAcceptedAt?.rfc3339Milliseconds,
            failing: record.failing.map {
                .init(since: $0.since.rfc3339Milliseconds, attempts: $0.attempts, reason: $0.reason)
            })
    }

    func pause(_ backend: BackendName) async throws(QueueError) -> Bool {
        try await dispatchers.tell(backend) { dispatcher throws(QueueError) in try await dispatcher.pauseByPerson() }
    }

    func resume(_ backend: BackendName) async throws(QueueError) -> Bool {
        let isThere = try await dispatchers.tell(backend) { dispatcher throws(QueueError) in
            try await dispatcher.resume()
        }
        if isThere { try await bringOneForward(of: backend) }
        return isThere
    }

    /// A probe is made with a delivery that is due: where all that waits is scheduled for later, one of them is now.
    private func bringOneForward(of backend: BackendName) async throws(QueueError) {
        guard await dispatchers[backend]?.status.breaker == .halfOpen else { return }
        var filter = DeliveryFilter()
        filter.backends = [backend]
        filter.states = [.scheduled]
        guard let one = try await queue.deliveries(filter, PageRequest(limit: 1)).items.first,
            case .done = try await queue.retry(one.id, now: clock.now)
        else { return }
        await dispatchers.deliveriesBecameDue(for: [backend])
    }

    func test(_ name: BackendName) async -> API.BackendTest? {
        let configuration = running
        guard let backend = configuration.backends.first(where: { $0.name == name }) else { return nil }
        let start = clock.now
        let verification = await current.value.sender.verifyURL(of: backend, apps: configuration.apps.map(\.name))
        let took = Int(max(0, start.duration(to: clock.now).milliseconds))
        guard let verification else {
            return API.BackendTest(
                isOk: false, status: nil, challengeReturned: false, durationMs: took, reason: "request_error",
                detail: "it has no url for events, so there is nothing that a test could be sent to")
        }
        let result = verification.result
        return API.BackendTest(
            isOk: verification.isVerified, status: result.status,
            challengeReturned: verification.isChallengeReturned, durationMs: took,
            reason: result.outcome.reason?.description, detail: verification.detail)
    }

    func heldBackends() async -> Set<BackendName> {
        var held: Set<BackendName> = []
        for (name, dispatcher) in dispatchers.all where await dispatcher.status.isHeld { held.insert(name) }
        return held
    }

    func deliveriesBecameDue(for backends: Set<BackendName>) async {
        await dispatchers.deliveriesBecameDue(for: backends)
    }

    func replaysChanged() async { replays.replaysChanged() }

    // MARK: Configuration and life

    func configuration() async -> API.Configuration {
        API.Configuration(await loaded, yaml: running.redactedYAML())
    }

    func reload() async throws(ReloadRefused) -> API.Reloaded {
        switch await reloader.reload() {
        case .changed(let keys, _): return API.Reloaded(await loaded, changed: keys)
        case .unchanged: return API.Reloaded(await loaded, changed: [])
        case .refused(let problems): throw ReloadRefused(mistakes: problems)
        }
    }

    func drain() async { drainRequest.send() }

    private var state: API.Status.State {
        switch drainRequest.progress {
        case .drained: .drained
        case .draining: .draining
        case .none: traffic.isDraining ? .draining : .running
        }
    }
}

extension URLVerification {
    /// For people; nil: there is nothing to say.
    fileprivate var detail: String? {
        var details = result.detail.isEmpty ? [] : [result.detail]
        if !isVerified, details.isEmpty {
            details.append("the challenge did not come back: fine for an app that was never a Slack request URL")
        }
        if untriedApps > 0 {
            let seconds = Self.longest.milliseconds / 1_000
            details.append("not tried any more after \(seconds) s: the signing secrets of \(untriedApps) apps")
        }
        return details.isEmpty ? nil : details.joined(separator: "; ")
    }
}
