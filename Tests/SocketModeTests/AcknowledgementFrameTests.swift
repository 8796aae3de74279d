// The text of an acknowledgement.

import Foundation
import RelayCore
import SocketMode
import Testing

@Suite struct AcknowledgementFrameTests {
    @Test("a bare acknowledgement holds the id and nothing else")
    func bare() {
        let frame = AcknowledgementFrame.encode(envelopeID: "1ec17213-fc47-4afd-97d5-c35305718e30")
        #expect(String(decoding: frame, as: UTF8.self) == #"{"envelope_id":"1ec17213-fc47-4afd-97d5-c35305718e30"}"#)
    }

    @Test(
        "any id survives the way through JSON",
        arguments: ["", "a\"b", "back\\slash", "\n\u{1F}\0", "é€\u{1F600}", "</x>"])
    func escaping(_ id: String) throws {
        let frame = AcknowledgementFrame.encode(envelopeID: id)
        let object = try JSONSerialization.jsonObject(with: Data(frame)) as? [String: String]
        #expect(object == ["envelope_id": id])
    }

    @Test(
        "a payload stands in the frame as it is given",
        arguments: [
            ("e1", "{}", #"{"envelope_id":"e1","payload":{}}"#),
            (
                "e1", #"{ "text" : "a\/b \u00e9 é", "text":1e2 }"#,
                #"{"envelope_id":"e1","payload":{ "text" : "a\/b \u00e9 é", "text":1e2 }}"#
            ),
            ("a\"b", "{\n}", "{\"envelope_id\":\"a\\\"b\",\"payload\":{\n}}"),
        ])
    func payload(id: String, payload: String, frame: String) {
        let encoded = AcknowledgementFrame.encode(envelopeID: id, payload: Payload(payload))
        #expect(String(decoding: encoded, as: UTF8.self) == frame)
    }

    @Test("the limit leaves a margin to Slack's 20,480 bytes")
    func limit() {
        #expect(AcknowledgementFrame.limitBytes == 20_000)
    }

    @Test(
        "the largest payload makes a frame of one byte less than the limit, whatever the id",
        arguments: [
            ("1ec17213-fc47-4afd-97d5-c35305718e30", 19_934), ("", 19_970), ("a\"b\\c", 19_963), ("\n\0", 19_958),
            ("é\u{1F600}", 19_964),
        ])
    func largest(id: String, bytes: Int) {
        #expect(AcknowledgementFrame.maximumPayloadBytes(envelopeID: id) == bytes)
        let payload = Payload(bytes: [UInt8](repeating: 0x20, count: bytes))
        #expect(AcknowledgementFrame.encode(envelopeID: id, payload: payload).count == 19_999)
    }

    @Test(
        "an id as long as a frame leaves no room",
        arguments: [(19_968, 2), (19_969, 1), (19_970, 0), (19_971, 0), (1_000_000, 0)])
    func hugeID(length: Int, bytes: Int) {
        let id = String(repeating: "x", count: length)
        #expect(AcknowledgementFrame.maximumPayloadBytes(envelopeID: id) == bytes)
    }
}
