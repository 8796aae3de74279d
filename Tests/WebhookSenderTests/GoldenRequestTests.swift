// Whole requests of every kind, byte for byte, as the files in Golden have them.
//
// `NAME.json` is a payload as the socket carries it, `NAME.http` the request that Slack's HTTP mode would make of it
// (slack-protocol.md §4), with Relay's own headers; both end in a line break that is not part of them. They were written
// by hand; the percent-encoding was checked with Python's urllib.parse.quote_plus, the signatures with openssl, none of
// it with Relay. The secret and timestamp, and the whole body and signature of `command`, are those of Slack's page
// "Verifying requests from Slack" (§4.7). What differs from run to run, the port and the trace, is written in capitals.

import Foundation
import RelayCore
import RelayTestKit
import Testing
import WebhookSender

@Suite struct GoldenRequestTests {
    @Test(
        "the request that Slack would have made",
        arguments: [
            ("event", .event), ("command", .command), ("command_enterprise", .command), ("block_actions", .interaction),
            ("view_submission", .interaction), ("view_closed", .interaction), ("shortcut", .interaction),
            ("message_action", .interaction), ("interactive_message", .interaction),
            ("dialog_submission", .interaction), ("dialog_cancellation", .interaction), ("block_suggestion", .options),
            ("dialog_suggestion", .options), ("interactive_message_options", .options),
        ] as [(String, Kind)])
    func golden(name: String, kind: Kind) async throws {
        let delivery = Delivery(
            id: DeliveryID(queue: 0x3f9c_2a1b, sequence: 1234), backend: "b", route: "default", kind: kind,
            payload: Payload(bytes: try Self.file("\(name).json")),
            receivedAt: Timestamp(millisecondsSinceEpoch: 1_531_420_617_500))
        try await withSender(
            now: { Timestamp(millisecondsSinceEpoch: 1_531_420_618_000) }, secrets: ExampleSecret(),
            configure: { backend in
                backend.url = backend.url?.replacing("?x=1", with: "")
            }
        ) { backend, sender in
            if kind == .event {
                _ = await sender.send(delivery, attempt: 1)
            } else {
                let deadline = delivery.receivedAt.advanced(by: .milliseconds(2500))
                _ = await sender.ask(delivery, attempt: 1, deadline: deadline)
            }
            let request = try #require(backend.requests.first)
            let expected = String(decoding: try Self.file("\(name).http"), as: UTF8.self)
            #expect(Self.wireText(request) == expected)
            #expect(backend.requests.count == 1)
        }
    }

    private static func wireText(_ request: RecordingBackend.Request) -> String {
        let headers = request.headers.map { header in
            switch header.name {
            case "Host": "Host: HOST"
            case "traceparent": "traceparent: TRACE"
            default: "\(header.name): \(header.value)"
            }
        }
        let head = ["\(request.method) \(request.target) HTTP/1.1"] + headers
        return head.joined(separator: "\n") + "\n\n" + request.text
    }

    /// Without its last line break.
    private static func file(_ name: String) throws -> [UInt8] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")
        let bytes = Array(try Data(contentsOf: folder.appending(path: name)))
        try #require(bytes.last == UInt8(ascii: "\n"))
        return Array(bytes.dropLast())
    }
}

/// Of slack-protocol.md §4.7.
private struct ExampleSecret: SecretReader {
    func secret(_ reference: SecretReference) -> Secret { Secret("8f742231b10e8888abcd99yyyzzz85a5") }
}
