// Points in time as text (RFC 3339).

extension Timestamp {
    /// Reads `2026-11-23T09:30:00Z`, `2026-11-23T10:30:00.25+01:00` (RFC 3339 §5.6): with an offset, and at most 9
    /// digits of fraction. nil for anything else, for a leap second, and outside the years 1678 to 2261.
    package init?(rfc3339 text: String) {
        var text = Scanner(text)
        guard let date = text.date(), text.take("T", "t"), let secondOfDay = text.time(),
            let fraction = text.fraction(), let offset = text.offset(), text.isAtEnd,
            (1678...2261).contains(date.year)
        else { return nil }
        self.init(
            nanosecondsSinceEpoch: (date.daysSinceEpoch * 86_400 + secondOfDay - offset) * 1_000_000_000 + fraction)
    }

    /// In UTC, with as many digits of fraction as there are: `2026-11-23T09:30:00Z`.
    package var rfc3339: String {
        let fraction = nanosecondsSinceEpoch.positiveRemainder(by: 1_000_000_000)
        guard fraction != 0 else { return rfc3339(fraction: "") }
        var digits = padded(fraction, to: 9)
        while digits.last == "0" { digits.removeLast() }
        return rfc3339(fraction: "." + digits)
    }

    /// In UTC, to the second, rounded down: `2026-11-23T09:30:00Z`.
    package var rfc3339Seconds: String { rfc3339(fraction: "") }

    /// In UTC, to the millisecond: `2026-11-23T09:30:00.000Z`.
    package var rfc3339Milliseconds: String {
        rfc3339(fraction: "." + padded(millisecondsSinceEpoch.positiveRemainder(by: 1_000), to: 3))
    }

    private func rfc3339(fraction: String) -> String {
        let seconds = secondsSinceEpoch
        let days = (seconds >= 0 ? seconds : seconds - 86_399) / 86_400
        let second = seconds - days * 86_400
        let date = CivilDate(daysSinceEpoch: days)
        let day = "\(padded(date.year, to: 4))-\(padded(date.month, to: 2))-\(padded(date.day, to: 2))"
        let time = [second / 3600, second / 60 % 60, second % 60].map { padded($0, to: 2) }.joined(separator: ":")
        return "\(day)T\(time)\(fraction)Z"
    }
}

extension Int64 {
    fileprivate func positiveRemainder(by divisor: Int64) -> Int64 {
        let remainder = self % divisor
        return remainder < 0 ? remainder + divisor : remainder
    }
}

/// A number that is not negative, with zeros before it.
private func padded(_ number: Int64, to width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
}

/// What is left of a text that is read from its beginning.
private struct Scanner {
    private var rest: Substring.UTF8View

    init(_ text: String) { rest = text[...].utf8 }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func take(_ characters: Unicode.Scalar...) -> Bool {
        guard let next = rest.first, characters.contains(Unicode.Scalar(next)) else { return false }
        rest.removeFirst()
        return true
    }

    /// As many digits as asked for.
    mutating func number(digits count: Int, in range: ClosedRange<Int64>) -> Int64? {
        let digits = rest.prefix(count)
        guard digits.count == count, digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
            let number = Int64(Substring(digits)), range.contains(number)
        else { return nil }
        rest = rest.dropFirst(count)
        return number
    }

    mutating func date() -> CivilDate? {
        guard let year = number(digits: 4, in: 0...9999), take("-"), let month = number(digits: 2, in: 1...12),
            take("-"), let day = number(digits: 2, in: 1...31)
        else { return nil }
        let date = CivilDate(year: year, month: month, day: day)
        return date.isReal ? date : nil
    }

    /// The second of the day.
    mutating func time() -> Int64? {
        guard let hour = number(digits: 2, in: 0...23), take(":"), let minute = number(digits: 2, in: 0...59),
            take(":"), let second = number(digits: 2, in: 0...59)
        else { return nil }
        return hour * 3600 + minute * 60 + second
    }

    /// Nanoseconds; 0 when there is none.
    mutating func fraction() -> Int64? {
        guard take(".") else { return 0 }
        let count = rest.prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }.count
        guard (1...9).contains(count), let number = number(digits: count, in: 0...999_999_999) else { return nil }
        return (count..<9).reduce(number) { number, _ in number * 10 }
    }

    /// Seconds to the east of UTC.
    mutating func offset() -> Int64? {
        if take("Z", "z") { return 0 }
        let isEast = take("+")
        guard isEast || take("-"), let hours = number(digits: 2, in: 0...23), take(":"),
            let minutes = number(digits: 2, in: 0...59)
        else { return nil }
        let seconds = hours * 3600 + minutes * 60
        return isEast ? seconds : -seconds
    }
}
