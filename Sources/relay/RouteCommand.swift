// `relay route test`: which route takes an envelope, and why the others do not.

import ArgumentParser
import Foundation
import RelayConfiguration
import RelayCore
import SocketMode
import WebhookSender

struct RouteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "route", abstract: "Try out routes.", subcommands: [Test.self])

    struct Test: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say which route takes a payload, and why the others do not; exit 1 when none does.",
            discussion: """
                Also which backends it would go to, and at which URL (without user information and query). Nothing is sent.

                FILE holds one JSON object: an envelope as it comes over the socket, or a payload as Slack documents it (an event \
                callback, a slash command's fields as an object, an interactive payload).

                Example:
                  echo '{"command":"/deploy","text":"now"}' | relay route test -
                """)

        @OptionGroup var file: ConfigurationOption
        @Argument(help: "The JSON file; - reads standard input.")
        var payload: String

        func run() throws {
            let configuration = try file.load()
            let envelope = try readEnvelope()
            let router = Router(routes: configuration.routes)
            print("kind: \(envelope.kind.rawValue)")
            for (route, mismatch) in router.explain(envelope) {
                let goesOn = route.continues ? ", and the search goes on" : ""
                print("  \(route.name): \(mismatch.map { "no: \($0)".printable } ?? "matches\(goesOn)")")
            }
            let plan = router.plan(for: envelope)
            guard plan.isEmpty else {
                print("would go to: " + plan.summary(envelope.kind, configuration.backends).printable)
                return
            }
            print("unrouted: \(configuration.unrouted.action(for: envelope.kind).rawValue)")
            throw ExitCode(CommandFailure.Code.failed.rawValue)
        }

        private func readEnvelope() throws -> Envelope {
            let bytes = try readInput(payload)
            guard let envelope = SampleEnvelope.read(bytes) else {
                throw CommandFailure(
                    .failed, "\(payload) holds no envelope and no payload that Slack sends: one JSON object is wanted")
            }
            return envelope
        }
    }
}

/// Reads an envelope, or makes one around a bare payload.
enum SampleEnvelope {
    static func read(_ bytes: [UInt8]) -> Envelope? {
        if case .envelope(let envelope) = parse(bytes) { return envelope }
        guard let object = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any] else { return nil }
        let type: String
        if object["command"] is String {
            type = "slash_commands"
        } else if object["event"] is [String: Any] || object["type"] as? String == "app_rate_limited" {
            type = "events_api"
        } else if let payloadType = object["type"] as? String, interactiveTypes.contains(payloadType) {
            type = "interactive"
        } else {
            return nil
        }
        let wrapped =
            Array(#"{"envelope_id":"sample","type":"\#(type)","accepts_response_payload":false,"payload":"#.utf8)
            + bytes
            + Array("}".utf8)
        guard case .envelope(let envelope) = parse(wrapped) else { return nil }
        return envelope
    }

    /// `payload.type` of what comes in an envelope of type `interactive` (slack-protocol.md §3.4).
    private static let interactiveTypes: Set<String> = [
        "block_actions", "view_submission", "view_closed", "shortcut", "message_action", "block_suggestion",
        "interactive_message", "dialog_submission", "dialog_cancellation", "dialog_suggestion", "workflow_step_edit",
    ]

    private static func parse(_ frame: [UInt8]) -> SlackMessage {
        SlackMessage.parse(frame, app: App.defaultName, receivedAt: Timestamp(nanosecondsSinceEpoch: 0))
    }
}

extension RoutingPlan {
    /// `orders at http://orders:3000/slack (its answer is waited for), audit at http://audit/`
    fileprivate func summary(_ kind: Kind, _ backends: [Backend]) -> String {
        let awaited = kind == .event ? "its 2xx is waited for" : "its answer is waited for"
        let first = asked.map { "\($0.target.summary(kind, backends)) (\(awaited))" }
        return ([first].compactMap { $0 } + queued.map { $0.summary(kind, backends) }).joined(separator: ", ")
    }
}

extension EnqueueRequest.Target {
    /// With the URL, without what may be secret in it: user information and query.
    fileprivate func summary(_ kind: Kind, _ backends: [Backend]) -> String {
        guard let backend = backends.first(where: { $0.name == self.backend }),
            let url = backend.targetURL(for: kind, path: path)
        else { return self.backend.text }
        let place = url.withoutUserinfo.prefix { $0 != "?" && $0 != "#" }
        return "\(backend.name) at \(place)" + (backend.unixSocket.map { " over \($0)" } ?? "")
    }
}
