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

    /// Sleeps in steps of at most a minute and looks at the wall clock after each, so that a clock that was set makes a
    /// sleeper late by no more.
    package func sleep(until deadline: Timestamp, tolerance: Duration?) async throws {
        while true {
            let left = now.duration(to: deadline)
            guard left > .zero else { return }
            try await Task.sleep(for: min(left, .seconds(60)))
        }
    }
}
