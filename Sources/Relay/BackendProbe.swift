// Waits until backends accept connections: a sidecar that connected to Slack before its app listens would only collect
// failures.

package import Logging
package import RelayCore

/// Asks whether backends accept connections. Nothing is sent to them.
package struct BackendProbe: Sendable {
    private let backends: [Backend]
    private let connects: @Sendable (Backend) async -> Bool
    private let clock: any RelayClock
    private let logger: Logger

    private static let interval = Duration.milliseconds(250)

    /// - Parameter connects: whether a backend accepts a connection now, made in the way that its requests are.
    package init(
        backends: [Backend], clock: any RelayClock, logger: Logger,
        connects: @escaping @Sendable (Backend) async -> Bool
    ) {
        self.backends = backends
        self.connects = connects
        self.clock = clock
        self.logger = logger
    }

    /// Returns when every backend has accepted a connection, at the latest after `timeout`, or when its task is
    /// canceled.
    package func waitForBackends(timeout: Duration) async {
        guard timeout > .zero else { return }
        let deadline = clock.now.advanced(by: timeout)
        for backend in backends {
            while await !connects(backend) {
                guard clock.now < deadline else {
                    logger.warning(
                        "a backend does not accept connections yet; connecting to Slack all the same",
                        metadata: [LogKey.backendName: "\(backend.name)"])
                    return
                }
                guard (try? await clock.sleep(for: Self.interval)) != nil else { return }
            }
        }
    }
}
