// Real time.

import CPosix
package import RelayCore

/// The system's wall clock, on which the program runs.
package struct SystemClock: RelayClock {
    package typealias Instant = Timestamp

    package init() {}

    package var now: Timestamp {
        Timestamp(nanosecondsSinceEpoch: relay_wall_clock())
    }

    package var minimumResolution: Duration { .nanoseconds(1) }

    /// Sleeps in steps of at most a minute and looks at the wall clock after each, so that a clock that was set forward
    /// makes a sleeper late by no more. Set back, it makes nobody late: no sleep is longer than it was to be.
    package func sleep(until deadline: Timestamp, tolerance: Duration?) async throws {
        let longest = now.duration(to: deadline)
        let end = ContinuousClock.now.advanced(by: longest)
        while true {
            let left = min(now.duration(to: deadline), ContinuousClock.now.duration(to: end))
            guard left > .zero else { return }
            try await Task.sleep(for: min(left, .seconds(60)))
        }
    }
}
