// Connections come and go under load: what was acknowledged is delivered, and nothing stays unacknowledged.

import RelayTestKit
import SlackSimulator
import Testing

/// One after the other: each needs the machine for itself.
@Suite("connections come and go under load", .serialized, .timeLimit(.minutes(2)))
struct ContinuityTests {
    /// Copies enough that an event is lost only when relay never acknowledges it.
    private static let patient = [Duration](repeating: .milliseconds(200), count: 100)

    @Test("connections reset every second: everything is acknowledged in the end, and delivered once")
    func resets() async throws {
        let slack = SlackSimulatorConfiguration(
            acknowledgementDeadline: .seconds(1), redelivery: Self.patient, resetAfter: .seconds(1))
        let settings = RelaySettings(backoff: "{ initial: 20ms, max: 100ms, stable: 500ms }")
        try await Stage.with(slack: slack, relay: settings) { stage in
            let sent = try await stage.sendEvents(until: .reset, times: 8)
            let statistics = try await stage.slack.statistics()
            print("resets: \(sent) events, \(statistics.redeliveries) redeliveries, \(statistics.upgrades) dials")
            #expect(statistics.acknowledged == sent)
            #expect(statistics.lost == 0)
            let delivered = await stage.deliveredEvents(atLeast: sent)
            #expect(Set(delivered).count == sent)
            #expect(delivered.count == sent, "a redelivered event was stored twice")
            // Each end of a connection is one new dial.
            let ends = try await stage.slack.history().count { $0.what == .reset }
            #expect(statistics.upgrades <= 2 + ends)
        }
    }

    @Test(
        "a refresh of every connection each second under load: no redelivery and no moment without a connection",
        arguments: [1, 2])
    func refreshes(connections: Int) async throws {
        let slack = SlackSimulatorConfiguration(
            acknowledgementDeadline: .seconds(10), connectionLifetime: .seconds(1), warningLead: nil,
            closeDelay: .seconds(5))
        try await Stage.with(slack: slack, relay: .init(slack: ["connections: \(connections)"])) { stage in
            try await stage.slack.waitForConnections(atLeast: connections)
            let sent = try await stage.sendEvents(until: .refreshRequested, times: 4 * connections)
            let statistics = try await stage.slack.statistics()
            let history = try await stage.slack.history()
            print("refreshes: \(sent) events over \(connections) connections, \(statistics.upgrades) dials")
            #expect(statistics.acknowledged == sent)
            #expect(statistics.redeliveries == 0)
            #expect(statistics.refusedUpgrades == 0)
            #expect(history.allSatisfy { $0.connected > 0 }, "a moment without a connection")
            #expect(history.count { $0.what == .closeReceived } >= 3 * connections)
            let delivered = await stage.deliveredEvents(atLeast: sent)
            #expect(delivered.count == sent)
            #expect(Set(delivered).count == sent)
            #expect(stage.relay.log.allSatisfy { $0.message != "waiting before the next attempt to connect" })
        }
    }

    @Test("a half-open connection is noticed by its silence and replaced; what Slack sent into it comes again")
    func halfOpen() async throws {
        let slack = SlackSimulatorConfiguration(
            acknowledgementDeadline: .milliseconds(500), redelivery: Self.patient, firstPing: .milliseconds(200),
            pingInterval: .milliseconds(200))
        let settings = RelaySettings(slack: ["ping_interval: 200ms", "dead_after: 1500ms"])
        try await Stage.with(slack: slack, relay: settings) { stage in
            try await stage.slack.waitForConnections(atLeast: 2)
            try await stage.slack.disturb(.oldest, .silence)
            // Half of them go where nobody reads.
            let sent = try await stage.slack.send(.message, count: 20).count
            let end = try await stage.relay.logged("disconnected")
            #expect(end["reason"] == "dead")
            try await stage.slack.wait(for: .hello, times: 3)
            // Slack saw no end of it, and goes on sending into it for a while.
            try await stage.slack.update { $0.ghosts = 0 }
            try await stage.slack.waitUntilSettled()
            let statistics = try await stage.slack.statistics()
            #expect(statistics.acknowledged == sent)
            #expect(statistics.redeliveries > 0)
            #expect(Set(await stage.deliveredEvents(atLeast: sent)).count == sent)
        }
    }
}
