// What must never be seen: secrets, tickets and what people wrote, at any log level.

import Foundation
import RelayTestKit
import SlackSimulator
import Testing

@Suite("Secrecy", .timeLimit(.minutes(2)))
struct SecrecyTests {
    @Test(
        "with log level trace neither tokens, signing secrets, tickets, signatures nor payloads are logged, whatever fails"
    )
    func log() async throws {
        let slack = try await Stage.makeSlack()
        let refusals = Answers(3)
        let backend = try await RecordingBackend { _ in
            refusals.takeOne() ? .respond(status: 500, body: Array("the words-of-the-backend".utf8)) : .ok
        }
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: [
                "app":
                    "url: \"\(backend.url)/slack/events?key=secret-of-the-url\", retry: { schedule: [10ms, 10ms, 10ms] }, headers: { Authorization: Bearer secret-of-the-header }",
                "gone": "url: http://127.0.0.1:9/, retry: { schedule: [] }",
            ],
            routes: ["name: all, to: [app, gone], mode: queue"], logLevel: "trace")
        let relay = try await home.serve()
        try await slack.waitForConnections(atLeast: 2)

        let values = SampleValues(
            text: "the words-of-a-person", command: "/deploy", channel: "C0SECRETCHANNEL", user: "U0SECRETUSER")
        for sample in SimulatedSample.allCases { _ = try await slack.send(sample, values) }
        // What the socket says that no one can read.
        try await slack.send(frame: "garbage of-the-socket")
        try await slack.send(
            frame: #"{"envelope_id":"e9","type":"events_api","payload":{"text":"the words-of-a-person"#)
        try await slack.failUpgrades(1, with: .status(409, body: "body of-the-socket"))
        try await slack.disturb(.oldest, .reset)
        _ = await backend.requests(atLeast: SimulatedSample.allCases.count + 3)
        try await relay.logged("delivery given up: dead letter")
        try await slack.wait(for: .hello, times: 3)
        await relay.stop()

        let text = relay.process.errors.text + relay.process.output.text
        #expect(text.contains(#""level":"trace""#), "nothing was logged at trace")
        let signatures = backend.requests.compactMap { $0.header("X-Slack-Signature") }
        #expect(signatures.count >= 8)
        for secret in [
            RelayHome.appToken, RelayHome.signingSecret, "ticket", "words-of-a-person", "words-of-the-backend",
            "of-the-socket", "secret-of-the-url", "secret-of-the-header", "C0SECRETCHANNEL", "U0SECRETUSER",
            "hooks.slack.com",
        ] + signatures {
            let line = (relay.process.errors.lines + relay.process.output.lines).first { $0.contains(secret) }
            #expect(line == nil, "\(secret) was written")
        }
        await backend.shutDown()
        await slack.stop()
    }

    @Test("the health endpoint says nothing of secrets or people")
    func metrics() async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend()
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["app": "url: \(backend.url)"], routes: ["name: all, to: app, mode: queue"])
        let relay = try await home.serve()
        try await slack.waitForConnections(atLeast: 2)
        for sample in SimulatedSample.allCases {
            _ = try await slack.send(sample, .init(text: "words-of-a-person", channel: "C0SECRETCHANNEL"))
        }
        _ = await backend.requests(atLeast: SimulatedSample.allCases.count)
        let page = try await relay.health("/metrics").body

        #expect(page.contains("relay_envelopes_total"))
        for secret in [
            RelayHome.appToken, RelayHome.signingSecret, "words-of-a-person", "C0SECRETCHANNEL", "T0SIMULATED",
        ] {
            #expect(!page.contains(secret))
        }
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }
}
