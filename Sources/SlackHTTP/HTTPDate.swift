// Dates in HTTP headers (RFC 9110 §5.6.7).

package import RelayCore

/// A second of universal time.
package struct HTTPDate: Equatable {
    var secondsSinceEpoch: Int64

    /// The moment that a `Date` header tells; nil when it tells none.
    package static func timestamp(_ text: String, now: Timestamp) -> Timestamp? {
        HTTPDate(Substring(text), now: now).map { Timestamp(millisecondsSinceEpoch: $0.secondsSinceEpoch * 1_000) }
    }

    /// Reads `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` or `Sun Nov  6 08:49:37 1994`; nil for
    /// anything else. The day of the week is not checked. Two digits of a year are the nearest such year not more than
    /// 50 years after `now`.
    init?(_ text: Substring, now: Timestamp) {
        let parts = text.split { $0 == " " || $0 == "," || $0 == "-" }.map(String.init)
        let isComplete = parts.count == 6 && parts[5] == "GMT"
        let isAsctime = parts.count == 5
        guard isComplete || isAsctime else { return nil }
        let (day, month, year, time) =
            isComplete ? (parts[1], parts[2], parts[3], parts[4]) : (parts[2], parts[1], parts[4], parts[3])
        guard let month = Self.months.firstIndex(of: month), let day = number(day, 1...31),
            let year = number(year, 0...9999),
            let seconds = Self.secondsOfDay(time)
        else { return nil }
        let wholeYear = text.contains("-") ? Self.year(ofTwoDigits: year, now: now) : year
        let date = CivilDate(year: wholeYear, month: Int64(month) + 1, day: day)
        secondsSinceEpoch = date.daysSinceEpoch * 86400 + seconds
    }

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    private static func secondsOfDay(_ text: String) -> Int64? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        // 60 is a leap second.
        guard parts.count == 3, let hours = number(parts[0], 0...23), let minutes = number(parts[1], 0...59),
            let seconds = number(parts[2], 0...60)
        else { return nil }
        return hours * 3600 + minutes * 60 + seconds
    }

    private static func year(ofTwoDigits digits: Int64, now: Timestamp) -> Int64 {
        let thisYear = 1970 + now.secondsSinceEpoch / 31_556_952
        let year = thisYear / 100 * 100 + digits
        return year > thisYear + 50 ? year - 100 : year
    }
}

/// Digits only, in a range.
private func number(_ text: String, _ range: ClosedRange<Int64>) -> Int64? {
    guard text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), let number = Int64(text) else {
        return nil
    }
    return range.contains(number) ? number : nil
}
