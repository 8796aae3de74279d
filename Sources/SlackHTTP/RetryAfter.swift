// `Retry-After`: how long a response asks to be left alone (RFC 9110 §10.2.3).

package import RelayCore

package enum RetryAfter {
    /// - Parameters:
    ///   - value: of the header: seconds, or a date in any of the three forms of RFC 9110 §5.6.7.
    ///   - now: what a date is counted from.
    /// - Returns: not negative, a past date gives zero; at most 10 years, whatever is asked; nil for anything
    ///   malformed.
    package static func parse(_ value: String, now: Timestamp) -> Duration? {
        let value = value.trimmed
        guard !value.isEmpty else { return nil }
        if value.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) {
            return min(.seconds(Int64(value) ?? .max), longest)
        }
        guard let date = HTTPDate(value, now: now) else { return nil }
        let wait = Duration.seconds(date.secondsSinceEpoch) - .seconds(now.secondsSinceEpoch)
        return min(max(.zero, wait), longest)
    }

    private static let longest = Duration.seconds(315_360_000)
}

extension String {
    /// Without blanks and tabs at both ends.
    fileprivate var trimmed: Substring {
        func isBlank(_ character: Character) -> Bool { character == " " || character == "\t" }
        var rest = drop(while: isBlank)
        while rest.last.map(isBlank) == true { rest.removeLast() }
        return rest
    }
}
