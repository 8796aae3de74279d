// The whole process, wired top to bottom: configuration in, a running gateway out. What a reload replaces is made by
// `GenerationFactory`.

import AdminServer
import Curl
package import Logging
import Metrics
package import RelayConfiguration
package import RelayCore
import SQLiteQueue
import ServiceLifecycle
import SlackConnector
import SocketMode
import WebhookSender

/// One gateway process, made from its configuration.
package struct Composition: Sendable {
    private let configuration: Configuration
    private let source: ConfigurationSource?
    private let secrets: any SecretReader
    private let observer: (any DeliveryObserver)?
    private let endsWhenRefused: Bool
    private let logger: Logger
    private let clock = SystemClock()

    /// - Parameters:
    ///   - source: where the configuration is found again when it changes; nil: it never does.
    ///   - observer: sees each attempt, for the commands that show them.
    ///   - endsWhenRefused: `run()` throws `SlackRefusedError` when Slack refuses the token; else it is tried again
    ///     slowly.
    package init(
        configuration: Configuration, source: ConfigurationSource? = nil, secrets: any SecretReader,
        observer: (any DeliveryObserver)? = nil, endsWhenRefused: Bool = false, logger: Logger
    ) {
        self.configuration = configuration
        self.source = source
        self.secrets = secrets
        self.observer = observer
        self.endsWhenRefused = endsWhenRefused
        self.logger = logger
    }

    /// Lives until SIGTERM or SIGINT (then it drains and returns), or until its task is canceled. A second signal ends
    /// the process at once, with 128 + its number. One that came since `signals` was made counts, too.
    ///
    /// Throws `QueueError` when the queue cannot be opened, `ListenError` when a port cannot be listened on.
    package func run(until signals: EndSignals) async throws {
        let drainRequest = DrainRequest(timeout: configuration.drainTimeout)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await signals.run(drainRequest, logger: logger) }
            tasks.addTask { try await run(drainRequest) }
            // The first to end is the gateway: signals never do, unless the task is canceled.
            try await tasks.next()
            tasks.cancelAll()
        }
    }

    private func run(_ drainRequest: DrainRequest) async throws {
        // What lasts as long as the process.
        let files = OpenFiles.raiseLimit()
        let queue = try await openQueue()
        let owed = try await queue.lateAnswerIDs()
        let pauses = try await queue.pauses()
        let client = CurlClient(maxConnections: files.maxConnections(with: configuration))
        let slackClient = CurlClient(maxConnections: OpenFiles.maxSlackConnections)
        let registry = MetricsRegistry(help: MetricNames.help)
        Gauge(label: MetricNames.info, dimensions: [("version", RelayVersion.text)], factory: registry).record(1)
        let health = QueueHealth(logger: logger)
        let alarms = makeAlarms(client, registry: registry)
        let feed = DeliveryFeed()
        let records = BackendRecords()
        let thread = TrafficThread()
        let factory = GenerationFactory(
            queue: queue, secrets: secrets, client: client, slackClient: slackClient, thread: thread, files: files,
            registry: registry, health: health, alarms: alarms, clock: clock,
            observer: AdminObserver(feed: feed, records: records, next: observer) { [clock] in clock.now },
            logger: logger)

        // The first generation, and what is told of the next ones.
        let first = factory.makeGeneration(configuration)
        try await factory.sayWhatDoesNotFit(first)
        let current = CurrentGeneration(first)
        drainRequest.drains { current.value.configuration.drainTimeout }
        let dispatchers = Dispatchers()
        for backend in configuration.backends {
            dispatchers.set(factory.makeDispatcher(backend, first, pause: pauses[backend.name]), for: backend.name)
        }
        let intake = Intake(queue: queue, dispatchers: dispatchers, health: health)
        // Those of an app that is no longer configured go as the environment says, and to Slack's own hosts.
        let anyWay = ResponseURLClient(http: slackClient, configuration: .init())
        let poster = LateAnswerPoster(
            way: { app in current.value.waysToResponseURLs[app] ?? anyWay }, store: queue, owed: owed, clock: clock,
            random: { Double.random(in: 0..<1) }, health: health, account: first.account)
        let answerer = Answerer(
            first.answerer, instance: UInt32.random(in: .min ... .max), sender: first.sender, intake: intake,
            dispatchers: dispatchers, lateAnswers: queue, poster: poster, clock: clock, health: health,
            account: first.account)
        let gateway = Gateway(
            first.gateway, intake: intake, answerer: answerer, clock: clock, metrics: first.gatewayMetrics,
            account: first.account, logger: logger)
        let connectors = Connectors()
        for app in configuration.apps {
            connectors.set(factory.makeConnector(app, first, receiver: gateway), for: app.name)
        }
        let traffic = TrafficService(
            connectors: connectors, dispatchers: dispatchers, answerer: answerer, poster: poster, executor: thread,
            deliveryExecutor: client.executor, drainTimeout: { drainRequest.drainTimeout }, clock: clock)
        let reloader = Reloader(
            source: source, factory: factory, current: current, gateway: gateway, answerer: answerer,
            dispatchers: dispatchers, connectors: connectors, traffic: traffic)

        let replays = ReplayService(archive: queue, clock: clock, logger: logger) { backends in
            await dispatchers.deliveriesBecameDue(for: backends)
        }
        let control = GatewayOperator(
            queue: queue, health: health, records: records, current: current, dispatchers: dispatchers,
            connectors: connectors, traffic: traffic, replays: replays, reloader: reloader, drainRequest: drainRequest,
            clock: clock)

        // Shut down from the last to the first: traffic ends, and only then health and the admin API go silent.
        var services: [any Service] = []
        if let listener = configuration.admin {
            services.append(makeAdminServer(listener, archive: queue, control: control, feed: feed))
        }
        if let listener = configuration.health {
            let metrics = QueueMetrics(
                queue: queue, answerer: answerer, dispatchers: dispatchers, connectors: connectors, health: health,
                clock: clock, registry: registry)
            services.append(makeHealthServer(listener, reloader, connectors, health: health, metrics, registry))
        }
        services.append(DrainedWait(request: drainRequest, clock: clock, logger: logger))
        if let alarms {
            let silentApps = { @Sendable in
                connectors.sorted.map(\.status).filter { $0.connectedCount == 0 || $0.fatal != nil }.map(\.app)
            }
            services.append(alarms)
            services.append(
                AlarmWatch(alarms: alarms, silentApps: silentApps, queue: queue, health: health, clock: clock))
        }
        services.append(QueueKeeper(queue: queue, health: health, clock: clock))
        services.append(QueueWatch(health: health, clock: clock))
        services.append(replays)
        if let source {
            services.append(ConfigurationWatch(source: source, reloader: reloader, clock: clock, logger: logger))
        }
        services.append(traffic)
        if endsWhenRefused { services += connectors.sorted.map(RefusalWatch.init(connector:)) }

        logger.notice(
            "started",
            metadata: [
                LogKey.version: "\(RelayVersion.text)",
                LogKey.configurationFingerprint: "\(configuration.fingerprint)",
            ])
        do {
            try await ProcessLife(services: services, drainRequest: drainRequest, logger: logger).run()
        } catch {
            await queue.close()
            client.shutdown()
            slackClient.shutdown()
            throw error
        }
        await sayWhatIsForgotten(queue)
        await queue.close()
        client.shutdown()
        slackClient.shutdown()
        logger.notice("stopped")
    }

    // MARK: - Parts, in the order of the layers

    private func sayWhatIsForgotten(_ queue: any Store) async {
        guard configuration.queue.driver == .memory else { return }
        let deliveries = (try? await queue.statistics())?.values.reduce(0) { $0 + $1.waitingCount } ?? 0
        let answers = (try? await queue.lateAnswerIDs())?.count ?? 0
        if deliveries > 0 {
            logger.warning("deliveries that were not made are forgotten", metadata: [LogKey.waiting: "\(deliveries)"])
        }
        if answers > 0 {
            logger.warning("late answers that were not posted are forgotten", metadata: [LogKey.waiting: "\(answers)"])
        }
    }

    private func openQueue() async throws -> any Store {
        let queue: any Store
        let limits = configuration.queue.limits
        switch configuration.queue.driver {
        case .memory:
            logger.warning("driver memory: what is not delivered is lost when this process ends")
            queue = MemoryQueue(limits: limits, queueID: UInt32.random(in: 1 ... .max))
        case .sqlite:
            queue = try await SQLiteQueue(path: configuration.queue.path, limits: limits, logger: logger)
        }
        if limits.whenFull == .dropOldest {
            logger.warning("when_full drop_oldest: a full queue removes its oldest deliveries and counts them")
        }
        let waiting = try await queue.statistics().values.reduce(0) { $0 + $1.waitingCount }
        logger.notice("queue opened", metadata: [LogKey.waiting: "\(waiting)"])
        return queue
    }

    /// nil: nobody is to be told.
    private func makeAlarms(_ client: CurlClient, registry: MetricsRegistry) -> AlarmService? {
        guard let url = configuration.alarms.url, let secret = configuration.alarms.secret else { return nil }
        let poster = SignedPoster(url: url, secret: secret, secrets: secrets, client: client) { [clock] in clock.now }
        return AlarmService(
            repeatInterval: configuration.alarms.repeatInterval, post: { await poster.post(id: $0, $1) },
            makeID: { "alarm_" + String(UInt64.random(in: .min ... .max), radix: 16) }, clock: clock,
            factory: registry, logger: logger)
    }

    private func makeAdminServer(
        _ listener: AdminConfiguration, archive: any DeliveryArchive, control: GatewayOperator, feed: DeliveryFeed
    ) -> AdminServer {
        var token: (@Sendable () throws(SecretError) -> Secret)?
        if let reference = listener.token {
            token = { [secrets] () throws(SecretError) -> Secret in
                try AdminConfiguration.token(reference, from: secrets)
            }
        }
        return AdminServer(
            .init(listener.address, token: token), archive: archive, control: control,
            feed: feed, now: { [clock] in clock.now },
            onListening: { [logger] port in
                let place = ListenAddress(host: listener.host, port: port)
                logger.notice("the admin API is served", metadata: [LogKey.listen: "\(place)"])
            },
            logger: logger)
    }

    private func makeHealthServer(
        _ listener: HealthConfiguration, _ reloader: Reloader, _ connectors: Connectors, health: QueueHealth,
        _ metrics: QueueMetrics, _ registry: MetricsRegistry
    ) -> HealthServer {
        HealthServer(
            listener.address, registry: registry,
            about: {
                [("generation", "\(reloader.generation)"), ("configuration", reloader.fingerprint)]
            },
            readiness: {
                Readiness(apps: connectors.sorted.map(\.status), queueProblem: health.problem)
            },
            refreshMetrics: { await metrics.refresh() },
            onListening: { [logger] port in
                let place = ListenAddress(host: listener.host, port: port)
                logger.notice("health is served", metadata: [LogKey.listen: "\(place)"])
            },
            logger: logger)
    }
}

extension Readiness {
    /// Ready: for each app a connected socket and no refusal by Slack, and a queue that works.
    init(apps: [ConnectorStatus], queueProblem: QueueError?) {
        var problems: [String] = []
        for app in apps {
            let slack = apps.count == 1 ? "slack" : "slack, app \(app.app)"
            if app.connectedCount == 0 {
                let last = app.fatal == nil ? app.lastFailure.map { ", last \($0.text)" } : nil
                problems.append("\(slack): no connection" + (last ?? ""))
            }
            if let reason = app.fatal { problems.append("\(slack): refuses this app: \(reason)") }
        }
        if let queueProblem { problems.append("queue: \(queueProblem.code.rawValue)") }
        self.init(problems: problems)
    }
}

/// Everything that the queue is to the process.
package typealias Store = DeliveryQueue & LateAnswerStore & PauseStore & DeliveryArchive
