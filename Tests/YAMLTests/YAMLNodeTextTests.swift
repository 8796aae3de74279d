// What is written reads back as what it was.

import Testing
import YAML

/// The content without positions, and without how scalars were quoted.
private indirect enum Meaning: Equatable {
    case null
    case text(String)
    case list([Meaning])
    case map([String], [Meaning])

    init(_ node: YAMLNode) {
        switch node.content {
        case .scalar(let scalar): self = scalar.isNull ? .null : .text(scalar.text)
        case .sequence(let items): self = .list(items.map(Meaning.init))
        case .mapping(let entries): self = .map(entries.map(\.key), entries.map { Meaning($0.value) })
        }
    }
}

@Suite("Writing a YAML document")
struct YAMLNodeTextTests {
    private func expectRoundTrip(_ node: YAMLNode) throws {
        let text = node.text
        #expect(Meaning(try YAMLNode(parsing: Array(text.utf8))) == Meaning(node), "\(text)")
    }

    @Test(
        "any text reads back as itself, alone, in a list and as a key",
        arguments: [
            "a", "", " ", "~", "null", "true", "no", "12", "1e3", "a: b", "a:", "a #b", "#a", "- a", "-", "?", "*a",
            "&a",
            "!a", "%a", "@a", "`a`", "'a'", "\"a\"", "{a}", "[a]", "a,b", "a\nb", "\ta", "a\\b", "é", "\u{1F600}",
            "\u{0}",
            "\u{85}", "\u{2028}", "\u{FEFF}", "\u{7F}", "env:NAME", "http://a:1/b?c=d&e", "...", "---", "=", "<<", "a ",
            ":",
            "Slackbot 1.0 (+https://api.slack.com/robots)", "/deploy", "***",
        ])
    func strings(_ text: String) throws {
        try expectRoundTrip(.mapping([YAMLEntry("a", .sequence([.string(text)])), YAMLEntry("b", .string(text))]))
        try expectRoundTrip(.mapping([YAMLEntry(text, .string("a")), YAMLEntry("other", .sequence([]))]))
        try expectRoundTrip(.string(text))
    }

    @Test("what fits is on one line, the rest is in blocks")
    func layout() {
        let long = YAMLNode.string(String(repeating: "x", count: 60))
        let document = YAMLNode.mapping([
            YAMLEntry("version", .plain(1)),
            YAMLEntry("short", .mapping([YAMLEntry("a", .plain(1)), YAMLEntry("b", .sequence([.plain("2s")]))])),
            YAMLEntry("long", .mapping([YAMLEntry("a", long), YAMLEntry("b", long)])),
            YAMLEntry("items", .sequence([.mapping([YAMLEntry("a", long), YAMLEntry("b", long)]), .string("c")])),
            YAMLEntry("none", .mapping([])),
        ])
        let x = String(repeating: "x", count: 60)
        #expect(
            document.text == """
                version: 1
                short: { a: 1, b: [2s] }
                long:
                  a: \(x)
                  b: \(x)
                items:
                  - a: \(x)
                    b: \(x)
                  - c
                none: {}

                """)
    }

    @Test("deep and wide trees read back")
    func nested() throws {
        let wide = YAMLNode.sequence((0..<60).map { .string("item \($0)") })
        var node = wide
        for level in 0..<20 {
            node = level.isMultiple(of: 2) ? .sequence([node, wide]) : .mapping([YAMLEntry("k\(level)", node)])
        }
        try expectRoundTrip(node)
    }

    @Test("an empty collection stays one, whatever it stands behind")
    func emptyCollections() throws {
        let key = String(repeating: "k", count: 120)
        for empty in [YAMLNode.sequence([]), .mapping([])] {
            try expectRoundTrip(empty)
            try expectRoundTrip(
                .mapping([YAMLEntry(key, empty), YAMLEntry("items", .sequence([empty, .string(key)]))]))
        }
    }

    @Test("a plain scalar stays plain: a number is not quoted, a text that looks like one is")
    func plain() {
        #expect(
            YAMLNode.sequence([.plain(1), .string("1"), .string("null"), .plain("null")]).text
                == "- 1\n- \"1\"\n- \"null\"\n- null\n")
    }
}
