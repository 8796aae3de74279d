// Points in wall-clock time, and the clock that Relay is run on.

/// A point in wall-clock time, in nanoseconds since the Unix epoch. Range: the years 1677 to 2262; arithmetic saturates
/// there.
///
/// Wall-clock, not monotonic, because due times and ages outlive the process: they are stored with a delivery.
package struct Timestamp: InstantProtocol, Hashable {
    package typealias Duration = Swift.Duration

    package var nanosecondsSinceEpoch: Int64

    package init(nanosecondsSinceEpoch: Int64) {
        self.nanosecondsSinceEpoch = nanosecondsSinceEpoch
    }

    package init(millisecondsSinceEpoch: Int64) {
        let (product, overflow) = millisecondsSinceEpoch.multipliedReportingOverflow(by: 1_000_000)
        self.nanosecondsSinceEpoch = overflow ? (millisecondsSinceEpoch < 0 ? .min : .max) : product
    }

    /// Rounded down.
    package var millisecondsSinceEpoch: Int64 {
        nanosecondsSinceEpoch.flooredQuotient(by: 1_000_000)
    }

    /// Rounded down; what Slack's signature timestamp carries.
    package var secondsSinceEpoch: Int64 {
        nanosecondsSinceEpoch.flooredQuotient(by: 1_000_000_000)
    }

    package func advanced(by duration: Swift.Duration) -> Timestamp {
        let (sum, overflow) = nanosecondsSinceEpoch.addingReportingOverflow(duration.nanoseconds)
        return Timestamp(nanosecondsSinceEpoch: overflow ? (duration < .zero ? .min : .max) : sum)
    }

    package func duration(to other: Timestamp) -> Swift.Duration {
        .nanoseconds(other.nanosecondsSinceEpoch) - .nanoseconds(nanosecondsSinceEpoch)
    }

    package static func < (lhs: Timestamp, rhs: Timestamp) -> Bool {
        lhs.nanosecondsSinceEpoch < rhs.nanosecondsSinceEpoch
    }
}

/// The one clock that Gateway and Dispatcher know: real time in the program, virtual time in the simulation.
package protocol RelayClock: Clock, Sendable where Instant == Timestamp, Duration == Swift.Duration {}

extension Swift.Duration {
    /// Whole nanoseconds, saturated to the range of `Int64`.
    package var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return seconds < 0 ? .min : .max }
        let (sum, overflowed) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return overflowed ? (seconds < 0 ? .min : .max) : sum
    }

    /// Whole milliseconds, rounded towards zero.
    package var milliseconds: Int64 { nanoseconds / 1_000_000 }

    /// Seconds as a floating-point number, for metrics.
    package var inSeconds: Double { Double(nanoseconds) / 1e9 }

    /// This duration times a factor; negative and non-finite factors give zero.
    package func scaled(by factor: Double) -> Swift.Duration {
        let product = Double(nanoseconds) * factor
        guard product > 0 else { return .zero }
        return .nanoseconds(product >= Double(Int64.max) ? Int64.max : Int64(product))
    }
}

extension Int64 {
    fileprivate func flooredQuotient(by divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}
