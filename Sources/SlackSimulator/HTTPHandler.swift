// The HTTP side of the simulator's port: Slack's web API, refused upgrades, each response_url, and the control
// endpoint.

import Foundation
import NIOCore
import NIOHTTP1
import RelayCore

/// One answer to an HTTP request.
struct HTTPAnswer {
    var status: HTTPResponseStatus
    var headers: HTTPHeaders
    var body: [UInt8]

    static func text(_ status: HTTPResponseStatus, type: String, _ body: String) -> HTTPAnswer {
        HTTPAnswer(status: status, headers: ["content-type": type], body: Array(body.utf8))
    }

    static func json(_ body: String) -> HTTPAnswer { .text(.ok, type: "application/json; charset=utf-8", body) }

    static let html = HTTPAnswer.text(
        .ok, type: "text/html", "<html><body>Please log in to the proxy.</body></html>")
}

/// What one TCP connection has been told while its WebSocket upgrade was considered.
final class UpgradeDecision {
    var answer: SlackStateMachine.UpgradeAnswer?
}

/// Reads whole requests and answers them, one after the other.
final class HTTPHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    /// Enough for the largest payload a client should read.
    static let bodyLimit = 32 << 20

    private let loop: SimulatorLoop
    private let upgrade: UpgradeDecision
    private let address: String
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []

    /// - Parameter address: scheme and authority of WebSocket URLs for clients that sent no Host.
    init(_ loop: SimulatorLoop, upgrade: UpgradeDecision, address: String) {
        self.loop = loop
        self.upgrade = upgrade
        self.address = address
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
        case .body(let part):
            guard body.count + part.readableBytes <= Self.bodyLimit else { return context.close(promise: nil) }
            body += part.readableBytesView
        case .end:
            guard let head else { return }
            self.head = nil
            handle(head, body, context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A refused upgrade is reported as an error, too; its request is answered like any other.
        if upgrade.answer == nil { context.close(promise: nil) }
    }

    private func handle(_ head: HTTPRequestHead, _ body: [UInt8], _ context: ChannelHandlerContext) {
        let target = RequestTarget(head.uri)
        switch target.path.first {
        case "api" where target.path == ["api", "apps.connections.open"]: handleOpen(head, context)
        case "api": answer(head, api(target), context)
        case "link":
            guard case .refuse(let fault) = upgrade.answer else {
                return answer(head, .text(.badRequest, type: "text/plain", "not a WebSocket handshake\n"), context)
            }
            refuse(head, fault, context)
        case "hooks": handlePost(head, target, body, context)
        case "control":
            let reply = ControlEndpoint(loop: loop).reply(head.method, target, body)
            let context = NIOLoopBound(context, eventLoop: context.eventLoop)
            let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
            reply.whenSuccess { handler.value.answer(head, $0.value, context.value) }
        default: answer(head, .text(.notFound, type: "text/plain", "no such page\n"), context)
        }
    }

    // MARK: Slack's API

    private func handleOpen(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let authorization = head.headers.first(name: "authorization")
        switch loop.connectionsOpenCalled(isPOST: head.method == .POST, authorization: authorization) {
        case .ticket(let ticket):
            let scheme = address.prefix { $0 != "/" }
            let authority = head.headers.first(name: "host") ?? String(address.dropFirst(scheme.count + 2))
            let app = String(repeating: "0123456789abcdef", count: 4)
            let url = "\(scheme)//\(authority)/link/?ticket=\(ticket)&app_id=\(app)"
            var reply = HTTPAnswer.json(#"{"ok":true,"url":\#(JSONText(url))}"#)
            reply.headers.add(name: "x-oauth-scopes", value: "connections:write")
            reply.headers.add(name: "x-accepted-oauth-scopes", value: "connections:write")
            answer(head, reply, context)
        case .fault(.error(let code)): answer(head, .json(#"{"ok":false,"error":\#(JSONText(code))}"#), context)
        case .fault(.status(let status, let retryAfter)):
            let error = status == 429 ? "ratelimited" : "service_unavailable"
            var reply = HTTPAnswer.json(#"{"ok":false,"error":"\#(error)"}"#)
            reply.status = HTTPResponseStatus(statusCode: status)
            if let retryAfter { reply.headers.add(name: "retry-after", value: "\(retryAfter)") }
            answer(head, reply, context)
        case .fault(.html): answer(head, .html, context)
        case .fault(.reset): context.channel.closeWithReset()
        case .fault(.silence): break
        }
    }

    /// Just enough of the rest that a backend which checks its token at start is content.
    private func api(_ target: RequestTarget) -> HTTPAnswer {
        switch target.path.dropFirst().first {
        case "auth.test":
            .json(
                #"{"ok":true,"url":"https:\/\/simulated.slack.com\/","team":"Simulated","user":"simulator","team_id":"T0SIMULATED","user_id":"U0SIMULATOR","bot_id":"B0SIMULATED","is_enterprise_install":false}"#
            )
        case "api.test": .json(#"{"ok":true}"#)
        default: .json(#"{"ok":false,"error":"unknown_method"}"#)
        }
    }

    /// A `response_url` (slack-protocol.md §5). Which answer Slack gives when is not documented; these were seen.
    private func handlePost(
        _ head: HTTPRequestHead, _ target: RequestTarget, _ body: [UInt8], _ context: ChannelHandlerContext
    ) {
        let taken = loop.posted(
            to: target.path.dropFirst().joined(separator: "/"), isPOST: head.method == .POST,
            contentType: head.headers.first(name: "content-type"), body: body)
        switch taken {
        case .taken: answer(head, .text(.ok, type: "text/plain", "ok"), context)
        case .wrongMethod:
            var reply = HTTPAnswer.text(.methodNotAllowed, type: "text/plain", "method_not_allowed")
            reply.headers.add(name: "allow", value: "POST")
            answer(head, reply, context)
        case .unknown: answer(head, .text(.notFound, type: "text/plain", "no_service"), context)
        case .expired:
            var reply = HTTPAnswer.json(#"{"ok":false,"error":"expired_url"}"#)
            reply.status = .notFound
            answer(head, reply, context)
        case .invalidPayload: answer(head, .text(.badRequest, type: "text/plain", "invalid_payload"), context)
        case .fault(.status(let status, let retryAfter)):
            var reply = HTTPAnswer.text(HTTPResponseStatus(statusCode: status), type: "text/plain", "simulated fault")
            if let retryAfter { reply.headers.add(name: "retry-after", value: "\(retryAfter)") }
            answer(head, reply, context)
        case .fault(.reset): context.channel.closeWithReset()
        case .fault(.silence): break
        }
    }

    private func refuse(_ head: HTTPRequestHead, _ fault: UpgradeFault, _ context: ChannelHandlerContext) {
        switch fault {
        case .status(let status, let headers, let body):
            var reply = HTTPAnswer(status: HTTPResponseStatus(statusCode: status), headers: [:], body: Array(body.utf8))
            reply.headers.add(name: "via", value: "envoy-wss-simulated")
            reply.headers.add(name: "server", value: "envoy")
            for header in headers { reply.headers.replaceOrAdd(name: header.name, value: header.value) }
            reply.headers.add(name: "connection", value: "close")
            answer(head, reply, context)
        case .html: answer(head, .html, context)
        case .reset: context.channel.closeWithReset()
        // The last two are not refusals: the machine accepts and then misbehaves.
        case .silence, .disconnect, .noHello: break
        }
    }

    // MARK: Out

    private func answer(_ request: HTTPRequestHead, _ answer: HTTPAnswer, _ context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        var headers = answer.headers
        headers.replaceOrAdd(name: "content-length", value: "\(answer.body.count)")
        let isLast = !request.isKeepAlive || headers[canonicalForm: "connection"].contains("close")
        if isLast { headers.replaceOrAdd(name: "connection", value: "close") }
        let head = HTTPResponseHead(version: request.version, status: answer.status, headers: headers)
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        if !answer.body.isEmpty, request.method != .HEAD {
            context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil)
        }
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: written)
        if isLast {
            let channel = context.channel
            written.futureResult.whenComplete { _ in channel.close(promise: nil) }
        }
    }
}

/// The path and the query of a request's target.
struct RequestTarget {
    /// Percent-decoded, without empty components.
    var path: [String]
    /// The last one wins; percent-decoded.
    var query: [String: String] = [:]

    init(_ uri: String) {
        let parts = uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = parts[0].split(separator: "/").map { $0.removingPercentEncoding ?? String($0) }
        guard parts.count > 1 else { return }
        for pair in parts[1].split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map {
                $0.removingPercentEncoding ?? String($0)
            }
            query[sides[0]] = sides.count > 1 ? sides[1] : ""
        }
    }
}
