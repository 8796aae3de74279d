// From a tree of nodes to text that reads back as the same tree.

extension YAMLNode {
    /// A scalar for a text: quoted where a plain one would be null, a Boolean, a number, or no scalar at all.
    package static func string(_ text: String) -> YAMLNode {
        YAMLNode(.scalar(YAMLScalar(text, isPlain: text.isPlainYAML && !text.readsAsAnotherType)))
    }

    /// A scalar that is written as it is: a number, a Boolean, a duration.
    package static func plain(_ value: some CustomStringConvertible) -> YAMLNode {
        YAMLNode(.scalar(YAMLScalar(value.description)))
    }

    package static func sequence(_ items: [YAMLNode]) -> YAMLNode { YAMLNode(.sequence(items)) }
    package static func mapping(_ entries: [YAMLEntry]) -> YAMLNode { YAMLNode(.mapping(entries)) }

    /// The document as text: two spaces per level; a collection that fits within 100 columns is written on one line,
    /// except a list of collections.
    package var text: String {
        var lines: [String] = []
        switch content {
        case .mapping(let entries) where !entries.isEmpty: Self.write(entries, indent: "", to: &lines)
        case .sequence(let items) where !items.isEmpty: Self.write(items, indent: "", to: &lines)
        default: lines.append(flowText)
        }
        return lines.map { $0 + "\n" }.joined()
    }

    private static func write(_ entries: [YAMLEntry], indent: String, to lines: inout [String]) {
        for entry in entries {
            write(entry.value, after: indent + YAMLNode.string(entry.key).flowText + ":", indent: indent, to: &lines)
        }
    }

    private static func write(_ items: [YAMLNode], indent: String, to lines: inout [String]) {
        for item in items {
            if case .mapping(let entries) = item.content, !item.fits(after: indent + "-") {
                let first = lines.count
                write(entries, indent: indent + "  ", to: &lines)
                lines[first] = indent + "- " + lines[first].dropFirst(indent.count + 2)
            } else {
                write(item, after: indent + "-", indent: indent, to: &lines)
            }
        }
    }

    private static func write(_ node: YAMLNode, after head: String, indent: String, to lines: inout [String]) {
        guard !node.fits(after: head) else { return lines.append(head + " " + node.flowText) }
        lines.append(head)
        switch node.content {
        case .mapping(let entries): write(entries, indent: indent + "  ", to: &lines)
        case .sequence(let items): write(items, indent: indent + "  ", to: &lines)
        case .scalar: break
        }
    }

    private func fits(after head: String) -> Bool {
        isAtom || isFlat && head.count + 1 + flowText.count <= 100
    }

    /// Whether one line can be read at a glance: no list of collections in it.
    private var isFlat: Bool {
        switch content {
        case .scalar: true
        case .sequence(let items): items.allSatisfy(\.isAtom)
        case .mapping(let entries): entries.allSatisfy(\.value.isFlat)
        }
    }

    /// Whether it has no parts, so that there is nothing to put on lines of its own.
    private var isAtom: Bool {
        switch content {
        case .scalar: true
        case .sequence(let items): items.isEmpty
        case .mapping(let entries): entries.isEmpty
        }
    }

    private var flowText: String {
        switch content {
        case .scalar(let scalar):
            scalar.isPlain && (scalar.text.isPlainYAML || scalar.isNull) ? scalar.text : scalar.text.quotedYAML
        case .sequence(let items):
            "[" + items.map(\.flowText).joined(separator: ", ") + "]"
        case .mapping(let entries):
            entries.isEmpty
                ? "{}"
                : "{ "
                    + entries.map { "\(YAMLNode.string($0.key).flowText): \($0.value.flowText)" }.joined(
                        separator: ", ")
                    + " }"
        }
    }
}

extension String {
    /// Whether the text can stand without quotes anywhere, in flow collections too. Narrower than YAML: what is not
    /// plainly safe is quoted.
    fileprivate var isPlainYAML: Bool {
        guard let first = utf8.first, let last = utf8.last else { return false }
        guard first.isPlainYAMLStart, last != UInt8(ascii: ":"), last != UInt8(ascii: " "), self != "..." else {
            return false
        }
        return utf8.allSatisfy { $0.isPlainYAMLStart || " :+-@%=~*();".utf8.contains($0) } && !contains(": ")
    }

    /// Whether a plain scalar of this text is null, a Boolean or a number to some reader of YAML.
    fileprivate var readsAsAnotherType: Bool {
        let words = ["null", "~", "true", "false", "yes", "no", "on", "off", "y", "n"]
        return words.contains(lowercased()) || Double(self) != nil
    }

    /// In double quotes, with the escapes of YAML 1.2 §5.7.
    fileprivate var quotedYAML: String {
        var quoted = "\""
        for scalar in unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\t": quoted += "\\t"
            case " "..."~": quoted.unicodeScalars.append(scalar)
            default:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
            }
        }
        return quoted + "\""
    }
}

extension UInt8 {
    fileprivate var isPlainYAMLStart: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default:
            false
        }
    }
}
