// What came back: status, headers, body.

/// An HTTP response, read to its end where it is not an error's.
package struct CurlResponse: Sendable, Equatable {
    package var status: Int
    /// In the order received, without the headers of interim (1xx) responses and of proxies, and without trailers.
    /// Made from the raw head on each call.
    package var headers: [(name: String, value: String)] { lines.compactMap(Self.field) }
    /// Decoded when the request had `acceptEncoding`.
    package var body: [UInt8]

    /// The header lines as received, with their line breaks.
    private var head: [UInt8]

    init(status: Int, head: [UInt8], body: [UInt8]) {
        self.status = status
        self.head = head
        self.body = body
    }

    /// The value of the first header of this name, in whatever case; nil when there is none.
    package func header(_ name: String) -> String? {
        let name = Array(name.utf8)
        for line in lines where line.starts(with: name, by: equalIgnoringCase) {
            if let field = Self.field(line), field.name.utf8.count == name.count { return field.value }
        }
        return nil
    }

    private var lines: [ArraySlice<UInt8>] { head.split(separator: UInt8(ascii: "\n")) }

    /// A field line in two; nil for what is none. Bytes that are not UTF-8 are replaced.
    private static func field(_ line: ArraySlice<UInt8>) -> (name: String, value: String)? {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        return (text(line[..<colon]), text(line[(colon + 1)...]))
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }
        guard let first = bytes.firstIndex(where: { !isBlank($0) }), let last = bytes.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return String(decoding: bytes[first...last], as: UTF8.self)
    }
}

/// ASCII letters are equal in either case.
private func equalIgnoringCase(_ lhs: UInt8, _ rhs: UInt8) -> Bool {
    func lowered(_ byte: UInt8) -> UInt8 { 0x41...0x5a ~= byte ? byte | 0x20 : byte }
    return lowered(lhs) == lowered(rhs)
}
