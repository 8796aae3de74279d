// What people ask for about single deliveries, and the steps of replay jobs.

import RelayCore

extension WriteTransaction {
    /// How many deliveries one step of a replay job looks at: a few milliseconds.
    static let replayWindow = 1_000

    // MARK: One delivery

    /// After a crash the delivery waits as before, or for now; a settled one is as it was, or waits with its history
    /// kept.
    mutating func retry(_ id: DeliveryID, now: Timestamp, in store: QueueStore) throws -> DeliveryChange {
        guard let delivery = try standing(of: id, in: store) else { return .unknown }
        if delivery.settledAt != nil {
            return try replay(delivery, now: now, in: store) ? .done(delivery.backend) : .noPayload
        }
        // It would overtake the others of its key.
        guard !delivery.isBlocked else { return .refused(delivery.state) }
        guard claim(delivery.id) else { return .refused(.inFlight) }
        let due = min(delivery.due, now)
        if due != delivery.due { try store.setDue(due, of: delivery.id) }
        // Told although nothing changed: whoever looked meanwhile passed over it.
        effects.appeared.append((QueuePosition(due: due, sequence: delivery.id), delivery.backend))
        return .done(delivery.backend)
    }

    /// After a crash the delivery waits as before, or is canceled and the next of its order key goes on.
    mutating func cancel(_ id: DeliveryID, now: Timestamp, in store: QueueStore) throws -> DeliveryChange {
        guard let delivery = try standing(of: id, in: store) else { return .unknown }
        guard delivery.settledAt == nil else { return .refused(delivery.state) }
        guard claim(delivery.id) else { return .refused(.inFlight) }
        try store.cancel(delivery.id, at: now)
        effects.ledger.count(delivery.state, of: delivery.backend, by: -1)
        effects.ledger.count(.canceled, of: delivery.backend, by: 1)
        if limits.backendsWithoutRecords.contains(delivery.backend) {
            try removePayloadIfUnneeded(of: delivery.envelope, siblings: delivery.siblings, in: store)
            try removeResponse(of: delivery.id, hasHistory: delivery.hasHistory, in: store)
        }
        if !delivery.isBlocked { try unblockNext(of: delivery.orderKey, delivery.backend, now: now, in: store) }
        return .done(delivery.backend)
    }

    /// After a crash the delivery is there with all that belongs to it, or gone with it.
    mutating func delete(_ id: DeliveryID, in store: QueueStore) throws -> DeliveryChange {
        guard let delivery = try standing(of: id, in: store) else { return .unknown }
        guard delivery.settledAt != nil else {
            return .refused(state.withTable { $0.lease(on: delivery.id) } == nil ? delivery.state : .inFlight)
        }
        guard DeliveryFilter.removableStates.contains(delivery.state) else { return .refused(delivery.state) }
        try delete(delivery, in: store)
        return .done(delivery.backend)
    }

    /// Removes those that are still settled as they were when they were found. Returns how many.
    mutating func delete(_ found: [SettledAt], in store: QueueStore) throws -> Int {
        var count = 0
        for (id, settledAt) in found {
            guard let delivery = try store.standing(of: id), delivery.settledAt == settledAt,
                DeliveryFilter.removableStates.contains(delivery.state)
            else { continue }
            try delete(delivery, in: store)
            count += 1
        }
        return count
    }

    typealias SettledAt = (id: Int64, settledAt: Timestamp)

    private mutating func delete(_ delivery: QueueStore.Standing, in store: QueueStore) throws {
        try remove(delivery.id, of: delivery.envelope, hasHistory: delivery.hasHistory, in: store)
        effects.ledger.count(delivery.state, of: delivery.backend, by: -1)
        // It may have been the last one that the payload was kept for.
        guard delivery.siblings > 1, !limits.backendsWithoutRecords.isEmpty else { return }
        try removePayloadIfUnneeded(of: delivery.envelope, siblings: delivery.siblings, in: store)
    }

    /// Lets a settled delivery wait again. Returns false, and changes nothing, when its payload was removed.
    private mutating func replay(
        _ delivery: QueueStore.Standing, now: Timestamp, in store: QueueStore
    ) throws -> Bool {
        guard delivery.hasPayload else { return false }
        effects.ledger.historyBytes += try store.history.addLastAttempt(of: delivery.id)
        effects.ledger.historyBytes -= try store.history.trimAttempts(of: delivery.id)
        try limitHistory(in: store)
        let isBlocked = try delivery.orderKey.map { try store.isTaken($0, of: delivery.backend) } ?? false
        try store.replay(delivery.id, due: isBlocked ? .never : now)
        effects.ledger.count(delivery.state, of: delivery.backend, by: -1)
        effects.ledger.count(.pending, of: delivery.backend, by: 1)
        // So that nobody leases it before the table knows of it. One that was settled by this very transaction is still
        // leased, which does the same.
        _ = claim(delivery.id)
        effects.replayed.append((delivery.id, delivery.backend))
        if !isBlocked { effects.appeared.append((QueuePosition(due: now, sequence: delivery.id), delivery.backend)) }
        return true
    }

    private func standing(of id: DeliveryID, in store: QueueStore) throws -> QueueStore.Standing? {
        id.queue == queueID ? try store.standing(of: id.sequence) : nil
    }

    /// Takes a delivery for this transaction, more than once if need be. false when it is leased.
    mutating func claim(_ sequence: Int64) -> Bool {
        guard !effects.claimed.contains(sequence) else { return true }
        guard state.withTable({ $0.claim(sequence) }) else { return false }
        effects.claimed.insert(sequence)
        return true
    }

    // MARK: Replay jobs

    /// After a crash there is the job, or nothing of it.
    mutating func createReplay(
        _ request: ReplayRequest, matched: Int, now: Timestamp, in store: QueueStore
    ) throws -> Replay {
        try store.replays.insert(request, matched: matched, end: effects.ledger.nextSequence, now: now)
    }

    /// After a crash the job stands where it stood, and nothing of the step was replayed, or behind what was: the
    /// deliveries and the cursor are written by this one transaction.
    mutating func advanceReplay(
        _ id: Replay.ID, limit: Int, now: Timestamp, in store: QueueStore
    ) throws -> (replay: Replay?, backends: Set<BackendName>) {
        guard var job = try store.replays.job(id) else { return (nil, []) }
        guard job.replay.state == .running, limit > 0 else { return (job.replay, []) }
        guard job.replay.request.filter != nil else {
            // The outcome of this call alone, not of those that share its transaction.
            throw QueueError(.corrupt, "replay \(id) has a filter that cannot be read")
        }
        var backends: Set<BackendName> = []
        var next: Int64?
        if let filter = job.replay.request.replayable {
            let found = try store.deliveries(
                of: DeliveryQuery(filter, queueID: queueID), above: job.cursor, below: job.end,
                limit: min(limit, Self.replayWindow), rows: Self.replayWindow)
            for id in found.ids {
                guard let delivery = try store.standing(of: id) else { continue }
                if try replay(delivery, now: now, in: store) {
                    job.replay.replayed += 1
                    backends.insert(delivery.backend)
                } else {
                    job.replay.withoutPayload += 1
                }
            }
            next = found.cursor
        }
        if let next {
            job.cursor = next
        } else {
            job.cursor = job.end
            job.replay.state = .done
            job.replay.endedAt = now
        }
        try store.replays.update(job)
        return (job.replay, backends)
    }

    /// After a crash the job runs on, or has ended.
    func cancelReplay(_ id: Replay.ID, now: Timestamp, in store: QueueStore) throws -> Replay? {
        try store.replays.cancel(id, at: now)
        return try store.replays.job(id)?.replay
    }
}
