// The table of what the admin API has: method, path, and who answers.

import Foundation
import HTTPTypes
import Logging

/// One line of the table.
struct AdminRoute: Sendable {
    typealias Handler = @Sendable (AdminHandlers, inout AdminRequest) async throws -> AdminReply

    var method: HTTPRequest.Method
    /// Under `API.root`; `{…}` stands for any segment.
    var path: String
    /// For the log, of what changes something; nil: it only looks.
    var change: String?
    /// A JSON object is wanted.
    var hasBody = false
    var handler: Handler

    init(
        _ method: HTTPRequest.Method, _ path: String, change: String? = nil, hasBody: Bool = false,
        _ handler: @escaping Handler
    ) {
        self.method = method
        self.path = path
        self.change = change
        self.hasBody = hasBody
        self.handler = handler
    }

    /// docs/openapi.yaml has the same, no more and no less.
    static let all: [AdminRoute] = [
        .init(.get, "/status") { try await $0.status(&$1) },
        .init(.get, "/connections") { try await $0.connections(&$1) },
        .init(.post, "/connections/refresh", change: "connections.refresh") { try await $0.refreshConnections(&$1) },
        .init(.get, "/backends") { try await $0.backends(&$1) },
        .init(.get, "/backends/{name}") { try await $0.backend(&$1) },
        .init(.post, "/backends/{name}/pause", change: "backend.pause") { try await $0.pauseBackend(&$1) },
        .init(.post, "/backends/{name}/resume", change: "backend.resume") { try await $0.resumeBackend(&$1) },
        .init(.post, "/backends/{name}/test", change: "backend.test") { try await $0.testBackend(&$1) },
        .init(.get, "/deliveries") { try await $0.deliveries(&$1) },
        .init(.delete, "/deliveries", change: "deliveries.delete") { try await $0.deleteDeliveries(&$1) },
        .init(.get, "/deliveries/stream") { try await $0.streamDeliveries(&$1) },
        .init(.get, "/deliveries/{id}") { try await $0.delivery(&$1) },
        .init(.delete, "/deliveries/{id}", change: "delivery.delete") { try await $0.deleteDelivery(&$1) },
        .init(.post, "/deliveries/{id}/retry", change: "delivery.retry") { try await $0.retryDelivery(&$1) },
        .init(.post, "/deliveries/{id}/cancel", change: "delivery.cancel") { try await $0.cancelDelivery(&$1) },
        .init(.get, "/replays") { try await $0.replays(&$1) },
        .init(.post, "/replays", change: "replay.create", hasBody: true) { try await $0.createReplay(&$1) },
        .init(.get, "/replays/{id}") { try await $0.replay(&$1) },
        .init(.post, "/replays/{id}/cancel", change: "replay.cancel") { try await $0.cancelReplay(&$1) },
        .init(.get, "/configuration") { try await $0.configuration(&$1) },
        .init(.post, "/reload", change: "reload") { try await $0.reload(&$1) },
        .init(.post, "/drain", change: "drain") { try await $0.drain(&$1) },
    ]

    /// The route of a request, with the values of its path.
    static func find(_ method: HTTPRequest.Method, _ path: String) throws(Problem) -> (AdminRoute, [String]) {
        var matches: [(route: AdminRoute, values: [String])] = []
        if path.hasPrefix(API.root + "/") {
            let segments = split(path.dropFirst(API.root.count))
            for route in all {
                guard let values = route.values(of: segments) else { continue }
                // `/deliveries/stream` is not a delivery.
                if let first = matches.first, first.values.count != values.count {
                    guard values.count < first.values.count else { continue }
                    matches = []
                }
                matches.append((route, values))
            }
        }
        guard !matches.isEmpty else { throw Problem(.unknownPath, "there is nothing at \(quoted(path))") }
        guard let match = matches.first(where: { $0.route.method == method }) else {
            throw Problem(
                .methodNotAllowed, "\(quoted(path)) has no method \(quoted(method.rawValue))",
                allowed: matches.map(\.route.method))
        }
        return (match.route, match.values)
    }

    private static func split(_ path: Substring) -> [Substring] {
        path.split(separator: "/", omittingEmptySubsequences: false)
    }

    /// nil when the path is another one.
    private func values(of segments: [Substring]) -> [String]? {
        let wanted = Self.split(path[...])
        guard wanted.count == segments.count else { return nil }
        var values: [String] = []
        for (wanted, segment) in zip(wanted, segments) {
            if wanted.hasPrefix("{") {
                guard !segment.isEmpty, let value = segment.removingPercentEncoding else { return nil }
                values.append(value)
            } else if wanted != segment {
                return nil
            }
        }
        return values
    }
}

/// What a handler says.
struct AdminReply: Sendable {
    enum Body: Sendable {
        case nothing
        case json(Data)
        case events(OpenStream)
    }

    var status: HTTPResponse.Status
    var body: Body
    /// Where a thing that was made lies.
    var location: String?
    /// For the log, beside the path: what was changed, how much.
    var audit: Logger.Metadata = [:]
    /// For the log: what came of it.
    var outcome = "done"
    /// Nothing was changed after all; or (true, where the route only looks) something was seen that is to be logged.
    var isAudited: Bool?
    /// What the log calls it, in place of the route's own word.
    var change: String?

    init(_ body: some Encodable, status: HTTPResponse.Status = .ok) throws {
        self.status = status
        self.body = .json(try AdminJSON.encode(body))
    }

    init(_ body: Body, status: HTTPResponse.Status) {
        self.status = status
        self.body = body
    }
}
