// What each route does, of deliveries and replays.

import Foundation
import HTTPTypes
import Logging
import RelayCore

extension AdminHandlers {
    /// Things of one page.
    static let pageLimits = 1...1_000
    /// Steps of the store for one page.
    private static let maxSteps = 20
    /// Counting ends here.
    static let maxCount = 1_000_000
    /// Deliveries removed in one step of the store.
    static let deleteStep = 500

    func deliveries(_ request: inout AdminRequest) async throws -> AdminReply {
        let words = try FilterWords(&request.query)
        let page = try request.page()
        try request.query.finish()
        let filter = try DeliveryFilter.reading(words, states: DeliveryState.allCases, now: request.now)
        guard let filter else { return try AdminReply(API.Page<API.Delivery>(items: [])) }
        return try AdminReply(try await shown(filter, page))
    }

    /// A page of what is in these states as they are shown. What does not fit is passed over, a bounded number of times:
    /// then the page is short, and has a next one all the same.
    private func shown(
        _ filter: DeliveryFilter, _ wish: PageRequest
    ) async throws(QueueError) -> API.Page<API.Delivery> {
        let held = await control.heldBackends()
        let wanted = Set(filter.states.map(\.rawValue))
        var page = API.Page<API.Delivery>(items: [])
        guard let stored = filter.stored(held: held) else { return page }
        var cursor = wish.cursor
        for _ in 1...Self.maxSteps {
            let request = PageRequest(limit: wish.limit - page.items.count, cursor: cursor)
            let found = try await archive.deliveries(stored, request)
            page.items += found.items.map { API.Delivery($0, held: held) }
                .filter { wanted.isEmpty || wanted.contains($0.state) }
            cursor = found.next
            page.next = cursor.map { "\($0)" }
            if cursor == nil || page.items.count == wish.limit { break }
        }
        return page
    }

    func delivery(_ request: inout AdminRequest) async throws -> AdminReply {
        let withPayload = try request.query.bool("payload")
        try request.query.finish()
        let id = try request.delivery()
        guard let record = try await archive.record(id) else { throw Problem.unknown(id) }
        var reply = try AdminReply(
            API.Delivery(record, held: await control.heldBackends(), withPayload: withPayload))
        // What a backend said can be as private as what it was sent.
        if withPayload || record.response?.body.isEmpty == false {
            reply.isAudited = true
            reply.change = withPayload ? "payload.read" : "response.read"
        }
        return reply
    }

    func retryDelivery(_ request: inout AdminRequest) async throws -> AdminReply {
        try request.query.finish()
        let id = try await named(request)
        let backend = try Self.done(try await archive.retry(id, now: request.now), id, "be made again")
        await control.deliveriesBecameDue(for: [backend])
        return try await shown(id)
    }

    func cancelDelivery(_ request: inout AdminRequest) async throws -> AdminReply {
        try request.query.finish()
        let id = try await named(request)
        let change = try await archive.cancel(id, now: request.now)
        if case .refused(let state) = change, state.isFinal {
            let consequence = state == .canceled ? "" : ": there is nothing to cancel"
            throw Problem(.wrongState, "delivery \(id) is already \(state.rawValue)\(consequence)")
        }
        let backend = try Self.done(change, id, "be canceled")
        // The next of its order key may be made now.
        await control.deliveriesBecameDue(for: [backend])
        return try await shown(id)
    }

    func deleteDelivery(_ request: inout AdminRequest) async throws -> AdminReply {
        try request.query.finish()
        let id = try await named(request)
        _ = try Self.done(try await archive.delete(id), id, "be deleted: only dead, expired and canceled ones can")
        return AdminReply(.nothing, status: .noContent)
    }

    /// The delivery that a request names, by its own id from here on.
    private func named(_ request: AdminRequest) async throws -> DeliveryID {
        let id = try request.delivery()
        return try await archive.ids(sentAs: [id])[id] ?? id
    }

    /// What became of it, without what its backend said: that is read where the reading is logged.
    private func shown(_ id: DeliveryID) async throws -> AdminReply {
        // Memory keeps no canceled ones.
        guard let record = try await archive.record(id) else { return AdminReply(.nothing, status: .noContent) }
        var delivery = API.Delivery(record, held: await control.heldBackends(), withPayload: false)
        delivery.response = nil
        return try AdminReply(delivery)
    }

    private static func done(
        _ change: DeliveryChange, _ id: DeliveryID, _ wish: String
    ) throws(Problem) -> BackendName {
        switch change {
        case .done(let backend): return backend
        case .unknown: throw .unknown(id)
        case .refused(let state):
            throw Problem(.wrongState, "delivery \(id) is \(state.rawValue), so it cannot \(wish)")
        case .noPayload:
            throw Problem(.payloadRemoved, "the payload of delivery \(id) was removed, so it cannot be sent again")
        }
    }

    /// By filter: as many as the caller says that there are at the least, or (`dry_run`) none.
    func deleteDeliveries(_ request: inout AdminRequest) async throws -> AdminReply {
        let words = try FilterWords(&request.query)
        let isDryRun = try request.query.bool("dry_run")
        let expected = try request.query.integer("count", in: 0...Self.maxCount)
        let settledBefore = try DeliveryFilter.time(
            try request.query.one("settled_before"), "settled_before", now: request.now)
        try request.query.finish()
        guard isDryRun || expected != nil else {
            throw Problem(
                .confirmationRequired, "say with count how many deliveries are to be deleted; dry_run=true counts them")
        }
        let states: [DeliveryState] = [.dead, .expired, .canceled]
        var filter = try DeliveryFilter.reading(words, states: states, now: request.now)
        if filter?.states.isEmpty == true { filter?.states = Set(states) }
        filter?.settledBefore = settledBefore
        var found = try await matched(filter)
        guard let expected, !isDryRun else {
            found.countedAt = request.now.advanced(by: .milliseconds(1)).rfc3339Milliseconds
            return try unchanged(found)
        }
        guard found.matched >= expected else {
            throw Problem(.countDiffers, "only \(found.matched) deliveries match, not \(expected): nothing was deleted")
        }
        let deleted = if let filter { try await delete(filter, atMost: expected) } else { 0 }
        var reply = try AdminReply(API.Deleted(deleted: deleted))
        reply.audit[LogKey.adminCount] = "\(deleted)"
        return reply
    }

    /// In short steps, so that nobody who stores an envelope waits.
    private func delete(_ filter: DeliveryFilter, atMost limit: Int) async throws -> Int {
        var deleted = 0
        while deleted < limit {
            let step = min(Self.deleteStep, limit - deleted)
            let count: Int
            do throws(QueueError) {
                // Relay ends: what is left is not waited for.
                guard !Task.isCancelled else { throw QueueError(.closed, "Relay ends") }
                count = try await archive.delete(filter, limit: step)
            } catch {
                guard deleted > 0 else { throw error }
                var problem = Problem(.queueUnavailable, "\(deleted) of \(limit) were deleted, and then: \(error)")
                problem.done = deleted
                throw problem
            }
            deleted += count
            if count < step { break }
            await Task.yield()
        }
        return deleted
    }

    private func matched(_ filter: DeliveryFilter?) async throws(QueueError) -> API.Matched {
        guard let filter else { return API.Matched(matched: 0, isAtLeast: false) }
        let count = try await archive.count(filter, limit: Self.maxCount + 1)
        return API.Matched(matched: min(count, Self.maxCount), isAtLeast: count > Self.maxCount)
    }

    private func unchanged(_ found: API.Matched) throws -> AdminReply {
        var reply = try AdminReply(found)
        reply.isAudited = false
        return reply
    }

    func streamDeliveries(_ request: inout AdminRequest) async throws -> AdminReply {
        let backends = try FilterWords.bounded(request.query.all("backend"), "backend")
        try request.query.finish()
        guard let stream = OpenStream(of: feed, backends: Set(backends.map { BackendName($0) })) else {
            throw Problem(.tooManyStreams, "\(DeliveryFeed.maxSubscriptions) streams are open already")
        }
        return AdminReply(.events(stream), status: .ok)
    }
}

// MARK: Replays

extension AdminHandlers {
    func replays(_ request: inout AdminRequest) async throws -> AdminReply {
        let wish = try request.page()
        try request.query.finish()
        let found = try await archive.replays(wish)
        var page = API.Page(items: found.items.map(API.Replay.init))
        page.next = found.next.map { "\($0)" }
        return try AdminReply(page)
    }

    func replay(_ request: inout AdminRequest) async throws -> AdminReply {
        try request.query.finish()
        let id = try request.replay()
        guard let replay = try await archive.replay(id) else { throw Problem.unknown(replay: id) }
        return try AdminReply(API.Replay(replay))
    }

    func cancelReplay(_ request: inout AdminRequest) async throws -> AdminReply {
        try request.query.finish()
        let id = try request.replay()
        guard let replay = try await archive.cancelReplay(id, now: request.now) else {
            throw Problem.unknown(replay: id)
        }
        await control.replaysChanged()
        return try AdminReply(API.Replay(replay))
    }

    func createReplay(_ request: inout AdminRequest) async throws -> AdminReply {
        try request.query.finish()
        var body = try ReplayBody(request.body, now: request.now)
        let own = try await archive.ids(sentAs: body.filter.ids)
        body.filter.ids = Set(body.filter.ids.map { own[$0] ?? $0 })
        if body.isDryRun { return try unchanged(try await matched(body.filter)) }
        let replay = try await archive.createReplay(
            ReplayRequest(filter: body.filter, perSecond: body.perSecond), now: request.now)
        await control.replaysChanged()
        var reply = try AdminReply(API.Replay(replay), status: .created)
        reply.location = "\(API.root)/replays/\(replay.id)"
        reply.audit = [LogKey.replayID: "\(replay.id)", LogKey.adminCount: "\(replay.matched)"]
        return reply
    }
}

extension AdminRequest {
    /// Which part of a list is wanted.
    fileprivate mutating func page() throws(Problem) -> PageRequest {
        let limit = try query.integer("limit", in: AdminHandlers.pageLimits)
        guard let cursor = try query.one("cursor") else { return PageRequest(limit: limit ?? 50) }
        guard let position = Int64(cursor), position >= 0, "\(position)" == cursor else {
            throw .invalid("cursor", "must be `next` of the page before, is \(quoted(cursor))")
        }
        return PageRequest(limit: limit ?? 50, cursor: position)
    }

    fileprivate func delivery() throws(Problem) -> DeliveryID {
        let text = path.first ?? ""
        guard let id = DeliveryID(text) else {
            throw Problem(.unknownDelivery, "there is no delivery \(quoted(text))")
        }
        return id
    }

    fileprivate func replay() throws(Problem) -> RelayCore.Replay.ID {
        let text = path.first ?? ""
        guard let id = Int64(text), id > 0 else {
            throw Problem(.unknownReplay, "there is no replay \(quoted(text))")
        }
        return id
    }
}

extension Problem {
    fileprivate static func unknown(_ id: DeliveryID) -> Problem {
        Problem(
            .unknownDelivery,
            "there is no delivery \(id); settled ones are removed after their retention")
    }

    fileprivate static func unknown(replay id: RelayCore.Replay.ID) -> Problem {
        Problem(.unknownReplay, "there is no replay \(id); ended ones are removed after the retention of dead letters")
    }
}
