// Makes what a configuration asks for: at the start, and again at each reload.

import AdminServer
import Curl
import Logging
import RelayConfiguration
import RelayCore
import SlackConnector
import SocketMode
import WebhookSender

/// The lasting parts of the process, and how the others are made of them.
struct GenerationFactory: Sendable {
    let queue: any Store
    let secrets: any SecretReader
    let client: CurlClient
    /// For what goes to Slack.
    let slackClient: CurlClient
    let thread: TrafficThread
    let files: OpenFiles
    let registry: MetricsRegistry
    let health: QueueHealth
    let alarms: AlarmService?
    let clock: SystemClock
    let observer: (any DeliveryObserver)?
    let logger: Logger

    /// - Parameter previous: that it takes the place of; nil: it is the first.
    func makeGeneration(_ configuration: Configuration, after previous: Generation? = nil) -> Generation {
        let apps = configuration.apps.map(\.name)
        let signingSecrets = configuration.signingSecrets
        let sender =
            previous?.sender.reconfigured(backends: configuration.backends, signingSecrets: signingSecrets)
            ?? WebhookSender(
                backends: configuration.backends, signingSecrets: signingSecrets, secrets: secrets, client: client,
                now: { [clock] in clock.now })
        let gatewayMetrics = GatewayMetrics(factory: registry, apps: apps)
        let backendMetrics = Dictionary(
            uniqueKeysWithValues: configuration.backends.map {
                ($0.name, BackendMetrics(backend: $0.name, factory: registry))
            })
        return Generation(
            number: (previous?.number ?? 0) + 1, configuration: configuration, loadedAt: clock.now, sender: sender,
            gatewayMetrics: gatewayMetrics, backendMetrics: backendMetrics,
            account: AnswerAccount(
                gateway: gatewayMetrics, backends: backendMetrics, factory: registry, apps: apps, logger: logger,
                observer: observer, alarms: alarms),
            waysToResponseURLs: Dictionary(
                uniqueKeysWithValues: configuration.apps.map { app in
                    (app.name, ResponseURLClient(http: slackClient, configuration: .init(app)))
                }),
            maxWaiting: files.maxWaiting(with: configuration))
    }

    /// - Parameter pause: that the backend has.
    func makeDispatcher(_ backend: Backend, _ generation: Generation, pause: Pause?) -> Dispatcher {
        Dispatcher(
            backend, queue: queue, pause: pause, sender: generation.sender, clock: clock,
            random: { Double.random(in: 0..<1) },
            health: health,
            metrics: generation.backendMetrics[backend.name]
                ?? BackendMetrics(backend: backend.name, factory: registry),
            logger: logger, observer: observer, alarms: alarms)
    }

    func makeConnector(
        _ app: SlackConfiguration, _ generation: Generation, receiver: any EnvelopeReceiver
    ) -> SlackConnector {
        SlackConnector(
            configuration: connectorConfiguration(app, generation), receiver: receiver, http: slackClient,
            token: token(of: app), clock: clock, logger: logger, metrics: registry, group: thread.loop)
    }

    func reconfigure(
        _ connector: SlackConnector, _ app: SlackConfiguration, _ generation: Generation, replacesConnections: Bool
    ) {
        connector.reconfigure(
            connectorConfiguration(app, generation), http: slackClient, token: token(of: app),
            replacesConnections: replacesConnections)
    }

    private func token(of app: SlackConfiguration) -> @Sendable () throws -> Secret {
        { [secrets] in try secrets.secret(app.appToken) }
    }

    private func connectorConfiguration(
        _ app: SlackConfiguration, _ generation: Generation
    ) -> SlackConnectorConfiguration {
        let probe = BackendProbe(
            backends: generation.configuration.backends, clock: clock, logger: logger
        ) { [sender = generation.sender] backend in
            await sender.connects(to: backend)
        }
        return .init(app) { await probe.waitForBackends(timeout: app.waitForBackends) }
    }

    // MARK: What does not fit

    /// Says which limits the system sets below the configured ones, and what waits in the queue for nobody.
    func sayWhatDoesNotFit(_ generation: Generation) async throws(QueueError) {
        let configuration = generation.configuration
        if generation.maxWaiting < configuration.backends.reduce(0, { $0 + $1.maxWaiting }) {
            logger.warning(
                "fewer answers can be waited for at a time than max_waiting says: too few files may be open",
                metadata: [LogKey.limit: "\(generation.maxWaiting)"])
        }
        let backends = Set(configuration.backends.map(\.name))
        for backend in try await queue.backendsWithWaitingDeliveries() where !backends.contains(backend) {
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
