// The page of metrics of a relay that has worked.

import RelayTestKit
import SlackSimulator
import Testing

@Suite("metrics", .timeLimit(.minutes(2)))
struct MetricsPageTests {
    @Test("the page is well-formed: each metric has its HELP, its TYPE, and samples of its own")
    func wellFormed() async throws {
        try await Stage.with { stage in
            try await stage.slack.waitForConnections(atLeast: 2)
            _ = try await stage.slack.send(.message, count: 5)
            let page = try await stage.relay.metrics {
                $0.value("relay_attempts_total", #"outcome="accepted""#) == 5
                    && $0.value("relay_connections", #"state="connected""#) == 2
            }
            #expect(page.problems == [])
            #expect(Set(page.types.keys) == Set(page.help.keys))
            #expect(page.types.keys.allSatisfy { $0.hasPrefix("relay_") })
            #expect(page.value("relay_envelopes_total", #"kind="event""#) == 5)
            #expect(page.value("relay_acknowledgements_sent_total", #"via="same""#) == 5)
            #expect(page.value("relay_connects_total", #"outcome="connected""#) == 2)
            #expect(page.value("relay_acknowledgement_duration_seconds_count") == 5)
            #expect(page.value("relay_queue_writable") == 1)
            #expect(page.value("relay_configuration_refused") == 0)
            #expect(!page.text.contains("C0SIMULATED"), "a label from traffic")
        }
    }

    @Test("relay_reported_connections tells of connections that are not ours")
    func ghosts() async throws {
        try await Stage.with(slack: .init(ghosts: 3)) { stage in
            let connected = try await stage.relay.logged("connected") { $0["slot"] == "1" }
            #expect(connected["connections.reported"] == "5")
            let page = try await stage.relay.metrics { $0.value("relay_reported_connections") == 5 }
            #expect(page.value("relay_connections", #"state="connected""#) == 2)
        }
    }
}
