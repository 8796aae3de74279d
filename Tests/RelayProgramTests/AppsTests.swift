// Several Slack apps in one gateway: each with its connections, its secret and its name.

import Foundation
import Logging
import RelayCore
import RelayTestKit
import Signing
import SlackSimulator
import Testing

@Suite("Several apps", .timeLimit(.minutes(2)))
struct AppsTests {
    private static func makeSlack(token: String) async throws -> SlackSimulator {
        var configuration = SlackSimulatorConfiguration()
        configuration.appToken = Secret(token)
        return try await SlackSimulator.start(
            configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Whether Slack's signature is of this secret.
    private static func isSigned(_ request: RecordingBackend.Request, with secret: String) -> Bool {
        guard let timestamp = request.header("X-Slack-Request-Timestamp").flatMap({ Int64($0) }) else { return false }
        let signature = SlackSignature.sign(secret: Array(secret.utf8), timestamp: timestamp, body: request.body)
        return request.header("X-Slack-Signature") == signature
    }

    /// Runs a gateway with the apps `sales` and `support`, each at a Slack of its own.
    private func with(
        answer: RecordingBackend.Answer = .ok,
        _ body: (_ relay: RunningRelay, _ sales: SlackSimulator, _ support: SlackSimulator, RecordingBackend)
            async throws -> Void
    ) async throws {
        let sales = try await Self.makeSlack(token: RelayHome.appToken)
        let support = try await Self.makeSlack(token: "xapp-1-A0SUPPORT-2")
        let backend = try await RecordingBackend { _ in answer }
        let home = try RelayHome(
            apiURL: "", backends: ["app": "url: \(backend.url)/slack/events"],
            apps: [
                "name: sales, app_token: env:SLACK_APP_TOKEN, signing_secret: env:SLACK_SIGNING_SECRET, "
                    + "api_url: \(sales.apiURL)",
                "name: support, app_token: env:OTHER_TOKEN, signing_secret: env:OTHER_SECRET, "
                    + "api_url: \(support.apiURL)",
            ], environment: ["OTHER_TOKEN": "xapp-1-A0SUPPORT-2", "OTHER_SECRET": "the-other-secret"])
        let relay = try await home.serve()
        try await body(relay, sales, support, backend)
        await relay.stop()
        await backend.shutDown()
        await sales.stop()
        await support.stop()
    }

    @Test("each envelope is signed with its own app's secret, and counted under its app's name")
    func secrets() async throws {
        try await with { relay, sales, support, backend in
            try await sales.waitForConnections(atLeast: 2)
            try await support.waitForConnections(atLeast: 2)
            // The same event_id in both: nobody's copy of anything.
            let payload = [SimulatedSample.message.payload(number: 1, text: "hello")]
            _ = try await sales.send(payload)
            let first = await backend.requests(atLeast: 1)
            _ = try await support.send(payload)
            let requests = await backend.requests(atLeast: 2)

            #expect(Self.isSigned(first[0], with: RelayHome.signingSecret))
            #expect(Self.isSigned(requests[1], with: "the-other-secret"))
            for app in ["sales", "support"] {
                #expect(try await relay.metric("relay_envelopes_total", "app=\"\(app)\"", "kind=\"event\"") == 1)
                #expect(try await relay.metric("relay_connections", "app=\"\(app)\"", "state=\"connected\"") == 2)
                try await relay.logged("connected") { $0["app"] == app }
            }
        }
    }

    @Test("commands of both apps are answered; what is too large for that goes to the app's own response_url")
    func answers() async throws {
        let reply = #"{"text":"\#(String(repeating: "long ", count: 5_000))"}"#
        try await with(answer: .respond(headers: [("Content-Type", "application/json")], body: Array(reply.utf8))) {
            _, sales, support, _ in
            for slack in [sales, support] {
                try await slack.waitForConnections(atLeast: 1)
                let id = try await slack.send(.command)[0]
                #expect(try await slack.waitForAcknowledgement(of: id).state == .acknowledged)
                #expect(try await slack.waitForPost(to: id).posts.map(\.body) == [Array(reply.utf8)])
            }
        }
    }

    @Test("ready when every app is connected; what is missing names the app")
    func readiness() async throws {
        try await with { relay, sales, support, backend in
            try await sales.waitForConnections(atLeast: 2)
            try await support.waitForConnections(atLeast: 2)
            #expect(try await relay.health("/readyz").status == 200)
            try await support.failAPICalls(1_000, with: .error(code: "internal_error"))
            try await support.disturb(.all, .cut)
            try await relay.logged("disconnected") { $0["app"] == "support" }
            try await relay.logged("attempt to connect failed") { $0["app"] == "support" }
            let reply = try await relay.health("/readyz")
            #expect(reply.status == 503)
            #expect(reply.body.contains("slack, app support: no connection"))
            #expect(!reply.body.contains("sales"))
        }
    }

    @Test("an app is added and another one taken away while the gateway runs")
    func reload() async throws {
        let sales = try await Self.makeSlack(token: RelayHome.appToken)
        let support = try await Self.makeSlack(token: "xapp-1-A0SUPPORT-2")
        let backend = try await RecordingBackend()
        let home = try RelayHome(
            apiURL: "", backends: ["app": "url: \(backend.url)/slack/events"],
            apps: [
                "name: sales, app_token: env:SLACK_APP_TOKEN, signing_secret: env:SLACK_SIGNING_SECRET, "
                    + "api_url: \(sales.apiURL)"
            ], environment: ["OTHER_TOKEN": "xapp-1-A0SUPPORT-2", "OTHER_SECRET": "the-other-secret"])
        let relay = try await home.serve()
        try await sales.waitForConnections(atLeast: 2)

        let entry =
            "  - { name: support, app_token: env:OTHER_TOKEN, signing_secret: env:OTHER_SECRET, "
            + "api_url: \(support.apiURL), start_jitter: 0s }\n"
        try home.edit { $0 = $0.replacing("apps:\n", with: "apps:\n" + entry) }
        relay.process.send(signal: SIGHUP)
        try await support.waitForConnections(atLeast: 2)
        #expect(try await sales.statistics().upgrades == 2)
        _ = try await support.send(.message)
        #expect(Self.isSigned(await backend.requests(atLeast: 1)[0], with: "the-other-secret"))

        try home.edit { text in
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            text = lines.filter { !$0.contains("name: sales") }.joined(separator: "\n")
        }
        relay.process.send(signal: SIGHUP)
        try await sales.wait(for: .ended, times: 2)
        #expect(try await sales.connections().isEmpty)
        #expect(try await support.statistics().upgrades == 2)
        #expect(try await relay.health("/readyz").status == 200)
        #expect(try await relay.metrics().value("relay_connections", "app=\"sales\"") == nil)
        await relay.stop()
        await backend.shutDown()
        await sales.stop()
        await support.stop()
    }

    @Test("deliveries of an app that is no longer configured are named at the start, and wait")
    func forgotten() async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend { _ in .status(503) }
        let home = try RelayHome(
            apiURL: "", backends: ["app": "url: \(backend.url)/slack/events, retry: { schedule: [1s, 1h] }"],
            apps: [
                "name: old, app_token: env:SLACK_APP_TOKEN, signing_secret: env:SLACK_SIGNING_SECRET, "
                    + "api_url: \(slack.apiURL)"
            ])
        let first = try await home.serve()
        _ = try await slack.send(.message)
        _ = await backend.requests(atLeast: 1)
        try await first.logged("attempt failed; the delivery is tried again")
        await first.stop()

        try home.edit { $0 = $0.replacing("name: old", with: "name: new") }
        let second = try await home.serve()
        let warning = try await second.logged(
            "deliveries wait of an app that is no longer configured; only backends with signing of their own get them")
        #expect(warning["app"] == "old")
        let failure = try await second.logged("attempt failed; the delivery is tried again")
        #expect(failure["attempt.reason"] == "request_error")
        #expect(failure["app"] == "old")
        await second.stop()
        await backend.shutDown()
        await slack.stop()
    }
}
