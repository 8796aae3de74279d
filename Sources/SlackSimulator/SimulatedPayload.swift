// What the simulator can be asked to send.

package import RelayCore

/// One happening at Slack. Its payload goes out byte for byte, but for the placeholder.
package struct SimulatedPayload: Sendable, Equatable {
    /// Where this stands in a JSON string of the payload, the envelope's own `response_url` goes out.
    package static let responseURLPlaceholder = "{{response_url}}"

    /// The envelope's type: `events_api`, `slash_commands`, `interactive`, or any other word.
    package var type: String
    /// JSON. Not looked into: it may be a payload that no client can read.
    package var payload: [UInt8]
    package var acceptsResponsePayload: Bool

    package init(type: String, payload: [UInt8], acceptsResponsePayload: Bool) {
        self.type = type
        self.payload = payload
        self.acceptsResponsePayload = acceptsResponsePayload
    }

    /// With the type and flag that Slack has for the kind (slack-protocol.md §3).
    package init(_ kind: Kind, payload: [UInt8]) {
        let type =
            switch kind {
            case .event: "events_api"
            case .command: "slash_commands"
            case .interaction, .options: "interactive"
            }
        self.init(type: type, payload: payload, acceptsResponsePayload: kind != .event)
    }

    var wantsResponseURL: Bool {
        payload.span.firstRange(of: Array(Self.responseURLPlaceholder.utf8), from: 0) != nil
    }

    /// The URL is escaped as Slack escapes it; it stands inside a string.
    func replacingPlaceholder(with url: String) -> SimulatedPayload {
        let placeholder = Array(Self.responseURLPlaceholder.utf8)
        let escaped = JSONText(url).description.utf8.dropFirst().dropLast()
        var replaced = self
        replaced.payload = []
        var position = 0
        while let range = payload.span.firstRange(of: placeholder, from: position) {
            replaced.payload += payload[position..<range.lowerBound] + escaped
            position = range.upperBound
        }
        replaced.payload += payload[position...]
        return replaced
    }

    /// Only events are sent again, and only they carry the retry fields (slack-protocol.md §3.6).
    package var isRedelivered: Bool { type == "events_api" }
}

extension Span<UInt8> {
    /// By hand: load tests send a hundred thousand payloads, and the library's search for any collection takes its time.
    fileprivate func firstRange(of wanted: [UInt8], from start: Int) -> Range<Int>? {
        guard let first = wanted.first, count >= wanted.count else { return nil }
        for index in start..<Swift.max(start, count - wanted.count + 1) where self[index] == first {
            if wanted.indices.allSatisfy({ self[index + $0] == wanted[$0] }) {
                return index..<index + wanted.count
            }
        }
        return nil
    }
}

/// A string as JSON writes it, slashes escaped as Slack does (slack-protocol.md §4.3).
struct JSONText: CustomStringConvertible {
    let description: String

    init(_ text: String) {
        var json = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": json += "\\\""
            case "\\": json += "\\\\"
            case "/": json += "\\/"
            case "\n": json += "\\n"
            case "\u{0}"..."\u{1F}":
                let digits = String(scalar.value, radix: 16)
                json += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: json.unicodeScalars.append(scalar)
            }
        }
        description = json + "\""
    }
}
