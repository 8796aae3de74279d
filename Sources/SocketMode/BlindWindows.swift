// The times without any connection, of one app.

package import RelayCore

/// Told of each change of the number of connections; keeps when there was none. Begins blind: from the start to the
/// first connection is a window like any other.
package struct BlindWindows: Sendable, Equatable {
    /// Windows that are kept.
    package static let maxCount = 100

    package struct Window: Sendable, Equatable {
        package var start: Timestamp
        package var end: Timestamp

        package init(start: Timestamp, end: Timestamp) {
            self.start = start
            self.end = end
        }

        /// Not negative, even when the clock was set back meanwhile.
        package var duration: Duration { max(.zero, start.duration(to: end)) }
    }

    /// Those that have ended, oldest first; the last 100.
    package private(set) var ended: [Window] = []
    /// Since when there has been no connection; nil while there is one.
    package private(set) var blindSince: Timestamp?
    /// Of all windows that have ended, the forgotten ones, too.
    private var endedDuration: Duration = .zero

    /// - Parameter start: of the gateway, or when the app was added; nil: not blind.
    package init(since start: Timestamp? = nil) { blindSince = start }

    /// So many connections have had their `hello` and are not being replaced.
    /// - Returns: the window that ended with this; nil when none did.
    package mutating func connectedCountChanged(to count: Int, now: Timestamp) -> Window? {
        guard count > 0 else {
            blindSince = blindSince ?? now
            return nil
        }
        guard let start = blindSince else { return nil }
        blindSince = nil
        let window = Window(start: start, end: now)
        endedDuration += window.duration
        ended.append(window)
        if ended.count > Self.maxCount { ended.removeFirst() }
        return window
    }

    /// Of all windows since the start, the present one included.
    package func duration(until now: Timestamp) -> Duration {
        endedDuration + (blindSince.map { Window(start: $0, end: now).duration } ?? .zero)
    }
}
