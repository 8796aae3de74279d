// The control endpoint: what tests and people do with the simulator from outside, as JSON over HTTP.

import Foundation
import NIOCore
import NIOHTTP1
import RelayCore

/// Answers requests under `/control`. `SlackSimulator.help` documents them.
struct ControlEndpoint {
    let loop: SimulatorLoop

    /// Never fails; nearly always done when it returns.
    func reply(_ method: HTTPMethod, _ target: RequestTarget, _ body: [UInt8]) -> EventLoopFuture<Reply> {
        do {
            return try route(method, target, body)
        } catch let error as SlackSimulatorError {
            return done(["error": error.message], status: error.code == .unknownEnvelope ? .notFound : .badRequest)
        } catch {
            return done(["error": "\(error)"], status: .badRequest)
        }
    }

    /// A boxed answer that may cross the future's type.
    struct Reply: Sendable {
        fileprivate let status: HTTPResponseStatus
        fileprivate let body: [UInt8]

        var value: HTTPAnswer {
            HTTPAnswer(status: status, headers: ["content-type": "application/json"], body: body)
        }
    }

    private func done(_ object: [String: Any], status: HTTPResponseStatus = .ok) -> EventLoopFuture<Reply> {
        loop.eventLoop.makeSucceededFuture(Self.makeReply(object, status: status))
    }

    private static func makeReply(_ object: [String: Any], status: HTTPResponseStatus = .ok) -> Reply {
        let data = try? JSONSerialization.data(withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
        return Reply(status: status, body: Array(data ?? Data()) + [UInt8(ascii: "\n")])
    }

    private func route(_ method: HTTPMethod, _ target: RequestTarget, _ body: [UInt8]) throws -> EventLoopFuture<Reply>
    {
        switch (method, target.path.dropFirst().first, target.path.count) {
        case (.GET, "state", 2): return done(loop.state.json)
        case (.GET, "connections", 2): return done(loop.state.connectionsJSON)
        case (.GET, "envelopes", 2): return try envelopes(target.query)
        case (.GET, "envelopes", 3): return try envelope(target.path[2], target.query)
        case (.POST, "send", 2): return try send(body)
        case (.POST, "upgrades", 2): return try failUpgrades(ControlRequest(body))
        case (.POST, "api", 2): return try failAPICalls(ControlRequest(body))
        case (.POST, "posts", 2): return try failPosts(ControlRequest(body))
        case (.POST, "connections", 2): return try disturb(ControlRequest(body))
        case (.POST, "settings", 2): return try change(ControlRequest(body))
        default:
            return done(["error": "no such page: \(method) /\(target.path.joined(separator: "/"))"], status: .notFound)
        }
    }

    // MARK: Looking

    private func envelopes(_ query: [String: String]) throws -> EventLoopFuture<Reply> {
        let state = try query["state"].map { word in
            guard let state = EnvelopeRecord.State(rawValue: word) else {
                throw SlackSimulatorError(.request, "state must be waiting, acknowledged or lost, is \(word)")
            }
            return state
        }
        let records = loop.state.records(limit: query["limit"].flatMap(Int.init) ?? 100, state: state)
        return done(["envelopes": records.map(\.json)])
    }

    /// With `wait_ms`, waits that long at most for the envelope to be settled.
    private func envelope(_ id: String, _ query: [String: String]) throws -> EventLoopFuture<Reply> {
        guard let record = loop.state.record(id) else {
            throw SlackSimulatorError(.unknownEnvelope, "no envelope \(id) was sent, or it was forgotten")
        }
        guard let wait = query["wait_ms"].flatMap(Int64.init), record.state == .waiting else {
            return done(record.json)
        }
        return answer(whenSettled: [id], within: wait) { $0.state.record(id)?.json ?? record.json }
    }

    /// Answers as soon as all are acknowledged or lost, or the time is up, or the simulator stops.
    private func answer(
        whenSettled ids: [String], within milliseconds: Int64, with object: @escaping (SimulatorLoop) -> [String: Any]
    ) -> EventLoopFuture<Reply> {
        let promise = loop.eventLoop.makePromise(of: Reply.self)
        let bound = NIOLoopBound((loop: loop, object: object), eventLoop: loop.eventLoop)
        let answer = { @Sendable in promise.succeed(Self.makeReply(bound.value.object(bound.value.loop))) }
        let timeout = loop.eventLoop.scheduleTask(in: .milliseconds(min(max(0, milliseconds), 600_000)), answer)
        EventLoopFuture.andAllComplete(ids.map(loop.settlement), on: loop.eventLoop).whenComplete { _ in
            timeout.cancel()
            answer()
        }
        return promise.futureResult
    }

    // MARK: Doing

    /// Payload, envelope and frame are taken byte for byte, which is why this one does not go through `ControlRequest`.
    private func send(_ body: [UInt8]) throws -> EventLoopFuture<Reply> {
        var order = SendOrder()
        try order.read(body)
        let ids = try send(order)
        guard let wait = order.wait else { return done(["envelope_ids": ids]) }
        return answer(whenSettled: ids, within: wait) { loop in
            ["envelope_ids": ids, "envelopes": ids.compactMap { loop.state.record($0)?.json }]
        }
    }

    private func send(_ order: SendOrder) throws -> [String] {
        if let frame = order.frame { return [loop.send(frame: frame)].compactMap(\.self) }
        if let payload = order.payload {
            return loop.send([SimulatedPayload](repeating: try order.makePayload(payload), count: order.count))
        }
        guard let sample = order.sample else {
            throw SlackSimulatorError(.request, "needs one of sample, payload, envelope, frame")
        }
        return loop.send(sample, count: order.count, order.values)
    }

    private func failUpgrades(_ request: ControlRequest) throws -> EventLoopFuture<Reply> {
        var request = request
        let count = try request.integer("count", in: 0...100_000) ?? 1
        let fault: UpgradeFault
        switch try request.text("fault") ?? "status" {
        case "status":
            let headers = try request.texts("headers").map { Backend.Header(name: $0.key, value: $0.value) }
            fault = .status(
                try request.integer("status", in: 200...599) ?? 409, headers: headers.sorted { $0.name < $1.name },
                body: try request.text("body") ?? "")
        case "html": fault = .html
        case "reset": fault = .reset
        case "silence": fault = .silence
        case "no_hello": fault = .noHello
        case "disconnect": fault = .disconnect(reason: try request.text("reason") ?? "too_many_websockets")
        case let word:
            throw SlackSimulatorError(
                .request, "fault must be status, html, reset, silence, no_hello or disconnect, is \(word)")
        }
        try request.finish()
        loop.failUpgrades(count, with: fault)
        return done(["ok": true])
    }

    private func failAPICalls(_ request: ControlRequest) throws -> EventLoopFuture<Reply> {
        var request = request
        let count = try request.integer("count", in: 0...100_000) ?? 1
        let fault: APIFault
        switch try request.text("fault") ?? "error" {
        case "error": fault = .error(code: try request.text("error") ?? "internal_error")
        case "status":
            fault = .status(
                try request.integer("status", in: 200...599) ?? 429,
                retryAfter: try request.integer("retry_after", in: 0...86_400))
        case "html": fault = .html
        case "reset": fault = .reset
        case "silence": fault = .silence
        case let word:
            throw SlackSimulatorError(.request, "fault must be error, status, html, reset or silence, is \(word)")
        }
        try request.finish()
        loop.failAPICalls(count, with: fault)
        return done(["ok": true])
    }

    private func failPosts(_ request: ControlRequest) throws -> EventLoopFuture<Reply> {
        var request = request
        let count = try request.integer("count", in: 0...100_000) ?? 1
        let fault: PostFault
        switch try request.text("fault") ?? "status" {
        case "status":
            fault = .status(
                try request.integer("status", in: 200...599) ?? 500,
                retryAfter: try request.integer("retry_after", in: 0...86_400))
        case "reset": fault = .reset
        case "silence": fault = .silence
        case let word: throw SlackSimulatorError(.request, "fault must be status, reset or silence, is \(word)")
        }
        try request.finish()
        loop.failPosts(count, with: fault)
        return done(["ok": true])
    }

    private func disturb(_ request: ControlRequest) throws -> EventLoopFuture<Reply> {
        var request = request
        let selection: ConnectionSelection
        switch try request.text("which") ?? "all" {
        case "all": selection = .all
        case "oldest": selection = .oldest
        case let word:
            guard let number = UInt64(word) else {
                throw SlackSimulatorError(.request, "which must be all, oldest or a connection's number, is \(word)")
            }
            selection = .one(ConnectionID(number))
        }
        let fault: ConnectionFault
        switch try request.text("do") ?? "" {
        case "refresh": fault = .refresh
        case "disconnect": fault = .disconnect(reason: try request.text("reason") ?? "refresh_requested")
        case "close": fault = .close(code: UInt16(try request.integer("code", in: 1000...4999) ?? 1000))
        case "cut": fault = .cut
        case "reset": fault = .reset
        case "silence": fault = .silence
        case "text": fault = .text(try request.text("text") ?? "")
        case let word:
            throw SlackSimulatorError(
                .request, "do must be refresh, disconnect, close, cut, reset, silence or text, is '\(word)'")
        }
        try request.finish()
        loop.disturb(selection, fault)
        return done(["ok": true])
    }

    private func change(_ request: ControlRequest) throws -> EventLoopFuture<Reply> {
        var request = request
        try loop.update { configuration in
            if let ghosts = try request.integer("ghosts", in: 0...1000) { configuration.ghosts = ghosts }
            if let limit = try request.integer("connection_limit", in: 0...1000) {
                configuration.connectionLimit = limit
            }
            if let bytes = try request.integer("fragment_bytes", in: 0...1 << 24) {
                configuration.fragmentBytes = bytes == 0 ? nil : bytes
            }
            if let word = try request.text("distribution") {
                guard let distribution = SlackSimulatorConfiguration.Distribution(rawValue: word) else {
                    throw SlackSimulatorError(.request, "distribution must be random or round_robin, is \(word)")
                }
                configuration.distribution = distribution
            }
            if let word = try request.text("redelivery") {
                guard ["slack", "fast", "none"].contains(word) else {
                    throw SlackSimulatorError(.request, "redelivery must be slack, fast or none, is \(word)")
                }
                configuration.redelivery =
                    word == "none"
                    ? []
                    : word == "fast"
                        ? SlackSimulatorConfiguration.fastRedelivery : SlackSimulatorConfiguration.slackRedelivery
            }
            try request.duration("acknowledgement_deadline_ms").map { configuration.acknowledgementDeadline = $0 }
            try request.duration("ping_interval_ms").map { configuration.pingInterval = $0 }
            try request.duration("response_url_lifetime_ms").map { configuration.responseURLLifetime = $0 }
            try request.duration("close_delay_ms").map { configuration.closeDelay = $0 }
            try request.optionalDuration("connection_lifetime_ms").map { configuration.connectionLifetime = $0 }
            try request.optionalDuration("warning_lead_ms").map { configuration.warningLead = $0 }
            try request.optionalDuration("reset_after_ms").map { configuration.resetAfter = $0 }
            try request.finish()
        }
        return done(["ok": true])
    }
}
