// How many files and sockets the process may have open, and how many of them the load may take.

import CPosix
import RelayCore

/// Each person who waits for an answer holds a connection to a backend, so that `max_waiting: 1000` takes more than the
/// 1,024 files that a process may open by default: the soft limit of most systems. It is kept that low for programs
/// that use select(2); nothing here does, so it is raised to the hard one.
///
/// When all are taken, libdispatch ends the process, for want of a file of /proc, and the health page cannot be asked.
/// So the load never gets all of them.
struct OpenFiles {
    /// For the queue, the connections to Slack, the health page, secrets and the runtime.
    private static let reserve = 128

    private let limit: Int

    /// - Parameter limit: as it is.
    init(limit: Int) {
        self.limit = limit
    }

    static func raiseLimit() -> OpenFiles {
        let limit = relay_raise_open_file_limit()
        return OpenFiles(limit: limit < 0 ? 1024 : Int(limit))
    }

    /// Connections to backends and to Slack's web API that may be open at a time.
    var maxConnections: Int { max(limit - Self.reserve, 16) }

    /// People that may wait at a time, for all backends together. Deliveries and late answers keep their connections.
    func maxWaiting(for backends: [Backend]) -> Int {
        max(maxConnections - LateAnswerPoster.maxConcurrent - backends.reduce(0) { $0 + $1.maxInFlight }, 1)
    }
}
