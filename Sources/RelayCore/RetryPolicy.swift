// When to attempt a delivery again, and when to give it up.

/// How often and how late a failed attempt is repeated.
package struct RetryPolicy: Sendable, Equatable {
    /// The waits before attempt 2, 3, …; after the last one a failed delivery is dead. Not negative; empty: no retry.
    package var schedule: [Duration]
    /// Share of each wait that is random, 0 to 1: the wait lies in `wait * (1 - jitter) ... wait * (1 + jitter)`.
    package var jitter: Double
    /// Upper bound of what `Retry-After` can ask for.
    package var retryAfterMax: Duration

    package static let defaultSchedule: [Duration] =
        [.seconds(1), .seconds(5), .seconds(30)] + [2, 10, 30, 60, 120, 240, 480].map { .seconds($0 * 60) }

    package init(
        schedule: [Duration] = RetryPolicy.defaultSchedule, jitter: Double = 0.2,
        retryAfterMax: Duration = .seconds(3600)
    ) {
        self.schedule = schedule
        self.jitter = jitter
        self.retryAfterMax = retryAfterMax
    }

    /// What to do after an attempt.
    package enum Decision: Equatable, Sendable {
        case complete
        case retry(after: Duration)
        case deadLetter(DeadLetterReason)
    }

    /// - Parameters:
    ///   - attempt: the number of the attempt that finished, from 1.
    ///   - random: uniform in 0 ..< 1.
    package func decide(_ result: AttemptResult, attempt: Int, random: Double) -> Decision {
        switch result.outcome {
        case .accepted:
            return .complete
        case .rejected(let reason):
            return .deadLetter(.rejected(reason))
        case .failed(let reason):
            guard attempt >= 1, attempt <= schedule.count else { return .deadLetter(.attemptsExhausted(reason)) }
            let wait = schedule[attempt - 1].scaled(by: 1 + jitter * (2 * random - 1))
            return .retry(after: max(wait, cappedRetryAfter(of: result)))
        }
    }

    /// How long a response asks the whole backend to be left alone; zero when it does not.
    package func cappedRetryAfter(of result: AttemptResult) -> Duration {
        max(.zero, min(result.retryAfter ?? .zero, retryAfterMax))
    }
}

/// Why a delivery was given up.
package enum DeadLetterReason: Hashable, Sendable, CustomStringConvertible {
    /// The backend's answer is final.
    case rejected(AttemptReason)
    /// The last attempt that the schedule allows failed.
    case attemptsExhausted(AttemptReason)
    /// It has an order key, and failed for longer than `order_block_max`: others may wait behind it.
    case orderBlocked(AttemptReason)

    package var description: String {
        switch self {
        case .rejected(let reason): "rejected_\(reason)"
        case .attemptsExhausted(let reason): "attempts_exhausted_\(reason)"
        case .orderBlocked(let reason): "order_blocked_\(reason)"
        }
    }
}

/// Whose matter it is that a delivery was given up.
package enum DeadLetterClass: String, Sendable, CaseIterable {
    /// The backend refused it, failed, or was not there.
    case backend
    /// Relay could not make the request.
    case relay
    /// The configuration forbids it: egress, `order_block_max`.
    case policy
    /// Its time was over: `expired`.
    case expiry

    /// - Parameter reason: `DeadLetterReason.description`, as it is stored.
    package init(deadReason reason: String) {
        if reason.hasSuffix("\(AttemptReason.requestError)") {
            self = .relay
        } else if reason.hasPrefix("order_blocked_") || reason.hasSuffix("\(AttemptReason.blockedAddress)") {
            self = .policy
        } else {
            self = .backend
        }
    }
}
