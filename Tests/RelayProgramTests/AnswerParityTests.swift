// Slack is told by relay what slack_bolt's own Socket Mode adapter tells it: one set of listeners, run by that adapter,
// and in HTTP mode behind relay.

import Foundation
import RelayCore
import RelayTestKit
import SlackSimulator
import Testing

@Suite(
    "Answers as Bolt gives them", .serialized, .sharing(BoltTwins.self), .timeLimit(.minutes(2)),
    .enabled("RELAY_PYTHON names a Python with slack_bolt (scripts/test prepares one)") { PythonApp.isAvailable })
struct AnswerParityTests {
    @Test("Slack is told by relay what Bolt tells it in Socket Mode, or what is better on purpose", arguments: cases)
    func parity(of one: Case) async throws {
        let twins = try BoltTwins.running
        let records = try await twins.send(one)

        #expect(Told(records.bolt) == one.bolt)
        #expect(Told(records.relay) == one.relay)
        // The same words, whether in time or late.
        if one.bolt == one.relay { #expect(records.relay.payload == records.bolt.payload) }

        guard let posted = one.posted else {
            #expect(records.relay.posts == [])
            return
        }
        let posts = try await twins.slack.waitForPost(to: records.relay.id).posts
        #expect(posts.map { ParsedJSON($0.body) } == [ParsedJSON(posted)])
    }

    static let cases: [Case] = [
        Case("command, ack(text)", .command, .init(text: "a & b, Grüße 🎉 \"\\", command: "/deploy"), .payload),
        Case("command, ack(blocks=…)", .command, .init(command: "/blocks"), .payload),
        Case("command, ack(response_type=in_channel)", .command, .init(command: "/public"), .payload),
        Case("command, ack(attachments=…)", .command, .init(command: "/attachment"), .payload),
        Case("command, ack()", .command, .init(command: "/quiet"), .bare),
        Case("command, 19,000 bytes", .command, .init(text: "19000", command: "/large"), .payload),
        Case(
            "command, the envelope accepts no payload", .command,
            .init(text: "now", command: "/deploy", acceptsResponsePayload: false), bolt: .payload, relay: .bare,
            posted: #"{"text":"Deploying now"}"#),
        // Bolt sends what Slack closes the connection for.
        Case(
            "command, 25,000 bytes", .command, .init(text: "25000", command: "/large"), bolt: .nothing, relay: .bare,
            posted: #"{"text":"\#(String(repeating: "x", count: 25_000))"}"#),
        Case(
            "command, late", .command, .init(text: "3.5", command: "/slow"), bolt: .late, relay: .bare,
            posted: #"{"text":"It took 3.5 seconds"}"#),
        Case(
            "command, never", .command, .init(command: "/never"), bolt: .nothing, relay: .bare,
            posted: #"{"response_type":"ephemeral","text":"That did not finish."}"#),
        Case("command, the listener raises", .command, .init(command: "/broken"), .nothing),
        Case("command, no listener", .command, .init(command: "/unknown"), .nothing),

        Case("modal, ack()", .viewSubmission, .init(callbackID: "plain_form"), .bare),
        Case("modal, errors", .viewSubmission, .init(text: "prod", callbackID: "errors_form"), .payload),
        Case("modal, update", .viewSubmission, .init(callbackID: "update_form"), .payload),
        Case("modal, push", .viewSubmission, .init(callbackID: "push_form"), .payload),
        Case("modal, clear", .viewSubmission, .init(callbackID: "clear_form"), .payload),
        Case("modal, too large", .viewSubmission, .init(callbackID: "large_form"), .nothing),
        // A bare acknowledgement would close the modal, whatever the app says of it afterwards.
        Case("modal, late", .viewSubmission, .init(text: "3.5", callbackID: "slow_form"), .late),
        Case("modal, the listener raises", .viewSubmission, .init(callbackID: "broken_form"), .nothing),
        Case("modal closed, ack()", .viewClosed, .init(callbackID: "plain_form"), .bare),

        Case("button, ack()", .blockActions, .init(actionID: "approve"), .bare),
        // Slack takes no payload for a button.
        Case("button, ack(text)", .blockActions, .init(actionID: "talkative"), bolt: .payload, relay: .bare),
        Case(
            "button, ack(text), the envelope accepts a payload", .blockActions,
            .init(actionID: "talkative", acceptsResponsePayload: true), bolt: .payload, relay: .bare),
        Case("button, the listener raises", .blockActions, .init(actionID: "broken_button"), .nothing),
        Case("menu, ack(options=…)", .blockSuggestion, .init(text: "Stag", actionID: "flat_menu"), .payload),
        Case("menu, ack(option_groups=…)", .blockSuggestion, .init(actionID: "grouped_menu"), .payload),
        Case("menu, too large", .blockSuggestion, .init(actionID: "large_menu"), .nothing),
        Case("global shortcut, ack()", .shortcut, .init(callbackID: "deploy_shortcut"), .bare),
        Case("message shortcut, ack()", .messageAction, .init(callbackID: "deploy_message"), .bare),

        Case("dialog, ack()", .dialogSubmission, .init(callbackID: "plain_dialog"), .bare),
        Case("dialog, errors", .dialogSubmission, .init(text: "prod", callbackID: "errors_dialog"), .payload),
        Case("dialog menu, options", .dialogSuggestion, .init(text: "Stag", callbackID: "plain_dialog"), .payload),
        Case("dialog canceled, ack()", .dialogCancellation, .init(callbackID: "plain_dialog"), .bare),
        Case("legacy button, a message", .interactiveMessage, .init(callbackID: "replaced_attachment"), .payload),
        Case("legacy button, ack()", .interactiveMessage, .init(callbackID: "kept_attachment"), .bare),
        Case("legacy button, another message", .interactiveMessage, .init(callbackID: "added_attachment"), .payload),
    ]
}

extension AnswerParityTests {
    /// What Slack was told about an envelope.
    enum Told: String {
        /// Acknowledged in time with a payload.
        case payload
        /// Acknowledged in time without one.
        case bare
        /// Acknowledged with a payload after Slack's 3 seconds.
        case late
        case nothing

        init(_ record: EnvelopeRecord) {
            let acknowledgement = record.copies.first?.acknowledgement
            self =
                switch (acknowledgement?.isLate, acknowledgement?.payload) {
                case (nil, _): .nothing
                case (true, _): .late
                case (false, nil): .bare
                case (false, _): .payload
                }
        }
    }

    /// A happening, and what Slack is told of it.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let sample: SimulatedSample
        let values: SampleValues
        let bolt: Told
        let relay: Told
        /// What relay posts to the `response_url`; nil: nothing.
        var posted: String?

        init(
            _ name: String, _ sample: SimulatedSample, _ values: SampleValues, bolt: Told, relay: Told,
            posted: String? = nil
        ) {
            testDescription = name
            self.sample = sample
            self.values = values
            self.bolt = bolt
            self.relay = relay
            self.posted = posted
        }

        /// Both tell Slack the same.
        init(_ name: String, _ sample: SimulatedSample, _ values: SampleValues, _ told: Told) {
            self.init(name, sample, values, bolt: told, relay: told)
        }
    }
}

/// One app twice, each at a Slack of its own: in HTTP mode behind relay, and in Socket Mode.
struct BoltTwins: SharedStage {
    @TaskLocal static var current: BoltTwins?

    /// The one that relay is connected to.
    let slack: SlackSimulator
    private let relay: RunningRelay
    private let boltsSlack: SlackSimulator

    static func perform(_ body: () async throws -> Void) async throws {
        let slack = try await Stage.makeSlack()
        let boltsSlack = try await Stage.makeSlack()
        async let socketModeApp = SocketModeApp.start(boltsSlack)
        let app = try await PythonApp.start("bolt_app.py")
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["app": "url: \(app.url)", "impatient": "url: \(app.url), timeout: 3s"],
            routes: [
                "name: never, match: { command: /never }, to: impatient, late_failure_message: That did not finish.",
                "name: all, to: app",
            ])
        let twins = BoltTwins(slack: slack, relay: try await home.serve(), boltsSlack: boltsSlack)
        try await slack.waitForConnections(atLeast: 2)
        let twin = try await socketModeApp

        try await $current.withValue(twins) { try await body() }

        await twins.relay.stop()
        await boltsSlack.stop()
        await slack.stop()
        // Killed with their last references, not before.
        withExtendedLifetime((app, twin)) {}
    }

    /// Sends the same to both, and waits until nothing more is to come but a post.
    func send(_ one: AnswerParityTests.Case) async throws -> (relay: EnvelopeRecord, bolt: EnvelopeRecord) {
        // Where neither acknowledges there is no need to wait as long as Slack does.
        let isShort = one.bolt == .nothing && one.relay == .nothing
        for slack in [slack, boltsSlack] {
            try await slack.update { $0.acknowledgementDeadline = isShort ? .seconds(1) : .seconds(3) }
            // Bolt comes back by itself when Slack has closed its connection for too large a frame.
            try await slack.waitForConnections(atLeast: 1)
        }
        async let bolt = settled(one, at: boltsSlack, waitsForLate: one.bolt == .late)
        let relay = try await settled(one, at: slack, waitsForLate: one.relay == .late)
        if one.relay == .nothing { try await self.relay.withheld(relay.id) }
        return (relay, try await bolt)
    }

    private func settled(
        _ one: AnswerParityTests.Case, at slack: SlackSimulator, waitsForLate: Bool
    ) async throws -> EnvelopeRecord {
        let late = try await slack.statistics().lateAcknowledgements
        let id = try await slack.send(one.sample, one.values)[0]
        let record = try await slack.waitForAcknowledgement(of: id)
        guard waitsForLate else { return record }
        try await slack.wait { $0.lateAcknowledgements > late }
        return try await slack.waitForAcknowledgement(of: id)
    }
}
