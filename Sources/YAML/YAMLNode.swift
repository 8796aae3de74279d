// A YAML document as a tree of nodes, each of which knows where it stands.

/// One value of a document: a scalar, a sequence or a mapping.
package struct YAMLNode: Sendable, Hashable {
    /// Where the value begins; of a block mapping, where its first key begins.
    package var position: YAMLPosition
    package var content: Content

    package enum Content: Sendable, Hashable {
        case scalar(YAMLScalar)
        case sequence([YAMLNode])
        /// In the order of the document; no key twice.
        case mapping([YAMLEntry])
    }

    package init(_ content: Content, at position: YAMLPosition = .start) {
        self.content = content
        self.position = position
    }
}

/// A value without parts: its text, without quotes and with escapes resolved. What it means is for the reader to say.
package struct YAMLScalar: Sendable, Hashable {
    package var text: String
    /// Whether it was written without quotes and not as a block scalar: only then can it stand for null, a Boolean or
    /// a number.
    package var isPlain: Bool

    package init(_ text: String, isPlain: Bool = true) {
        self.text = text
        self.isPlain = isPlain
    }

    /// Nothing, `~` or `null`, not quoted (YAML 1.2 §10.3.2).
    package var isNull: Bool { isPlain && ["", "~", "null", "Null", "NULL"].contains(text) }
}

/// One key of a mapping with its value. Keys are scalars: a collection as a key is refused by the parser.
package struct YAMLEntry: Sendable, Hashable {
    package var key: String
    package var keyPosition: YAMLPosition
    package var value: YAMLNode

    package init(_ key: String, _ value: YAMLNode, at keyPosition: YAMLPosition = .start) {
        self.key = key
        self.keyPosition = keyPosition
        self.value = value
    }
}

/// A place in a text. Both count from 1; columns count Unicode scalars.
package struct YAMLPosition: Sendable, Hashable, Comparable, CustomStringConvertible {
    package var line: Int
    package var column: Int

    package static let start = YAMLPosition(line: 1, column: 1)

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    /// `12:7`
    package var description: String { "\(line):\(column)" }

    package static func < (lhs: Self, rhs: Self) -> Bool { (lhs.line, lhs.column) < (rhs.line, rhs.column) }
}
