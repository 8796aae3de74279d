// Waits until backends accept connections: a sidecar that connected to Slack before its app listens would only collect
// failures.

import Foundation
package import Logging
import NIOCore
import NIOPosix
package import RelayCore

/// Asks whether backends accept TCP (or Unix socket) connections. Nothing is sent to them.
package struct BackendProbe: Sendable {
    private let backends: [Backend]
    private let clock: any RelayClock
    private let logger: Logger

    private static let interval = Duration.milliseconds(250)

    package init(backends: [Backend], clock: any RelayClock, logger: Logger) {
        self.backends = backends
        self.clock = clock
        self.logger = logger
    }

    /// Returns when every backend has accepted a connection, at the latest after `timeout`, or when its task is
    /// canceled.
    package func waitForBackends(timeout: Duration) async {
        guard timeout > .zero else { return }
        let deadline = clock.now.advanced(by: timeout)
        for backend in backends {
            while await !accepts(backend) {
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

    private func accepts(_ backend: Backend) async -> Bool {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connectTimeout(.seconds(1))
        do {
            for target in targets(of: backend) {
                let channel =
                    switch target {
                    case .unixSocket(let path): try await bootstrap.connect(unixDomainSocketPath: path).get()
                    case .host(let host, let port): try await bootstrap.connect(host: host, port: port).get()
                    }
                try? await channel.close().get()
            }
            return true
        } catch {
            return false
        }
    }

    private enum Target: Hashable {
        case unixSocket(String)
        case host(String, port: Int)
    }

    private func targets(of backend: Backend) -> Set<Target> {
        if let path = backend.unixSocket { return [.unixSocket(path)] }
        let urls = Set(Kind.allCases.compactMap { backend.url(for: $0) })
        return Set(
            urls.compactMap(URLComponents.init(string:)).compactMap { url in
                url.host.map { host in
                    .host(
                        host.trimmingCharacters(in: ["[", "]"]), port: url.port ?? (url.scheme == "https" ? 443 : 80))
                }
            })
    }
}
