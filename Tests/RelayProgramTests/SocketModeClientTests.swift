// The simulator is honest: slack_sdk's own Socket Mode client, unmodified, is content with it.

import Foundation
import RelayCore
import SlackSimulator
import Testing

@Suite(
    .enabled(
        if: ProcessInfo.processInfo.environment["RELAY_PYTHON"] != nil, "needs RELAY_PYTHON, as scripts/test sets it"),
    .timeLimit(.minutes(2)))
struct SocketModeClientTests {
    @Test("slack_sdk connects, answers, survives a refresh, reads large frames, and has nothing to complain about")
    func slackSDK() async throws {
        let slack = try await SlackSimulator.start(
            .init(firstPing: .milliseconds(100), pingInterval: .milliseconds(500), warningLead: .seconds(30)))
        let client = try ChildProcess.python(
            "socket_mode_client.py", [slack.apiURL, "--envelopes", "6", "--ping-interval", "1", "--timeout", "100"])
        try await slack.waitForConnections(atLeast: 1)

        // Pings go both ways from here on; the client gives a connection up whose pongs do not echo its pings.
        for sample in [SimulatedSample.message, .command, .blockActions, .viewSubmission] {
            let id = try await slack.send(sample)[0]
            let record = try await slack.waitForAcknowledgement(of: id)
            #expect(record.state == .acknowledged, "\(sample)")
            let payload = record.acknowledgement?.payload.map { String(decoding: $0, as: UTF8.self) }
            #expect(payload == (sample == .command ? #"{"text": "answered"}"# : nil), "\(sample)")
        }

        // On the warning the client dials a new connection and closes the old one. (It would dial a third on a
        // refresh_requested that comes in between; the long lead keeps that out.)
        try await slack.disturb(.oldest, .refresh)
        try await slack.wait(for: .hello, times: 2)
        try await slack.wait(for: .ended)
        let large = SampleValues(text: String(repeating: "x", count: 200_000))
        for values in [SampleValues(), large] {
            let id = try await slack.send(.message, values)[0]
            #expect(try await slack.waitForAcknowledgement(of: id).state == .acknowledged)
        }

        #expect(await client.waitForExit() == 0)
        #expect(client.output.lines.filter { $0.contains("error") } == [])
        #expect(client.errors.lines == [])
        let statistics = try await slack.statistics()
        #expect((statistics.redeliveries, statistics.strangeMessages) == (0, 0))
        // While the first connection lived and when it went, there was always one.
        let first = try await slack.history().filter { $0.connection.number == 1 }
        #expect(first.allSatisfy { $0.connected >= 1 })
        await slack.stop()
    }
}
