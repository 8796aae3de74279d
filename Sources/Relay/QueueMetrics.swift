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
        gauge(MetricNames.queueWritable, [], health.problem == nil ? 1 : 0)
        for connector in connectors.sorted { connector.refreshMetrics() }
        // Those of backends that are gone go with them.
        for label in [MetricNames.answersWaiting, MetricNames.backendState] { registry.reset(label) }
        let dispatchers = dispatchers.all
        for (backend, count) in await answerer.waiting {
            gauge(MetricNames.answersWaiting, [("backend", backend.text)], Double(count))
        }
        var held: Set<BackendName> = []
        for (backend, dispatcher) in dispatchers {
            let status = await dispatcher.status
            if status.isHeld { held.insert(backend) }
            for word in DispatchStateMachine.Status.words {
                gauge(
                    MetricNames.backendState, [("backend", backend.text), ("state", word)], status.word == word ? 1 : 0)
            }
        }
        // A queue that cannot be read keeps the last figures; relay_queue_writable tells why.
        guard let statistics = try? await queue.statistics() else { return }
        for label in [
            MetricNames.queueDepth, MetricNames.queueOldestAge, MetricNames.deadLettersKept, MetricNames.dropped,
        ] {
            registry.reset(label)
        }
        let now = clock.now
        let all = statistics.merging(dispatchers.keys.map { ($0, QueueStatistics()) }) { known, _ in known }
        for (backend, figures) in all {
            let labels = [("backend", backend.text)]
            let waiting = held.contains(backend) ? figures.heldBack : figures.waiting
            for state in [DeliveryState.pending, .scheduled, .inFlight, .held] {
                gauge(MetricNames.queueDepth, labels + [("state", state.rawValue)], Double(waiting[state] ?? 0))
            }
            let age = figures.oldestReceivedAt.map { $0.duration(to: now).inSeconds } ?? 0
            gauge(MetricNames.queueOldestAge, labels, max(0, age))
            gauge(MetricNames.deadLettersKept, labels, Double(figures.dead))
            gauge(MetricNames.dropped, labels, Double(figures.dropped))
        }
    }

    private func gauge(_ label: String, _ labels: [(String, String)], _ value: Double) {
        Gauge(label: label, dimensions: labels, factory: registry).record(value)
    }
}

extension QueueStatistics {
    /// Of a backend that is left alone: what is not in flight is held, however due.
    var heldBack: [DeliveryState: Int] {
        let inFlight = waiting[.inFlight] ?? 0
        return [.inFlight: inFlight, .held: waitingCount - inFlight]
    }
}
