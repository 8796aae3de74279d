// The queue behind `driver: memory` and `relay forward`: everything that the port promises, except to outlive the
// process.

/// Holds deliveries in memory, bounded by the same limits as the durable queue. "Durable when it returns" means here:
/// held.
///
/// What was delivered, expired or canceled is removed at once, because nothing could read it after a restart; dead
/// letters are kept for their retention. Deduplication keys have a bound of their own, an eighth of `maxBytes`: beyond
/// it the oldest are forgotten before their window ends. So has the history of deliveries (`maxHistoryBytes`).
package actor MemoryQueue: DeliveryQueue, LateAnswerStore, PauseStore {
    let limits: QueueLimits
    let queueID: UInt32
    private var isClosed = false
    private(set) var nextSequence: Int64 = 1
    private(set) var bytes: Int64 = 0
    /// Not settled, and dead letters, by sequence.
    var entries: [Int64: Entry] = [:]
    /// By the sequence of the first delivery.
    private(set) var envelopes: [Int64: StoredEnvelope] = [:]
    var lines: [BackendName: Line] = [:]
    /// All entries.
    private(set) var kept = ArrivalOrder()
    /// Unfinished deliveries of all backends, for `drop_oldest`.
    var arrivals = ArrivalOrder()
    private var deadLetters = DeadLetterOrder()
    /// Of those that failed.
    var records: MemoryRecords
    var replayJobs: [Replay.ID: ReplayJob] = [:]
    var nextReplayID: Replay.ID = 1
    private var keys: DeduplicationWindow
    private var lateAnswers: [LateAnswer.ID: LateAnswer] = [:]
    private var pausesByBackend: [BackendName: Pause] = [:]

    /// - Parameter queueID: the part of each `DeliveryID` that keeps queues apart; drawn at random unless given.
    package init(limits: QueueLimits = .init(), queueID: UInt32 = .random(in: .min ... .max)) {
        self.limits = limits
        self.queueID = queueID
        self.records = MemoryRecords(maxHistoryBytes: limits.maxHistoryBytes)
        self.keys = DeduplicationWindow(window: limits.deduplicationWindow, maxBytes: limits.maxBytes / 8)
    }

    struct Entry {
        var delivery: Delivery
        var state: DeliveryState
        var due: Timestamp
        var isLeased: Bool
        /// It waits for another one of its order key.
        var isBlocked = false
        /// The key in `envelopes`.
        var envelope: Int64

        var isWaiting: Bool { !state.isFinal && !isLeased }
        var canBeLeased: Bool { isWaiting && !isBlocked }
        var position: QueuePosition { .init(due: due, sequence: delivery.id.sequence) }
    }

    struct StoredEnvelope {
        /// `envelope_id`
        var slackID: String
        var bytes: Int64
        /// Deliveries that are not settled or dead.
        var deliveries: Int
    }

    /// One backend's deliveries.
    struct Line {
        /// Those that can be leased; positions of dropped ones linger until they come up.
        var positions = MinHeap<QueuePosition>()
        var arrivals = ArrivalOrder()
        /// By order key.
        var orders: [String: OrderLine] = [:]
        /// Not settled, leased ones included, by stored state.
        var unfinished: [DeliveryState: Int] = [:]
        var leased: [DeliveryState: Int] = [:]
        var dead = 0
        var dropped = 0

        var unfinishedCount: Int { unfinished.values.reduce(0, +) }
        var leasedCount: Int { leased.values.reduce(0, +) }
    }

    // MARK: - The port

    package func enqueue(_ requests: [EnqueueRequest]) async throws(QueueError) -> [EnqueueResult] {
        try checkOpen()
        let requests = requests.map(\.heldInMemory)
        let isDuplicate = keys.duplicates(among: requests)
        let needed = zip(requests, isDuplicate).reduce(0) { $1.1 ? $0 : $0 + $1.0.heldBytes }
        // A mere record costs nobody's delivery.
        var becameDue = try makeRoom(
            for: needed, mayDrop: requests.contains { !$0.targets.isEmpty },
            now: requests.map(\.envelope.receivedAt).max() ?? Timestamp(nanosecondsSinceEpoch: 0))
        return zip(requests, isDuplicate).map { request, isDuplicate in
            guard !isDuplicate else { return .duplicate }
            defer { becameDue = [] }
            return .stored(leased: store(request), becameDue: becameDue)
        }
    }

    package func remembers(_ envelope: Envelope) async throws(QueueError) -> Bool {
        try checkOpen()
        return keys.duplicates(among: [EnqueueRequest(envelope: envelope, targets: [])]) == [true]
    }

    package func lease(
        _ backend: BackendName, _ bounds: LeaseBounds, now: Timestamp
    ) async throws(QueueError) -> LeaseResult {
        try checkOpen()
        var leased: [Delivery] = []
        var bytes = 0
        while let position = nextPosition(of: backend) {
            bytes += entries[position.sequence]?.delivery.payload.bytes.count ?? 0
            guard position.due <= now, leased.count < bounds.count, leased.isEmpty || bytes <= bounds.bytes else {
                return LeaseResult(deliveries: leased, nextDue: position.due)
            }
            _ = lines[backend]?.positions.popMin()
            if let delivery = takeLease(on: position.sequence) { leased.append(delivery) }
        }
        return LeaseResult(deliveries: leased, nextDue: nil)
    }

    package func release(_ ids: [DeliveryID]) async {
        for id in ids where id.queue == queueID { endLease(of: id.sequence) }
    }

    package func settle(_ settlements: [Settlement]) async throws(QueueError) {
        try checkOpen()
        for settlement in settlements where settlement.id.queue == queueID { settle(settlement) }
    }

    package func probe() async throws(QueueError) {
        try checkOpen()
        let needed = limits.probedBytes
        guard limits.whenFull == .refuse, bytes + needed > limits.maxBytes else { return }
        throw .full(needed: needed, held: bytes, limit: limits.maxBytes)
    }

    package func prune(now: Timestamp) async throws(QueueError) -> Bool {
        try checkOpen()
        var steps = 500
        let cutoff = now.advanced(by: .zero - limits.deadRetention)
        while steps > 0, let dead = deadLetters.popFirst(settledBefore: cutoff) {
            if isDead(dead.sequence, since: dead.settledAt) { removeDeadLetter(dead.sequence) }
            steps -= 1
        }
        replayJobs = replayJobs.filter { $0.value.replay.endedAt.map { $0 > cutoff } ?? true }
        return keys.prune(now: now, steps: &steps) || steps == 0
    }

    package func statistics() async throws(QueueError) -> [BackendName: QueueStatistics] {
        try checkOpen()
        var statistics: [BackendName: QueueStatistics] = [:]
        for backend in lines.keys.sorted() {
            statistics[backend] = makeStatistics(of: backend)
        }
        return statistics
    }

    package func backendsWithWaitingDeliveries() async throws(QueueError) -> [BackendName] {
        try checkOpen()
        return lines.filter { $0.value.unfinishedCount > $0.value.leasedCount }.keys.sorted()
    }

    package func appsWithWaitingDeliveries() async throws(QueueError) -> [AppName] {
        try checkOpen()
        return Set(entries.values.lazy.filter { !$0.state.isFinal }.map(\.delivery.app)).sorted()
    }

    package func close() async {
        isClosed = true
        (entries, envelopes, lines) = ([:], [:], [:])
        (kept, arrivals, deadLetters, bytes) = (ArrivalOrder(), ArrivalOrder(), DeadLetterOrder(), 0)
        (records, replayJobs) = (MemoryRecords(maxHistoryBytes: limits.maxHistoryBytes), [:])
        (lateAnswers, pausesByBackend) = ([:], [:])
    }

    func checkOpen() throws(QueueError) {
        if isClosed { throw QueueError(.closed, "the queue was closed") }
    }
}

// MARK: - One delivery

extension MemoryQueue {
    private func store(_ request: EnqueueRequest) -> [Delivery] {
        keys.remember(request.envelope)
        guard request.deliveryCount > 0 else { return [] }
        let envelope = nextSequence
        envelopes[envelope] = StoredEnvelope(
            slackID: request.envelope.id, bytes: request.heldBytes, deliveries: request.deliveryCount)
        bytes += request.heldBytes
        if let settled = request.settled { storeDeadLetter(settled, of: request.envelope, in: envelope) }
        return request.targets.compactMap { target in
            let delivery = makeDelivery(of: request.envelope, to: target)
            let sequence = delivery.id.sequence
            kept.append(sequence)
            arrivals.append(sequence)
            lines[target.backend, default: Line()].arrivals.append(sequence)
            lines[target.backend]?.unfinished[.pending, default: 0] += 1
            let isBlocked = joinOrder(delivery)
            entries[sequence] = Entry(
                delivery: delivery, state: .pending, due: delivery.receivedAt, isLeased: !isBlocked,
                isBlocked: isBlocked, envelope: envelope)
            if isBlocked { return nil }
            lines[target.backend]?.leased[.pending, default: 0] += 1
            return delivery
        }
    }

    /// Whether it waits for another one of its order key.
    func joinOrder(_ delivery: Delivery) -> Bool {
        guard let key = delivery.orderKey else { return false }
        return lines[delivery.backend]?.orders[key, default: OrderLine()].join(delivery.id.sequence) ?? false
    }

    /// A delivery is not unfinished any more: the next of its order key goes on.
    /// - Parameter entry: as it was.
    /// - Returns: whether there is one.
    @discardableResult
    func leaveOrder(_ entry: Entry, now: Timestamp) -> Bool {
        let backend = entry.delivery.backend
        guard let key = entry.delivery.orderKey else { return false }
        let next = lines[backend]?.orders[key]?.leave(wasFirst: !entry.isBlocked) { entries[$0]?.isBlocked ?? false }
        if lines[backend]?.orders[key]?.count == 0 { lines[backend]?.orders[key] = nil }
        guard let sequence = next ?? nil, var next = entries[sequence] else { return false }
        next.isBlocked = false
        next.due = next.delivery.replays > 0 ? now : min(now, next.delivery.receivedAt)
        entries[sequence] = next
        lines[backend]?.positions.insert(next.position)
        return true
    }

    private func storeDeadLetter(
        _ settled: EnqueueRequest.SettledTarget, of envelope: Envelope, in storedEnvelope: Int64
    ) {
        var delivery = makeDelivery(of: envelope, to: settled.target)
        let sequence = delivery.id.sequence
        delivery.attemptsMade = settled.settlement.attempt?.number ?? 0
        kept.append(sequence)
        entries[sequence] = Entry(
            delivery: delivery, state: .dead, due: delivery.receivedAt, isLeased: false, envelope: storedEnvelope)
        lines[delivery.backend, default: Line()].dead += 1
        if let attempt = settled.settlement.attempt, attempt.outcome != .accepted {
            records.note(attempt, of: sequence, replay: 0)
        }
        records[sequence].sentID = settled.settlement.id
        noteDead(sequence, settled.settlement)
    }

    private func noteDead(_ sequence: Int64, _ settlement: Settlement) {
        guard case .deadLetter(let reason) = settlement.verb else { return }
        records[sequence].settledAt = settlement.at
        records[sequence].deadReason = reason.description
        deadLetters.append(sequence, settledAt: settlement.at)
    }

    private func makeDelivery(of envelope: Envelope, to target: EnqueueRequest.Target) -> Delivery {
        defer { nextSequence += 1 }
        return Delivery(
            id: DeliveryID(queue: queueID, sequence: nextSequence), backend: target.backend, route: target.route,
            path: target.path, app: envelope.app, kind: envelope.kind, payload: envelope.payload,
            slackRetry: envelope.retry, receivedAt: envelope.receivedAt, orderKey: target.orderKey)
    }

    /// The first waiting delivery of a backend, due or not.
    private func nextPosition(of backend: BackendName) -> QueuePosition? {
        while let position = lines[backend]?.positions.min {
            if let entry = entries[position.sequence], entry.canBeLeased, entry.due == position.due { return position }
            _ = lines[backend]?.positions.popMin()
        }
        return nil
    }

    private func takeLease(on sequence: Int64) -> Delivery? {
        guard let entry = entries[sequence] else { return nil }
        entries[sequence]?.isLeased = true
        lines[entry.delivery.backend]?.leased[entry.state, default: 0] += 1
        return entry.delivery
    }

    /// The delivery waits again as it did before.
    private func endLease(of sequence: Int64) {
        guard let entry = entries[sequence], entry.isLeased else { return }
        entries[sequence]?.isLeased = false
        lines[entry.delivery.backend]?.leased[entry.state, default: 0] -= 1
        lines[entry.delivery.backend]?.positions.insert(entry.position)
    }

    private func settle(_ settlement: Settlement) {
        let sequence = settlement.id.sequence
        guard var entry = entries[sequence], entry.isLeased else { return }
        let backend = entry.delivery.backend
        lines[backend]?.leased[entry.state, default: 0] -= 1
        lines[backend]?.unfinished[entry.state, default: 0] -= 1
        entry.isLeased = false
        if let attempt = settlement.attempt {
            if !attempt.isProbe {
                entry.delivery.attemptsMade = attempt.number
                entry.delivery.firstAttemptAt = entry.delivery.firstAttemptAt ?? attempt.startedAt
            }
            if attempt.outcome != .accepted {
                records.note(attempt, of: sequence, replay: entry.delivery.replays)
            }
        }
        switch settlement.verb {
        case .complete, .expire:
            forget(sequence)
            leaveOrder(entry, now: settlement.at)
        case .reschedule(let due):
            entry.state = .scheduled
            entry.due = due
            entries[sequence] = entry
            lines[backend]?.unfinished[.scheduled, default: 0] += 1
            lines[backend]?.positions.insert(entry.position)
        case .deadLetter:
            entry.state = .dead
            entries[sequence] = entry
            lines[backend]?.dead += 1
            noteDead(sequence, settlement)
            trimArrivals(of: backend)
            leaveOrder(entry, now: settlement.at)
        }
    }

    /// Whether it is a dead letter that was given up then.
    func isDead(_ sequence: Int64, since settledAt: Timestamp) -> Bool {
        entries[sequence]?.state == .dead && records[sequence].settledAt == settledAt
    }

    func removeDeadLetter(_ sequence: Int64) {
        guard let entry = entries[sequence], entry.state == .dead else { return }
        lines[entry.delivery.backend]?.dead -= 1
        forget(sequence)
    }

    /// Keeps the list of dead letters in proportion to how many there are.
    func trimDeadLetters() {
        deadLetters.trim(lines.values.reduce(0) { $0 + $1.dead }) { isDead($0.sequence, since: $0.due) }
    }

    /// Removes a delivery, and its envelope with the last one.
    func forget(_ sequence: Int64) {
        guard let entry = entries.removeValue(forKey: sequence) else { return }
        records.remove(sequence)
        trimArrivals(of: entry.delivery.backend)
        kept.trim(entries.count) { entries[$0] != nil }
        guard var envelope = envelopes[entry.envelope] else { return }
        envelope.deliveries -= 1
        envelopes[entry.envelope] = envelope.deliveries > 0 ? envelope : nil
        if envelope.deliveries == 0 { bytes -= envelope.bytes }
    }

    private func isUnfinished(_ sequence: Int64) -> Bool {
        entries[sequence].map { !$0.state.isFinal } ?? false
    }

    /// Keeps the lists of arrivals in proportion to what is unfinished.
    func trimArrivals(of backend: BackendName) {
        arrivals.trim(entries.count, keeping: isUnfinished)
        guard var line = lines[backend] else { return }
        lines[backend] = nil  // so that the list is not copied
        line.arrivals.trim(line.unfinishedCount, keeping: isUnfinished)
        lines[backend] = line
    }

    private func makeStatistics(of backend: BackendName) -> QueueStatistics {
        guard var line = lines[backend] else { return QueueStatistics() }
        lines[backend] = nil  // so that the list is not copied
        let oldest = line.arrivals.first(where: isUnfinished)
        lines[backend] = line
        var waiting: [DeliveryState: Int] = [:]
        for (state, count) in line.unfinished {
            let free = count - line.leased[state, default: 0]
            if free > 0 { waiting[state] = free }
        }
        if line.leasedCount > 0 { waiting[.inFlight] = line.leasedCount }
        return QueueStatistics(
            waiting: waiting, oldestReceivedAt: oldest.flatMap { entries[$0]?.delivery.receivedAt }, dead: line.dead,
            dropped: line.dropped)
    }
}

// MARK: - Late answers

extension MemoryQueue {
    package func store(_ answer: LateAnswer) async throws(QueueError) {
        try checkOpen()
        lateAnswers[answer.id] = answer
    }

    package func remove(_ id: LateAnswer.ID) async throws(QueueError) {
        try checkOpen()
        lateAnswers[id] = nil
    }

    package func lateAnswer(_ id: LateAnswer.ID) async throws(QueueError) -> LateAnswer? {
        try checkOpen()
        return lateAnswers[id]
    }

    package func lateAnswerIDs() async throws(QueueError) -> [LateAnswer.ID] {
        try checkOpen()
        return lateAnswers.values.sorted { $0.expiresAt < $1.expiresAt }.map(\.id)
    }
}

// MARK: - Pauses

extension MemoryQueue {
    package func pauses() async throws(QueueError) -> [BackendName: Pause] {
        try checkOpen()
        return pausesByBackend
    }

    package func setPause(_ pause: Pause?, of backend: BackendName) async throws(QueueError) {
        try checkOpen()
        pausesByBackend[backend] = pause
    }
}
