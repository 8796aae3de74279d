// A disk that outlives the process, and the queue that a process keeps on it.

import RelayCore
import RelayTestKit
import Synchronization

/// What is durable. Survives every crash; nothing else does.
final class SimulatedDisk: Sendable {
    struct Row: Sendable {
        var delivery: Delivery
        var key: String?
        var due: Timestamp
        var state: DeliveryState
    }

    struct Content: Sendable {
        var rows: [Int64: Row] = [:]
        var keys: Set<String> = []
        var lateAnswers: [LateAnswer.ID: LateAnswer] = [:]
        var pauses: [BackendName: Pause] = [:]
        var nextSequence: Int64 = 1
    }

    let content = Mutex(Content())

    func isStored(_ key: String) -> Bool { content.withLock { $0.keys.contains(key) } }
}

/// One process's view of the disk: a queue whose commits take time, fail, or come too late because the process has
/// died.
final class SimulatedQueue: DeliveryQueue, LateAnswerStore, PauseStore {
    private let disk: SimulatedDisk
    private let clock: VirtualClock
    private let random: SharedRandom
    private let faults: Faults
    private let leases = Mutex<Set<Int64>>([])
    private let isDead = Mutex(false)

    struct Faults: Sendable {
        var commitFails = 0.0
        /// On purpose wrong: says "durable" without having stored. Shows that the checks can fail.
        var lies = false
    }

    init(disk: SimulatedDisk, clock: VirtualClock, random: SharedRandom, faults: Faults) {
        self.disk = disk
        self.clock = clock
        self.random = random
        self.faults = faults
    }

    /// The process dies: nothing that has not been committed ever will be.
    func die() { isDead.withLock { $0 = true } }

    func enqueue(_ requests: [EnqueueRequest]) async throws(QueueError) -> [EnqueueResult] {
        try await commit { content, leases in
            requests.map { request in
                let key = request.envelope.deduplicationKey
                if let key, content.keys.contains(key) { return .duplicate }
                if let settled = request.settled {
                    _ = self.add(settled.target, of: request.envelope, settled.settlement, to: &content)
                }
                let stored = request.targets.map { self.add($0, of: request.envelope, nil, to: &content) }
                leases.formUnion(stored.map(\.id.sequence))
                if let key { content.keys.insert(key) }
                return .stored(leased: stored)
            }
        }
    }

    /// - Parameter settlement: of a delivery that is final from the start.
    private func add(
        _ target: EnqueueRequest.Target, of envelope: Envelope, _ settlement: Settlement?,
        to content: inout SimulatedDisk.Content
    ) -> Delivery {
        defer { content.nextSequence += 1 }
        let delivery = Delivery(
            id: DeliveryID(queue: 1, sequence: content.nextSequence), backend: target.backend, route: target.route,
            kind: envelope.kind, payload: envelope.payload, receivedAt: envelope.receivedAt,
            attemptsMade: settlement?.attempt?.number ?? 0)
        if !faults.lies {
            content.rows[content.nextSequence] = SimulatedDisk.Row(
                delivery: delivery, key: envelope.deduplicationKey, due: envelope.receivedAt,
                state: settlement?.verb.state ?? .pending)
        }
        return delivery
    }

    func remembers(_ envelope: Envelope) async throws(QueueError) -> Bool {
        try await read { content, _ in envelope.deduplicationKey.map(content.keys.contains) ?? false }
    }

    func lease(_ backend: BackendName, _ bounds: LeaseBounds, now: Timestamp) async throws(QueueError) -> LeaseResult {
        try await read { content, leases in
            let waiting = content.rows
                .filter { $0.value.delivery.backend == backend && !$0.value.state.isFinal && !leases.contains($0.key) }
                .sorted { ($0.value.due, $0.key) < ($1.value.due, $1.key) }
            let due = waiting.filter { $0.value.due <= now }.prefix(bounds.count)
            leases.formUnion(due.map(\.key))
            return LeaseResult(
                deliveries: due.map(\.value.delivery), nextDue: waiting.dropFirst(due.count).first?.value.due)
        }
    }

    func release(_ ids: [DeliveryID]) async {
        await pause()
        leases.withLock { $0.subtract(ids.map(\.sequence)) }
    }

    func settle(_ settlements: [Settlement]) async throws(QueueError) {
        try await commit { content, leases in
            for settlement in settlements {
                let id = settlement.id.sequence
                content.rows[id]?.delivery.attemptsMade += settlement.attempt == nil ? 0 : 1
                content.rows[id]?.state = settlement.verb.state
                if case .reschedule(let due) = settlement.verb { content.rows[id]?.due = due }
                leases.remove(id)
            }
        }
    }

    func probe() async throws(QueueError) { try await commit { _, _ in } }
    func prune(now: Timestamp) async throws(QueueError) -> Bool { false }
    func statistics() async throws(QueueError) -> [BackendName: QueueStatistics] { [:] }
    func backendsWithWaitingDeliveries() async throws(QueueError) -> [BackendName] { [] }
    func appsWithWaitingDeliveries() async throws(QueueError) -> [AppName] { [] }
    func close() async { die() }

    func store(_ answer: LateAnswer) async throws(QueueError) {
        try await commit { content, _ in if !self.faults.lies { content.lateAnswers[answer.id] = answer } }
    }

    func remove(_ id: LateAnswer.ID) async throws(QueueError) {
        try await commit { content, _ in content.lateAnswers[id] = nil }
    }

    func lateAnswer(_ id: LateAnswer.ID) async throws(QueueError) -> LateAnswer? {
        try await read { content, _ in content.lateAnswers[id] }
    }

    func lateAnswerIDs() async throws(QueueError) -> [LateAnswer.ID] {
        try await read { content, _ in
            content.lateAnswers.values
                .sorted { ($0.expiresAt, $0.id.envelopeID) < ($1.expiresAt, $1.id.envelopeID) }
                .map(\.id)
        }
    }

    /// A commit takes a while before it is durable and a while after; the process can die in both.
    private func commit<Result: Sendable>(
        _ body: @Sendable (inout SimulatedDisk.Content, inout Set<Int64>) -> Result
    ) async throws(QueueError) -> Result {
        await pause()
        try mustLive()
        if random.chance(faults.commitFails) { throw QueueError(.unavailable, "the simulated disk is full") }
        let result = disk.content.withLock { content in leases.withLock { leases in body(&content, &leases) } }
        await pause()
        try mustLive()
        return result
    }

    private func read<Result: Sendable>(
        _ body: @Sendable (SimulatedDisk.Content, inout Set<Int64>) -> Result
    ) async throws(QueueError) -> Result {
        await pause()
        try mustLive()
        return disk.content.withLock { content in leases.withLock { leases in body(content, &leases) } }
    }

    private func pause() async {
        try? await clock.sleep(for: random.duration(.zero ... .milliseconds(20)))
    }

    private func mustLive() throws(QueueError) {
        if isDead.withLock({ $0 }) { throw QueueError(.closed, "the simulated process is dead") }
    }
}

// MARK: - Pauses

extension SimulatedQueue {
    func pauses() async throws(QueueError) -> [BackendName: Pause] { disk.content.withLock { $0.pauses } }

    func setPause(_ pause: Pause?, of backend: BackendName) async throws(QueueError) {
        disk.content.withLock { $0.pauses[backend] = pause }
    }
}
