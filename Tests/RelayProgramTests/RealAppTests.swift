// Real input, real backends: apps written for Slack's HTTP mode, with their signature check on, stand behind the
// gateway.

import Foundation
import RelayCore
import RelayTestKit
import SlackSimulator
import Testing

@Suite(
    "Real apps", .timeLimit(.minutes(2)),
    .enabled("RELAY_PYTHON names a Python with slack_bolt (scripts/test prepares one)") { PythonApp.isAvailable })
struct RealAppTests {
    @Test(
        "a slack_bolt app gets events, a command, a button, a shortcut, a modal and options as if they came from Slack")
    func bolt() async throws {
        let slack = try await Stage.makeSlack()
        let app = try await PythonApp.start("bolt_app.py")
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["app": "url: \(app.url)"], routes: ["name: all, to: app, mode: queue"])
        let relay = try await home.serve()
        try await slack.waitForConnections(atLeast: 2)

        let words = "Grüße & <https://example.com|a link> + 50% 🎉"
        let message = try await app.handled(1) { try await slack.send(.message, .init(text: words)) }
        #expect(message["kind"] == "event")
        #expect(message["type"] == "message")
        #expect(message["text"] == words)
        #expect(message["route"] == "all")
        #expect(message["attempt"] == "1")

        let mention = try await app.handled(2) { try await slack.send(.mention) }
        #expect(mention["type"] == "app_mention")

        let command = try await app.handled(3) {
            try await slack.send(.command, .init(text: "production & \(words)", command: "/deploy"))
        }
        #expect(command["kind"] == "command")
        #expect(command["command"] == "/deploy")
        #expect(command["text"] == "production & \(words)")

        let button = try await app.handled(4) { try await slack.send(.blockActions, .init(actionID: "approve")) }
        #expect(button["kind"] == "interaction")
        #expect(button["type"] == "block_actions")
        #expect(button["action_id"] == "approve")
        #expect(button["value"] == "yes")

        for (count, sample, type, callbackID) in [
            (5, SimulatedSample.shortcut, "shortcut", "deploy_shortcut"),
            (6, .messageAction, "message_action", "deploy_message"),
            (7, .viewSubmission, "view_submission", "plain_form"),
        ] {
            let line = try await app.handled(count) {
                try await slack.send(sample, .init(text: words, callbackID: callbackID))
            }
            #expect(line["kind"] == "interaction")
            #expect(line["type"] == type)
            #expect(line["callback_id"] == callbackID)
        }
        let options = try await app.handled(8) {
            try await slack.send(.blockSuggestion, .init(text: words, actionID: "flat_menu"))
        }
        #expect(options["kind"] == "options")
        #expect(options["value"] == words)

        try await slack.waitUntilSettled()
        #expect(try await slack.statistics().lost == 0)
        await relay.stop()
        #expect(app.record.allSatisfy { $0["kind"] != "refused" })
        await slack.stop()
    }

    @Test("a plain app with a path for each kind gets each request there, and takes its signature")
    func plain() async throws {
        let slack = try await Stage.makeSlack()
        let app = try await PythonApp.start("plain_app.py")
        let root = app.root
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: [
                "app":
                    "url: \(root)/other, urls: { events: \(root)/events, commands: \(root)/commands, interactions: \(root)/interactions }"
            ],
            routes: [
                "name: deploy, match: { command: /deploy }, to: app, path: /deploy, mode: queue",
                "name: all, to: app, mode: queue",
            ])
        let relay = try await home.serve()
        try await slack.waitForConnections(atLeast: 2)

        let expected: [(SimulatedSample, SampleValues, kind: String, path: String)] = [
            (.message, .init(), "event", "/events"),
            (.command, .init(command: "/deploy"), "command", "/deploy"),
            (.command, .init(command: "/other"), "command", "/commands"),
            (.blockActions, .init(), "interaction", "/interactions"),
            (.blockSuggestion, .init(), "options", "/other"),
        ]
        for (index, (sample, values, kind, path)) in expected.enumerated() {
            let line = try await app.handled(index + 1) { try await slack.send(sample, values) }
            #expect(line["kind"] == kind)
            #expect(line["path"] == path)
        }
        await relay.stop()
        await slack.stop()
    }

    @Test(
        "with a wrong signing secret the app refuses, the delivery is tried again, and in the end it is a dead letter")
    func wrongSecret() async throws {
        let slack = try await Stage.makeSlack()
        let app = try await PythonApp.start("bolt_app.py")
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["app": "url: \(app.url), retry: { schedule: [10ms, 10ms] }"],
            environment: ["SLACK_SIGNING_SECRET": "a secret that the app does not have"])
        let relay = try await home.serve()
        _ = try await app.handled(3) { try await slack.send(.message) }
        let refused = app.record
        let line = try await relay.logged("delivery given up: dead letter")

        #expect(refused.map { $0["kind"] } == ["refused", "refused", "refused"])
        #expect(refused.map { $0["status"] } == ["401", "401", "401"])
        #expect(refused.map { $0["attempt"] } == ["1", "2", "3"])
        #expect(line["attempt.reason"] == "http_401")
        await relay.stop()
        await slack.stop()
    }

    @Test(
        "payloads as real apps got them: events reach the bolt app, interactions the plain one, each byte for byte",
        .enabled("RELAY_SAMPLES, or ../shared/samples, has real payloads") { !RealPayload.all.isEmpty })
    func samples() async throws {
        let slack = try await Stage.makeSlack()
        let bolt = try await PythonApp.start("bolt_app.py")
        let plain = try await PythonApp.start("plain_app.py")
        let recording = try await RecordingBackend()
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: ["bolt": "url: \(bolt.url)", "plain": "url: \(plain.root)", "record": "url: \(recording.url)"],
            routes: [
                "name: events, match: { kind: event }, to: [bolt, record]",
                "name: others, to: [plain, record], mode: queue",
            ])
        let relay = try await home.serve()
        try await slack.waitForConnections(atLeast: 2)

        for (index, sample) in RealPayload.all.enumerated() {
            let app = sample.kind == .event ? bolt : plain
            let line = try await app.handled(app.record.count + 1) {
                try await slack.send([SimulatedPayload(sample.kind, payload: sample.bytes)])
            }
            #expect(line["kind"] == sample.kind.rawValue, "\(sample.name)")
            #expect(line["type"] == sample.type, "\(sample.name)")
            let request = try #require(await recording.requests(atLeast: index + 1).last)
            #expect(request.payload == sample.bytes, "\(sample.name) was changed on its way")
        }
        try await slack.waitUntilSettled()
        #expect(try await slack.statistics().lost == 0)
        await relay.stop()
        await recording.shutDown()
        await slack.stop()
    }
}

extension RecordingBackend.Request {
    /// The JSON that was sent: the body, or its form field `payload`.
    fileprivate var payload: [UInt8]? {
        guard header("Content-Type") == "application/x-www-form-urlencoded" else { return body }
        guard text.hasPrefix("payload=") else { return nil }
        return text.dropFirst("payload=".count).replacing("+", with: " ").removingPercentEncoding.map { Array($0.utf8) }
    }
}

/// A payload that Slack sent to somebody, from files that are not part of this repository.
struct RealPayload: Sendable {
    var name: String
    var kind: Kind
    /// The event's, or the interaction's.
    var type: String
    var bytes: [UInt8]

    /// Events are wrapped into the callback that Slack sends around them. Interactions are taken as they are.
    static let all: [RealPayload] = files("events").compactMap(event) + files("interactive").compactMap(interaction)

    private static func event(_ name: String, _ bytes: [UInt8]) -> RealPayload? {
        // Slack verifies URLs over HTTP only: nothing of the kind comes over a socket.
        guard let object = object(bytes), let type = object["type"] as? String, type != "url_verification" else {
            return nil
        }
        if type == "event_callback" {
            // Bolt reads a list, as Slack sends it; one sample is a page of the documentation that has an object there.
            guard object["authorizations"] is [Any]?,
                let inner = object["event"] as? [String: Any], let type = inner["type"] as? String
            else { return nil }
            return RealPayload(name: name, kind: .event, type: type, bytes: bytes)
        }
        let head = #"{"token":"x","team_id":"T1","api_app_id":"A1","event":"#
        let tail = #","type":"event_callback","event_id":"Ev-\#(name)","event_time":1}"#
        return RealPayload(name: name, kind: .event, type: type, bytes: Array(head.utf8) + bytes + Array(tail.utf8))
    }

    private static func interaction(_ name: String, _ bytes: [UInt8]) -> RealPayload? {
        guard let object = object(bytes), let type = object["type"] as? String else { return nil }
        return RealPayload(
            name: name, kind: type == "block_suggestion" ? .options : .interaction, type: type, bytes: bytes)
    }

    private static func object(_ bytes: [UInt8]) -> [String: Any]? {
        (try? JSONSerialization.jsonObject(with: Data(bytes))) as? [String: Any]
    }

    private static func files(_ folder: String) -> [(String, [UInt8])] {
        let root =
            ProcessInfo.processInfo.environment["RELAY_SAMPLES"].map { URL(fileURLWithPath: $0) }
            ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/samples")
        let directory = root.appendingPathComponent(folder)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
        return names.filter { $0.hasSuffix(".json") }.sorted().compactMap { name in
            guard let data = try? Data(contentsOf: directory.appendingPathComponent(name)) else { return nil }
            // An editor's byte order mark is not part of what Slack sent.
            return (name, Array(data.starts(with: [0xEF, 0xBB, 0xBF]) ? data.dropFirst(3) : data))
        }
    }
}
