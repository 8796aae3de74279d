// Answers of apps written by hand, well and badly, as Slack's HTTP mode reads them (slack-protocol.md §3.7, §4.8).

import Foundation
import RelayCore
import RelayTestKit
import SlackSimulator
import Testing

@Suite(
    "Answers of a plain app", .sharing(PlainAppStage.self), .timeLimit(.minutes(2)),
    .enabled("RELAY_PYTHON names a Python with slack_sdk (scripts/test prepares one)") { PythonApp.isAvailable })
struct PlainAppAnswerTests {
    @Test(
        "a 200 in time is acknowledged with what it says",
        arguments: [
            ("/json", #"{"response_type":"in_channel","text":"Deployed"}"#),
            ("/json-utf8", #"{"text":"Grüße"}"#),
            ("/text", #"{"text":"Deployed"}"#),
            ("/text-utf8", #"{"text":"Grüße & <b>mehr</b>\n\"zwei\""}"#),
            ("/empty-object", "{}"),
            ("/php-newline", #"{"text":"Deployed"}"#),
            ("/php-text", #"{"text":"Deployed\n"}"#),
            ("/php-mark", #"{"text":"Deployed"}"#),
            ("/page", #"{"text":"<html><body>Please log in</body></html>"}"#),
        ])
    func payload(command: String, payload: String) async throws {
        let stage = try PlainAppStage.running
        let record = try await stage.settled(.command, .init(command: command))

        #expect(record.state == .acknowledged)
        #expect(record.payload == ParsedJSON(payload))
        #expect(record.posts == [])
    }

    @Test(
        "an empty 200 is acknowledged bare, whatever its content type; so is one with nothing but white space",
        arguments: ["/empty", "/empty-json", "/php-nothing"])
    func bare(command: String) async throws {
        let stage = try PlainAppStage.running
        let record = try await stage.settled(.command, .init(command: command))

        #expect(record.state == .acknowledged)
        #expect(record.payload == nil)
        #expect(record.posts == [])
    }

    @Test(
        "an answer that is no 200, or that Slack cannot be told, is withheld, and logged with the reason",
        arguments: [
            ("/error", "no answer: the backend failed", "http_500"),
            ("/error-page", "no answer: the backend failed", "http_502"),
            ("/created", "no answer: the backend failed", "http_201"),
            ("/list", "no answer: the reply is nothing that Slack can be told", nil),
            ("/string", "no answer: the reply is nothing that Slack can be told", nil),
            ("/half", "no answer: the reply is nothing that Slack can be told", nil),
            ("/latin1", "no answer: the reply is nothing that Slack can be told", nil),
            ("/latin1-silent", "no answer: the reply is nothing that Slack can be told", nil),
        ] as [(String, String, String?)])
    func withheld(command: String, message: String, reason: String?) async throws {
        let stage = try PlainAppStage.running
        let id = try await stage.slack.send(.command, .init(command: command))[0]
        let line = try await stage.relay.withheld(id)

        #expect(line.level == "warning")
        #expect(line.message == message)
        #expect(line["attempt.reason"] == reason)
        let record = try #require(try await stage.slack.record(of: id))
        #expect(record.copies.first?.acknowledgement == nil)
        #expect(record.posts == [])
    }

    @Test(
        "on_failure: message says the route's own words in place of an answer that is none",
        arguments: ["/error", "/list", "/latin1"])
    func failureMessage(command: String) async throws {
        let stage = try PlainAppStage.running
        let record = try await stage.settled(.command, .init(command: command, channel: "C0POLITE"))

        #expect(record.state == .acknowledged)
        #expect(record.payload == ParsedJSON(#"{"response_type":"ephemeral","text":"That went wrong."}"#))
        #expect(record.posts == [])
    }

    @Test(
        "modals, dialogs, menus and legacy messages get the app's JSON",
        arguments: [
            (.viewSubmission, "errors_form", #"{"response_action":"errors","errors":{"input":"That is taken"}}"#),
            (.viewSubmission, "silent_form", nil),
            (.dialogSubmission, "errors_dialog", #"{"errors":[{"name":"answer","error":"That is taken"}]}"#),
            (.interactiveMessage, "replaced_attachment", #"{"text":"Approved"}"#),
            (
                .blockSuggestion, "any",
                #"{"options":[{"text":{"type":"plain_text","text":"Staging"},"value":"s"}]}"#
            ),
            (.dialogSuggestion, "any", #"{"options":[{"label":"Staging","value":"s"}]}"#),
            (.messageMenu, "any", #"{"options":[{"text":"Staging","value":"s"}]}"#),
        ] as [(SimulatedSample, String, String?)])
    func interaction(sample: SimulatedSample, callbackID: String, payload: String?) async throws {
        let stage = try PlainAppStage.running
        let record = try await stage.settled(sample, .init(callbackID: callbackID))

        #expect(record.state == .acknowledged)
        #expect(record.payload == payload.flatMap { ParsedJSON($0) })
    }

    @Test("a modal is not told what it cannot take", arguments: ["list_form", "error_form"])
    func withheldModal(callbackID: String) async throws {
        let stage = try PlainAppStage.running
        let id = try await stage.slack.send(.viewSubmission, .init(callbackID: callbackID))[0]
        try await stage.relay.withheld(id)

        #expect(try await stage.slack.record(of: id)?.copies.first?.acknowledgement == nil)
    }

    @Test(
        "an answer after 4 s is posted to the response_url, one that never comes is apologized for, each once"
    )
    func late() async throws {
        let stage = try PlainAppStage.running
        let late = try await stage.slack.send(.command, .init(command: "/late"))[0]
        let never = try await stage.slack.send(.command, .init(command: "/never"))[0]

        for (id, posted) in [
            (late, #"{"text":"Deployed at last"}"#),
            (never, #"{"response_type":"ephemeral","text":"That took too long."}"#),
        ] {
            let record = try await stage.slack.waitForAcknowledgement(of: id)
            #expect(record.state == .acknowledged)
            #expect(record.payload == nil)
            #expect(record.posts == [])
            let posts = try await stage.slack.waitForPost(to: id).posts
            #expect(posts.map { ParsedJSON($0.body) } == [ParsedJSON(posted)])
        }
        let page = try await stage.relay.metrics { page in
            page.value("relay_response_url_posts_total", #"outcome="posted""#) == 2
        }
        let answers = page.samples.filter { $0.name == "relay_answers_total" && $0.labels.contains(#"kind="command""#) }
        #expect(answers.first { $0.labels.contains(#"outcome="answered_late""#) }?.value == 1)
        #expect(answers.first { $0.labels.contains(#"outcome="failed_late""#) }?.value == 1)
    }
}

/// plain_app.py behind relay.
struct PlainAppStage: SharedStage {
    @TaskLocal static var current: PlainAppStage?

    let slack: SlackSimulator
    let relay: RunningRelay

    static func perform(_ body: () async throws -> Void) async throws {
        let slack = try await Stage.makeSlack()
        let app = try await PythonApp.start("plain_app.py")
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["app": "url: \(app.root), timeout: 5s"],
            routes: [
                """
                name: polite, match: { kind: command, channel: C0POLITE }, to: app, on_failure: message, \
                failure_message: That went wrong.
                """,
                "name: all, to: app, late_failure_message: That took too long.",
            ])
        let stage = PlainAppStage(slack: slack, relay: try await home.serve())
        try await slack.waitForConnections(atLeast: 2)

        try await $current.withValue(stage) { try await body() }

        await stage.relay.stop()
        await slack.stop()
        // Killed with its last reference, not before.
        withExtendedLifetime(app) {}
    }

    func settled(_ sample: SimulatedSample, _ values: SampleValues) async throws -> EnvelopeRecord {
        try await slack.waitForAcknowledgement(of: try await slack.send(sample, values)[0])
    }
}
