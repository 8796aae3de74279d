// Messages made in a backend's place, and replies on their way to a `response_url`.

import Foundation
import RelayCore
import SlackHTTP
import Testing

@Suite struct ResponseMessageTests {
    @Test(
        "a notice is for the person alone, and leaves a legacy message as it is",
        arguments: [
            (command, #"{"response_type":"ephemeral","text":"no \"luck\"\u000aé"}"#),
            (button, #"{"response_type":"ephemeral","text":"no \"luck\"\u000aé"}"#),
            (legacy, #"{"response_type":"ephemeral","replace_original":false,"text":"no \"luck\"\u000aé"}"#),
        ])
    func notice(envelope: Envelope, expected: String) {
        #expect(ResponseMessage.notice("no \"luck\"\né", for: envelope) == Payload(expected))
    }

    @Test("a reply to anything but a legacy message is posted as it is", arguments: [command, button])
    func asItIs(envelope: Envelope) {
        for reply in ["{}", #"{ "text":"é" }"#, #"{"replace_original":false}"#] {
            #expect(ResponseMessage.post(Payload(reply), for: envelope) == Payload(reply))
        }
    }

    @Test(
        "a reply to a legacy message replaces it, unless the backend says otherwise",
        arguments: [
            (#"{"text":"a"}"#, #"{"replace_original":true,"text":"a"}"#),
            ("{ \n\"text\" : \"}\" }", "{\"replace_original\":true, \n\"text\" : \"}\" }"),
            ("{}", #"{"replace_original":true}"#),
            ("{ \r\n\t}", "{\"replace_original\":true \r\n\t}"),
            (
                #"{"a":{"replace_original":false},"b":[{"delete_original":true}],"text":"replace_original"}"#,
                #"{"replace_original":true,"a":{"replace_original":false},"b":[{"delete_original":true}],"text":"replace_original"}"#
            ),
            (#"{"Replace_Original":false}"#, #"{"replace_original":true,"Replace_Original":false}"#),
            (#"{"replace_original":false,"text":"a"}"#, nil), (#"{"text":"a","replace_original":true}"#, nil),
            (#"{"text":"a","delete_original":true}"#, nil), (#"{"delete_original":null}"#, nil),
            (#"{"replace\u005foriginal":false}"#, nil),
        ])
    func legacyReply(reply: String, expected: String?) throws {
        let post = ResponseMessage.post(Payload(reply), for: Self.legacy)
        #expect(post == Payload(expected ?? reply))
        #expect(try JSONSerialization.jsonObject(with: Data(post.bytes)) is [String: Any])
    }

    @Test("any text makes a notice that parses", arguments: [command, legacy])
    func anyText(envelope: Envelope) throws {
        for text in ["", "\"", "\\", "\u{0}\u{1F}\u{7F}", "é😀\u{2028}", "\r\n\t"] {
            let notice = ResponseMessage.notice(text, for: envelope)
            let object = try JSONSerialization.jsonObject(with: Data(notice.bytes)) as? [String: Any]
            #expect(object?["text"] as? String == text)
            #expect(object?["response_type"] as? String == "ephemeral")
        }
    }

    private static let command = envelope(.command, nil)
    private static let button = envelope(.interaction, "block_actions")
    private static let legacy = envelope(.interaction, "interactive_message")

    private static func envelope(_ kind: Kind, _ type: String?) -> Envelope {
        var attributes = EnvelopeAttributes()
        attributes.payloadType = type
        return Envelope(
            id: "e", kind: kind, payload: Payload("{}"), attributes: attributes,
            receivedAt: Timestamp(millisecondsSinceEpoch: 0))
    }
}
