// Slack refuses: each failure is one attempt, one wait and one log line, and never a storm.

import Foundation
import RelayCore
import RelayTestKit
import SlackSimulator
import Testing

@Suite("Slack refuses connections", .timeLimit(.minutes(2)))
struct ReconnectTests {
    private static let failure = "attempt to connect failed"
    private static let wait = "waiting before the next attempt to connect"

    @Test("409 on the first 8 upgrades: eight attempts one after the other, each after its wait, then connected")
    func conflicts() async throws {
        try await Stage.with(prepare: { try await $0.failUpgrades(8, with: .status(409)) }) { stage in
            try await stage.relay.logged("connected") { $0["slot"] == "1" }
            let failures = stage.relay.log.filter { $0.message == Self.failure }
            let waits = stage.relay.log.filter { $0.message == Self.wait }
            let start = try #require(failures.first).time
            print("attempts that got a 409, in ms:", failures.map { Int($0.time.timeIntervalSince(start) * 1000) })

            #expect(failures.map { $0["status"] } == Array(repeating: "409", count: 8))
            #expect(failures.allSatisfy { $0["outcome"] == "upgrade_rejected" && $0["server"] == "envoy" })
            #expect(waits.count == 8)
            // Each is random up to a bound that grows from 50 to 400 ms: that eight are so short together happens to
            // nobody.
            #expect(waits.reduce(0) { $0 + ($1["wait_ms"].flatMap { Int($0) } ?? 0) } >= 100)
            for (wait, next) in zip(waits, failures.dropFirst()) {
                let milliseconds = try #require(wait["wait_ms"].flatMap { Double($0) })
                #expect(milliseconds <= 400)
                #expect(next.time.timeIntervalSince(wait.time) * 1000 >= milliseconds - 10, "dialed before its time")
            }
            // A URL of its own for each dial, and no dial beside: 8 that failed, and one for each slot.
            let statistics = try await stage.slack.statistics()
            #expect(statistics.upgrades == 10)
            #expect(statistics.apiCalls == 10)
        }
    }

    @Test("the Retry-After of a 429 is obeyed, however short the backoff")
    func retryAfter() async throws {
        let limited = APIFault.status(429, retryAfter: 1)
        try await Stage.with(prepare: { try await $0.failAPICalls(1, with: limited) }) { stage in
            let connected = try await stage.relay.logged("connected")
            let failure = try await stage.relay.logged(Self.failure)
            let wait = try await stage.relay.logged(Self.wait)
            #expect(failure["outcome"] == "rate_limited")
            #expect(failure["status"] == "429")
            #expect(wait["wait_ms"].flatMap { Int($0) } ?? 0 >= 1000)
            #expect(connected.time.timeIntervalSince(failure.time) >= 0.99)
            #expect(stage.relay.log.count { $0.message == Self.failure } == 1)
        }
    }

    @Test(
        "an odd answer to the upgrade is one failed attempt, logged with status, via and server",
        arguments: [
            (UpgradeFault.html, "200", nil, nil),
            (.status(404), "404", "envoy-wss-simulated", "envoy"),
            (.status(503), "503", "envoy-wss-simulated", "envoy"),
            (.status(408, headers: [.init(name: "server", value: "squid")]), "408", "envoy-wss-simulated", "squid"),
        ] as [(UpgradeFault, String, String?, String?)])
    func refusedUpgrade(fault: UpgradeFault, status: String, via: String?, server: String?) async throws {
        try await Stage.with(prepare: { try await $0.failUpgrades(1, with: fault) }) { stage in
            try await stage.relay.logged("connected") { $0["slot"] == "1" }
            let failures = stage.relay.log.filter { $0.message == Self.failure }
            #expect(failures.map { $0["status"] } == [status])
            #expect(failures.map { $0["outcome"] } == ["upgrade_rejected"])
            #expect(failures.map { $0["via"] } == [via])
            #expect(failures.map { $0["server"] } == [server])
            #expect(try await stage.slack.statistics().upgrades == 3)
        }
    }

    @Test("HTML in place of the API's JSON is one failed attempt that names the content type")
    func htmlFromTheAPI() async throws {
        try await Stage.with(prepare: { try await $0.failAPICalls(1, with: .html) }) { stage in
            try await stage.relay.logged("connected") { $0["slot"] == "1" }
            let failures = stage.relay.log.filter { $0.message == Self.failure }
            #expect(failures.map { $0["outcome"] } == ["api_error"])
            #expect(failures.first?["detail"]?.contains("text/html instead of JSON") == true)
            #expect(try await stage.slack.statistics().apiCalls == 3)
        }
    }

    @Test("no log line holds a token, a ticket or a socket URL, whatever fails")
    func secretsStayOut() async throws {
        let faults: [UpgradeFault] = [.status(409), .html, .reset, .disconnect(reason: "refresh_requested")]
        let prepare: (SlackSimulator) async throws -> Void = { slack in
            for fault in faults { try await slack.failUpgrades(1, with: fault) }
            try await slack.failAPICalls(1, with: .reset)
        }
        try await Stage.with(prepare: prepare) { stage in
            try await stage.relay.logged("connected") { $0["slot"] == "1" }
            #expect(stage.relay.log.count { $0.message == Self.failure } == 5)
            for secret in ["xapp-", "ticket", "/link", "ws://"] {
                #expect(!stage.relay.process.errors.text.contains(secret), "the log holds \(secret)")
            }
        }
    }
}
