// Gauges of what waits, measured when somebody asks.

import AdminServer
import Metrics
import RelayCore
import SlackConnector

/// Reads the answerer's and the queue's statistics into the registry before each scrape.
struct QueueMetrics: Sendable {
    let queue: any DeliveryQueue
    let answerer: Answerer
    /// Of the configured backends, which have their series although nothing waits for them.
    let dispatchers: Dispatchers
    let connectors: Connectors
    let health: QueueHealth
    let clock: any RelayClock
    let registry: MetricsRegistry

    func refresh() async {
        let dispatchers = dispatchers.all
        let waiting = await answerer.waiting
        var statuses: [BackendName: DispatchStateMachine.Status] = [:]
        for (backend, dispatcher) in dispatchers { statuses[backend] = await dispatcher.status }
        let statistics = try? await queue.statistics()

        // Those of backends that are gone go with them.
        set(MetricNames.answersWaiting, waiting.map { ($0, [], Double($1)) })
        set(
            MetricNames.backendState,
            statuses.flatMap { backend, status in
                DispatchStateMachine.Status.words.map { (backend, [("state", $0)], status.word == $0 ? 1 : 0) }
            })
        Gauge(label: MetricNames.queueWritable, dimensions: [], factory: registry).record(health.problem == nil ? 1 : 0)
        for connector in connectors.sorted { connector.refreshMetrics() }
        // A queue that cannot be read keeps the last figures; relay_queue_writable tells why.
        guard let statistics else { return }
        let now = clock.now
        let all = statistics.merging(dispatchers.keys.map { ($0, QueueStatistics()) }) { known, _ in known }
        set(
            MetricNames.queueDepth,
            all.flatMap { backend, figures in
                let waiting = figures.waiting(isHeld: statuses[backend]?.isHeld ?? false)
                return [DeliveryState.pending, .scheduled, .inFlight, .held].map { state in
                    (backend, [("state", state.rawValue)], Double(waiting[state] ?? 0))
                }
            })
        set(
            MetricNames.queueOldestAge,
            all.map { ($0, [], max(0, $1.oldestReceivedAt?.duration(to: now).inSeconds ?? 0)) })
        set(MetricNames.deadLettersKept, all.map { ($0, [], Double($1.dead)) })
        set(MetricNames.dropped, all.map { ($0, [], Double($1.dropped)) })
    }

    private func set(_ label: String, _ values: [(backend: BackendName, labels: [(String, String)], value: Double)]) {
        registry.replaceGauges(
            label, with: values.map { ([("backend", $0.backend.text)] + $0.labels, $0.value) })
    }
}

extension QueueStatistics {
    /// By state; of a backend that is left alone, what is not in flight is held, however due.
    func waiting(isHeld: Bool) -> [DeliveryState: Int] {
        guard isHeld else { return waiting }
        let inFlight = waiting[.inFlight] ?? 0
        return [.inFlight: inFlight, .held: waitingCount - inFlight]
    }
}
