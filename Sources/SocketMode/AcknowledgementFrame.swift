// The text that acknowledges an envelope.

package import RelayCore

package enum AcknowledgementFrame {
    /// Slack closes the connection with 1009, or drops the message in silence, when a frame's payload has more than
    /// 20,480 bytes; whether that number itself is allowed is not known (slack-protocol.md §2.10). Relay keeps a
    /// margin: an acknowledgement of this many UTF-8 bytes or more is not sent.
    package static let limitBytes = 20_000

    /// `{"envelope_id":"…"}`, or `{"envelope_id":"…","payload":{…}}`, in UTF-8. The id is given as it was decoded, and
    /// escaped here; the payload stands as it is given.
    package static func encode(envelopeID: String, payload: Payload? = nil) -> [UInt8] {
        var frame: [UInt8] = []
        frame.reserveCapacity(40 + envelopeID.utf8.count + (payload?.bytes.count ?? 0))
        frame.append(contentsOf: "{\"envelope_id\":".utf8)
        frame.appendJSONString(envelopeID)
        if let payload {
            frame.append(contentsOf: payloadKey)
            frame.append(contentsOf: payload.bytes)
        }
        frame.append(UInt8(ascii: "}"))
        return frame
    }

    /// The largest payload whose frame stays below the limit; 0 for an id that is as long as a frame.
    package static func maximumPayloadBytes(envelopeID: String) -> Int {
        max(0, limitBytes - 1 - encode(envelopeID: envelopeID).count - payloadKey.count)
    }

    private static let payloadKey = Array(",\"payload\":".utf8)
}
