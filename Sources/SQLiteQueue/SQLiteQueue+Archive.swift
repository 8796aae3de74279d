// The durable queue as an archive: lists, changes that people ask for, and replay jobs.

package import RelayCore

extension SQLiteQueue: DeliveryArchive {
    package func deliveries(
        _ filter: DeliveryFilter, _ page: PageRequest
    ) async throws(QueueError) -> Page<DeliverySummary> {
        try checkOpen()
        return try await archive.deliveries(filter, page)
    }

    package func count(_ filter: DeliveryFilter, limit: Int) async throws(QueueError) -> Int {
        try checkOpen()
        return try await archive.count(filter, limit: limit)
    }

    package func record(_ id: DeliveryID) async throws(QueueError) -> DeliveryRecord? {
        try checkOpen()
        return id.queue == queueID ? try await archive.record(id.sequence) : try await archive.record(sentAs: id)
    }

    package func ids(sentAs ids: Set<DeliveryID>) async throws(QueueError) -> [DeliveryID: DeliveryID] {
        try checkOpen()
        let others = ids.filter { $0.queue != queueID }
        return others.isEmpty ? [:] : try await archive.ids(sentAs: others)
    }

    package func retry(_ id: DeliveryID, now: Timestamp) async throws(QueueError) -> DeliveryChange {
        try await change(.retry(id, now: now))
    }

    package func cancel(_ id: DeliveryID, now: Timestamp) async throws(QueueError) -> DeliveryChange {
        try await change(.cancel(id, now: now))
    }

    package func delete(_ id: DeliveryID) async throws(QueueError) -> DeliveryChange {
        try await change(.delete(id))
    }

    private func change(_ write: Write) async throws(QueueError) -> DeliveryChange {
        try checkOpen()
        guard case .changed(let change) = try await writer.write(write) else { return .unknown }
        return change
    }

    package func delete(_ filter: DeliveryFilter, limit: Int) async throws(QueueError) -> Int {
        try checkOpen()
        guard let filter = filter.within(DeliveryFilter.removableStates) else { return 0 }
        var deleted = 0
        var cursor: Int64 = 0
        // Looked for by the reader, so that the writer has only to remove; a transaction removes as many as a step of
        // retention. What was replayed meanwhile stays, and others take its place.
        while deleted < limit {
            let found = try await archive.settled(
                filter, above: cursor, limit: min(limit - deleted, WriteTransaction.removalLimit.deliveries))
            guard let last = found.last else { break }
            cursor = last.id
            guard case .deleted(let count) = try await writer.write(.deleteFound(found)) else { break }
            deleted += count
        }
        return deleted
    }

    // MARK: Replays

    package func createReplay(_ request: ReplayRequest, now: Timestamp) async throws(QueueError) -> Replay {
        try checkOpen()
        let matched =
            if let filter = request.replayable { try await archive.count(filter, limit: .max) } else { 0 }
        guard
            case .replay(let replay?, _) = try await writer.write(.createReplay(request, matched: matched, now: now))
        else { throw .unavailable("the replay was not stored") }
        return replay
    }

    package func replays() async throws(QueueError) -> [Replay] {
        try checkOpen()
        return try await archive.replays(below: .max, limit: .max)
    }

    package func replays(_ page: PageRequest) async throws(QueueError) -> Page<Replay> {
        try checkOpen()
        let limit = page.boundedLimit
        return Page(try await archive.replays(below: page.cursor ?? .max, limit: limit + 1), limit: limit)
    }

    package func replay(_ id: Replay.ID) async throws(QueueError) -> Replay? {
        try checkOpen()
        return try await archive.replay(id)
    }

    package func advanceReplay(
        _ id: Replay.ID, limit: Int, now: Timestamp
    ) async throws(QueueError) -> (replay: Replay?, backends: Set<BackendName>) {
        try checkOpen()
        guard
            case .replay(let replay, let backends) =
                try await writer.write(.advanceReplay(id, limit: limit, now: now))
        else { return (nil, []) }
        return (replay, backends)
    }

    package func cancelReplay(_ id: Replay.ID, now: Timestamp) async throws(QueueError) -> Replay? {
        try checkOpen()
        guard case .replay(let replay, _) = try await writer.write(.cancelReplay(id, now: now)) else { return nil }
        return replay
    }
}
