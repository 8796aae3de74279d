// The queue that one process keeps on the simulated disk.

import RelayCore
import RelayTestKit

/// One process's view of the disk: writes take time, one after the other; they fail, or come too late because the process
/// has died. Leases are the process's own.
final class SimulatedQueue: DeliveryQueue, LateAnswerStore, PauseStore, @unchecked Sendable {  // one thread per run
    let disk: SimulatedDisk
    private unowned let process: SimulatedProcess
    private let world: SimulatedWorld
    private var leases: Set<Int> = []
    /// The delivery of each order key that goes first.
    private var heads: [Key: Int] = [:]
    /// When the last write that was asked for is durable.
    private var lastWrite = Timestamp(millisecondsSinceEpoch: 0)
    private var isClosed = false
    /// Deliveries, with their bytes, that a backend's dispatcher has and has not given back: what guarantee 7 bounds.
    private(set) var held: [BackendName: (count: Int, bytes: Int)] = [:]
    /// Payloads that wait to be stored.
    private(set) var storingBytes = 0

    private struct Key: Hashable {
        var backend: BackendName
        var key: String
    }

    init(disk: SimulatedDisk, process: SimulatedProcess, world: SimulatedWorld) {
        self.disk = disk
        self.process = process
        self.world = world
    }

    var leaseCount: Int { leases.count }

    // MARK: - The port

    func enqueue(_ requests: [EnqueueRequest]) async throws(QueueError) -> [EnqueueResult] {
        let bytes = requests.reduce(0) { $0 + $1.envelope.payload.bytes.count }
        storingBytes += bytes
        defer { storingBytes -= bytes }
        let results = try await write(grows: true) { isKnown in requests.map { self.store($0, leases: isKnown) } }
        for case .stored(let deliveries, _) in results { hold(deliveries) }
        return results
    }

    private func store(_ request: EnqueueRequest, leases isLeasing: Bool) -> EnqueueResult {
        let envelope = request.envelope
        if world.sabotage != .queueForgetsKeys, disk.remembers(envelope.deduplicationKey, at: envelope.receivedAt) {
            return .duplicate
        }
        guard world.sabotage != .queueLies else { return .stored(leased: []) }
        if let settled = request.settled { _ = disk.add(settled.target, of: envelope, settled.settlement) }
        let stored = request.targets.map { disk.add($0, of: envelope) }
        if let key = envelope.deduplicationKey { disk.keys[key] = envelope.receivedAt }
        let leased = isLeasing ? stored.filter { isFirst($0) } : []
        leases.formUnion(leased)
        return .stored(leased: leased.map { disk[$0].delivery })
    }

    func remembers(_ envelope: Envelope) async throws(QueueError) -> Bool {
        try await read { self.disk.remembers(envelope.deduplicationKey, at: envelope.receivedAt) }
    }

    func lease(_ backend: BackendName, _ bounds: LeaseBounds, now: Timestamp) async throws(QueueError) -> LeaseResult {
        let result = try await read { self.take(backend, bounds, now: now) }
        hold(result.deliveries)
        return result
    }

    private func take(_ backend: BackendName, _ bounds: LeaseBounds, now: Timestamp) -> LeaseResult {
        let waiting = disk.unsettled[backend, default: []]
            .filter { !leases.contains($0) && isFirst($0) }
            .sorted { (disk[$0].due, $0) < (disk[$1].due, $1) }
        let isUnbounded = world.sabotage == .queueIgnoresBounds
        var (leased, bytes): ([Delivery], Int) = ([], 0)
        for sequence in waiting {
            let row = disk[sequence]
            bytes += row.delivery.payload.bytes.count
            guard row.due <= now, isUnbounded || leased.count < bounds.count,
                isUnbounded || leased.isEmpty || bytes <= bounds.bytes
            else { return LeaseResult(deliveries: leased, nextDue: row.due) }
            leases.insert(sequence)
            leased.append(row.delivery)
        }
        return LeaseResult(deliveries: leased, nextDue: nil)
    }

    func release(_ ids: [DeliveryID]) async {
        giveUp(ids)
        _ = await wait(disk.mood == .slow ? 200 : 5) {
            guard self.world.sabotage != .queueKeepsLeases else { return }
            for id in ids { self.leases.remove(Int(id.sequence)) }
        }
    }

    func settle(_ settlements: [Settlement]) async throws(QueueError) {
        try await write(grows: false) { _ in for settlement in settlements { self.settle(settlement) } }
        for settlement in settlements {
            leases.remove(Int(settlement.id.sequence))
            if settlement.verb.state.isFinal { disk[Int(settlement.id.sequence)].isKnownSettled = true }
        }
        giveUp(settlements.map(\.id))
    }

    private func settle(_ settlement: Settlement) {
        let sequence = Int(settlement.id.sequence)
        guard leases.contains(sequence), !disk[sequence].state.isFinal, world.sabotage != .queueForgetsSettlements
        else {
            return
        }
        world.guarantees.settling(settlement, row: disk[sequence], by: process)
        if let attempt = settlement.attempt, !attempt.isProbe {
            disk[sequence].delivery.attemptsMade = attempt.number
            if disk[sequence].delivery.firstAttemptAt == nil {
                disk[sequence].delivery.firstAttemptAt = attempt.startedAt
            }
        }
        disk[sequence].verb = settlement.verb
        if case .reschedule(let due) = settlement.verb {
            disk[sequence].state = .scheduled
            disk[sequence].due = due
        } else {
            disk.end(sequence, settlement.verb.state)
        }
    }

    func probe() async throws(QueueError) { try await write(grows: true) { _ in } }
    func prune(now: Timestamp) async throws(QueueError) -> Bool { try await read { false } }
    func statistics() async throws(QueueError) -> [BackendName: QueueStatistics] { [:] }
    func backendsWithWaitingDeliveries() async throws(QueueError) -> [BackendName] { [] }
    func appsWithWaitingDeliveries() async throws(QueueError) -> [AppName] { [] }
    func close() async { isClosed = true }

    // MARK: - Order keys

    /// Whether nothing of its key goes before it.
    private func isFirst(_ sequence: Int) -> Bool {
        guard let text = disk[sequence].delivery.orderKey, world.sabotage != .queueIgnoresOrder else { return true }
        let key = Key(backend: disk[sequence].delivery.backend, key: text)
        if let head = heads[key], !disk[head].state.isFinal { return head == sequence }
        let head = disk.unsettled[key.backend, default: []].first { disk[$0].delivery.orderKey == text }
        heads[key] = head
        return head == sequence
    }
}

// MARK: - Late answers and pauses

extension SimulatedQueue {
    func store(_ answer: LateAnswer) async throws(QueueError) {
        try await write(grows: false) { isKnown in
            guard self.world.sabotage != .forgetsLateAnswers else { return }
            self.disk.lateAnswers[answer.id] = answer
            if isKnown {
                self.disk.unknownAnswers.remove(answer.id)
            } else {
                self.disk.unknownAnswers.insert(answer.id)
            }
        }
    }

    func remove(_ id: LateAnswer.ID) async throws(QueueError) {
        try await write(grows: false) { _ in self.disk.lateAnswers[id] = nil }
    }

    func lateAnswer(_ id: LateAnswer.ID) async throws(QueueError) -> LateAnswer? {
        try await read { self.disk.lateAnswers[id] }
    }

    func lateAnswerIDs() async throws(QueueError) -> [LateAnswer.ID] {
        disk.lateAnswers.values
            .sorted { ($0.expiresAt, $0.id.envelopeID) < ($1.expiresAt, $1.id.envelopeID) }
            .map(\.id)
    }

    func pauses() async throws(QueueError) -> [BackendName: Pause] { disk.pauses }

    func setPause(_ pause: Pause?, of backend: BackendName) async throws(QueueError) {
        try await write(grows: false) { _ in self.disk.pauses[backend] = pause }
    }
}

// MARK: - A person's hand, as in DeliveryArchive

extension SimulatedQueue {
    /// See `DeliveryArchive.cancel`.
    func cancel(_ id: DeliveryID) async throws(QueueError) -> DeliveryChange {
        try await write(grows: false) { _ in
            let sequence = Int(id.sequence)
            guard !self.disk[sequence].state.isFinal else { return .refused(self.disk[sequence].state) }
            guard !self.leases.contains(sequence) else { return .refused(.inFlight) }
            self.disk.end(sequence, .canceled)
            self.disk[sequence].isKnownSettled = true
            return .done(self.disk[sequence].delivery.backend)
        }
    }

    /// See `DeliveryArchive.retry`.
    func retry(_ id: DeliveryID, now: Timestamp) async throws(QueueError) -> DeliveryChange {
        try await write(grows: false) { _ in
            let sequence = Int(id.sequence)
            guard !self.leases.contains(sequence) else { return .refused(.inFlight) }
            let wasFinal = self.disk[sequence].state.isFinal
            guard wasFinal || self.isFirst(sequence) else { return .refused(self.disk[sequence].state) }
            self.disk[sequence].due = now
            guard wasFinal else { return .done(self.disk[sequence].delivery.backend) }
            self.disk[sequence].state = .pending
            self.disk[sequence].verb = nil
            self.disk[sequence].isKnownSettled = false
            self.disk[sequence].isReplayed = true
            self.disk[sequence].failures = 0
            self.disk[sequence].delivery.replays += 1
            self.disk[sequence].delivery.attemptsMade = 0
            self.disk[sequence].delivery.firstAttemptAt = nil
            self.disk.revive(sequence)
            return .done(self.disk[sequence].delivery.backend)
        }
    }
}

// MARK: - Time and faults

extension SimulatedQueue {
    private func hold(_ deliveries: [Delivery]) {
        for delivery in deliveries {
            held[delivery.backend, default: (0, 0)].count += 1
            held[delivery.backend, default: (0, 0)].bytes += delivery.payload.bytes.count
        }
    }

    private func giveUp(_ ids: [DeliveryID]) {
        for id in ids {
            let delivery = disk[Int(id.sequence)].delivery
            held[delivery.backend, default: (0, 0)].count -= 1
            held[delivery.backend, default: (0, 0)].bytes -= delivery.payload.bytes.count
        }
    }

    /// Durable after a while, and known to be so after another; the process can die in both.
    /// - Parameters:
    ///   - grows: whether it is refused when the queue is full.
    ///   - body: told whether the caller will know that it is durable.
    private func write<Result>(grows: Bool, _ body: @escaping (_ isKnown: Bool) -> Result) async throws(QueueError)
        -> Result
    {
        try mustLive()
        let now = world.clock.now
        let took = world.dice.milliseconds(disk.mood == .slow ? 500...4_000 : 1...20)
        lastWrite = max(lastWrite, now).advanced(by: took)
        var (result, error): (Result?, QueueError?) = (nil, nil)
        await process.park { resume in
            self.world.at(self.lastWrite) {
                guard self.process.isAlive else { return }
                error = self.fault(grows: grows)
                // Some writes are durable although they are reported as failed.
                let isLie = error?.code == .unavailable && self.disk.mood == .failing && self.world.dice.chance(0.3)
                if error == nil || isLie { result = body(!isLie) }
                if let error { self.world.note("disk: \(error.message)\(isLie ? ", and yet it is durable" : "")") }
                self.world.after(self.world.dice.milliseconds(0...5), resume)
            }
        }
        try mustLive()
        if let error { throw error }
        guard let result else { throw QueueError(.closed, "the simulated process is dead") }
        return result
    }

    private func read<Result>(_ body: @escaping () -> Result) async throws(QueueError) -> Result {
        try mustLive()
        var result: Result?
        let error = await wait(10) {
            if self.disk.mood != .unreadable { result = body() }
        }
        if let error { throw error }
        guard let result else { throw QueueError(.unavailable, "the simulated disk cannot be read") }
        return result
    }

    /// Does something after a while of at most so many milliseconds, if the process is still alive then.
    private func wait(_ longest: Int, _ body: @escaping () -> Void) async -> QueueError? {
        let time = world.dice.milliseconds(0...longest)
        await process.park { resume in
            self.world.after(time) {
                guard self.process.isAlive else { return }
                body()
                resume()
            }
        }
        return process.isAlive ? nil : QueueError(.closed, "the simulated process is dead")
    }

    private func fault(grows: Bool) -> QueueError? {
        switch disk.mood {
        case .full: grows ? QueueError(.full, "the simulated disk is full") : nil
        case .failing where world.dice.chance(0.4): QueueError(.unavailable, "a simulated write failed")
        case .dead, .unreadable: QueueError(.unavailable, "the simulated disk is dead")
        case .good, .slow, .failing: nil
        }
    }

    private func mustLive() throws(QueueError) {
        if isClosed || !process.isAlive { throw QueueError(.closed, "the simulated process is dead") }
    }
}
