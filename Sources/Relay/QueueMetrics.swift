// Gauges of what waits, measured when somebody asks.

import AdminServer
import Metrics
import RelayCore

/// Reads the answerer's and the queue's statistics into the registry before each scrape.
struct QueueMetrics: Sendable {
    let queue: any DeliveryQueue
    let answerer: Answerer
    /// The configured ones, which have their series although nothing waits for them.
    let backends: [BackendName]
    let health: QueueHealth
    let clock: any RelayClock
    let registry: MetricsRegistry

    func refresh() async {
        gauge(MetricNames.queueWritable, [], health.problem == nil ? 1 : 0)
        for (backend, count) in await answerer.waiting {
            gauge(MetricNames.answersWaiting, [("backend", backend.text)], Double(count))
        }
        // A queue that cannot be read keeps the last figures; relay_queue_writable tells why.
        guard let statistics = try? await queue.statistics() else { return }
        for label in [
            MetricNames.queueDepth, MetricNames.queueOldestAge, MetricNames.deadLettersKept, MetricNames.dropped,
        ] {
            registry.reset(label)
        }
        let now = clock.now
        let all = statistics.merging(backends.map { ($0, QueueStatistics()) }) { known, _ in known }
        for (backend, figures) in all {
            let labels = [("backend", backend.text)]
            for state in [DeliveryState.pending, .scheduled, .inFlight] {
                gauge(
                    MetricNames.queueDepth, labels + [("state", state.rawValue)], Double(figures.waiting[state] ?? 0))
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
