// What the body of a backend's 200 says to Slack (slack-protocol.md §3.7).

package import RelayCore

extension BackendReply {
    /// Reads a body as Slack's HTTP mode would: JSON by its content type, all else as text. The payload keeps its bytes.
    ///
    /// Stricter than the scanner that reads frames, because a frame that Slack cannot parse is an answer lost in
    /// silence. A byte order mark, which old PHP files send by accident, is no part of the body.
    /// - Parameter contentType: the header's value; nil when there is none.
    package init(body: [UInt8], contentType: String?) {
        let type = ContentType(contentType ?? "")
        let content = body.starts(with: Self.byteOrderMark) ? body[Self.byteOrderMark.count...] : body[...]
        let text = content.trimmed
        if text.isEmpty {
            self = .empty
        } else if !type.isReadable(text) {
            self = .unusable(.wrongCharset)
        } else if type.isJSON {
            self = Self.json(Array(text))
        } else {
            self = .payload(Self.message(String(decoding: content, as: UTF8.self)))
        }
    }

    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    private static func json(_ text: [UInt8]) -> BackendReply {
        var scanner = JSONScanner(text)
        do throws(JSONError) {
            let value = try scanner.readValue()
            try scanner.finish()
            guard !text.hasUnreadableString else { return .unusable(.invalidJSON) }
            return value.kind == .object ? .payload(Payload(bytes: text)) : .unusable(.notAnObject)
        } catch {
            return .unusable(.invalidJSON)
        }
    }

    /// `{"text":"…"}`
    private static func message(_ text: String) -> Payload {
        var json = Array("{\"text\":".utf8)
        json.appendJSONString(text)
        json.append(UInt8(ascii: "}"))
        return Payload(bytes: json)
    }
}

/// As much of a Content-Type as matters here (RFC 9110 §8.3.1).
private struct ContentType {
    var isJSON: Bool
    /// In lower case; empty when none is given.
    var charset: String

    init(_ header: String) {
        let parts = header.lowercased().split(separator: ";").map { $0.trimmed }
        // A prefix, as Bolt compares it (§3.7).
        isJSON = parts.first?.hasPrefix("application/json") ?? false
        let parameter = parts.dropFirst().first { $0.hasPrefix("charset=") } ?? ""
        charset = String(parameter.dropFirst("charset=".count)).trimmingQuotes
    }

    /// Whether the bytes are UTF-8, or mean the same in it. Java's servlets say ISO-8859-1 unless told otherwise: with
    /// bytes below 128 only, that is no contradiction.
    func isReadable(_ bytes: ArraySlice<UInt8>) -> Bool {
        switch charset {
        case "", "utf-8", "utf8", "us-ascii", "ascii": String(validating: bytes, as: UTF8.self) != nil
        default: bytes.allSatisfy { $0 < 0x80 && $0 != 0 }
        }
    }
}

extension ArraySlice<UInt8> {
    /// Without white space at both ends.
    fileprivate var trimmed: ArraySlice<UInt8> {
        func isBlank(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0D].contains(byte) }
        guard let first = firstIndex(where: { !isBlank($0) }), let last = lastIndex(where: { !isBlank($0) }) else {
            return []
        }
        return self[first...last]
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        var rest = drop { $0 == " " || $0 == "\t" }
        while rest.last == " " || rest.last == "\t" { rest.removeLast() }
        return rest
    }
}

extension String {
    fileprivate var trimmingQuotes: String { String(drop { $0 == "\"" }.prefix { $0 != "\"" }) }
}

extension [UInt8] {
    /// Of well-formed JSON: whether a string in it holds a raw control character (RFC 8259 §7 forbids it) or half of a
    /// surrogate pair, which is what remains of an emoji that was cut (many parsers refuse it, §8.2).
    fileprivate var hasUnreadableString: Bool {
        var isInString = false
        /// Whether the first half of a pair has just ended.
        var hasHalf = false
        var index = 0
        while index < count {
            let byte = self[index]
            var isHalf = false
            if isInString, byte < 0x20 { return true }
            if byte == UInt8(ascii: "\\") {
                let unit = codeUnit(ofEscapeAt: index)
                let isSecond = unit.map(UTF16.isTrailSurrogate) ?? false
                if isSecond != hasHalf { return true }
                isHalf = unit.map(UTF16.isLeadSurrogate) ?? false
                index += unit == nil ? 2 : 6
            } else {
                if hasHalf { return true }
                if byte == UInt8(ascii: "\"") { isInString.toggle() }
                index += 1
            }
            hasHalf = isHalf
        }
        return false
    }

    /// Of `\uXXXX`; nil for any other escape.
    private func codeUnit(ofEscapeAt index: Int) -> UInt16? {
        guard index + 6 <= count, self[index + 1] == UInt8(ascii: "u") else { return nil }
        return UInt16(String(decoding: self[index + 2..<index + 6], as: UTF8.self), radix: 16)
    }
}
