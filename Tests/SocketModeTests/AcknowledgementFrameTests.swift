// The text of an acknowledgement.

import Foundation
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

    @Test("the limit leaves a margin to Slack's 20,480 bytes")
    func limit() {
        #expect(AcknowledgementFrame.limitBytes == 20_000)
    }
}
