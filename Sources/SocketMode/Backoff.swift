// How long to wait between attempts that fail.

import RelayCore

/// A wait that doubles with each failure in a row, up to a cap, and is drawn at random below it, so that many gateways
/// that lost Slack at the same moment do not come back at the same moment ("full jitter").
///
/// Who owns a backoff decides when things are good again and calls `reset()`; for connections that is after `hello` and
/// a stable time, never at an open socket (slack-protocol.md §6.4, F2).
package struct Backoff: Sendable, Equatable {
    /// Upper end of the first wait. More than zero.
    package let initial: Duration
    /// Cap of the upper end; not below `initial`. A cap that is too high outlives the outage (F3), one that is not
    /// applied makes waits of hours (F51).
    package let maximum: Duration
    /// Lower end of each wait; zero for full jitter.
    package let minimum: Duration
    /// Failures since the last reset, for logs. Saturates.
    package private(set) var failures = 0

    package init(initial: Duration = .seconds(1), maximum: Duration = .seconds(60), minimum: Duration = .zero) {
        self.initial = initial
        self.maximum = max(initial, maximum)
        self.minimum = min(minimum, self.maximum)
    }

    /// The wait after one more failure: uniform between `minimum` and the upper end, and at least `lowerBound` (a
    /// `Retry-After`).
    /// - Parameter random: uniform in 0 ..< 1.
    package mutating func failed(random: Double, lowerBound: Duration = .zero) -> Duration {
        let upper = max(minimum, ceiling)
        failures = failures == .max ? failures : failures + 1
        return max(lowerBound, minimum + (upper - minimum).scaled(by: random))
    }

    package mutating func reset() { failures = 0 }

    /// Upper end of the next wait: `initial` doubled once per failure, capped. Doubling stops at the cap, so that no
    /// number of failures overflows.
    package var ceiling: Duration {
        var ceiling = initial
        var doublings = failures
        while doublings > 0, .zero < ceiling, maximum > ceiling {
            ceiling += ceiling
            doublings -= 1
        }
        return min(ceiling, maximum)
    }
}
