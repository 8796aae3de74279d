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
            responder: makeResponder(), address: address, limits: limits, onListening: onListening,
            logger: logger)
        try await application.serve("health", on: address, limits)
    }

    private func makeResponder() -> HealthResponder {
        HealthResponder(pages: [
            // Liveness depends on neither Slack, disk nor backends: a restart would mend none of them.
            "healthz": { [about] in Response(.ok, about().reduce("ok\n") { $0 + "\($1.name): \($1.value)\n" }) },
            "readyz": { [readiness] in
                let state = await readiness()
                return state.isReady
                    ? Response(.ok, "ready\n")
                    : Response(.serviceUnavailable, state.problems.joined(separator: "\n") + "\n")
            },
            "metrics": { [registry, refreshMetrics] in
                await refreshMetrics()
                return Response(.ok, registry.render(), "text/plain; version=0.0.4; charset=utf-8")
            },
        ])
    }
}

/// GET and HEAD of a few pages.
private struct HealthResponder: HTTPResponder {
    var pages: [String: @Sendable () async -> Response]

    func respond(to request: Request, context: BasicRequestContext) async -> Response {
        let path = request.uri.path.split(separator: "/")
        guard path.count == 1, let name = path.first, let page = pages[String(name)] else {
            let response = Response(.notFound, "nothing is here\n")
            return request.method == .head ? response.createHeadResponse() : response
        }
        switch request.method {
        case .get: return await page()
        case .head: return await page().createHeadResponse()
        default:
            var response = Response(.methodNotAllowed, "GET and HEAD only\n")
            response.headers[.allow] = "GET, HEAD"
            return response
        }
    }
}

extension Response {
    fileprivate init(
        _ status: HTTPResponse.Status, _ text: String, _ type: String = "text/plain; charset=utf-8"
    ) {
        self.init(status: status, headers: [.contentType: type], body: .init(byteBuffer: .init(string: text)))
    }
}
