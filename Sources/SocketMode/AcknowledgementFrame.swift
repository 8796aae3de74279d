// The text that acknowledges an envelope.

package enum AcknowledgementFrame {
    /// Slack closes the connection with 1009, or drops the message in silence, when a frame's payload has more than
    /// 20,480 bytes; whether that number itself is allowed is not known (slack-protocol.md §2.10). Relay keeps a
    /// margin: an acknowledgement larger than this, in UTF-8 bytes, is not sent.
    package static let maximumBytes = 20_000

    /// A bare acknowledgement: `{"envelope_id":"…"}`, in UTF-8. The id is given as it was decoded, and escaped here.
    package static func encode(envelopeID: String) -> [UInt8] {
        var frame: [UInt8] = []
        frame.reserveCapacity(20 + envelopeID.utf8.count)
        frame.append(contentsOf: "{\"envelope_id\":".utf8)
        frame.appendJSONString(envelopeID)
        frame.append(UInt8(ascii: "}"))
        return frame
    }
}

extension [UInt8] {
    /// Appends a JSON string (RFC 8259 §7): quotes, backslashes and control characters escaped, all else as UTF-8.
    fileprivate mutating func appendJSONString(_ text: String) {
        append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                append(UInt8(ascii: "\\"))
                append(byte)
            case 0x00...0x1F:
                append(contentsOf: "\\u00".utf8)
                append(
                    contentsOf: [byte >> 4, byte & 0x0F].map {
                        $0 < 10 ? UInt8(ascii: "0") + $0 : UInt8(ascii: "a") - 10 + $0
                    })
            default: append(byte)
            }
        }
        append(UInt8(ascii: "\""))
    }
}
