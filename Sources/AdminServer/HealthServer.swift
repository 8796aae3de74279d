// The health listener: /healthz, /readyz and /metrics. Nothing secret, nothing that changes anything.

import Foundation
import HTTPTypes
import Hummingbird
package import Logging
import NIOCore
package import RelayCore
import ServiceLifecycle

/// What `/readyz` says.
package struct Readiness: Sendable, Equatable {
    /// Each thing that must be true, with what is wrong when it is not.
    package var problems: [String]

    package var isReady: Bool { problems.isEmpty }

    package init(problems: [String]) { self.problems = problems }
}

/// Serves health and metrics over HTTP until the group shuts down.
package struct HealthServer: Service {
    private let address: ListenAddress
    private let limits: ConnectionLimits
    private let registry: MetricsRegistry
    private let about: @Sendable () -> [(name: String, value: String)]
    private let readiness: @Sendable () async -> Readiness
    private let refreshMetrics: @Sendable () async -> Void
    private let onListening: @Sendable (_ port: Int) async -> Void
    private let logger: Logger

    /// - Parameters:
    ///   - about: what `/healthz` says besides that the process runs. Must not wait for anything.
    ///   - readiness: asked at each `/readyz`.
    ///   - refreshMetrics: called before each `/metrics`, for what is measured rather than counted.
    ///   - onListening: told the port once connections are accepted.
    package init(
        _ address: ListenAddress, registry: MetricsRegistry, limits: ConnectionLimits = .init(),
        about: @escaping @Sendable () -> [(name: String, value: String)] = { [] },
        readiness: @escaping @Sendable () async -> Readiness,
        refreshMetrics: @escaping @Sendable () async -> Void = {},
        onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }, logger: Logger
    ) {
        self.address = address
        self.limits = limits
        self.registry = registry
        self.about = about
        self.readiness = readiness
        self.refreshMetrics = refreshMetrics
        self.onListening = onListening
        self.logger = logger
    }

    /// Throws `ListenError` when it cannot listen.
    package func run() async throws {
        let application = Application(
            responder: makeRouter().buildResponder(), address: address, limits: limits, onListening: onListening,
            logger: logger)
        try await application.serve("health", on: address, limits)
    }

    /// Exposed for tests, which need no socket.
    func makeRouter() -> Hummingbird.Router<BasicRequestContext> {
        let router = Hummingbird.Router()
        // Liveness depends on neither Slack, disk nor backends: a restart would mend none of them.
        router.get("healthz") { [about] _, _ in
            about().reduce("ok\n") { $0 + "\($1.name): \($1.value)\n" }
        }
        router.get("readyz") { [readiness] _, _ in
            let state = await readiness()
            return Response(
                status: state.isReady ? .ok : .serviceUnavailable, headers: [.contentType: "text/plain; charset=utf-8"],
                body: .init(
                    byteBuffer: .init(string: state.isReady ? "ready\n" : state.problems.joined(separator: "\n") + "\n")
                ))
        }
        router.get("metrics") { [registry, refreshMetrics] _, _ in
            await refreshMetrics()
            return Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: .init(byteBuffer: .init(string: registry.render())))
        }
        return router
    }
}
