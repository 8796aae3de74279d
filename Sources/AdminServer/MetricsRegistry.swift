// The backend of swift-metrics in this program: holds every metric and writes them in the Prometheus text format.

package import CoreMetrics
import Synchronization

/// Makes metrics and renders them. Safe to use from any thread; handlers are kept for ever, because labels come from
/// the configuration or from closed sets.
///
/// Labels become metric names as they are given: they must already be in Prometheus' form (`relay_attempts_total`).
package final class MetricsRegistry: MetricsFactory {
    /// What each metric means, for its `# HELP` line.
    private let help: [String: String]
    private let families = Mutex<[String: Family]>([:])

    /// Upper bounds of histogram buckets, in seconds: from what a loopback POST takes to what a person gives up on.
    static let bucketBounds = [
        0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600,
    ]

    private struct Family {
        var type: String
        var series: [LabelSet: any Series] = [:]
    }

    package init(help: [String: String] = [:]) {
        self.help = help
    }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        series(label, "counter", dimensions) { CounterSeries() }
    }

    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        series(label, "counter", dimensions) { FractionCounterSeries() }
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        series(label, "gauge", dimensions) { GaugeSeries() }
    }

    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        guard aggregate else { return series(label, "gauge", dimensions) { GaugeSeries() } }
        return series(label, "histogram", dimensions) { HistogramSeries(bounds: Self.bucketBounds) }
    }

    /// Timers record seconds.
    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(label, "histogram", dimensions) { HistogramSeries(bounds: Self.bucketBounds) }
    }

    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    /// Forgets the series of a metric.
    package func reset(_ label: String) {
        families.withLock { $0[label]?.series = [:] }
    }

    /// For gauges that are measured anew at each scrape: from now on the metric has exactly these. All at once, so that
    /// no page shows some of them.
    package func replaceGauges(_ label: String, with values: [(dimensions: [(String, String)], value: Double)]) {
        var family = Family(type: "gauge")
        for (dimensions, value) in values {
            let gauge = GaugeSeries()
            gauge.set(value)
            family.series[LabelSet(dimensions)] = gauge
        }
        families.withLock { $0[label] = family }
    }

    /// Forgets the gauges that have this label: what they measured is gone for good. Counters stay, as long as the
    /// process: what was counted was counted.
    package func removeGauges(_ name: String, _ value: String) {
        families.withLock { families in
            for (label, family) in families where family.type == "gauge" {
                families[label]?.series = family.series.filter { !$0.key.has(name, value) }
            }
        }
    }

    /// All metrics in the Prometheus text format 0.0.4, sorted by name and labels.
    package func render() -> String {
        let families = families.withLock { $0 }
        var text = ""
        for (label, family) in families.sorted(by: { $0.key < $1.key }) where !family.series.isEmpty {
            if let help = help[label] { text += "# HELP \(label) \(help)\n" }
            text += "# TYPE \(label) \(family.type)\n"
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
                series.render(label, labels, into: &text)
            }
        }
        return text
    }

    private func series<Made: Series>(
        _ label: String, _ type: String, _ dimensions: [(String, String)], make: () -> Made
    ) -> Made {
        let labels = LabelSet(dimensions)
        return families.withLock { families in
            // A metric keeps the type it was first made with: a second type would make the whole page unreadable.
            if let made = families[label]?.series[labels] as? Made { return made }
            let made = make()
            if families[label, default: Family(type: type)].type == type {
                families[label, default: Family(type: type)].series[labels] = made
            }
            return made
        }
    }
}

/// Labels of one series, rendered once: `app="default",kind="event"`.
struct LabelSet: Hashable, Comparable {
    let text: String

    init(_ dimensions: [(String, String)]) {
        text = dimensions.map { "\($0)=\"\(Self.escape($1))\"" }.joined(separator: ",")
    }

    /// Whether it has this label.
    func has(_ name: String, _ value: String) -> Bool {
        ",\(text),".contains(",\(name)=\"\(Self.escape(value))\",")
    }

    /// With one label more, in braces; empty when there is none.
    func braced(adding extra: String? = nil) -> String {
        let all = [text, extra ?? ""].filter { !$0.isEmpty }.joined(separator: ",")
        return all.isEmpty ? "" : "{\(all)}"
    }

    static func < (lhs: Self, rhs: Self) -> Bool { lhs.text < rhs.text }

    /// Backslash, quote and line feed, as the text format asks.
    private static func escape(_ value: String) -> String {
        guard value.utf8.contains(where: { $0 == 0x5C || $0 == 0x22 || $0 == 0x0A }) else { return value }
        return value.reduce(into: "") { text, character in
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.append(character)
            }
        }
    }
}

/// One metric with one set of labels.
protocol Series: AnyObject, Sendable {
    func render(_ label: String, _ labels: LabelSet, into text: inout String)
}

final class CounterSeries: Series, CounterHandler {
    private let value = Atomic<Int64>(0)

    func increment(by amount: Int64) { value.wrappingAdd(amount, ordering: .relaxed) }
    func reset() { value.store(0, ordering: .relaxed) }

    func render(_ label: String, _ labels: LabelSet, into text: inout String) {
        text += "\(label)\(labels.braced()) \(value.load(ordering: .relaxed))\n"
    }
}

/// A counter of what does not come in whole numbers, such as seconds.
final class FractionCounterSeries: Series, FloatingPointCounterHandler {
    private let value = Mutex<Double>(0)

    func increment(by amount: Double) {
        guard amount.isFinite, amount > 0 else { return }
        value.withLock { $0 += amount }
    }

    func reset() { value.withLock { $0 = 0 } }

    func render(_ label: String, _ labels: LabelSet, into text: inout String) {
        text += "\(label)\(labels.braced()) \(formatted(value.withLock { $0 }))\n"
    }
}

final class GaugeSeries: Series, MeterHandler, RecorderHandler {
    private let value = Mutex<Double>(0)

    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { self.value.withLock { $0 = value } }
    func increment(by amount: Double) { value.withLock { $0 += amount } }
    func decrement(by amount: Double) { value.withLock { $0 -= amount } }
    func record(_ value: Int64) { set(Double(value)) }
    func record(_ value: Double) { set(value) }
    func reset() { set(0.0) }

    func render(_ label: String, _ labels: LabelSet, into text: inout String) {
        text += "\(label)\(labels.braced()) \(formatted(value.withLock { $0 }))\n"
    }
}

final class HistogramSeries: Series, RecorderHandler, TimerHandler {
    private struct State {
        /// Observations per bucket, not cumulated; the last one is beyond all bounds.
        var counts: [Int]
        var sum = 0.0
    }

    private let bounds: [Double]
    private let state: Mutex<State>

    init(bounds: [Double]) {
        self.bounds = bounds
        self.state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    func record(_ value: Int64) { record(Double(value)) }
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func record(_ value: Double) {
        guard value.isFinite else { return }
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { state in
            state.counts[bucket] += 1
            state.sum += value
        }
    }

    func render(_ label: String, _ labels: LabelSet, into text: inout String) {
        let state = state.withLock { $0 }
        var cumulated = 0
        for (bound, count) in zip(bounds, state.counts) {
            cumulated += count
            text += "\(label)_bucket\(labels.braced(adding: "le=\"\(formatted(bound))\"")) \(cumulated)\n"
        }
        let total = state.counts.reduce(0, +)
        text += "\(label)_bucket\(labels.braced(adding: "le=\"+Inf\"")) \(total)\n"
        text += "\(label)_sum\(labels.braced()) \(formatted(state.sum))\n"
        text += "\(label)_count\(labels.braced()) \(total)\n"
    }
}

/// Whole numbers without a fraction.
private func formatted(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
}
