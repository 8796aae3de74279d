// How many files and sockets the process may have open, and how many of them the load may take.

import AdminServer
import CPosix
import RelayConfiguration
import RelayCore

/// Each person who waits for an answer holds a connection to a backend, so that `max_waiting: 1000` takes more than the
/// 1,024 files that a process may open by default: the soft limit of most systems. It is kept that low for programs
/// that use select(2); nothing here does, so it is raised to the hard one.
///
/// When all are taken, libdispatch ends the process, for want of a file of /proc, and the health page cannot be asked.
/// So the load never gets all of them.
struct OpenFiles {
    /// For the queue, secrets and the runtime.
    private static let ground = 64

    private let limit: Int

    /// - Parameter limit: as it is.
    init(limit: Int) {
        self.limit = limit
    }

    static func raiseLimit() -> OpenFiles {
        let limit = relay_raise_open_file_limit()
        return OpenFiles(limit: limit < 0 ? 1024 : Int(limit))
    }

    /// Connections to backends that may be open at a time.
    func maxConnections(with configuration: Configuration) -> Int {
        max(limit - Self.reserve(for: configuration), 16)
    }

    /// Connections to Slack's web API and to response URLs. No backend gets them: where all are held by one that hangs, a
    /// connection to Slack could not be replaced. With room for apps that a reload adds: all are rarely open at a time.
    static let maxSlackConnections = LateAnswerPoster.maxConcurrent + 32

    /// People that may wait at a time, for all backends together. Deliveries keep their connections.
    func maxWaiting(with configuration: Configuration) -> Int {
        let inFlight = configuration.backends.reduce(0) { $0 + $1.maxInFlight }
        return max(maxConnections(with: configuration) - inFlight, 1)
    }

    /// What is open beside the load: a listener can be full, and each connection to Slack has its successor beside it
    /// while it is replaced.
    private static func reserve(for configuration: Configuration) -> Int {
        let listeners = [configuration.health != nil, configuration.admin != nil].count { $0 }
        return ground + listeners * ConnectionLimits.maxConnections + LateAnswerPoster.maxConcurrent
            + configuration.apps.count
            + configuration.apps.reduce(0) { $0 + 2 * $1.connections }
    }
}
