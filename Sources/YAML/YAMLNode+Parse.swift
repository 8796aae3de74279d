// From text to a tree of nodes: the events of libyaml, put together under limits.

/// What a document may cost to read.
package struct YAMLLimits: Sendable, Hashable {
    /// Of the text, in bytes.
    package var maxBytes: Int
    /// Of collections in one another; a document that is one flat mapping has depth 1.
    package var maxDepth: Int

    package init(maxBytes: Int = 1 << 20, maxDepth: Int = 32) {
        self.maxBytes = maxBytes
        self.maxDepth = maxDepth
    }
}

extension YAMLNode {
    /// Reads one document, UTF-8 with or without byte order mark. A text without a document is a null scalar.
    ///
    /// Refused, so that a tree is never larger than its text and says one thing only: anchors and aliases, tags,
    /// duplicate keys, collections as keys, more than one document.
    package init(parsing bytes: [UInt8], limits: YAMLLimits = .init()) throws(YAMLError) {
        guard bytes.count <= limits.maxBytes else {
            throw YAMLError(
                .tooLarge, at: .start, "must be at most \(limits.maxBytes) bytes, has \(bytes.count)")
        }
        let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let text = bytes.starts(with: byteOrderMark) ? bytes[byteOrderMark.count...] : bytes[...]
        var builder = YAMLTreeBuilder(events: try YAMLEventStream(text), maxDepth: limits.maxDepth)
        self = try builder.document()
    }
}

/// Takes events in their order and builds what they describe. Recursion is bounded by `maxDepth`.
private struct YAMLTreeBuilder: ~Copyable {
    var events: YAMLEventStream
    let maxDepth: Int

    mutating func document() throws(YAMLError) -> YAMLNode {
        var root: YAMLNode?
        while true {
            let event = try events.next()
            switch event.content {
            case .streamEnd:
                return root ?? YAMLNode(.scalar(YAMLScalar("")), at: .start)
            case .documentStart where root != nil:
                throw YAMLError(.unsupported, at: event.position, "a second document begins here; only one is read")
            case .streamStart, .documentStart, .documentEnd:
                break
            default:
                root = try node(from: event, depth: 0)
            }
        }
    }

    private mutating func node(from event: YAMLEvent, depth: Int) throws(YAMLError) -> YAMLNode {
        switch event.content {
        case .scalar(let scalar):
            return YAMLNode(.scalar(scalar), at: event.position)
        case .sequenceStart:
            try checkDepth(depth + 1, at: event.position)
            return YAMLNode(.sequence(try items(depth: depth + 1)), at: event.position)
        case .mappingStart:
            try checkDepth(depth + 1, at: event.position)
            return YAMLNode(.mapping(try entries(depth: depth + 1)), at: event.position)
        case .unsupported(let what):
            throw YAMLError(.unsupported, at: event.position, "\(what) are not supported")
        case .streamStart, .streamEnd, .documentStart, .documentEnd, .sequenceEnd, .mappingEnd:
            throw YAMLError(.syntax, at: event.position, "a value is missing")
        }
    }

    private func checkDepth(_ depth: Int, at position: YAMLPosition) throws(YAMLError) {
        guard depth <= maxDepth else {
            throw YAMLError(.tooDeep, at: position, "nested deeper than \(maxDepth) levels")
        }
    }

    private mutating func items(depth: Int) throws(YAMLError) -> [YAMLNode] {
        var items: [YAMLNode] = []
        while true {
            let event = try events.next()
            if case .sequenceEnd = event.content { return items }
            items.append(try node(from: event, depth: depth))
        }
    }

    /// Not of what may be a value, a secret even, in the wrong place.
    private static func name(ofKey key: String) -> String {
        let isWord = key.utf8.count <= 40 && key.utf8.allSatisfy { isLetter($0) || "_-.".utf8.contains($0) }
        return isWord ? "the key `\(key)`" : "this key"
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    private mutating func entries(depth: Int) throws(YAMLError) -> [YAMLEntry] {
        var entries: [YAMLEntry] = []
        var lines: [String: Int] = [:]
        while true {
            let event = try events.next()
            if case .mappingEnd = event.content { return entries }
            guard case .scalar(let key) = try node(from: event, depth: depth).content else {
                throw YAMLError(.unsupported, at: event.position, "lists and mappings as keys are not supported")
            }
            if let line = lines.updateValue(event.position.line, forKey: key.text) {
                throw YAMLError(
                    .duplicateKey, at: event.position,
                    "\(Self.name(ofKey: key.text)) is given twice, first in line \(line)")
            }
            let value = try node(from: try events.next(), depth: depth)
            entries.append(YAMLEntry(key.text, value, at: event.position))
        }
    }
}
