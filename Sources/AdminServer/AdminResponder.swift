// One request of the admin API from its head to its response: access, route, handler, problem, audit.

import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import RelayCore

/// Where a request came from.
struct AdminContext: InitializableFromSource, Sendable {
    /// The peer's address without its port.
    var remote: String

    init(source: ApplicationRequestContextSource) {
        remote = source.channel.remoteAddress?.ipAddress ?? "unknown"
    }
}

struct AdminResponder: HTTPResponder {
    var access: AccessCheck
    var handlers: AdminHandlers
    var now: @Sendable () -> Timestamp
    /// Between two comments that keep a stream open.
    var heartbeat: Duration
    var logger: Logger

    static let maxBodyBytes = 64 << 10
    /// Before a request that is not let in is answered: guessing goes slowly, and so does the log of it.
    static let refusalDelay = Duration.milliseconds(200)

    func respond(to request: Request, context: AdminContext) async throws -> Response {
        do {
            do throws(Problem) {
                try access.check(request.head)
            } catch {
                await refuse(error, context)
                throw error
            }
            let (route, values) = try AdminRoute.find(request.method, request.uri.path)
            return try await respond(to: request, route, values, context)
        } catch let error as Problem {
            return Response(error, to: request.method)
        }
    }

    private func refuse(_ problem: Problem, _ context: AdminContext) async {
        logger.warning(
            "admin request refused",
            metadata: [
                LogKey.adminRemote: "\(context.remote)", LogKey.reason: "\(problem.code.rawValue)",
                LogKey.error: "\(problem.cause ?? problem.detail)",
            ])
        try? await Task.sleep(for: Self.refusalDelay)
    }

    private func respond(
        to request: Request, _ route: AdminRoute, _ values: [String], _ context: AdminContext
    ) async throws -> Response {
        var audit: Logger.Metadata = [LogKey.adminRemote: "\(context.remote)", LogKey.action: "\(route.change ?? "")"]
        if !values.isEmpty { audit[LogKey.adminSubject] = "\(values.joined(separator: "/").prefix(80))" }
        if let query = request.uri.query { audit[LogKey.adminQuery] = "\(query.prefix(1_000))" }
        do {
            let reply = try await handle(request, route, values)
            if reply.isAudited ?? (route.change != nil) {
                audit.merge(reply.audit) { $1 }
                if let change = reply.change { audit[LogKey.action] = "\(change)" }
                audit[LogKey.outcome] = "\(reply.outcome)"
                logger.notice("admin change", metadata: audit)
            }
            return response(reply, to: request)
        } catch {
            let problem = problem(error)
            if route.change != nil {
                if let done = problem.done { audit[LogKey.adminCount] = "\(done)" }
                audit[LogKey.outcome] = "\(problem.code.rawValue)"
                logger.notice("admin change", metadata: audit)
            }
            throw problem
        }
    }

    private func handle(_ request: Request, _ route: AdminRoute, _ values: [String]) async throws -> AdminReply {
        var admin = AdminRequest(
            path: values, query: try Query(request.uri.query ?? ""), body: try await body(of: request, for: route),
            now: now())
        return try await route.handler(handlers, &admin)
    }

    private func problem(_ error: any Error) -> Problem {
        switch error {
        case let problem as Problem: return problem
        case let error as QueueError: return Problem(error)
        default:
            logger.error("an admin request cannot be answered", metadata: [LogKey.error: "\(error)"])
            return Problem(.internal, "the log of Relay says what is wrong")
        }
    }

    private func body(of request: Request, for route: AdminRoute) async throws -> Data {
        // A GET is answered before its body is read: that of a stream tells when its reader goes away, and ends with it.
        guard route.method != .get else {
            let length = request.headers[.contentLength] ?? "0"
            guard length == "0", request.headers[.transferEncoding] == nil else {
                throw Problem.invalid("the body", "must be empty")
            }
            return Data()
        }
        let bytes: ByteBuffer
        do {
            bytes = try await request.body.collect(upTo: Self.maxBodyBytes)
        } catch is NIOTooManyBytesError {
            throw Problem(.bodyTooLarge, "the body must be at most \(Self.maxBodyBytes) bytes")
        } catch {
            // No HTTP any more, or the peer is gone: its matter, not ours.
            throw Problem(.malformedRequest, "the body did not come whole")
        }
        guard route.hasBody else {
            guard bytes.readableBytes == 0 else { throw Problem.invalid("the body", "must be empty") }
            return Data()
        }
        let type = request.headers[.contentType] ?? ""
        guard type.prefix(while: { $0 != ";" }).trimmingCharacters(in: .whitespaces).lowercased() == "application/json"
        else { throw Problem(.unsupportedMediaType, "Content-Type must be application/json, is \(quoted(type))") }
        return Data(bytes.readableBytesView)
    }
}

// MARK: Responses

extension AdminResponder {
    private func response(_ reply: AdminReply, to request: Request) -> Response {
        var headers: HTTPFields = [.cacheControl: "no-store"]
        if let location = reply.location { headers[.location] = location }
        switch reply.body {
        case .nothing:
            return Response(status: reply.status, headers: headers)
        case .json(let data):
            headers[.contentType] = "application/json"
            return Response(status: reply.status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: data)))
        case .events(let stream):
            headers[.contentType] = "text/event-stream"
            return Response(status: reply.status, headers: headers, body: body(of: stream, to: request))
        }
    }

    /// Until the reader goes away, or the subscription ends.
    private func body(of stream: OpenStream, to request: Request) -> ResponseBody {
        ResponseBody { [heartbeat] writer in
            let subscription = stream.subscription
            // The head goes out with the first bytes: a reader knows at once that it is let in.
            try await writer.write(ByteBuffer(string: ": here is what happens from now on\n\n"))
            try? await request.body.consumeWithCancellationOnInboundClose { _ in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        while true {
                            try await Task.sleep(for: heartbeat)
                            subscription.wake()
                        }
                    }
                    for await _ in subscription.signals {
                        try await writer.write(subscription.takeAll())
                    }
                    group.cancelAll()
                }
            }
            try await writer.finish(nil)
        }
    }
}

extension Response {
    /// A problem as `application/problem+json`.
    init(_ problem: Problem, to method: HTTPRequest.Method?) {
        var headers: HTTPFields = [.contentType: "application/problem+json", .cacheControl: "no-store"]
        if problem.code == .unauthorized { headers[.wwwAuthenticate] = "Bearer realm=\"relay\"" }
        if problem.code == .methodNotAllowed {
            headers[.allow] = problem.allowed.map(\.rawValue).joined(separator: ", ")
        }
        let data = (try? AdminJSON.encode(problem.body)) ?? Data()
        // A response to HEAD has no body (RFC 9110 §9.3.2).
        let body: ResponseBody = method == .head ? .init() : .init(byteBuffer: ByteBuffer(bytes: data))
        self.init(status: problem.status, headers: headers, body: body)
    }
}
