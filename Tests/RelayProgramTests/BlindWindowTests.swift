// The times without any connection: counted, logged, and none at a planned refresh.

import RelayTestKit
import SlackSimulator
import Testing

@Suite("Blind windows", .timeLimit(.minutes(1)))
struct BlindWindowTests {
    @Test("the start counts; a planned refresh adds nothing; the loss of all connections is counted and logged")
    func windows() async throws {
        try await Stage.with { stage in
            try await stage.slack.waitForConnections(atLeast: 2)
            let name = "relay_socket_blind_seconds_total"
            let page = try await stage.relay.metrics()
            #expect(page.types[name] == "counter")
            let start = try #require(page.value(name, "app=\"default\""))
            #expect(start > 0)

            try await stage.slack.disturb(.all, .refresh)
            try await stage.slack.wait(for: .hello, times: 4)
            try await stage.slack.wait(for: .ended, times: 2)
            #expect(try await stage.relay.metric(name) == start)
            #expect(!stage.relay.log.contains { $0.message.hasPrefix("connected again after") })

            try await stage.slack.disturb(.all, .cut)
            let record = try await stage.relay.logged("connected again after a time without any connection")
            #expect(record.level == "warning")
            #expect(record["blind.duration_ms"] != nil)
            #expect(try await stage.relay.metric(name) > start)
        }
    }
}
