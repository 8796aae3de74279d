// What Gateway and Dispatcher count. Names and labels as in docs/operations.md; labels come from the configuration or a
// closed set.

package import Metrics
package import RelayCore
import Synchronization

/// Counters that differ in one label only, made when first needed.
final class CounterFamily<Key: Hashable & Sendable>: Sendable {
    private let counters = Mutex<[Key: Counter]>([:])
    private let make: @Sendable (Key) -> Counter

    init(make: @escaping @Sendable (Key) -> Counter) { self.make = make }

    func increment(_ key: Key) { counter(key).increment() }

    /// Makes the counter, at zero: what is counted from the first scrape on can be alerted on from the first increment
    /// on.
    func begin(_ key: Key) { _ = counter(key) }

    private func counter(_ key: Key) -> Counter {
        counters.withLock { counters in
            if let counter = counters[key] { return counter }
            let counter = make(key)
            counters[key] = counter
            return counter
        }
    }
}

package struct GatewayMetrics: Sendable {
    private struct AppKind: Hashable {
        var app: AppName
        var kind: Kind
        var word = ""
    }

    private let envelopes: CounterFamily<AppKind>
    private let retries: CounterFamily<AppKind>
    private let duplicates: CounterFamily<AppKind>
    private let unrouted: CounterFamily<AppKind>
    private let withheld: CounterFamily<AppKind>
    private let acknowledgementDuration: Recorder

    /// - Parameter apps: whose counters begin at zero; those of others begin when they are first needed.
    package init(factory: any MetricsFactory, apps: [AppName] = []) {
        func family(_ label: String, word: String? = nil) -> CounterFamily<AppKind> {
            CounterFamily { key in
                var labels = [("app", key.app.text), ("kind", key.kind.rawValue)]
                if let word { labels.append((word, key.word)) }
                return Counter(label: label, dimensions: labels, factory: factory)
            }
        }
        envelopes = family("relay_envelopes_total")
        retries = family("relay_slack_retries_total")
        duplicates = family("relay_duplicates_total")
        unrouted = family("relay_unrouted_total", word: "action")
        withheld = family("relay_withheld_total", word: "reason")
        acknowledgementDuration = Recorder(
            label: "relay_acknowledgement_duration_seconds", dimensions: [], aggregate: true, factory: factory)
        for app in apps {
            for kind in Kind.allCases {
                envelopes.begin(.init(app: app, kind: kind))
                retries.begin(.init(app: app, kind: kind))
                duplicates.begin(.init(app: app, kind: kind))
                for action in UnroutedPolicy.Action.allCases {
                    unrouted.begin(.init(app: app, kind: kind, word: action.rawValue))
                }
                for reason in ["overloaded", "queue_full", "queue_unavailable"] {
                    withheld.begin(.init(app: app, kind: kind, word: reason))
                }
            }
        }
    }

    func received(_ envelope: Envelope) {
        envelopes.increment(.init(app: envelope.app, kind: envelope.kind))
        if envelope.retry != nil { retries.increment(.init(app: envelope.app, kind: envelope.kind)) }
    }

    func duplicate(_ envelope: Envelope) { duplicates.increment(.init(app: envelope.app, kind: envelope.kind)) }

    func unrouted(_ envelope: Envelope, _ action: UnroutedPolicy.Action) {
        unrouted.increment(.init(app: envelope.app, kind: envelope.kind, word: action.rawValue))
    }

    func withheld(_ envelopes: [Envelope], because reason: String) {
        for envelope in envelopes {
            withheld.increment(.init(app: envelope.app, kind: envelope.kind, word: reason))
        }
    }

    func acknowledged(_ envelope: Envelope, at now: Timestamp) {
        acknowledgementDuration.record(envelope.receivedAt.duration(to: now).inSeconds)
    }
}

package struct BackendMetrics: Sendable {
    private let attempts: CounterFamily<AttemptOutcome>
    private let attemptDuration: Recorder
    private let deliveryDuration: Recorder
    private let deadLetters: Counter
    private let expirations: Counter
    private let openings: Counter

    package init(backend: BackendName, factory: any MetricsFactory) {
        let labels = [("backend", backend.text)]
        attempts = CounterFamily { outcome in
            Counter(
                label: "relay_attempts_total",
                dimensions: labels + [
                    ("outcome", outcome.word), ("reason", outcome.reason.map(\.description) ?? ""),
                ], factory: factory)
        }
        func histogram(_ label: String) -> Recorder {
            Recorder(label: label, dimensions: labels, aggregate: true, factory: factory)
        }
        attemptDuration = histogram("relay_attempt_duration_seconds")
        deliveryDuration = histogram("relay_delivery_duration_seconds")
        deadLetters = Counter(label: "relay_dead_letters_total", dimensions: labels, factory: factory)
        expirations = Counter(label: "relay_expired_total", dimensions: labels, factory: factory)
        openings = Counter(label: "relay_breaker_openings_total", dimensions: labels, factory: factory)
        attempts.begin(.accepted)
    }

    func attempted(_ delivery: Delivery, _ result: AttemptResult, startedAt: Timestamp, finishedAt: Timestamp) {
        attempts.increment(result.outcome)
        attemptDuration.record(startedAt.duration(to: finishedAt).inSeconds)
        if result.outcome == .accepted {
            deliveryDuration.record(delivery.receivedAt.duration(to: finishedAt).inSeconds)
        }
    }

    func deadLettered() { deadLetters.increment() }
    func expired() { expirations.increment() }
    func breakerOpened() { openings.increment() }
}
