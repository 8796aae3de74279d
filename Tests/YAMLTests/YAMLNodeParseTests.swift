// What is read of a document, where it says everything stands, and what is refused.

import Testing
import YAML

private func parse(_ text: String, limits: YAMLLimits = .init()) throws(YAMLError) -> YAMLNode {
    try YAMLNode(parsing: Array(text.utf8), limits: limits)
}

private func failure(_ text: String, limits: YAMLLimits = .init()) -> YAMLError? {
    do throws(YAMLError) {
        _ = try parse(text, limits: limits)
        return nil
    } catch {
        return error
    }
}

private func at(_ line: Int, _ column: Int) -> YAMLPosition { YAMLPosition(line: line, column: column) }

private func scalar(_ text: String, isPlain: Bool = true, _ line: Int, _ column: Int) -> YAMLNode {
    YAMLNode(.scalar(YAMLScalar(text, isPlain: isPlain)), at: at(line, column))
}

@Suite("Reading a YAML document")
struct YAMLNodeParseTests {
    @Test("keys and values stand where the text has them, from 1")
    func positions() throws {
        let document = try parse("a: 1\nlist:\n  - x\n  - { b: \"y\" }\n")
        let expected = YAMLNode(
            .mapping([
                YAMLEntry("a", scalar("1", 1, 4), at: at(1, 1)),
                YAMLEntry(
                    "list",
                    YAMLNode(
                        .sequence([
                            scalar("x", 3, 5),
                            YAMLNode(
                                .mapping([YAMLEntry("b", scalar("y", isPlain: false, 4, 10), at: at(4, 7))]),
                                at: at(4, 5)),
                        ]), at: at(3, 3)),
                    at: at(2, 1)),
            ]), at: at(1, 1))
        #expect(document == expected)
    }

    @Test("a column counts characters, not bytes")
    func columnsAreCharacters() throws {
        guard case .mapping(let entries) = try parse("{ é: 1, b: 2 }").content else {
            Issue.record("not a mapping")
            return
        }
        #expect(entries[1].keyPosition == at(1, 9))
    }

    @Test("a byte order mark is not part of the first column")
    func byteOrderMark() throws {
        let document = try YAMLNode(parsing: [0xEF, 0xBB, 0xBF] + Array("a".utf8))
        #expect(document == scalar("a", 1, 1))
    }

    @Test(
        "only what stands without quotes is plain",
        arguments: [("a: x", true), ("a: 'x'", false), ("a: |\n  x", false)])
    func plain(_ text: String, _ isPlain: Bool) throws {
        guard case .mapping(let entries) = try parse(text).content, case .scalar(let value) = entries[0].value.content
        else {
            Issue.record("not a mapping of scalars")
            return
        }
        #expect(value.isPlain == isPlain)
    }

    @Test("null is nothing, ~ or null without quotes", arguments: ["", "~", "null", "Null", "NULL"])
    func null(_ text: String) {
        #expect(YAMLScalar(text).isNull)
        #expect(!YAMLScalar(text, isPlain: false).isNull)
    }

    @Test("a text without a document is null", arguments: ["", "\n\n", "# only a comment\n", "---\n", "---\n...\n"])
    func empty(_ text: String) throws {
        let document = try parse(text)
        #expect(document.content == .scalar(YAMLScalar("")))
    }

    @Test("escapes in double quotes are resolved, the zero byte included")
    func escapes() throws {
        let document = try parse(#""\0\u00e9\n""#)
        #expect(document.content == .scalar(YAMLScalar("\0é\n", isPlain: false)))
    }

    @Test(
        "what would say one thing twice, or more than it looks like, is refused where it stands",
        arguments: [
            ("a: 1\nb: 2\na: 3\n", YAMLError.Code.duplicateKey, at(3, 1)),
            ("a: { b: 1, b: 2 }", .duplicateKey, at(1, 12)),
            ("a: &x 1\nb: *x\n", .unsupported, at(1, 4)),
            ("a: *x\n", .unsupported, at(1, 4)),
            ("a: &x [1]", .unsupported, at(1, 4)),
            ("&x { a: 1 }", .unsupported, at(1, 1)),
            ("a: !!str 1", .unsupported, at(1, 4)),
            ("a: !x { b: 1 }", .unsupported, at(1, 4)),
            ("? [a, b]\n: 1\n", .unsupported, at(1, 3)),
            ("{ { a: b }: 1 }", .unsupported, at(1, 3)),
            ("a: 1\n---\nb: 2\n", .unsupported, at(2, 1)),
            ("a: [1, 2\nb: 3\n", .syntax, at(2, 2)),
            ("a: b: c\n", .syntax, at(1, 5)),
            ("a:\n\t- b\n", .syntax, at(2, 1)),
            ("\"open", .syntax, at(1, 6)),
            ("a: %", .syntax, at(1, 4)),
            ("}", .syntax, at(1, 1)),
        ])
    func refused(_ text: String, _ code: YAMLError.Code, _ position: YAMLPosition) {
        let error = failure(text)
        #expect(error?.code == code)
        #expect(error?.position == position)
    }

    @Test("a duplicate key is named, and the line of the first one; not where it may be a secret")
    func duplicateKeyMessage() {
        #expect(failure("a: 1\nb: 2\na: 3\n")?.description == "3:1: the key `a` is given twice, first in line 1")
        #expect(failure("{ x1f4: 1, x1f4: 2 }")?.description == "1:12: this key is given twice, first in line 1")
    }

    @Test(
        "bytes that are not UTF-8, or not allowed in YAML, are refused at their line and column",
        arguments: [
            (Array("a: 1\nbé: ".utf8) + [0xFF], at(2, 5)), (Array("a: \u{7}".utf8), at(1, 4)),
            ([0xFF, 0xFE, 0x61, 0x00], at(1, 1)), ([0x61, 0x00], at(1, 2)), ([0xC3], at(1, 1)),
        ])
    func encoding(_ bytes: [UInt8], _ position: YAMLPosition) {
        do throws(YAMLError) {
            _ = try YAMLNode(parsing: bytes)
            Issue.record("was read")
        } catch {
            #expect(error.code == .encoding)
            #expect(error.position == position)
        }
    }

    @Test(
        "nesting is bounded, in flow and block style", arguments: ["[[[[1]]]]", "- - - - 1", "{a: {a: {a: {a: 1}}}}"])
    func depth(_ text: String) throws {
        _ = try parse(text, limits: YAMLLimits(maxDepth: 4))
        let error = failure(text, limits: YAMLLimits(maxDepth: 3))
        #expect(error?.code == .tooDeep)
        #expect(error?.message == "nested deeper than 3 levels")
    }

    @Test(
        "a tower of brackets as large as the limit is refused, not climbed",
        arguments: ["[", "{a: ", "- ", "? ", "[\n"])
    func tower(_ step: String) {
        let text = String(repeating: step, count: (1 << 20) / step.utf8.count)
        #expect(failure(text) != nil)
    }

    @Test("the size is bounded")
    func size() throws {
        _ = try parse("abcd", limits: YAMLLimits(maxBytes: 4))
        let error = failure("abcde", limits: YAMLLimits(maxBytes: 4))
        #expect(error == YAMLError(.tooLarge, at: .start, "must be at most 4 bytes, has 5"))
    }
}
