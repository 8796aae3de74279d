// A new configuration for a running gateway: all of it, or nothing.

import AdminServer
import Logging
import Metrics
package import RelayConfiguration
import RelayCore
import SlackConnector

/// What came of a reload.
package enum ReloadResult: Sendable, Equatable {
    /// It holds now. `keys` are those that differ, as `ConfigurationChange` names them.
    case changed(keys: [String], generation: Int)
    /// The file says what holds already.
    case unchanged
    /// The old configuration goes on. A line for each problem, with its place in the file where it has one.
    case refused(problems: [String])
}

/// A file that could not be taken over.
struct ReloadRefusal: Sendable, Equatable {
    var at: Timestamp
    var problems: [String]
    /// As the file was before it was read; nil: it could not be looked at.
    var version: FileVersion?
}

/// Reads the configuration again and takes it over. What can fail comes before the first change.
///
/// Envelopes that are being dealt with finish as they were routed. Connections to Slack stay open unless they were made
/// with settings that no longer hold. The dispatcher of a backend stays, with its breaker and what it has in flight,
/// unless the backend itself is another; then the new one starts at once and the old one finishes what it has begun:
/// leases keep a delivery from being attempted by both.
package actor Reloader {
    private let source: ConfigurationSource?
    private let factory: GenerationFactory
    private let current: CurrentGeneration
    private let gateway: Gateway
    private let handover: Handover
    private let connectors: Connectors
    private let traffic: TrafficService
    private let failures: Counter
    /// 1 while there is a `refusal`.
    private let isRefused: Gauge
    private let logger: Logger
    /// What came of the last reload, where it was refused.
    private(set) var refusal: ReloadRefusal?
    private var isReloading = false
    private var line: [CheckedContinuation<Void, Never>] = []

    /// - Parameter source: nil: there is no file, and every reload is refused.
    init(
        source: ConfigurationSource?, factory: GenerationFactory, current: CurrentGeneration, gateway: Gateway,
        answerer: Answerer, dispatchers: Dispatchers, connectors: Connectors, traffic: TrafficService
    ) {
        self.source = source
        self.factory = factory
        self.current = current
        self.gateway = gateway
        handover = Handover(gateway: gateway, answerer: answerer, dispatchers: dispatchers, start: traffic.start)
        self.connectors = connectors
        self.traffic = traffic
        logger = factory.logger
        failures = Counter(label: MetricNames.reloadFailures, dimensions: [], factory: factory.registry)
        isRefused = Gauge(label: MetricNames.configurationRefused, dimensions: [], factory: factory.registry)
        isRefused.record(0)
        Self.show(current.value, in: factory.registry)
    }

    /// The configuration that holds.
    package nonisolated var configuration: Configuration { current.value.configuration }
    /// Its number, from 1.
    package nonisolated var generation: Int { current.value.number }
    /// See `Configuration.fingerprint`.
    package nonisolated var fingerprint: String { current.value.configuration.fingerprint }

    /// Reads the file and takes over what it says. One at a time: a second call waits, and reads the file anew.
    ///
    /// A refusal is logged once, however often the same file is read.
    /// - Parameter isToldByLog: who asked learns of a refusal from the log alone: it is logged again.
    package func reload(isToldByLog: Bool = false) async -> ReloadResult {
        if isReloading { await withCheckedContinuation { line.append($0) } }
        isReloading = true
        defer {
            isReloading = !line.isEmpty
            if isReloading { line.removeFirst().resume() }
        }
        let version = source?.version()
        let result = await readAndApply()
        switch result {
        case .changed, .unchanged:
            refusal = nil
        case .refused(let problems):
            let isNews = refusal?.problems != problems || refusal?.version != version
            let at = isNews ? factory.clock.now : refusal?.at ?? factory.clock.now
            refusal = ReloadRefusal(at: at, problems: problems, version: version)
            if isNews || isToldByLog { log(problems) }
            failures.increment()
        }
        isRefused.record(refusal == nil ? 0 : 1)
        return result
    }

    private func log(_ problems: [String]) {
        for problem in problems {
            logger.error(
                "the configuration cannot be taken over: the old one goes on",
                metadata: [LogKey.error: "\(problem)"])
        }
    }

    private func readAndApply() async -> ReloadResult {
        guard let source else { return .refused(problems: ["this process was started without a configuration file"]) }
        let configuration: Configuration
        do throws(ConfigurationErrors) {
            configuration = try source.load()
        } catch {
            return .refused(problems: error.errors.map(\.description))
        }
        let change = ConfigurationChange(from: current.value.configuration, to: configuration)
        guard !change.keys.isEmpty else { return .unchanged }
        guard change.refusals.isEmpty else {
            return .refused(problems: change.refusals.map { "\(source.name): \($0)" })
        }
        guard !traffic.isDraining else { return .refused(problems: ["the gateway is draining"]) }
        let pauses: [BackendName: Pause]
        do throws(QueueError) {
            pauses = try await factory.queue.pauses()
        } catch {
            return .refused(problems: ["the queue does not say which backends are paused: \(error)"])
        }
        let next = await apply(configuration, change, pauses)
        source.setLogLevel(configuration.log.level)
        logger.notice(
            "the configuration has changed",
            metadata: [
                LogKey.configurationGeneration: "\(next.number)",
                LogKey.configurationFingerprint: "\(next.configuration.fingerprint)",
                LogKey.configurationChanges: "\(change.keys.joined(separator: " "))",
            ])
        // A queue that cannot be read says so itself.
        try? await factory.sayWhatDoesNotFit(next)
        return .changed(keys: change.keys, generation: next.number)
    }

    /// Nothing here can fail.
    private func apply(
        _ configuration: Configuration, _ change: ConfigurationChange, _ pauses: [BackendName: Pause]
    ) async -> Generation {
        let old = current.value
        var configuration = configuration
        // As the queue was opened.
        configuration.queue = old.configuration.queue
        let next = factory.makeGeneration(configuration, after: old)
        let removed = old.configuration.backends.filter { change.backends.removed.contains($0.name) }
        await handover.goOn(
            with: .init(
                gateway: next.gateway, answerer: next.answerer, sender: next.sender, metrics: next.gatewayMetrics,
                account: next.account, changed: Set(change.backends.changed), removed: removed, pauses: pauses,
                makeDispatcher: { [factory] in factory.makeDispatcher($0, next, pause: $1) }))
        current.set(next)
        for backend in change.backends.removed {
            await handover.letGo(backend)
            for cause in [Alarm.Cause.backendFailing, .backendGone] {
                factory.alarms?.forgotten(.init(cause, backend.text))
            }
        }
        changeApps(from: old, to: next, change.apps)
        Self.show(next, in: factory.registry)
        return next
    }

    private func changeApps(from old: Generation, to next: Generation, _ change: ConfigurationChange.Names<AppName>) {
        for app in next.configuration.apps {
            if let connector = connectors[app.name] {
                guard let before = old.configuration.apps.first(where: { $0.name == app.name }),
                    app.connectsOrKeepsOtherwise(than: before)
                else { continue }
                factory.reconfigure(
                    connector, app, next, replacesConnections: app.connectsOtherwise(than: before))
            } else {
                let connector = factory.makeConnector(app, next, receiver: gateway)
                connectors.set(connector, for: app.name)
                traffic.start(connector)
            }
        }
        for app in change.removed {
            // Before nobody finds it without a connection any more, and takes it for connected.
            factory.alarms?.forgotten(.init(.slackNotConnected, app.text))
            guard let connector = connectors.set(nil, for: app) else { continue }
            factory.registry.removeGauges("app", app.text)
            traffic.end(connector, timeout: old.configuration.drainTimeout)
        }
    }

    private static func show(_ generation: Generation, in registry: MetricsRegistry) {
        Gauge(label: MetricNames.configurationGeneration, dimensions: [], factory: registry).record(generation.number)
        registry.reset(MetricNames.configurationInfo)
        Gauge(
            label: MetricNames.configurationInfo,
            dimensions: [("fingerprint", generation.configuration.fingerprint)], factory: registry
        ).record(1)
    }
}
