// The queue behind `driver: memory` and `relay forward`: everything that the port promises, except to outlive the
// process.

/// Holds deliveries in memory, bounded by the same limits as the durable queue. "Durable when it returns" means here:
/// held.
///
/// What was delivered, expired or canceled is removed at once, because nothing could read it after a restart; dead
/// letters are kept for their retention. Deduplication keys have a bound of their own, an eighth of `maxBytes`: beyond
/// it the oldest are forgotten before their window ends.
package actor MemoryQueue: DeliveryQueue, LateAnswerStore, PauseStore {
    private let limits: QueueLimits
    private let queueID: UInt32
    private var isClosed = false
    private var nextSequence: Int64 = 1
    private var bytes: Int64 = 0
    /// Not settled, and dead letters, by sequence.
    private var entries: [Int64: Entry] = [:]
    /// By the sequence of the first delivery.
    private var envelopes: [Int64: StoredEnvelope] = [:]
    private var lines: [BackendName: Line] = [:]
    /// Unfinished deliveries of all backends, for `drop_oldest`.
    private var arrivals = ArrivalOrder()
    private var deadLetters = DeadLetterOrder()
    private var keys: DeduplicationWindow
    private var lateAnswers: [LateAnswer.ID: LateAnswer] = [:]
    private var pausesByBackend: [BackendName: Pause] = [:]

    /// - Parameter queueID: the part of each `DeliveryID` that keeps queues apart; drawn at random unless given.
    package init(limits: QueueLimits = .init(), queueID: UInt32 = .random(in: .min ... .max)) {
        self.limits = limits
        self.queueID = queueID
        self.keys = DeduplicationWindow(window: limits.deduplicationWindow, maxBytes: limits.maxBytes / 8)
    }

    private struct Entry {
        var delivery: Delivery
        var state: DeliveryState
        var due: Timestamp
        var isLeased: Bool
        /// The key in `envelopes`.
        var envelope: Int64

        var isWaiting: Bool { !state.isFinal && !isLeased }
        var position: QueuePosition { .init(due: due, sequence: delivery.id.sequence) }
    }

    private struct StoredEnvelope {
        var bytes: Int64
        /// Deliveries that are not settled or dead.
        var deliveries: Int
    }

    /// One backend's deliveries.
    private struct Line {
        /// Those that wait; positions of dropped ones linger until they come up.
        var positions = MinHeap<QueuePosition>()
        var arrivals = ArrivalOrder()
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
        try makeRoom(for: needed, mayDrop: requests.contains { !$0.targets.isEmpty })
        return zip(requests, isDuplicate).map { request, isDuplicate in
            isDuplicate ? .duplicate : .stored(leased: store(request))
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
        while steps > 0, let dead = deadLetters.popFirst(settledBefore: now.advanced(by: .zero - limits.deadRetention))
        {
            removeDeadLetter(dead)
            steps -= 1
        }
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
        (arrivals, deadLetters, bytes) = (ArrivalOrder(), DeadLetterOrder(), 0)
        (lateAnswers, pausesByBackend) = ([:], [:])
    }

    private func checkOpen() throws(QueueError) {
        if isClosed { throw QueueError(.closed, "the queue was closed") }
    }
}

// MARK: - One delivery

extension MemoryQueue {
    private func store(_ request: EnqueueRequest) -> [Delivery] {
        keys.remember(request.envelope)
        guard request.deliveryCount > 0 else { return [] }
        let envelope = nextSequence
        envelopes[envelope] = StoredEnvelope(bytes: request.heldBytes, deliveries: request.deliveryCount)
        bytes += request.heldBytes
        if let settled = request.settled { storeDeadLetter(settled, of: request.envelope, in: envelope) }
        return request.targets.map { target in
            let delivery = makeDelivery(of: request.envelope, to: target)
            let sequence = delivery.id.sequence
            entries[sequence] = Entry(
                delivery: delivery, state: .pending, due: delivery.receivedAt, isLeased: true, envelope: envelope)
            arrivals.append(sequence)
            lines[target.backend, default: Line()].arrivals.append(sequence)
            lines[target.backend]?.unfinished[.pending, default: 0] += 1
            lines[target.backend]?.leased[.pending, default: 0] += 1
            return delivery
        }
    }

    private func storeDeadLetter(
        _ settled: EnqueueRequest.SettledTarget, of envelope: Envelope, in storedEnvelope: Int64
    ) {
        var delivery = makeDelivery(of: envelope, to: settled.target)
        delivery.attemptsMade = settled.settlement.attempt?.number ?? 0
        entries[delivery.id.sequence] = Entry(
            delivery: delivery, state: .dead, due: delivery.receivedAt, isLeased: false, envelope: storedEnvelope)
        lines[delivery.backend, default: Line()].dead += 1
        deadLetters.append(delivery.id.sequence, settledAt: settled.settlement.at)
    }

    private func makeDelivery(of envelope: Envelope, to target: EnqueueRequest.Target) -> Delivery {
        defer { nextSequence += 1 }
        return Delivery(
            id: DeliveryID(queue: queueID, sequence: nextSequence), backend: target.backend, route: target.route,
            path: target.path, app: envelope.app, kind: envelope.kind, payload: envelope.payload,
            slackRetry: envelope.retry, receivedAt: envelope.receivedAt)
    }

    /// The first waiting delivery of a backend, due or not.
    private func nextPosition(of backend: BackendName) -> QueuePosition? {
        while let position = lines[backend]?.positions.min {
            if let entry = entries[position.sequence], entry.isWaiting, entry.due == position.due { return position }
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
        entry.delivery.attemptsMade = settlement.attempt?.number ?? entry.delivery.attemptsMade
        switch settlement.verb {
        case .complete, .expire:
            forget(sequence)
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
            deadLetters.append(sequence, settledAt: settlement.at)
            trimArrivals(of: backend)
        }
    }

    private func removeDeadLetter(_ sequence: Int64) {
        guard let entry = entries[sequence], entry.state == .dead else { return }
        lines[entry.delivery.backend]?.dead -= 1
        forget(sequence)
    }

    /// Removes a delivery, and its envelope with the last one.
    private func forget(_ sequence: Int64) {
        guard let entry = entries.removeValue(forKey: sequence) else { return }
        trimArrivals(of: entry.delivery.backend)
        guard var envelope = envelopes[entry.envelope] else { return }
        envelope.deliveries -= 1
        envelopes[entry.envelope] = envelope.deliveries > 0 ? envelope : nil
        if envelope.deliveries == 0 { bytes -= envelope.bytes }
    }

    private func isUnfinished(_ sequence: Int64) -> Bool {
        entries[sequence].map { !$0.state.isFinal } ?? false
    }

    /// Keeps the lists of arrivals in proportion to what is unfinished.
    private func trimArrivals(of backend: BackendName) {
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

// MARK: - Room

extension EnqueueRequest {
    /// What memory keeps of it: not the record of a delivery that is complete or expired.
    fileprivate var heldInMemory: EnqueueRequest {
        guard let settled, settled.settlement.verb.state != .dead else { return self }
        return EnqueueRequest(envelope: envelope, targets: targets)
    }

    fileprivate var heldBytes: Int64 { deliveryCount == 0 ? 0 : storedBytes }
}

extension MemoryQueue {
    /// Makes room for new envelopes, or changes nothing and throws `full`.
    private func makeRoom(for needed: Int64, mayDrop: Bool) throws(QueueError) {
        guard bytes + needed > limits.maxBytes, needed > 0 else { return }
        guard mayDrop, limits.whenFull == .dropOldest, needed <= limits.maxBytes,
            let victims = victims(freeing: bytes + needed - limits.maxBytes)
        else { throw .full(needed: needed, held: bytes, limit: limits.maxBytes) }
        for sequence in victims { drop(sequence) }
    }

    /// The oldest waiting deliveries whose removal frees that many bytes; nil when all of them together do not.
    private func victims(freeing excess: Int64) -> [Int64]? {
        var freed: Int64 = 0
        var victims: [Int64] = []
        var taken: [Int64: Int] = [:]
        for sequence in arrivals.sequences {
            guard freed < excess else { break }
            guard let entry = entries[sequence], entry.isWaiting else { continue }
            victims.append(sequence)
            taken[entry.envelope, default: 0] += 1
            if let envelope = envelopes[entry.envelope], taken[entry.envelope] == envelope.deliveries {
                freed += envelope.bytes
            }
        }
        return freed >= excess ? victims : nil
    }

    private func drop(_ sequence: Int64) {
        guard let entry = entries[sequence] else { return }
        lines[entry.delivery.backend]?.unfinished[entry.state, default: 0] -= 1
        lines[entry.delivery.backend]?.dropped += 1
        forget(sequence)
        guard var line = lines[entry.delivery.backend],
            line.positions.count > 2 * line.unfinishedCount + 64
        else { return }
        lines[entry.delivery.backend] = nil  // so that the heap is not copied
        line.positions = MinHeap(line.arrivals.sequences.compactMap { entries[$0] }.filter(\.isWaiting).map(\.position))
        lines[entry.delivery.backend] = line
    }
}

extension QueueError {
    /// The error of a queue that has no room: names what was asked for, what is held and the limit.
    package static func full(needed: Int64, held: Int64, limit: Int64) -> QueueError {
        QueueError(
            .full, "no room for \(needed) bytes: \(held) bytes are held and queue.max_bytes is \(limit) bytes")
    }
}
