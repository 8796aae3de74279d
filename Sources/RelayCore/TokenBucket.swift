// How fast a backend may be sent to.

/// So many per second on average, and so many at once after a quiet time.
package struct RateLimit: Sendable, Hashable {
    /// More than 0, at most 100,000.
    package var perSecond: Double
    /// At least 1, at most 100,000.
    package var burst: Int

    package init(perSecond: Double, burst: Int) {
        self.perSecond = perSecond
        self.burst = burst
    }
}

/// A token bucket: full at first, one token per attempt, refilled steadily.
package struct TokenBucket: Sendable, Equatable {
    private let limit: RateLimit
    private var tokens: Double
    private var filledAt: Timestamp?

    package init(_ limit: RateLimit) {
        self.limit = limit
        tokens = Double(limit.burst)
    }

    /// Takes a token, if there is one.
    package mutating func take(now: Timestamp) -> Bool {
        fill(now: now)
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }

    /// When the next token is there: now, or later.
    package mutating func nextToken(now: Timestamp) -> Timestamp {
        fill(now: now)
        guard tokens < 1 else { return now }
        // A nanosecond more, so that rounding makes nobody come too early.
        return now.advanced(by: .seconds(1).scaled(by: (1 - tokens) / limit.perSecond) + .nanoseconds(1))
    }

    private mutating func fill(now: Timestamp) {
        // A clock that was set back fills nothing, and loses nothing.
        let elapsed = filledAt.map { max(.zero, $0.duration(to: now)) } ?? .zero
        tokens = min(Double(limit.burst), tokens + elapsed.inSeconds * limit.perSecond)
        filledAt = now
    }
}
