// The form of a command: order, values that are not strings, and the way back.

import RelayCore
import SlackHTTP
import Testing

@Suite struct CommandFormTests {
    @Test("unknown fields come last, in the order of the payload")
    func unknownFields() throws {
        let body = try form(#"{"zeta":"1","text":"","alpha":"2","token":"t"}"#)
        #expect(body == "token=t&text=&zeta=1&alpha=2")
    }

    @Test("enterprise fields stand between is_enterprise_install and response_url")
    func enterprise() throws {
        let body = try form(
            #"{"enterprise_name":"n","response_url":"u","enterprise_id":"E1","is_enterprise_install":"true","trigger_id":"1"}"#
        )
        #expect(body == "is_enterprise_install=true&enterprise_id=E1&enterprise_name=n&response_url=u&trigger_id=1")
    }

    @Test("what is no string is sent as its JSON text, and null is left out")
    func otherValues() throws {
        let body = try form(#"{"is_enterprise_install":false,"n":1.50,"o":{"a": [1]},"z":null,"é":"é"}"#)
        #expect(body == "is_enterprise_install=false&n=1.50&o=%7B%22a%22%3A+%5B1%5D%7D&%C3%A9=%C3%A9")
    }

    @Test("the last of two values of a name counts")
    func duplicates() throws {
        #expect(try form(#"{"a":"1","b":"2","a":"3"}"#) == "a=3&b=2")
        #expect(try form(#"{"a":"1","a":null}"#) == "")
    }

    @Test(
        "a payload that is no JSON object is refused",
        arguments: ["", "[]", "{", #"{"a":}"#, #"{"a":"b"} x"#, "\"text\""])
    func refused(payload: String) {
        #expect(throws: SlackRequest.RenderError.self) {
            try SlackRequest.renderBody(.command, Payload(payload))
        }
    }

    @Test("every byte comes back from the form")
    func roundTrip() throws {
        let text = String(String.UnicodeScalarView((1..<0x250).compactMap(Unicode.Scalar.init))) + "🚀 %41 + &="
        let escaped = text.unicodeScalars.map {
            $0.value < 0x20 || "\"\\".unicodeScalars.contains($0) ? escape($0) : String($0)
        }
        let body = try SlackRequest.renderBody(.command, Payload(#"{"text":"\#(escaped.joined())","x":"y"}"#))
        #expect(formDecoded(body).map(\.name) == ["text", "x"])
        #expect(formDecoded(body).map(\.value) == [text, "y"])
        let plain = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+%=&".utf8)
        #expect(body.allSatisfy(plain.contains))
    }

    private func form(_ payload: String) throws -> String {
        String(decoding: try SlackRequest.renderBody(.command, Payload(payload)), as: UTF8.self)
    }

    private func escape(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }
}

/// Decodes a form as Python's urllib.parse.parse_qsl does: split at `&` and the first `=`, `+` is a blank, `%XX` a
/// byte.
func formDecoded(_ body: [UInt8]) -> [(name: String, value: String)] {
    body.split(separator: UInt8(ascii: "&")).map { field in
        let parts = field.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
        return (unquoted(parts[0]), parts.count > 1 ? unquoted(parts[1]) : "")
    }
}

private func unquoted(_ bytes: ArraySlice<UInt8>) -> String {
    var decoded: [UInt8] = []
    var rest = bytes
    while let byte = rest.popFirst() {
        if byte == UInt8(ascii: "%"), let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) {
            decoded.append(value)
            rest = rest.dropFirst(2)
        } else {
            decoded.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
        }
    }
    return String(decoding: decoded, as: UTF8.self)
}
