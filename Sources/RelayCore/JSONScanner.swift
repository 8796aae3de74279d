// The one JSON reader of the hot path: walks a document in one pass, gives byte ranges, decodes only what is asked for.

/// Walks a JSON document (RFC 8259) from front to back, without a tree and without copying.
///
/// The reader says what it wants as it goes: enter a container, take its members or elements in order, and for each
/// value either enter it in turn, decode it, or step over it. Every byte is looked at once, whatever is taken out of
/// it.
///
///     var scanner = JSONScanner(frame)
///     try scanner.enterObject()
///     while let key = try scanner.nextKey() {
///         let value = try scanner.readValue()
///         print(scanner.text(of: key), value.kind, value.range)
///     }
///     try scanner.finish()
///
/// A range it gives is a complete, well-formed JSON value: brackets pair up, numbers, literals and escapes follow the
/// grammar. Lenient in two places, because bytes are handed on as they came and refusing them helps nobody
/// (slack-protocol.md §2.10, F18): ill-formed UTF-8 and raw control characters inside strings are stepped over, and
/// decode as U+FFFD and as themselves. Duplicate keys are given as often as they occur; most parsers let the last one
/// win.
///
/// Any bytes can be fed to it: it traps on none, recurses never, and nests at most `maximumDepth` deep.
/// Out of order calls (`nextKey` inside an array) are errors like any other.
package struct JSONScanner: Sendable {
    /// Containers open at the same time; deeper documents are refused. PHP's `json_decode` has the same limit.
    package static let maximumDepth = 512

    package let bytes: [UInt8]
    /// Where the next token is looked for.
    private var position = 0
    /// Containers entered and not yet left.
    private var depth = 0
    /// A container was just entered: a member or element may follow without a comma.
    private var isFirst = false

    package init(_ bytes: [UInt8]) { self.bytes = bytes }
}

/// What a value is, told by its first byte.
package enum JSONKind: Sendable, Equatable {
    case object
    case array
    case string
    case number
    case boolean
    case null
}

/// A value that was stepped over: its bytes are `scanner.bytes[range]`, a string's quotes included.
package struct JSONValue: Sendable, Equatable {
    package var kind: JSONKind
    package var range: Range<Int>

    package init(kind: JSONKind, range: Range<Int>) {
        self.kind = kind
        self.range = range
    }
}

/// The name of a member, not yet decoded.
package struct JSONKey: Sendable, Equatable {
    /// Its bytes, without the quotes.
    package var range: Range<Int>
    /// Whether the bytes hold escapes, so that they are not yet the name itself.
    package var isEscaped: Bool
}

/// Why a document cannot be read on. Names the place, never the content.
package struct JSONError: Error, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        case unexpectedEnd
        case unexpectedByte
        case tooDeep
    }

    package let code: Code
    /// Bytes before the failure.
    package let offset: Int

    package init(_ code: Code, at offset: Int) {
        self.code = code
        self.offset = offset
    }

    package var description: String {
        switch code {
        case .unexpectedEnd: "JSON ends too early, at byte \(offset)"
        case .unexpectedByte: "not JSON at byte \(offset)"
        case .tooDeep: "JSON nests deeper than \(JSONScanner.maximumDepth) at byte \(offset)"
        }
    }
}

// MARK: Walking

extension JSONScanner {
    /// What the next value is, without taking it.
    package mutating func nextKind() throws(JSONError) -> JSONKind {
        switch try nextByte() {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .boolean
        case UInt8(ascii: "n"): return .null
        default: throw JSONError(.unexpectedByte, at: position)
        }
    }

    /// Steps into the object that comes next.
    package mutating func enterObject() throws(JSONError) { try enter(UInt8(ascii: "{")) }

    /// Steps into the array that comes next.
    package mutating func enterArray() throws(JSONError) { try enter(UInt8(ascii: "[")) }

    /// The key of the object's next member, whose value must be taken before the next call; nil when the object ended,
    /// and was left.
    package mutating func nextKey() throws(JSONError) -> JSONKey? {
        guard try !leave(atClosing: UInt8(ascii: "}")) else { return nil }
        guard try nextByte() == UInt8(ascii: "\"") else { throw JSONError(.unexpectedByte, at: position) }
        let start = position + 1
        let isEscaped = try skipString()
        let key = JSONKey(range: start..<position - 1, isEscaped: isEscaped)
        guard try nextByte() == UInt8(ascii: ":") else { throw JSONError(.unexpectedByte, at: position) }
        position += 1
        return key
    }

    /// Whether the array has another element, which must be taken before the next call; when it has none, the array was
    /// left.
    package mutating func nextElement() throws(JSONError) -> Bool {
        try !leave(atClosing: UInt8(ascii: "]"))
    }

    /// Steps over the next value, with all that is in it.
    @discardableResult
    package mutating func readValue() throws(JSONError) -> JSONValue {
        let kind = try nextKind()
        let start = position
        switch kind {
        case .object, .array: try skipContainer(isObject: kind == .object)
        default: try skipScalar(kind)
        }
        return JSONValue(kind: kind, range: start..<position)
    }

    /// Steps over the next value and decodes it; nil when it is not a string.
    package mutating func readString() throws(JSONError) -> String? {
        guard try nextKind() == .string else {
            try readValue()
            return nil
        }
        let start = position + 1
        let isEscaped = try skipString()
        isFirst = false
        return decode(start..<position - 1, isEscaped: isEscaped)
    }

    /// Where the next value begins, or where the one taken last ended.
    package mutating func offsetOfNextValue() throws(JSONError) -> Int {
        _ = try nextByte()
        return position
    }

    /// Bytes read so far.
    package var offset: Int { position }

    /// Throws unless the document is complete: all containers left and nothing but white space behind.
    package mutating func finish() throws(JSONError) {
        skipWhitespace()
        guard depth == 0 else { throw JSONError(.unexpectedEnd, at: position) }
        guard position == bytes.count else { throw JSONError(.unexpectedByte, at: position) }
    }
}

// MARK: Decoding

extension JSONScanner {
    package func text(of key: JSONKey) -> String { decode(key.range, isEscaped: key.isEscaped) }

    /// The text of a string value; nil for any other value.
    package func string(_ value: JSONValue) -> String? {
        guard value.kind == .string else { return nil }
        let content = value.range.lowerBound + 1..<value.range.upperBound - 1
        return decode(content, isEscaped: bytes[content].contains(UInt8(ascii: "\\")))
    }

    /// The value of a number without fraction and exponent that fits; nil for any other value.
    package func integer(_ value: JSONValue) -> Int? {
        guard value.kind == .number else { return nil }
        return Int(String(decoding: bytes[value.range], as: UTF8.self))
    }

    /// The value of `true` or `false`; nil for any other value.
    package func boolean(_ value: JSONValue) -> Bool? {
        value.kind == .boolean ? bytes[value.range.lowerBound] == UInt8(ascii: "t") : nil
    }

    private func decode(_ range: Range<Int>, isEscaped: Bool) -> String {
        guard isEscaped else { return String(decoding: bytes[range], as: UTF8.self) }
        var decoded: [UInt8] = []
        decoded.reserveCapacity(range.count)
        var index = range.lowerBound
        while index < range.upperBound {
            guard bytes[index] == UInt8(ascii: "\\") else {
                decoded.append(bytes[index])
                index += 1
                continue
            }
            // `skipString` has seen to it that every escape is complete.
            switch bytes[index + 1] {
            case UInt8(ascii: "u"):
                let (scalar, next) = decodeUnicodeEscape(at: index, before: range.upperBound)
                decoded.append(contentsOf: String(scalar).utf8)
                index = next
                continue
            case UInt8(ascii: "b"): decoded.append(0x08)
            case UInt8(ascii: "f"): decoded.append(0x0C)
            case UInt8(ascii: "n"): decoded.append(0x0A)
            case UInt8(ascii: "r"): decoded.append(0x0D)
            case UInt8(ascii: "t"): decoded.append(0x09)
            case let other: decoded.append(other)
            }
            index += 2
        }
        return String(decoding: decoded, as: UTF8.self)
    }

    /// The scalar of the `\uXXXX` at an index, or of the surrogate pair there, and the index behind it. A lone
    /// surrogate is U+FFFD.
    private func decodeUnicodeEscape(at index: Int, before end: Int) -> (Unicode.Scalar, next: Int) {
        let replacement: Unicode.Scalar = "\u{FFFD}"
        let unit = codeUnit(at: index + 2)
        let next = index + 6
        guard UTF16.isLeadSurrogate(unit) else { return (Unicode.Scalar(unit) ?? replacement, next) }
        guard next + 6 <= end, bytes[next] == UInt8(ascii: "\\"), bytes[next + 1] == UInt8(ascii: "u") else {
            return (replacement, next)
        }
        let trail = codeUnit(at: next + 2)
        guard UTF16.isTrailSurrogate(trail) else { return (replacement, next) }
        let value = 0x10000 + (UInt32(unit & 0x3FF) << 10 | UInt32(trail & 0x3FF))
        return (Unicode.Scalar(value) ?? replacement, next + 6)
    }

    private func codeUnit(at index: Int) -> UInt16 {
        bytes[index..<index + 4].reduce(0) { $0 << 4 | UInt16($1.hexadecimalValue ?? 0) }
    }
}

// MARK: Tokens

extension JSONScanner {
    private mutating func skipWhitespace() {
        position = bytes.span.indexOfToken(from: position)
    }

    /// The next byte that is not white space, which stays to be read.
    private mutating func nextByte() throws(JSONError) -> UInt8 {
        skipWhitespace()
        guard position < bytes.count else { throw JSONError(.unexpectedEnd, at: position) }
        return bytes[position]
    }

    private mutating func enter(_ opening: UInt8) throws(JSONError) {
        guard try nextByte() == opening else { throw JSONError(.unexpectedByte, at: position) }
        guard depth < Self.maximumDepth else { throw JSONError(.tooDeep, at: position) }
        position += 1
        depth += 1
        isFirst = true
    }

    /// Leaves the container when its end comes next; else steps over the comma that must stand before each but the
    /// first value.
    private mutating func leave(atClosing closing: UInt8) throws(JSONError) -> Bool {
        let byte = try nextByte()
        if byte == closing, depth > 0 {
            position += 1
            depth -= 1
            isFirst = false
            return true
        }
        if isFirst {
            isFirst = false
        } else {
            guard byte == UInt8(ascii: ","), depth > 0 else { throw JSONError(.unexpectedByte, at: position) }
            position += 1
        }
        return false
    }

    /// Uses the walk itself, and remembers the open containers in one bit each: depth costs no stack.
    private mutating func skipContainer(isObject: Bool) throws(JSONError) {
        var open = OpenContainers()
        var kind: JSONKind = isObject ? .object : .array
        while true {
            switch kind {
            case .object, .array:
                try enter(bytes[position])
                open.push(isObject: kind == .object)
            default: try skipScalar(kind)
            }
            while let isObject = open.last {
                let hasNext = isObject ? try nextKey() != nil : try nextElement()
                if hasNext { break }
                open.pop()
            }
            if open.last == nil { return }
            kind = try nextKind()
        }
    }

    private mutating func skipScalar(_ kind: JSONKind) throws(JSONError) {
        switch kind {
        case .string: _ = try skipString()
        case .number: try skipNumber()
        case .boolean: try skip(bytes[position] == UInt8(ascii: "t") ? "true" : "false")
        case .null: try skip("null")
        case .object, .array: throw JSONError(.unexpectedByte, at: position)
        }
        isFirst = false
    }

    private mutating func skip(_ literal: String) throws(JSONError) {
        for byte in literal.utf8 {
            guard position < bytes.count else { throw JSONError(.unexpectedEnd, at: position) }
            guard bytes[position] == byte else { throw JSONError(.unexpectedByte, at: position) }
            position += 1
        }
    }

    /// From the opening quote to behind the closing one. Returns whether there were escapes.
    private mutating func skipString() throws(JSONError) -> Bool {
        let (end, isEscaped) = try bytes.span.endOfString(from: position + 1)
        position = end
        return isEscaped
    }

    /// RFC 8259 §6: `-`? (`0` | digits without leading zero) fraction? exponent?
    private mutating func skipNumber() throws(JSONError) {
        if bytes[position] == UInt8(ascii: "-") { position += 1 }
        if position < bytes.count, bytes[position] == UInt8(ascii: "0") {
            position += 1
        } else {
            try skipDigits()
        }
        if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
            position += 1
            try skipDigits()
        }
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            position += 1
            if position < bytes.count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") {
                position += 1
            }
            try skipDigits()
        }
    }

    /// At least one.
    private mutating func skipDigits() throws(JSONError) {
        let start = position
        while position < bytes.count, bytes[position] &- UInt8(ascii: "0") < 10 { position += 1 }
        guard position == start else { return }
        throw JSONError(position < bytes.count ? .unexpectedByte : .unexpectedEnd, at: position)
    }
}

// The two loops that nearly all bytes pass through.
extension Span<UInt8> {
    /// The first index, from the given one on, that holds no white space.
    fileprivate func indexOfToken(from start: Int) -> Int {
        var index = start
        while index < count {
            switch self[index] {
            case 0x20, 0x09, 0x0A, 0x0D: index += 1
            default: return index
            }
        }
        return index
    }

    /// The index behind the closing quote of the string whose content begins at `start`, and whether there were
    /// escapes.
    fileprivate func endOfString(from start: Int) throws(JSONError) -> (end: Int, isEscaped: Bool) {
        var index = start
        var isEscaped = false
        while index < count {
            let byte = self[index]
            index += 1
            if byte == UInt8(ascii: "\"") { return (index, isEscaped) }
            if byte == UInt8(ascii: "\\") {
                isEscaped = true
                index = try endOfEscape(from: index)
            }
        }
        throw JSONError(.unexpectedEnd, at: count)
    }

    /// The index behind the escape whose backslash stands before `start`.
    private func endOfEscape(from start: Int) throws(JSONError) -> Int {
        guard start < count else { throw JSONError(.unexpectedEnd, at: start) }
        switch self[start] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return start + 1
        case UInt8(ascii: "u"):
            for index in start + 1..<start + 5 {
                guard index < count else { throw JSONError(.unexpectedEnd, at: index) }
                guard self[index].hexadecimalValue != nil else { throw JSONError(.unexpectedByte, at: index) }
            }
            return start + 5
        default: throw JSONError(.unexpectedByte, at: start)
        }
    }
}

/// A stack of Booleans, at most `JSONScanner.maximumDepth` of them, without an allocation.
private struct OpenContainers {
    private var bits = SIMD8<UInt64>()
    private var count = 0

    /// Whether the innermost container is an object; nil when none is open.
    var last: Bool? {
        guard count > 0 else { return nil }
        let level = count - 1
        return (bits[level / 64] >> UInt64(level % 64)) & 1 == 1
    }

    mutating func push(isObject: Bool) {
        let bit: UInt64 = 1 << UInt64(count % 64)
        if isObject { bits[count / 64] |= bit } else { bits[count / 64] &= ~bit }
        count += 1
    }

    mutating func pop() { count -= 1 }
}

extension UInt8 {
    /// The value of an ASCII hexadecimal digit; nil for any other byte.
    fileprivate var hexadecimalValue: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
