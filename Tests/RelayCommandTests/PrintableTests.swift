// What text from outside may do to a terminal: nothing.

import Foundation
import Testing

@testable import relay

@Suite("Printable")
struct PrintableTests {
    /// ESC, DEL, NEL, CSI as one character, right-to-left override, and one beyond the basic plane.
    private static let steering = ["\u{1B}[31m", "\u{7F}", "\u{85}", "\u{9B}31m", "\u{202E}", "\u{E0001}"]

    @Test("what could steer a terminal is a question mark", arguments: steering)
    func printable(text: String) {
        #expect("a\(text)é".printable == "a?\(text.unicodeScalars.dropFirst().map(String.init).joined())é")
    }

    @Test("JSON keeps its meaning, and has nothing that could steer a terminal", arguments: steering)
    func json(text: String) throws {
        let json = "{\n\t\"é\": \"a\(text == "\u{1B}[31m" ? #"\u001b[31m"# : text)😀\"\n}"
        let printed = json.printableJSON
        #expect(!printed.replacing("\n", with: "").replacing("\t", with: "").printable.contains("?"))
        #expect(try Self.value(printed) == ["é": "a\(text)😀"])
    }

    @Test("a quoted text is a JSON string that means the same", arguments: steering + [#"a"b\c"#, "\r\n\t", ""])
    func quoted(text: String) throws {
        #expect(!text.quoted.printable.contains("?"))
        #expect(try Self.value("{\(text.quoted):\(text.quoted)}") == [text: text])
    }

    @Test(
        "a value in a line for people is quoted where it must be",
        arguments: [
            ("http_500", "http_500"), ("é😀", "é😀"), ("a b", #""a b""#), (#"a"b"#, #""a\"b""#), ("", ""),
            ("a\u{9B}31m", #""a\u009b31m""#), ("a\nb", #""a\nb""#), ("\u{E0001}", #""\udb40\udc01""#),
        ])
    func line(value: String, shown: String) {
        #expect(value.quotedWhereUnclear == shown)
    }

    private static func value(_ json: String) throws -> [String: String]? {
        try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: String]
    }
}
