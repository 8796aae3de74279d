// What the body of a 200 says to Slack: the table of slack-protocol.md §3.7, and the bytes that real backends send.

import Foundation
import RelayCore
import SlackHTTP
import Testing

@Suite struct BackendReplyTests {
    private static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]

    @Test(
        "a body of nothing says nothing, whatever its type",
        arguments: [[], Array(" ".utf8), Array(" \r\n\t".utf8), mark, mark + Array("\n".utf8)],
        [nil, "", "text/plain", "application/json", "application/json; charset=utf-16"])
    func empty(body: [UInt8], contentType: String?) {
        #expect(BackendReply(body: body, contentType: contentType) == .empty)
    }

    @Test(
        "a JSON object keeps its bytes, without white space around it",
        arguments: [
            ("{}", "{}"), (" \r\n{ \"a\" : 1e2 }\t", "{ \"a\" : 1e2 }"),
            (#"{"text":"a\/b \u00e9 é 😀\n","n":12345678901234567890}"#, nil),
            (#"{"a":1,"a":2}"#, nil), (#"{"a":"\u0000\u001f\\","b":"\\\""}"#, nil),
            ("{\n\t\"a\": [\r\n1\t]\n}", nil),
        ])
    func object(body: String, payload: String?) {
        #expect(reply(body, "application/json") == .payload(Payload(payload ?? body)))
    }

    @Test(
        "JSON is told by the content type",
        arguments: [
            "application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8",
            "application/json; charset=\"utf-8\"", "Application/JSON", "APPLICATION/JSON; CHARSET=UTF-8",
            " application/json ", "application/json;", "application/json; charset=",
            "application/json; version=1; charset=utf8",
        ])
    func jsonTypes(contentType: String) {
        #expect(reply(#"{"text":"é"}"#, contentType) == .payload(Payload(#"{"text":"é"}"#)))
    }

    @Test(
        "of any other type, JSON too is text",
        arguments: [
            nil, "", ";", "text/plain", "text/html; charset=utf-8", "text/json", "application/vnd.api+json",
            "application/problem+json", "application/javascript", "application/x-www-form-urlencoded", "json",
            "text/plain; a=application/json",
        ])
    func otherTypes(contentType: String?) {
        #expect(reply(#"{"a":"b"}"#, contentType) == .payload(Payload(#"{"text":"{\"a\":\"b\"}"}"#)))
    }

    @Test(
        "an emoji is whole or the JSON is none",
        arguments: [
            (#"{"a":"\ud83d\ude00"}"#, true), (#"{"a":"\\ud83d"}"#, true), (#"{"a":"\ud83d"}"#, false),
            (#"{"a":"\ud83dx"}"#, false), (#"{"a":"\ude00"}"#, false), (#"{"a":"\ud83d\n"}"#, false),
            (#"{"a":"\ud83d\ud83d\ude00"}"#, false), (#"{"\ud83d":1}"#, false),
        ])
    func surrogates(body: String, isWhole: Bool) {
        #expect(reply(body, "application/json") == (isWhole ? .payload(Payload(body)) : .unusable(.invalidJSON)))
    }

    @Test(
        "JSON that is not an object is no payload",
        arguments: ["[]", "[{}]", "\"text\"", "0", "-1.5e3", "true", "null"])
    func notAnObject(body: String) {
        #expect(reply(body, "application/json") == .unusable(.notAnObject))
    }

    @Test(
        "what Slack could not parse is not sent",
        arguments: [
            "{", "}", "{]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}", "{\"a\":01}", "{\"a\":NaN}",
            "{\"a\":1} x", "{}{}", "ok", "<html>", "{\"a\":\"\n\"}", "{\"a\":\"\t\"}", "{\"a\":\"\u{1F}\"}",
            "{\"\0\":1}",
            "{\"a\":\"\\\\\n\"}", "{\"a\":\"\\\"\n\"}", #"{"a":"\x"}"#, #"{"a":"\u12"}"#, "\"\n\"",
        ])
    func invalidJSON(body: String) {
        #expect(reply(body, "application/json") == .unusable(.invalidJSON))
    }

    @Test("nesting is taken as deep as PHP takes it, and no deeper")
    func nesting() {
        func nested(_ depth: Int) -> String {
            "{\"a\":" + String(repeating: "[", count: depth - 1) + String(repeating: "]", count: depth - 1) + "}"
        }
        #expect(reply(nested(512), "application/json") == .payload(Payload(nested(512))))
        #expect(reply(nested(513), "application/json") == .unusable(.invalidJSON))
        #expect(reply(nested(100_000), "application/json") == .unusable(.invalidJSON))
    }

    @Test("a byte order mark is no part of a body")
    func byteOrderMark() {
        let object = BackendReply(body: Self.mark + Array(" {} ".utf8), contentType: "application/json")
        #expect(object == .payload(Payload("{}")))
        let text = BackendReply(body: Self.mark + Array(" hi ".utf8), contentType: "text/plain")
        #expect(text == .payload(Payload(#"{"text":" hi "}"#)))
    }

    @Test(
        "a text becomes a message as it is",
        arguments: [
            "hello", " leading and trailing \n", "a \"quoted\" \\ word", "line 1\nline 2\r\n\tend", "é 😀 \u{2028}",
            "\u{0}\u{1}\u{1F}\u{7F}", "</script>", "{\"a\":", "\u{FFFD}",
        ])
    func text(body: String) throws {
        guard case .payload(let payload) = reply(body, "text/plain") else {
            Issue.record("no payload")
            return
        }
        #expect(try JSONSerialization.jsonObject(with: Data(payload.bytes)) as? [String: String] == ["text": body])
    }

    @Test("the message of a text, byte for byte")
    func textBytes() {
        #expect(reply(" a\"\\\n\té😀", nil) == .payload(Payload(##"{"text":" a\"\\\u000a\u0009é😀"}"##)))
    }

    @Test(
        "bytes that are not UTF-8 are unusable, whether the type is JSON or text",
        arguments: [
            nil, "text/plain", "text/plain; charset=utf-8", "application/json", "application/json; charset=us-ascii",
        ])
    func illFormed(contentType: String?) {
        for bytes in [[0xE9], [0xC3], [0xED, 0xA0, 0x80], [0xC0, 0xAF], [0xFF, 0xFE, 0x68, 0x00]] as [[UInt8]] {
            let body = Array("{\"a\":\"".utf8) + bytes + Array("\"}".utf8)
            #expect(BackendReply(body: body, contentType: contentType) == .unusable(.wrongCharset))
        }
    }

    @Test(
        "another charset is believed where it makes a difference",
        arguments: [
            "iso-8859-1", "ISO-8859-1", "\"iso-8859-1\"", "windows-1252", "utf-16", "Shift_JIS", "nonsense",
        ])
    func charset(charset: String) {
        #expect(reply("{\"a\":\"e\"}", "application/json; charset=\(charset)") == .payload(Payload("{\"a\":\"e\"}")))
        #expect(reply("e", "text/plain;charset=\(charset)") == .payload(Payload("{\"text\":\"e\"}")))
        let latin: [UInt8] = [0x63, 0x61, 0x66, 0xE9]
        #expect(BackendReply(body: latin, contentType: "text/plain; charset=\(charset)") == .unusable(.wrongCharset))
        #expect(reply("{\"a\":\"é\"}", "application/json; charset=\(charset)") == .unusable(.wrongCharset))
    }

    @Test("UTF-16 is unusable even where no byte of it is above 127")
    func utf16() {
        let body: [UInt8] = [0x68, 0x00, 0x69, 0x00]
        #expect(BackendReply(body: body, contentType: "text/plain; charset=utf-16le") == .unusable(.wrongCharset))
    }

    private func reply(_ body: String, _ contentType: String?) -> BackendReply {
        BackendReply(body: Array(body.utf8), contentType: contentType)
    }
}
