// The JSON scanner: what it takes, what it gives, what it refuses.

import Foundation
import RelayCore
import RelayTestKit
import Testing

@Suite struct JSONScannerTests {
    @Test(
        "well-formed values are taken whole",
        arguments: [
            "{}", "[]", "\"\"", "0", "-0", "10.5e-3", "1E+9", "true", "false", "null",
            #"{"a":[1,{"b":null}],"c":"\/"}"#,
            #"  [ 1 , "x" , { } ]  "#, #""\u00e9\n\"\\""#, "\"\u{1F600}\"",
            String(repeating: "[", count: 512) + String(repeating: "]", count: 512),
        ])
    func wellFormed(_ text: String) {
        #expect(failure(text) == nil)
    }

    @Test(
        "malformed values are refused at the byte that breaks them",
        arguments: [
            ("", .unexpectedEnd, 0), ("{", .unexpectedEnd, 1), ("[1,]", .unexpectedByte, 3),
            ("{\"a\":1,}", .unexpectedByte, 7),
            ("{\"a\"}", .unexpectedByte, 4), ("{1:2}", .unexpectedByte, 1), ("[1 2]", .unexpectedByte, 3),
            ("01", .unexpectedByte, 1),
            ("-", .unexpectedEnd, 1), ("1.", .unexpectedEnd, 2), ("1.e", .unexpectedByte, 2), ("1e", .unexpectedEnd, 2),
            ("tru", .unexpectedEnd, 3), ("trux", .unexpectedByte, 3), ("nul!", .unexpectedByte, 3),
            ("\"", .unexpectedEnd, 1),
            ("\"\\x\"", .unexpectedByte, 2), ("\"\\u12g4\"", .unexpectedByte, 5), ("\"\\u12", .unexpectedEnd, 5),
            ("\"\\", .unexpectedEnd, 2),
            ("{]", .unexpectedByte, 1), ("[}", .unexpectedByte, 1), ("1 1", .unexpectedByte, 2),
            ("{\"a\":}", .unexpectedByte, 5),
            ("[,1]", .unexpectedByte, 1), ("'a'", .unexpectedByte, 0), ("{\"a\":1", .unexpectedEnd, 6),
            ("\u{FEFF}{}", .unexpectedByte, 0),
        ] as [(String, JSONError.Code, Int)])
    func malformed(_ text: String, code: JSONError.Code, offset: Int) {
        #expect(failure(text) == JSONError(code, at: offset))
    }

    @Test("512 containers may be open, 513 are too deep")
    func depth() {
        #expect(failure(String(repeating: "[", count: 513)) == JSONError(.tooDeep, at: 512))
        #expect(failure(String(repeating: "{\"a\":", count: 513)) == JSONError(.tooDeep, at: 512 * 5))
        #expect(failure(String(repeating: "[", count: 1_000_000)) == JSONError(.tooDeep, at: 512))
    }

    @Test("members come in order, duplicates included, each with its kind and its exact bytes")
    func members() throws {
        let text = #" {"a" : [1, 2] ,"b":"x\"y","a":-1.5, "\u0063":{},"d":true,"e":null} "#
        var scanner = JSONScanner(Array(text.utf8))
        var members: [String] = []
        try scanner.enterObject()
        while let key = try scanner.nextKey() {
            let value = try scanner.readValue()
            members.append(
                "\(scanner.text(of: key)) \(value.kind) \(String(decoding: scanner.bytes[value.range], as: UTF8.self))")
        }
        try scanner.finish()
        #expect(
            members == [
                "a array [1, 2]", #"b string "x\"y""#, "a number -1.5", "c object {}", "d boolean true", "e null null",
            ])
    }

    @Test("containers can be entered at any depth, and left only at their end")
    func entering() throws {
        var scanner = JSONScanner(Array(#"[{"a":[7]},[8],9]"#.utf8))
        try scanner.enterArray()
        #expect(try scanner.nextElement())
        try scanner.enterObject()
        #expect(try scanner.nextKey() != nil)
        try scanner.enterArray()
        #expect(try scanner.nextElement())
        #expect(scanner.integer(try scanner.readValue()) == 7)
        #expect(try !scanner.nextElement())
        #expect(try scanner.nextKey() == nil)
        #expect(try scanner.nextElement())
        #expect(try scanner.readValue().kind == .array)
        #expect(throws: JSONError(.unexpectedEnd, at: 14)) { try scanner.finish() }
        #expect(try scanner.nextElement())
        #expect(scanner.integer(try scanner.readValue()) == 9)
        #expect(try !scanner.nextElement())
        try scanner.finish()
    }

    @Test("calls out of order are errors, not traps")
    func outOfOrder() throws {
        var scanner = JSONScanner(Array("[1,2]".utf8))
        #expect(throws: JSONError.self) { try scanner.nextKey() }
        #expect(throws: JSONError.self) { try scanner.enterObject() }
        try scanner.enterArray()
        #expect(throws: JSONError.self) { try scanner.nextKey() }
        var empty = JSONScanner([])
        #expect(throws: JSONError.self) { try empty.nextElement() }
        var closing = JSONScanner(Array("]".utf8))
        #expect(throws: JSONError.self) { try closing.nextElement() }
    }

    @Test(
        "strings are decoded with all escapes; lone surrogates and ill-formed UTF-8 become U+FFFD",
        arguments: [
            (#""""#, ""), (#""plain""#, "plain"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"),
            (#""\u0041\u00e9\u20AC""#, "Aé€"),
            (#""\ud83d\ude00!""#, "\u{1F600}!"), (#""\ud83d""#, "\u{FFFD}"), (#""\ude00x""#, "\u{FFFD}x"),
            (#""\ud83d\ud83d\ude00""#, "\u{FFFD}\u{1F600}"),
            (#""\ud83d\n""#, "\u{FFFD}\n"), (#""\ud83dabcdef""#, "\u{FFFD}abcdef"), (#""\u0000""#, "\0"),
            ("\"tab\there\"", "tab\there"), (#""https:\/\/x""#, "https://x"),
        ])
    func strings(_ text: String, decoded: String) throws {
        var scanner = JSONScanner(Array(text.utf8))
        #expect(try scanner.readString() == decoded)
        try scanner.finish()
        var again = JSONScanner(Array(text.utf8))
        #expect(again.string(try again.readValue()) == decoded)
    }

    @Test("bytes that are not UTF-8 pass, and decode as U+FFFD")
    func illFormed() throws {
        var scanner = JSONScanner([0x22, 0x61, 0x85, 0x22])
        #expect(try scanner.readString() == "a\u{FFFD}")
    }

    @Test("only whole numbers that fit are integers, only strings are strings, only booleans are booleans")
    func conversions() throws {
        func value<T>(_ text: String, _ convert: (JSONScanner, JSONValue) -> T?) throws -> T? {
            var scanner = JSONScanner(Array(text.utf8))
            let value = try scanner.readValue()
            return convert(scanner, value)
        }
        #expect(try value("-42") { $0.integer($1) } == -42)
        #expect(try value("9223372036854775807") { $0.integer($1) } == .max)
        #expect(try value("9223372036854775808") { $0.integer($1) } == nil)
        #expect(try value("1.0") { $0.integer($1) } == nil)
        #expect(try value("\"1\"") { $0.integer($1) } == nil)
        #expect(try value("1") { $0.string($1) } == nil)
        #expect(try value("true") { $0.boolean($1) } == true)
        #expect(try value("false") { $0.boolean($1) } == false)
        #expect(try value("null") { $0.boolean($1) } == nil)
    }

    @Test("an error names the place and the limit, never the content")
    func errors() {
        #expect(JSONError(.unexpectedByte, at: 7).description == "not JSON at byte 7")
        #expect(JSONError(.unexpectedEnd, at: 0).description == "JSON ends too early, at byte 0")
        #expect(JSONError(.tooDeep, at: 512).description == "JSON nests deeper than 512 at byte 512")
    }

    @Test("what Foundation takes, the scanner takes, over thousands of mutations; none traps", arguments: 0..<8)
    func fuzz(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let original = Array(
            #"{"a":[1,-2.5e+3,{"b":"x\u00e9\ud83d\ude00\/\n"},[],{}],"c":true,"d":null,"e":"\"","f":{"g":[[["h"]]]}}"#
                .utf8)
        for _ in 0..<2_000 {
            let bytes = random.mutate(original)
            var scanner = JSONScanner(bytes)
            let isTaken = (try? scanner.readValue()) != nil && (try? scanner.finish()) != nil
            let isJSON = (try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)) != nil
            // Foundation takes a comma before a closing bracket; RFC 8259 does not, nor do the scanner and most
            // backends.
            let text = String(decoding: bytes.filter { $0 > 0x20 }, as: UTF8.self)
            if isJSON, !text.contains(",]"), !text.contains(",}") {
                #expect(isTaken, "\(String(decoding: bytes, as: UTF8.self))")
            }
        }
    }

    private func failure(_ text: String) -> JSONError? {
        var scanner = JSONScanner(Array(text.utf8))
        do {
            try scanner.readValue()
            try scanner.finish()
            return nil
        } catch {
            return error
        }
    }
}

extension SeededRandom {
    /// One to four random changes: a byte replaced, removed, doubled or inserted, the end cut off.
    fileprivate mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        let structural = Array(#"{}[]",:\u0eE+-.tfn 19"#.utf8)
        for _ in 0..<Int.random(in: 1...4, using: &self) where !bytes.isEmpty {
            let index = Int.random(in: bytes.indices, using: &self)
            switch Int.random(in: 0..<6, using: &self) {
            case 0: bytes[index] = UInt8.random(in: .min ... .max, using: &self)
            case 1: bytes[index] = structural.randomElement(using: &self) ?? 0
            case 2: bytes.remove(at: index)
            case 3: bytes.insert(bytes[index], at: index)
            case 4: bytes.insert(structural.randomElement(using: &self) ?? 0, at: index)
            default: bytes.removeSubrange(index...)
            }
        }
        return bytes
    }
}
