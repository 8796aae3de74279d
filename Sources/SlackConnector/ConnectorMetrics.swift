// What the connections of one app count. Every label value is from the configuration or a closed set.

import Metrics
import RelayCore
import SocketMode

struct ConnectorMetrics: Sendable {
    private let states: [ConnectionState: Gauge]
    private let reported: Gauge
    private let blindSeconds: FloatingPointCounter
    private let connects: [ConnectOutcome: Counter]
    private let disconnects: [EndReason: Counter]
    private let acknowledgements: [AcknowledgementWay: Counter]

    init(app: AppName, factory: any MetricsFactory) {
        func labels(_ name: String, _ value: String) -> [(String, String)] { [("app", app.text), (name, value)] }
        func counters<Key: CaseIterable & Hashable & RawRepresentable<String>>(_ label: String, by name: String)
            -> [Key: Counter]
        {
            Dictionary(
                uniqueKeysWithValues: Key.allCases.map {
                    ($0, Counter(label: label, dimensions: labels(name, $0.rawValue), factory: factory))
                })
        }
        states = Dictionary(
            uniqueKeysWithValues: ConnectionState.allCases.map {
                ($0, Gauge(label: "relay_connections", dimensions: labels("state", $0.rawValue), factory: factory))
            })
        reported = Gauge(label: "relay_reported_connections", dimensions: [("app", app.text)], factory: factory)
        blindSeconds = FloatingPointCounter(
            label: "relay_socket_blind_seconds_total", dimensions: [("app", app.text)], factory: factory)
        connects = counters("relay_connects_total", by: "outcome")
        disconnects = counters("relay_disconnects_total", by: "reason")
        acknowledgements = counters("relay_acknowledgements_sent_total", by: "via")
    }

    func attemptEnded(_ outcome: ConnectOutcome) { connects[outcome]?.increment() }
    func disconnected(_ reason: EndReason) { disconnects[reason]?.increment() }
    func acknowledged(_ count: Int, via way: AcknowledgementWay) { acknowledgements[way]?.increment(by: count) }

    func wasBlind(for duration: Duration) { blindSeconds.increment(by: duration.inSeconds) }

    func show(_ status: ConnectorStatus) {
        for (state, gauge) in states { gauge.record(status.connections.count { $0.state == state }) }
        reported.record(status.reported ?? 0)
    }
}
