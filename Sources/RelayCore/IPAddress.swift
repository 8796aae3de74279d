// An IP address as a number, and its text.

/// An IPv4 or IPv6 address, without port and zone.
package enum IPAddress: Sendable, Hashable {
    case v4(UInt32)
    case v6(UInt128)

    /// 4 or 16 bytes in network order; nil for any other number of them.
    package init?(bytes: [UInt8]) {
        switch bytes.count {
        case 4: self = .v4(Self.number(bytes))
        case 16: self = .v6(Self.number(bytes))
        default: return nil
        }
    }

    private static func number<Number: FixedWidthInteger>(_ bytes: [UInt8]) -> Number {
        var number: Number = 0
        for byte in bytes { number = number << 8 | Number(truncatingIfNeeded: byte) }
        return number
    }

    /// Reads `192.0.2.1` (four decimal numbers without leading zeros: some systems take those for octal) or an IPv6
    /// address in any form of RFC 4291 §2.2, without brackets and zone.
    package init?(_ text: String) {
        if text.utf8.contains(UInt8(ascii: ":")) {
            guard let value = Self.v6(text) else { return nil }
            self = .v6(value)
        } else {
            guard let value = Self.v4(text[...]) else { return nil }
            self = .v4(value)
        }
    }

    /// How many bits an address of this family has.
    var width: Int {
        switch self {
        case .v4: 32
        case .v6: 128
        }
    }

    /// The IPv4 address that an IPv4-mapped one is (`::ffff:a.b.c.d`, RFC 4291 §2.5.5.2: a socket that connects to it
    /// speaks IPv4); any other address itself.
    package var canonical: IPAddress {
        guard case .v6(let value) = self, value >> 32 == 0xFFFF else { return self }
        return .v4(UInt32(truncatingIfNeeded: value))
    }

    /// Whether it leads to the machine itself: 127.0.0.0/8 (RFC 1122 §3.2.1.3), ::1 (RFC 4291 §2.5.3).
    package var isLoopback: Bool {
        switch canonical {
        case .v4(let value): value >> 24 == 127
        case .v6(let value): value == 1
        }
    }

    /// Whether a host is the machine itself: `localhost`, or a loopback address without brackets.
    package static func isLoopback(host: String) -> Bool {
        host.lowercased() == "localhost" || IPAddress(host)?.isLoopback ?? false
    }

    private static func v4(_ text: Substring) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard part.utf8.allSatisfy(\.isDecimalDigit), let number = UInt8(part), part.count == String(number).count
            else { return nil }
            value = value << 8 | UInt32(number)
        }
        return value
    }

    private static func v6(_ text: String) -> UInt128? {
        guard let gap = text.firstRange(of: "::") else {
            return groups(text[...]).flatMap { $0.count == 8 ? joined($0) : nil }
        }
        let (before, after) = (text[..<gap.lowerBound], text[gap.upperBound...])
        guard !before.contains("."), let head = before.isEmpty ? [] : groups(before),
            let tail = after.isEmpty ? [] : groups(after), head.count + tail.count <= 7
        else { return nil }
        return joined(head + [UInt16](repeating: 0, count: 8 - head.count - tail.count) + tail)
    }

    /// Groups of up to four hexadecimal digits; the last two may be written as an IPv4 address.
    private static func groups(_ text: Substring) -> [UInt16]? {
        var groups: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if index == parts.count - 1, part.contains(".") {
                guard let v4 = v4(part) else { return nil }
                groups += [UInt16(v4 >> 16), UInt16(truncatingIfNeeded: v4)]
            } else {
                guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy(\.isHexadecimalDigit),
                    let group = UInt16(part, radix: 16)
                else { return nil }
                groups.append(group)
            }
        }
        return groups
    }

    private static func joined(_ groups: [UInt16]) -> UInt128 { groups.reduce(0) { $0 << 16 | UInt128($1) } }
}

extension IPAddress: CustomStringConvertible {
    /// IPv6 as RFC 5952 wants it.
    package var description: String {
        switch self {
        case .v4(let value):
            return stride(from: 24, through: 0, by: -8).map { String(value >> UInt32($0) & 0xFF) }
                .joined(separator: ".")
        case .v6(let value):
            if case .v4 = canonical { return "::ffff:\(canonical)" }
            let groups = stride(from: 112, through: 0, by: -16).map { UInt16(truncatingIfNeeded: value >> UInt128($0)) }
            let words = groups.map { String($0, radix: 16) }
            guard let gap = Self.longestGap(in: groups) else { return words.joined(separator: ":") }
            return words[..<gap.lowerBound].joined(separator: ":") + "::"
                + words[gap.upperBound...].joined(separator: ":")
        }
    }

    /// The first of the longest runs of two or more zeros.
    private static func longestGap(in groups: [UInt16]) -> Range<Int>? {
        var longest = 0..<0
        var start = 0
        for (index, group) in groups.enumerated() {
            guard group == 0 else {
                start = index + 1
                continue
            }
            if index + 1 - start > longest.count { longest = start..<(index + 1) }
        }
        return longest.count >= 2 ? longest : nil
    }
}

extension UInt8 {
    fileprivate var isDecimalDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
    fileprivate var isHexadecimalDigit: Bool {
        isDecimalDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self | 0x20)
    }
}
