// Numbers with a unit, as they are written in the file: durations and sizes.

import RelayCore

/// A decimal number followed by a unit: `250ms`, `2.5s`, `4GiB`.
struct Quantity {
    /// The number in units of 10^-fractionDigits.
    private let digits: Int64
    private let fractionDigits: Int
    let unit: String

    /// nil when the text is not a number followed by at least one letter, or the number has more than 15 digits.
    init?(_ text: String) {
        let number = text.utf8.prefix { $0.isASCIIDigit || $0 == UInt8(ascii: ".") }
        let unit = text.utf8.dropFirst(number.count)
        let parts = number.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard !unit.isEmpty, unit.allSatisfy(\.isASCIILetter), (1...2).contains(parts.count),
            parts.allSatisfy({ !$0.isEmpty }), number.count <= 16,
            let digits = Int64(String(decoding: parts.joined(), as: UTF8.self))
        else { return nil }
        self.digits = digits
        self.fractionDigits = parts.count == 2 ? parts[1].count : 0
        self.unit = String(decoding: unit, as: UTF8.self)
    }

    /// The number times a factor; nil when that is not whole or does not fit.
    func times(_ factor: Int64) -> Int64? {
        let product = Int128(digits) * Int128(factor)
        let divisor = (0..<fractionDigits).reduce(Int128(1)) { power, _ in power * 10 }
        return product.isMultiple(of: divisor) ? Int64(exactly: product / divisor) : nil
    }
}

extension Duration {
    static func minutes(_ count: Int64) -> Duration { .seconds(count * 60) }
    static func hours(_ count: Int64) -> Duration { .seconds(count * 3600) }
    static func days(_ count: Int64) -> Duration { .seconds(count * 86400) }

    /// With the count from which on each is used to write a duration: `60s`, `1h` and `24h`, but `2m` and `2d`.
    private static let units: [(name: String, nanoseconds: Int64, from: Int64)] = [
        ("d", 86_400_000_000_000, 2), ("h", 3_600_000_000_000, 1), ("m", 60_000_000_000, 2), ("s", 1_000_000_000, 1),
        ("ms", 1_000_000, 1),
    ]

    /// Reads `250ms`, `2.5s`, `10s`, `2m`, `2h`, `30d`; nil for anything else and for what is finer than a nanosecond.
    package init?(configured text: String) {
        guard let quantity = Quantity(text), let unit = Self.units.first(where: { $0.name == quantity.unit }),
            let nanoseconds = quantity.times(unit.nanoseconds)
        else { return nil }
        self = .nanoseconds(nanoseconds)
    }

    /// As the file would say it, in the largest unit that makes it whole.
    var configured: String {
        let total = nanoseconds
        guard total != 0 else { return "0s" }
        if let unit = Self.units.first(where: {
            total.isMultiple(of: $0.nanoseconds) && total / $0.nanoseconds >= $0.from
        }) {
            return "\(total / unit.nanoseconds)\(unit.name)"
        }
        let (milliseconds, rest) = total.quotientAndRemainder(dividingBy: 1_000_000)
        let fraction = String(rest + 1_000_000).dropFirst()
        return "\(milliseconds).\(fraction)ms"
    }
}

/// Sizes in bytes.
enum ByteCount {
    private static let units: [(name: String, bytes: Int64)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("TB", 1_000_000_000_000),
        ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000), ("KB", 1_000), ("B", 1),
    ]

    /// Reads `16KiB`, `1.5GiB`, `20MB`, `512B`; nil for anything else and for what is not whole bytes.
    static func parse(_ text: String) -> Int64? {
        guard let quantity = Quantity(text), let unit = units.first(where: { $0.name == quantity.unit }) else {
            return nil
        }
        return quantity.times(unit.bytes)
    }

    /// As the file would say it, in the first unit of the table that makes it whole.
    static func text(_ bytes: Int64) -> String {
        let unit = units.first { bytes != 0 && bytes.isMultiple(of: $0.bytes) } ?? ("B", 1)
        return "\(bytes / unit.bytes)\(unit.name)"
    }
}
