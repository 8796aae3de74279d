// What one transaction does to the tables, and what must follow in memory once it is committed.

import RelayCore

/// Collects the calls that share a transaction. Changes rows through a `QueueStore`, and its own copy of the ledger;
/// the lease table learns of it only when the transaction is committed.
struct WriteTransaction {
    /// How many settled deliveries, and how many bytes, one step of retention removes at most: a few milliseconds.
    static let removalLimit = (deliveries: 256, bytes: Int64(4 << 20))
    /// How many settled deliveries are removed at most for a caller who needs room: everybody else waits meanwhile. It is
    /// in proportion to what is stored, unless others need their envelopes, or `max_bytes` was lowered. Then the caller is
    /// told that the queue is full, and the next one goes on.
    static let roomLimit = 10_000
    static let keyRemovalLimit = 500
    /// How many deliveries lose their history for one attempt at most.
    static let historyRemovalLimit = 32

    var effects: Effects
    let queueID: UInt32
    let limits: QueueLimits
    let state: QueueState
    private var probes = 0
    private let original: Ledger

    /// What must follow in memory when the transaction is committed, and only then.
    struct Effects: Sendable {
        var ledger: Ledger
        /// New deliveries, leased by who stored them.
        var stored: [(sequence: Int64, lease: LeaseTable.Lease)] = []
        var ended: [Int64: Ending] = [:]
        /// Deliveries that were removed or changed while they waited, or that a replay lets wait again.
        var claimed: Set<Int64> = []
        /// Deliveries that wait at these positions from now on, and did not before.
        var appeared: [(position: QueuePosition, backend: BackendName)] = []
        /// The last step of giving back space.
        var hasShrunk = false
        /// Settled deliveries that are not settled any more.
        var replayed: [(sequence: Int64, backend: BackendName)] = []
    }

    enum Ending: Sendable, Equatable {
        case settled
        case rescheduled(at: Timestamp)
    }

    init(queueID: UInt32, limits: QueueLimits, state: QueueState) {
        self.original = state.withTable(\.ledger)
        self.effects = Effects(ledger: original)
        self.queueID = queueID
        self.limits = limits
        self.state = state
    }

    /// - Throws: `QueueError.full`, when the smallest envelope would be refused.
    mutating func probe(in store: QueueStore) throws {
        probes += 1
        // Asking must not cost anybody's delivery.
        guard limits.whenFull == .refuse else { return }
        try makeRoom(limits.probedBytes, in: store)
    }

    /// To be called last.
    func finish(in store: QueueStore) throws {
        let ledger = effects.ledger
        guard
            ledger.nextSequence != original.nextSequence || ledger.bytes != original.bytes
                || ledger.historyBytes != original.historyBytes || probes > 0
        else { return }
        try store.writeMeta(ledger, probes: probes)
    }
}

// MARK: - Enqueue

extension WriteTransaction {
    /// After a crash there is each envelope with all its deliveries, its key and its bytes counted, or nothing of it:
    /// all are written by this one transaction.
    /// - Throws: `QueueError.full`, before anything was stored for these requests.
    mutating func enqueue(_ requests: [EnqueueRequest], in store: QueueStore) throws -> [EnqueueResult] {
        var becameDue = try makeRoom(for: requests, in: store)
        return try requests.map { request in
            guard try remember(request.envelope, in: store) else { return .duplicate }
            defer { becameDue = [] }
            return .stored(leased: try insert(request, in: store), becameDue: becameDue)
        }
    }

    /// Whether the envelope is new.
    private func remember(_ envelope: Envelope, in store: QueueStore) throws -> Bool {
        guard let key = envelope.deduplicationKey else { return true }
        if try store.remember(key, of: envelope.app, seenAt: envelope.receivedAt) { return true }
        if try isDuplicate(key, envelope, in: store) { return false }
        // Removed and inserted, not updated, so that it stands at the end of the line to be forgotten.
        try store.forget(key, of: envelope.app)
        return try store.remember(key, of: envelope.app, seenAt: envelope.receivedAt)
    }

    private func isDuplicate(_ key: String, _ envelope: Envelope, in store: QueueStore) throws -> Bool {
        guard let seenAt = try store.seenAt(key, of: envelope.app) else { return false }
        return envelope.receivedAt < seenAt.advanced(by: limits.deduplicationWindow)
    }

    private mutating func insert(_ request: EnqueueRequest, in store: QueueStore) throws -> [Delivery] {
        let envelope = request.envelope
        let first = effects.ledger.nextSequence
        let size = bytes(of: request)
        try store.insert(
            envelope, id: first, deliveries: request.deliveryCount, size: size,
            payload: needsPayload(request) ? envelope.payload : nil)
        effects.ledger.bytes += size
        if let settled = request.settled {
            try insert(settled, envelope: first, receivedAt: envelope.receivedAt, in: store)
        }
        return try request.targets.compactMap { target in
            let sequence = effects.ledger.nextSequence
            // After a crash one of an order key is due, and the others wait for it: this transaction writes either.
            let isBlocked = try target.orderKey.map { try store.isTaken($0, of: target.backend) } ?? false
            try store.insert(target, id: sequence, envelope: first, due: isBlocked ? .never : envelope.receivedAt)
            effects.ledger.nextSequence += 1
            effects.ledger.count(.pending, of: target.backend, by: 1)
            if isBlocked { return nil }
            effects.stored.append(
                (
                    sequence,
                    LeaseTable.Lease(
                        backend: target.backend, state: .pending, due: envelope.receivedAt, envelope: first,
                        siblings: request.deliveryCount, orderKey: target.orderKey)
                ))
            return Delivery(
                id: DeliveryID(queue: queueID, sequence: sequence), backend: target.backend, route: target.route,
                path: target.path, app: envelope.app, kind: envelope.kind, payload: envelope.payload,
                slackRetry: envelope.retry, receivedAt: envelope.receivedAt, orderKey: target.orderKey)
        }
    }

    /// A delivery that is final from the start, and was never leased.
    private mutating func insert(
        _ settled: EnqueueRequest.SettledTarget, envelope: Int64, receivedAt: Timestamp, in store: QueueStore
    ) throws {
        let sequence = effects.ledger.nextSequence
        let (settlement, backend) = (settled.settlement, settled.target.backend)
        let failed = settlement.attempt.flatMap { $0.outcome == .accepted ? nil : $0 }
        try store.insert(settled, id: sequence, envelope: envelope, due: receivedAt, hasHistory: failed != nil)
        effects.ledger.nextSequence += 1
        effects.ledger.count(settlement.verb.state, of: backend, by: 1)
        guard var failed else { return }
        if !keepsResponse(settlement.verb.state, of: backend) { failed.response = nil }
        try keep(failed, of: sequence, replay: 0, hasHistory: false, in: store)
    }

    /// Whether the payload of a new envelope is kept, by the rule that holds when deliveries are settled.
    private func needsPayload(_ request: EnqueueRequest) -> Bool {
        guard let settled = request.settled, request.targets.isEmpty else { return true }
        return settled.settlement.verb.state == .dead
            || !limits.backendsWithoutRecords.contains(settled.target.backend)
    }

    /// What a request counts against `max_bytes`.
    private func bytes(of request: EnqueueRequest) -> Int64 {
        request.storedBytes - (needsPayload(request) ? 0 : Int64(request.envelope.payload.bytes.count))
    }
}

// MARK: - Room

extension WriteTransaction {
    /// Makes room, or throws `full` before anything was stored. What was removed of settled deliveries stays removed
    /// either way. Returns the backends of which a delivery goes on that waited for one that was dropped.
    private mutating func makeRoom(
        for requests: [EnqueueRequest], in store: QueueStore
    ) throws -> Set<BackendName> {
        let most = requests.reduce(0) { $0 + bytes(of: $1) }
        guard effects.ledger.bytes + most > limits.maxBytes else { return [] }
        // A mere record costs nobody's delivery.
        let mayDrop = requests.contains { !$0.targets.isEmpty }
        let now = requests.map(\.envelope.receivedAt).max()
        return try makeRoom(try neededBytes(of: requests, in: store), droppingAt: mayDrop ? now : nil, in: store)
    }

    /// - Parameter droppingAt: the present time, when waiting deliveries may be dropped.
    @discardableResult
    private mutating func makeRoom(
        _ needed: Int64, droppingAt now: Timestamp? = nil, in store: QueueStore
    ) throws -> Set<BackendName> {
        guard needed > 0, effects.ledger.bytes + needed > limits.maxBytes else { return [] }
        if needed <= limits.maxBytes {
            var allowance = RemovalAllowance(deliveries: Self.roomLimit, bytes: .max)
            try removeSettled(
                [.delivered, .expired, .canceled], downTo: limits.maxBytes - needed, allowance: &allowance, in: store)
            if effects.ledger.bytes + needed <= limits.maxBytes { return [] }
            if let now, limits.whenFull == .dropOldest,
                let becameDue = try dropOldest(downTo: limits.maxBytes - needed, now: now, in: store)
            {
                return becameDue
            }
        }
        throw QueueError.full(needed: needed, held: effects.ledger.bytes, limit: limits.maxBytes)
    }

    /// Without the duplicates.
    private func neededBytes(of requests: [EnqueueRequest], in store: QueueStore) throws -> Int64 {
        var new: [[String]: Timestamp] = [:]
        var needed: Int64 = 0
        for request in requests {
            if let key = request.envelope.deduplicationKey {
                let name = [request.envelope.app.text, key]
                if let at = new[name], request.envelope.receivedAt < at.advanced(by: limits.deduplicationWindow) {
                    continue
                }
                if new[name] == nil, try isDuplicate(key, request.envelope, in: store) { continue }
                new[name] = request.envelope.receivedAt
            }
            needed += bytes(of: request)
        }
        return needed
    }

    /// Removes settled deliveries, the longest settled first, until no more than so many bytes are held.
    /// - Parameter allowance: what may be removed at most; reduced by what was.
    private mutating func removeSettled(
        _ states: [DeliveryState], until cutoff: Timestamp = Timestamp(nanosecondsSinceEpoch: .max),
        downTo goal: Int64 = .min, allowance: inout RemovalAllowance, in store: QueueStore
    ) throws {
        for state in states {
            while effects.ledger.bytes > goal, !allowance.isUsedUp {
                let batch = try store.settled(state, until: cutoff, limit: 32)
                if batch.isEmpty { break }
                for delivery in batch where effects.ledger.bytes > goal && !allowance.isUsedUp {
                    let freed = try remove(
                        delivery.id, of: delivery.envelope, hasHistory: delivery.hasHistory, in: store)
                    effects.ledger.count(state, of: delivery.backend, by: -1)
                    allowance.deliveries -= 1
                    allowance.bytes -= freed
                    // It may have been the last one that the payload was kept for.
                    if freed == 0, !limits.backendsWithoutRecords.isEmpty,
                        let siblings = try store.siblingCount(of: delivery.envelope)
                    {
                        try removePayloadIfUnneeded(of: delivery.envelope, siblings: siblings, in: store)
                    }
                }
            }
        }
    }

    /// Removes a delivery with all that is kept of it, and its envelope with the last one. Returns how many bytes became
    /// free.
    @discardableResult
    mutating func remove(_ id: Int64, of envelope: Int64, hasHistory: Bool, in store: QueueStore) throws -> Int64 {
        if hasHistory { effects.ledger.historyBytes -= try store.history.removeAll(of: id) }
        let freed = try store.removeDelivery(id, of: envelope)
        effects.ledger.bytes -= freed
        return freed
    }

    private struct RemovalAllowance {
        var deliveries: Int
        var bytes: Int64

        var isUsedUp: Bool { deliveries <= 0 || bytes <= 0 }
    }

    /// Removes the oldest waiting deliveries until no more than so many bytes are held, without those whose envelope is
    /// needed all the same; removes nothing and returns nil when that many are leased, dead, or settled. Returns the
    /// backends of which a delivery goes on that waited for one of these.
    private mutating func dropOldest(
        downTo goal: Int64, now: Timestamp, in store: QueueStore
    ) throws -> Set<BackendName>? {
        var victims: [QueueStore.UnfinishedDelivery] = []
        /// By the envelope, which others need so far.
        var candidates: [Int64: [QueueStore.UnfinishedDelivery]] = [:]
        var chosen: Set<Int64> = []
        var bytes = effects.ledger.bytes
        try store.forEachUnfinished(from: state.withTable(\.oldestUnfinished)) { delivery in
            guard state.withTable({ $0.claim(delivery.id) }) else { return true }
            chosen.insert(delivery.id)
            candidates[delivery.envelope, default: []].append(delivery)
            guard try isFreed(delivery, byRemoving: chosen, in: store) else { return true }
            victims += candidates.removeValue(forKey: delivery.envelope) ?? []
            bytes -= delivery.size
            return bytes > goal
        }
        if bytes > goal { victims = [] }
        let removed = Set(victims.map(\.id))
        state.withTable { $0.unclaim(chosen.subtracting(removed)) }
        guard bytes <= goal else { return nil }
        effects.claimed.formUnion(removed)
        for victim in victims { try drop(victim, in: store) }
        var becameDue: Set<BackendName> = []
        for victim in victims where !victim.isBlocked {
            guard try unblockNext(of: victim.orderKey, victim.backend, now: now, in: store) else { continue }
            becameDue.insert(victim.backend)
        }
        return becameDue
    }

    /// Whether an envelope is not needed once the chosen deliveries are gone.
    private func isFreed(
        _ delivery: QueueStore.UnfinishedDelivery, byRemoving chosen: Set<Int64>, in store: QueueStore
    ) throws -> Bool {
        guard delivery.siblings > 1 else { return true }
        return try store.deliveries(of: delivery.envelope, count: delivery.siblings)
            .allSatisfy { chosen.contains($0.id) || $0.isDoneWithPayload }
    }

    private mutating func drop(_ victim: QueueStore.UnfinishedDelivery, in store: QueueStore) throws {
        try remove(victim.id, of: victim.envelope, hasHistory: victim.hasHistory, in: store)
        if let state = DeliveryState(rawValue: victim.state) { effects.ledger.count(state, of: victim.backend, by: -1) }
        effects.ledger.backends[victim.backend]?.dropped += 1
        guard victim.siblings > 1 else { return }
        let rest = try store.deliveries(of: victim.envelope, count: victim.siblings)
        guard rest.allSatisfy(\.isDoneWithPayload) else { return }
        // What is left of it was delivered, expired or canceled.
        for delivery in rest {
            try remove(delivery.id, of: victim.envelope, hasHistory: delivery.hasHistory, in: store)
        }
    }
}

// MARK: - Settle

extension WriteTransaction {
    /// After a crash a delivery waits as before, to be attempted once more, or is settled: its attempt, its state, its
    /// history, what becomes of its payload and who follows in its order key are written by this one transaction.
    mutating func settle(_ settlements: [Settlement], in store: QueueStore) throws {
        for settlement in settlements
        where settlement.id.queue == queueID && effects.ended[settlement.id.sequence] == nil {
            let sequence = settlement.id.sequence
            guard let lease = state.withTable({ $0.lease(on: sequence) }) else { continue }
            try settle(settlement, lease, in: store)
        }
    }

    private mutating func settle(_ settlement: Settlement, _ lease: LeaseTable.Lease, in store: QueueStore) throws {
        let state = settlement.verb.state
        let due: Timestamp? = if case .reschedule(let due) = settlement.verb { min(due, .latest) } else { nil }
        let failed = settlement.attempt.flatMap { $0.outcome == .accepted ? nil : $0 }
        try store.settle(settlement, due: due ?? lease.due, hasHistory: failed != nil)
        effects.ended[settlement.id.sequence] = due.map { .rescheduled(at: $0) } ?? .settled
        effects.ledger.count(lease.state, of: lease.backend, by: -1)
        effects.ledger.count(state, of: lease.backend, by: 1)
        let sequence = settlement.id.sequence
        if let failed {
            try keep(failed, of: sequence, replay: lease.replays, hasHistory: lease.hasHistory, in: store)
        }
        guard state.isFinal else { return }
        if !keepsResponse(state, of: lease.backend) {
            try removeResponse(of: sequence, hasHistory: lease.hasHistory || failed != nil, in: store)
        }
        if state != .dead, limits.backendsWithoutRecords.contains(lease.backend) {
            try removePayloadIfUnneeded(of: lease.envelope, siblings: lease.siblings, in: store)
        }
        try unblockNext(of: lease.orderKey, lease.backend, now: settlement.at, in: store)
    }

    /// The delivery that the others of its order key waited for is settled for good, or gone. Returns whether there is
    /// another one.
    @discardableResult
    mutating func unblockNext(
        of orderKey: String?, _ backend: BackendName, now: Timestamp, in store: QueueStore
    ) throws -> Bool {
        guard let orderKey, let next = try store.unblockNext(of: orderKey, backend, now: now) else { return false }
        effects.appeared.append((next, backend))
        return true
    }

    /// One of the deliveries of an envelope, to a backend without records, does not need the payload any more: removes
    /// it, unless another one does.
    mutating func removePayloadIfUnneeded(of envelope: Int64, siblings: Int, in store: QueueStore) throws {
        if siblings > 1 {
            let isUnneeded = try store.deliveries(of: envelope, count: siblings)
                .allSatisfy { $0.isDoneWithPayload && limits.backendsWithoutRecords.contains($0.backend) }
            guard isUnneeded else { return }
        }
        effects.ledger.bytes -= try store.removePayload(of: envelope)
    }
}

// MARK: - What cannot be read

extension WriteTransaction {
    /// After a crash a delivery that cannot be read waits as before, or is a dead letter and the next of its order key
    /// goes on. Passes over those that can be read, or that somebody is at.
    mutating func giveUp(_ unreadable: [Int64], now: Timestamp, in store: QueueStore) throws {
        for sequence in unreadable {
            guard let delivery = try store.unreadable(sequence), claim(sequence) else { continue }
            let settlement = Settlement(
                id: DeliveryID(queue: queueID, sequence: sequence), attempt: nil,
                verb: .deadLetter(.rejected(.requestError)), at: now)
            try store.settle(settlement, due: delivery.due, hasHistory: false)
            if let state = delivery.state { effects.ledger.count(state, of: delivery.backend, by: -1) }
            effects.ledger.count(.dead, of: delivery.backend, by: 1)
            try unblockNext(of: delivery.orderKey, delivery.backend, now: now, in: store)
        }
    }
}

// MARK: - History

extension WriteTransaction {
    /// Keeps an attempt that was not accepted, and its response in place of the one before. Takes no room from
    /// deliveries.
    private mutating func keep(
        _ attempt: Attempt, of delivery: Int64, replay: Int, hasHistory: Bool, in store: QueueStore
    ) throws {
        effects.ledger.historyBytes += try store.history.add(RecordedAttempt(attempt, replay: replay), to: delivery)
        if hasHistory {
            effects.ledger.historyBytes -= try store.history.trimAttempts(of: delivery)
        }
        if let response = attempt.response {
            try removeResponse(of: delivery, hasHistory: hasHistory, in: store)
            effects.ledger.historyBytes += try store.history.add(response, to: delivery)
        }
        try limitHistory(in: store)
    }

    /// Where there is too much, the oldest deliveries lose their history: a few with each call, so that a limit that was
    /// lowered is reached by and by.
    mutating func limitHistory(in store: QueueStore) throws {
        for _ in 0..<Self.historyRemovalLimit where effects.ledger.historyBytes > limits.maxHistoryBytes {
            guard let oldest = try store.history.oldestDelivery() else { return }
            effects.ledger.historyBytes -= try store.history.removeAll(of: oldest)
        }
    }

    mutating func removeResponse(of delivery: Int64, hasHistory: Bool, in store: QueueStore) throws {
        guard hasHistory else { return }
        effects.ledger.historyBytes -= try store.history.removeResponse(of: delivery)
    }

    /// Whether the response of a failed attempt is kept once a delivery is settled: it explains the failure of those
    /// that were not delivered, but may repeat the payload, and is kept no longer than that.
    private func keepsResponse(_ state: DeliveryState, of backend: BackendName) -> Bool {
        switch state {
        case .delivered: false
        case .dead: true
        default: !limits.backendsWithoutRecords.contains(backend)
        }
    }
}

// MARK: - Late answers

extension WriteTransaction {
    /// After a crash there is the answer, whole, or what was there before: nothing, or the one whose place it takes. It
    /// has no part in `max_bytes`, and so cannot be refused for it.
    func store(_ answer: LateAnswer, in store: QueueStore) throws { try store.store(answer) }

    /// After a crash the answer is there as it was, to be posted once more, or gone.
    func remove(_ id: LateAnswer.ID, in store: QueueStore) throws { try store.remove(id) }
}

// MARK: - Pauses

extension WriteTransaction {
    /// After a crash the backend is paused as before, or as it was asked for.
    func set(_ pause: Pause?, of backend: BackendName, in store: QueueStore) throws {
        try store.set(pause, of: backend)
    }
}

// MARK: - Retention

extension WriteTransaction {
    /// Gives a few free pages back to the file system where many are free: after a backlog. Returns whether there is more
    /// to give back.
    private mutating func shrink(in store: QueueStore) throws -> Bool {
        guard store.isShrinkable else { return false }
        let pages = try store.pages()
        let kept = max(Self.freePagesKept, pages.all / 8)
        guard pages.free > kept else { return false }
        try store.removeFreePages()
        effects.hasShrunk = pages.free - QueueStore.freePagesRemoved <= kept
        return !effects.hasShrunk
    }

    /// Free pages that a file always keeps, so that it does not grow and shrink by turns: 2 MiB.
    static let freePagesKept = 256

    /// One step. After a crash a delivery is there with its envelope, or gone. Returns whether more is waiting to be
    /// removed.
    mutating func prune(now: Timestamp, in store: QueueStore) throws -> Bool {
        let oldestDelivered = now.advanced(by: .zero - limits.deliveredRetention)
        let oldestDead = now.advanced(by: .zero - limits.deadRetention)
        var allowance = RemovalAllowance(deliveries: Self.removalLimit.deliveries, bytes: Self.removalLimit.bytes)
        try removeSettled([.delivered], until: oldestDelivered, allowance: &allowance, in: store)
        try removeSettled([.expired, .canceled, .dead], until: oldestDead, allowance: &allowance, in: store)
        try removeSettled(
            [.delivered, .expired, .canceled], downTo: limits.maxBytes, allowance: &allowance, in: store)
        try store.replays.prune(endedUntil: oldestDead)
        let window = limits.deduplicationWindow
        // The window's end is excluded: a key that was seen just so long ago is forgotten.
        let keysSince = now.advanced(by: .nanoseconds(1) - window)
        let keysUntil = max(keysSince, now.advanced(by: window))
        let keys = try store.forgetKeys(
            notSeenWithin: keysSince...keysUntil, limit: Self.keyRemovalLimit)
        let isRemoving = allowance.isUsedUp || keys == Self.keyRemovalLimit
        // Afterwards, when it is known how much is free.
        return try isRemoving || shrink(in: store)
    }
}
