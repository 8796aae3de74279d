// The whole program, wired top to bottom: configuration in, a running gateway out.

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
    private let secrets: any SecretReader
    private let observer: (any DeliveryObserver)?
    private let endsWhenRefused: Bool
    private let logger: Logger
    private let clock = SystemClock()

    /// - Parameters:
    ///   - observer: sees each attempt, for the commands that show them.
    ///   - endsWhenRefused: `run()` throws `SlackRefusedError` when Slack refuses the token; else it is tried again
    ///     slowly.
    package init(
        configuration: Configuration, secrets: any SecretReader, observer: (any DeliveryObserver)? = nil,
        endsWhenRefused: Bool = false, logger: Logger
    ) {
        self.configuration = configuration
        self.secrets = secrets
        self.observer = observer
        self.endsWhenRefused = endsWhenRefused
        self.logger = logger
    }

    /// Lives until SIGTERM or SIGINT (then it drains and returns), or until its task is canceled. A second signal ends
    /// the process at once, with 128 + its number.
    ///
    /// Throws `QueueError` when the queue cannot be opened, `HealthServerError` when its port cannot be listened on.
    package func run() async throws {
        let files = OpenFiles.raiseLimit()
        let maxWaiting = files.maxWaiting(for: configuration.backends)
        if maxWaiting < configuration.backends.reduce(0, { $0 + $1.maxWaiting }) {
            logger.warning(
                "fewer answers can be waited for at a time than max_waiting says: too few files may be open",
                metadata: [LogKey.limit: "\(maxWaiting)"])
        }
        let queue = try await openQueue()
        let owed = try await queue.lateAnswerIDs()
        let client = CurlClient(maxConnections: files.maxConnections)
        let registry = MetricsRegistry(help: MetricNames.help)
        Gauge(label: MetricNames.info, dimensions: [("version", RelayVersion.text)], factory: registry).record(1)

        let health = QueueHealth(logger: logger)
        let sender = makeSender(client)
        let backendMetrics = Dictionary(
            uniqueKeysWithValues: configuration.backends.map {
                ($0.name, BackendMetrics(backend: $0.name, factory: registry))
            })
        let alarms = makeAlarms(client, registry: registry)
        let dispatchers = makeDispatchers(
            queue: queue, pauses: try await queue.pauses(), sender: sender, health: health, metrics: backendMetrics,
            alarms: alarms)
        let intake = Intake(queue: queue, dispatchers: dispatchers, health: health)
        let apps = configuration.apps.map(\.name)
        let metrics = GatewayMetrics(factory: registry, apps: apps)
        let account = AnswerAccount(
            gateway: metrics, backends: backendMetrics, factory: registry, apps: apps, logger: logger,
            observer: observer)
        let poster = LateAnswerPoster(
            way: makeWaysToResponseURLs(client), store: queue, owed: owed, clock: clock,
            random: { Double.random(in: 0..<1) }, health: health, account: account)
        let answerer = Answerer(
            .init(
                deadlines: configuration.answerDeadlines, backends: configuration.backends,
                instance: UInt32.random(in: .min ... .max), maxWaiting: maxWaiting),
            sender: sender, intake: intake, dispatchers: dispatchers, lateAnswers: queue, poster: poster, clock: clock,
            health: health,
            account: account)
        let gateway = Gateway(
            .init(
                router: Router(routes: configuration.routes), unrouted: configuration.unrouted,
                backends: configuration.backends), intake: intake,
            answerer: answerer, clock: clock, metrics: metrics, account: account, logger: logger)
        let connectors = configuration.apps.map { app in
            makeConnector(app, gateway: gateway, client: client, sender: sender, registry: registry)
        }

        // Shut down from the last to the first: traffic ends, and only then health goes silent.
        var services: [any Service] = []
        if let listener = configuration.health {
            services.append(
                makeHealthServer(
                    listener, connectors: connectors, queue: queue, answerer: answerer, dispatchers: dispatchers,
                    health: health, registry: registry))
        }
        if let alarms {
            let silentApps = { @Sendable in
                connectors.map(\.status).filter { $0.connectedCount == 0 || $0.fatal != nil }.map(\.app)
            }
            services.append(alarms)
            services.append(
                AlarmWatch(alarms: alarms, silentApps: silentApps, queue: queue, health: health, clock: clock))
        }
        services.append(QueueKeeper(queue: queue, health: health, clock: clock))
        services.append(
            TrafficService(
                connectors: connectors, dispatchers: Array(dispatchers.values), answerer: answerer, poster: poster,
                drainTimeout: configuration.drainTimeout, clock: clock))
        if endsWhenRefused { services += connectors.map(RefusalWatch.init(connector:)) }

        logger.notice("started", metadata: [LogKey.version: "\(RelayVersion.text)"])
        do {
            try await ProcessLife(services: services, logger: logger).run()
        } catch {
            await queue.close()
            client.shutdown()
            throw error
        }
        await sayWhatIsForgotten(queue)
        await queue.close()
        client.shutdown()
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
        let known = Set(configuration.backends.map(\.name))
        for backend in try await queue.backendsWithWaitingDeliveries() where !known.contains(backend) {
            logger.warning(
                "deliveries wait for a backend that is no longer configured; they are kept",
                metadata: [LogKey.backendName: "\(backend)"])
        }
        let apps = Set(configuration.apps.map(\.name))
        for app in try await queue.appsWithWaitingDeliveries() where !apps.contains(app) {
            logger.warning(
                "deliveries wait of an app that is no longer configured; only backends with signing of their own get them",
                metadata: [LogKey.app: "\(app)"])
        }
        let waiting = try await queue.statistics().values.reduce(0) { $0 + $1.waitingCount }
        logger.notice("queue opened", metadata: [LogKey.waiting: "\(waiting)"])
        return queue
    }

    private func makeSender(_ client: CurlClient) -> WebhookSender {
        WebhookSender(
            backends: configuration.backends, signingSecrets: configuration.signingSecrets, secrets: secrets,
            client: client, now: { [clock] in clock.now })
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

    private func makeDispatchers(
        queue: any DeliveryQueue & PauseStore, pauses: [BackendName: Pause], sender: WebhookSender,
        health: QueueHealth, metrics: [BackendName: BackendMetrics], alarms: AlarmService?
    ) -> [BackendName: Dispatcher] {
        var dispatchers: [BackendName: Dispatcher] = [:]
        for backend in configuration.backends {
            guard let metrics = metrics[backend.name] else { continue }
            dispatchers[backend.name] = Dispatcher(
                backend, queue: queue, pause: pauses[backend.name], sender: sender, clock: clock,
                random: { Double.random(in: 0..<1) },
                health: health, metrics: metrics, logger: logger, observer: observer, alarms: alarms)
        }
        return dispatchers
    }

    /// Those of an app that is no longer configured go as the environment says, and to Slack's own hosts.
    private func makeWaysToResponseURLs(_ client: CurlClient) -> @Sendable (AppName) -> any ResponsePoster {
        let ways = Dictionary(
            uniqueKeysWithValues: configuration.apps.map { app in
                (app.name, ResponseURLClient(http: client, configuration: .init(app)))
            })
        let other = ResponseURLClient(http: client, configuration: .init())
        return { app in ways[app] ?? other }
    }

    private func makeConnector(
        _ slack: SlackConfiguration, gateway: Gateway, client: CurlClient, sender: WebhookSender,
        registry: MetricsRegistry
    ) -> SlackConnector {
        let probe = BackendProbe(backends: configuration.backends, clock: clock, logger: logger) { backend in
            await sender.connects(to: backend)
        }
        return SlackConnector(
            configuration: .init(slack) { await probe.waitForBackends(timeout: slack.waitForBackends) },
            receiver: gateway, http: client, token: { [secrets] in try secrets.secret(slack.appToken) }, clock: clock,
            logger: logger, metrics: registry)
    }

    private func makeHealthServer(
        _ listener: HealthConfiguration, connectors: [SlackConnector], queue: any DeliveryQueue, answerer: Answerer,
        dispatchers: [BackendName: Dispatcher], health: QueueHealth, registry: MetricsRegistry
    ) -> HealthServer {
        let queueMetrics = QueueMetrics(
            queue: queue, answerer: answerer, dispatchers: dispatchers, health: health, clock: clock,
            registry: registry)
        return HealthServer(
            host: listener.host, port: listener.port, registry: registry,
            readiness: { Readiness(apps: connectors.map(\.status), queueProblem: health.problem) },
            refreshMetrics: { await queueMetrics.refresh() },
            onListening: { [logger] port in
                logger.notice("health is served", metadata: [LogKey.listen: "\(listener.host):\(port)"])
            },
            logger: logger)
    }
}

extension Configuration {
    var signingSecrets: [AppName: SecretReference] {
        Dictionary(uniqueKeysWithValues: apps.map { ($0.name, $0.signingSecret) })
    }

    var answerDeadlines: [AppName: Duration] {
        Dictionary(uniqueKeysWithValues: apps.map { ($0.name, $0.answerDeadline) })
    }
}

extension SlackConnectorConfiguration {
    /// - Parameter waitForBackends: returns when the first dial may be made.
    init(_ slack: SlackConfiguration, waitForBackends: @escaping @Sendable () async -> Void = {}) {
        self.init(
            app: slack.name, apiURL: slack.apiURL, proxy: slack.proxy, caFile: slack.caFile,
            pool: PoolConfiguration(
                connections: slack.connections, expectedConnections: slack.expectedConnections,
                startJitter: slack.startJitter, backoffInitial: slack.backoff.initial,
                backoffMaximum: slack.backoff.max, stable: slack.backoff.stable),
            timing: ConnectionTiming(
                helloTimeout: slack.helloTimeout, pingInterval: slack.pingInterval, deadAfter: slack.deadAfter),
            waitForBackends: waitForBackends)
    }
}

extension Readiness {
    /// Ready: for each app a connected socket and no refusal by Slack, and a queue that works.
    init(apps: [ConnectorStatus], queueProblem: QueueError?) {
        var problems: [String] = []
        for app in apps {
            let slack = apps.count == 1 ? "slack" : "slack, app \(app.app)"
            if app.connectedCount == 0 { problems.append("\(slack): no connection") }
            if let reason = app.fatal { problems.append("\(slack): refuses this app: \(reason)") }
        }
        if let queueProblem { problems.append("queue: \(queueProblem.code.rawValue)") }
        self.init(problems: problems)
    }
}

/// Everything that the queue is to the process.
package typealias Store = DeliveryQueue & LateAnswerStore & PauseStore & DeliveryArchive
