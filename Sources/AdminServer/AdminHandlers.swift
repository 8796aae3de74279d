// What each route does, of the gateway: status, connections, backends, configuration, life.

import HTTPTypes
import Logging
import RelayCore

/// The methods behind `AdminRoute.all`. Each takes what it knows of a request and refuses the rest.
struct AdminHandlers: Sendable {
    var archive: any DeliveryArchive
    var control: any GatewayControl
    var feed: DeliveryFeed

    func status(_ request: inout AdminRequest) async throws -> AdminReply {
        try request.query.finish()
        return try AdminReply(await control.status())
    }

    func connections(_ request: inout AdminRequest) async throws -> AdminReply {
        try request.query.finish()
        return try AdminReply(API.Page(items: await control.connections()))
    }

    func refreshConnections(_ request: inout AdminRequest) async throws -> AdminReply {
        let app = try request.query.one("app")
        try request.query.finish()
        guard let count = await control.refreshConnections(of: app.map { AppName($0) }) else {
            throw Problem(.unknownApp, "there is no app \(quoted(app ?? ""))")
        }
        return try AdminReply(API.Refreshing(refreshing: count), status: .accepted)
    }

    func backends(_ request: inout AdminRequest) async throws -> AdminReply {
        try request.query.finish()
        return try AdminReply(API.Page(items: await control.backends()))
    }

    func backend(_ request: inout AdminRequest) async throws -> AdminReply {
        try request.query.finish()
        return try AdminReply(try await shown(request.backend))
    }

    func pauseBackend(_ request: inout AdminRequest) async throws -> AdminReply {
        try request.query.finish()
        guard try await control.pause(request.backend) else { throw Problem.unknown(request.backend) }
        return try AdminReply(try await shown(request.backend))
    }

    func resumeBackend(_ request: inout AdminRequest) async throws -> AdminReply {
        try request.query.finish()
        guard try await control.resume(request.backend) else { throw Problem.unknown(request.backend) }
        return try AdminReply(try await shown(request.backend))
    }

    func testBackend(_ request: inout AdminRequest) async throws -> AdminReply {
        try request.query.finish()
        guard let test = await control.test(request.backend) else { throw Problem.unknown(request.backend) }
        var reply = try AdminReply(test)
        reply.outcome = test.isOk ? "done" : "failed"
        reply.audit[LogKey.attemptStatus] = test.status.map { "\($0)" }
        reply.audit[LogKey.attemptReason] = test.reason.map { "\($0)" }
        reply.audit[LogKey.attemptDetail] = test.detail.map { "\($0)" }
        return reply
    }

    private func shown(_ name: BackendName) async throws(Problem) -> API.Backend {
        guard let backend = await control.backend(name) else { throw .unknown(name) }
        return backend
    }

    func configuration(_ request: inout AdminRequest) async throws -> AdminReply {
        try request.query.finish()
        return try AdminReply(await control.configuration())
    }

    func reload(_ request: inout AdminRequest) async throws -> AdminReply {
        try request.query.finish()
        let reloaded: API.Reloaded
        do throws(ReloadRefused) {
            reloaded = try await control.reload()
        } catch {
            throw Problem(
                .reloadRefused, "the configuration that holds stays as it is",
                mistakes: error.mistakes.map { .init(name: nil, message: $0) })
        }
        return try AdminReply(reloaded)
    }

    func drain(_ request: inout AdminRequest) async throws -> AdminReply {
        try request.query.finish()
        await control.drain()
        return try AdminReply(await control.status(), status: .accepted)
    }
}

extension AdminRequest {
    fileprivate var backend: BackendName { BackendName(path.first ?? "") }
}

extension Problem {
    static func unknown(_ backend: BackendName) -> Problem {
        Problem(.unknownBackend, "there is no backend \(quoted(backend.text)) in the configuration")
    }
}
