// Where bytes from outside enter, each with what must hold whatever they are. libFuzzer calls one of them with bytes that it
// makes up; `scripts/fuzz` builds and runs this.

import Foundation
import RelayConfiguration
import RelayCore
import SlackHTTP
import SocketMode
import YAML

@testable import AdminServer

/// Something that reads bytes from outside.
enum FuzzEntry: String, CaseIterable {
    /// A frame of Slack's WebSocket.
    case slackMessage = "slack_message"
    /// A payload on its way to a backend: cut from a frame, rendered for each kind.
    case payload
    /// relay.yaml.
    case configuration
    /// A backend's answer, on its way into an acknowledgement. The first line is the Content-Type.
    case answer
    /// The body of a request of the admin API: the one that has the most to read.
    case replay

    func run(_ bytes: [UInt8]) {
        switch self {
        case .slackMessage: fuzzSlackMessage(bytes)
        case .payload: fuzzPayload(bytes)
        case .configuration: fuzzConfiguration(bytes)
        case .answer: fuzzAnswer(bytes)
        case .replay: fuzzReplay(bytes)
        }
    }
}

private func isJSON(_ bytes: [UInt8]) -> Bool {
    (try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)) != nil
}

/// A payload is a JSON object, cut from the frame byte for byte.
private func fuzzSlackMessage(_ bytes: [UInt8]) {
    guard
        case .envelope(let envelope) = SlackMessage.parse(
            bytes, app: "default", receivedAt: Timestamp(millisecondsSinceEpoch: 0))
    else { return }
    let payload = envelope.payload.bytes
    precondition(payload.first == UInt8(ascii: "{") && payload.last == UInt8(ascii: "}"), "no object")
    precondition(bytes.firstRange(of: payload) != nil, "not cut from the frame")
    precondition(!envelope.id.isEmpty, "an envelope without an id cannot be acknowledged")
    var scanner = JSONScanner(payload)
    precondition((try? scanner.readValue()) != nil && (try? scanner.finish()) != nil, "not one value")
}

/// What is rendered is a form that reads back, or the bytes themselves.
private func fuzzPayload(_ bytes: [UInt8]) {
    for kind in Kind.allCases {
        guard let body = try? SlackRequest.renderBody(kind, Payload(bytes: bytes)) else { continue }
        switch kind {
        case .event: precondition(body == bytes, "an event is sent as it is")
        case .interaction, .options:
            let text = String(decoding: body, as: UTF8.self)
            precondition(text.hasPrefix("payload="), "no form")
            precondition(percentDecoded(text.dropFirst("payload=".count)) == bytes, "does not read back")
        case .command:
            precondition(body.allSatisfy { 0x21...0x7E ~= $0 }, "a form is visible ASCII")
        }
    }
}

private func percentDecoded(_ text: Substring) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
        if byte == UInt8(ascii: "%") {
            bytes.append(UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) ?? 0)
            rest = rest.dropFirst(2)
        } else {
            bytes.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
        }
    }
    return bytes
}

/// A configuration is read, or every mistake has a place in the file; what is shown of one reads back.
private func fuzzConfiguration(_ bytes: [UInt8]) {
    do throws(ConfigurationErrors) {
        let configuration = try Configuration.parse(yaml: bytes, file: "relay.yaml")
        let shown = configuration.redactedYAML().replacing(#""***""#, with: "env:SHOWN")
        _ = try YAMLNodeCheck.parse(shown)
    } catch {
        precondition(!error.errors.isEmpty, "refused without a reason")
        for error in error.errors { precondition(!error.message.isEmpty, "a mistake without words") }
    }
}

private enum YAMLNodeCheck {
    static func parse(_ text: String) throws(ConfigurationErrors) {
        do { _ = try YAMLNode(parsing: Array(text.utf8)) } catch { preconditionFailure("shown is no YAML: \(error)") }
    }
}

/// What goes into an acknowledgement is JSON that Slack can read.
private func fuzzAnswer(_ bytes: [UInt8]) {
    let parts = bytes.split(separator: UInt8(ascii: "\n"), maxSplits: 1, omittingEmptySubsequences: false)
    let contentType = String(decoding: parts.first ?? [], as: UTF8.self)
    let reply = BackendReply(body: Array(parts.dropFirst().first ?? []), contentType: contentType)
    guard case .payload(let payload) = reply else { return }
    precondition(isJSON(payload.bytes), "not JSON")
    let frame = AcknowledgementFrame.encode(envelopeID: "e1", payload: payload)
    precondition(isJSON(frame), "the frame is not JSON")
}

/// What is asked for is within its bounds, or what is wrong has words.
private func fuzzReplay(_ bytes: [UInt8]) {
    do throws(Problem) {
        let body = try ReplayBody(Data(bytes), now: Timestamp(millisecondsSinceEpoch: 1_764_000_000_000))
        precondition(!body.filter.states.isEmpty, "takes deliveries of every state")
        precondition(body.filter.ids.count <= ReplayBody.maxIDs, "too many ids")
        precondition(body.perSecond.map { API.ReplayOrder.rates.contains($0) } ?? true, "a rate out of bounds")
    } catch {
        precondition(!error.detail.isEmpty, "refused without a reason")
    }
}
