// What waiting does not cure: a refused token, Socket Mode switched off, and the cap of ten connections.

import Foundation
import RelayTestKit
import SlackSimulator
import Testing

/// How Slack lets an app know that it may not connect.
enum Refusal: String, CaseIterable, CustomTestStringConvertible {
    case invalidAuth = "invalid_auth"
    case linkDisabled = "link_disabled"

    var testDescription: String { rawValue }

    func prepare(_ slack: SlackSimulator) async throws {
        switch self {
        case .invalidAuth: try await slack.failAPICalls(1, with: .error(code: rawValue))
        case .linkDisabled: try await slack.failUpgrades(1, with: .disconnect(reason: rawValue))
        }
    }
}

@Suite("Slack refuses the app", .timeLimit(.minutes(2)))
struct RefusalTests {
    private static let refused = "Slack refuses this app: a person must act; trying again slowly"
    private static let waitingForRoom = "Slack has all the connections it allows: waiting for room"

    @Test("serve stays up, alive but not ready, and tries again in five minutes", arguments: Refusal.allCases)
    func serve(refusal: Refusal) async throws {
        try await Stage.with(prepare: refusal.prepare) { stage in
            let alarm = try await stage.relay.logged(Self.refused)
            #expect(alarm.level == "error")
            #expect(alarm["error"] == refusal.rawValue)
            #expect(alarm["wait_ms"] == "300000")
            let ready = try await stage.relay.health("/readyz")
            #expect(ready.status == 503)
            #expect(ready.body == "slack: no connection\nslack: refuses this app: \(refusal.rawValue)\n")
            #expect(try await stage.relay.health("/healthz").status == 200)
            #expect(await stage.relay.terminate() == 0)
            #expect(try await stage.slack.statistics().apiCalls == 1)
        }
    }

    @Test("link_disabled on a connection that worked ends all dialing", arguments: [1, 2])
    func linkDisabledLater(connections: Int) async throws {
        try await Stage.with(relay: .init(slack: ["connections: \(connections)"])) { stage in
            try await stage.slack.waitForConnections(atLeast: connections)
            try await stage.slack.disturb(.all, .disconnect(reason: "link_disabled"))
            let alarm = try await stage.relay.logged(Self.refused)
            #expect(alarm["error"] == "link_disabled")
            try await stage.slack.wait(for: .ended, times: connections)
            #expect(await stage.relay.terminate() == 0)
            #expect(try await stage.slack.statistics().upgrades == connections)
        }
    }

    @Test("forward says so and exits 77", arguments: Refusal.allCases)
    func forward(refusal: Refusal) async throws {
        let slack = try await Stage.makeSlack()
        try await refusal.prepare(slack)
        let relay = try ChildProcess.relay(
            ["forward", "http://127.0.0.1:9/slack/events", "--api-url", slack.apiURL],
            environment: RelayHome.environment)
        #expect(await relay.waitForExit() == 77)
        #expect(await relay.errors.first(containing: "Slack refused the connection: \(refusal.rawValue)") != nil)
        #expect(try await slack.statistics().apiCalls == 1)
        await slack.stop()
    }

    @Test("at the cap, with ghosts only, one attempt is made, and the log says that the next is minutes away")
    func noRoom() async throws {
        try await Stage.with(slack: .init(ghosts: 10)) { stage in
            let notice = try await stage.relay.logged(Self.waitingForRoom)
            #expect(notice["wait_ms"].flatMap { Int($0) } ?? 0 >= 60_000)
            #expect(
                stage.relay.log.last { $0.message == "attempt to connect failed" }?["outcome"] == "too_many_websockets")
            #expect(try await stage.relay.health("/readyz").status == 503)
            #expect(await stage.relay.terminate() == 0)
            #expect(try await stage.slack.statistics().upgrades == 1)
        }
    }

    @Test("at the cap nothing is dialed until one of ours ends; when the ghosts are gone then, every slot is filled")
    func roomAgain() async throws {
        try await Stage.with(slack: .init(ghosts: 9)) { stage in
            let notice = try await stage.relay.logged(Self.waitingForRoom)
            #expect(notice["wait_ms"].flatMap { Int($0) } ?? 0 >= 60_000)
            // The second slot has not been dialed for: Slack told the number with the first hello.
            #expect(try await stage.slack.statistics().upgrades == 1)
            try await stage.slack.update { $0.ghosts = 0 }
            try await stage.slack.disturb(.oldest, .cut)
            try await stage.slack.waitForConnections(atLeast: 2)
            #expect(try await stage.slack.statistics().upgrades == 3)
            #expect(try await stage.slack.history().allSatisfy { $0.what != .refused })
        }
    }

    @Test("a refresh at the cap closes the old connection before it dials the new one")
    func refreshAtTheCap() async throws {
        try await Stage.with(slack: .init(warningLead: nil, closeDelay: .seconds(30), ghosts: 8)) { stage in
            try await stage.slack.waitForConnections(atLeast: 2)
            let old = try #require(try await stage.slack.connections().first).id
            try await stage.slack.disturb(.one(old), .refresh)
            try await stage.slack.wait(for: .hello, times: 3)
            let history = try await stage.slack.history()
            let closed = history.firstIndex { $0.what == .closeReceived && $0.connection == old }
            let replaced = history.lastIndex { $0.what == .hello }
            #expect(try #require(closed) < #require(replaced))
            #expect(history.allSatisfy { $0.what != .refused }, "dialed while Slack had ten")
        }
    }
}
