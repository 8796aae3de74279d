// The queue that one process keeps on the simulated disk.

import RelayCore
import RelayTestKit

/// One process's view of the disk: writes take time, one after the other; they fail, or come too late because the process
/// has died. What a write or a read does is what `MemoryQueue` does.
final class SimulatedQueue: DeliveryQueue, LateAnswerStore, PauseStore, @unchecked Sendable {  // one thread per run
    let disk: SimulatedDisk
    unowned let process: SimulatedProcess
    let world: SimulatedWorld
    /// When the last write that was asked for is durable.
    var lastWrite = Timestamp(millisecondsSinceEpoch: 0)
    private(set) var isClosed = false
    private var leases: Set<DeliveryID> = []
    /// Deliveries, with their bytes, that a backend's dispatcher has and has not given back: what guarantee 7 bounds.
    private(set) var held: [BackendName: (count: Int, bytes: Int)] = [:]
    private var heldIDs: Set<DeliveryID> = []
    /// Payloads that wait to be stored.
    private(set) var storingBytes = 0
    /// Something has been added to these since they were checked.
    var hasGrown = false

    init(disk: SimulatedDisk, process: SimulatedProcess, world: SimulatedWorld) {
        self.disk = disk
        self.process = process
        self.world = world
    }

    var leaseCount: Int { leases.count }

    /// What a process does first: the leases of the one before have ended.
    func open() async {
        let unseen = disk.unseen
        disk.unseen = []
        try? await disk.content.settle(unseen)
        for settlement in unseen { account(for: settlement) }
        var inFlight = DeliveryFilter()
        inFlight.states = [.inFlight]
        let left = try? await disk.content.deliveries(inFlight, PageRequest(limit: 1_000)).items.map(\.id)
        await disk.content.release(left ?? [])
    }

    func close() async { isClosed = true }

    // MARK: Storing

    func enqueue(_ requests: [EnqueueRequest]) async throws(QueueError) -> [EnqueueResult] {
        let bytes = requests.reduce(0) { $0 + $1.envelope.payload.bytes.count }
        storingBytes += bytes
        hasGrown = true
        world.guarantees.storing(requests.map(\.envelope.id))
        defer { storingBytes -= bytes }
        let results = try await write(grows: true) { isKnown throws(QueueError) in
            try await self.store(requests, isKnown: isKnown)
        }
        for case .stored(let deliveries, _) in results { hold(deliveries) }
        return results
    }

    private func store(_ requests: [EnqueueRequest], isKnown: Bool) async throws(QueueError) -> [EnqueueResult] {
        if world.sabotage == .queueLies { return requests.map { _ in .stored(leased: []) } }
        let before = disk.heldBytes
        if world.sabotage == .dropsTooMuch { try await dropOne() }
        let results = try await disk.content.enqueue(requests.map(broken))
        var leased: [DeliveryID] = []
        for (request, result) in zip(requests, results) {
            guard case .stored(let deliveries, _) = result else { continue }
            disk.stored(request)
            leased += deliveries.map(\.id)
        }
        if world.plan.whenFull == .dropOldest { try await accountForDropped(before) }
        world.guarantees.checkSize(disk)
        if isKnown { leases.formUnion(leased) } else { await disk.content.release(leased) }
        return results
    }

    private func broken(_ request: EnqueueRequest) -> EnqueueRequest {
        var request = request
        if world.sabotage == .queueForgetsKeys { request.envelope.deduplicationKey = nil }
        if world.sabotage == .queueIgnoresOrder {
            for index in request.targets.indices { request.targets[index].orderKey = nil }
        }
        return request
    }

    func remembers(_ envelope: Envelope) async throws(QueueError) -> Bool {
        try await read { () throws(QueueError) in try await self.disk.content.remembers(envelope) }
    }

    // MARK: Leasing and settling

    func lease(_ backend: BackendName, _ bounds: LeaseBounds, now: Timestamp) async throws(QueueError) -> LeaseResult {
        let bounds = world.sabotage == .queueIgnoresBounds ? LeaseBounds(count: .max, bytes: .max) : bounds
        let result = try await read { () throws(QueueError) in
            let result = try await self.disk.content.lease(backend, bounds, now: now)
            self.leases.formUnion(result.deliveries.map(\.id))
            return result
        }
        hold(result.deliveries)
        return result
    }

    func release(_ ids: [DeliveryID]) async {
        giveUp(ids)
        guard !isClosed, await pause(disk.mood == .slow ? 200 : 5), world.sabotage != .queueKeepsLeases else { return }
        leases.subtract(ids)
        await disk.content.release(ids)
    }

    func settle(_ settlements: [Settlement]) async throws(QueueError) {
        try await write(grows: false) { isKnown throws(QueueError) in
            if isKnown { try await self.record(settlements) } else { self.disk.unseen += settlements }
        }
        for settlement in settlements where settlement.id.queue == 1 {
            let sequence = Int(settlement.id.sequence)
            if settlement.verb.state.isFinal, disk[sequence].state.isFinal { disk[sequence].isKnownSettled = true }
        }
        giveUp(settlements.map(\.id))
    }

    private func record(_ settlements: [Settlement]) async throws(QueueError) {
        let ids = settlements.map(\.id)
        disk.unseen.removeAll { ids.contains($0.id) }
        if world.sabotage == .queueForgetsSettlements {
            await disk.content.release(ids)
            for id in ids { disk[Int(id.sequence)].isKnownSettled = true }
        } else {
            try await disk.content.settle(settlements)
            for settlement in settlements where leases.contains(settlement.id) { account(for: settlement) }
        }
        leases.subtract(ids)
    }

    private func account(for settlement: Settlement) {
        guard !disk[Int(settlement.id.sequence)].state.isFinal else { return }
        world.guarantees.settling(settlement, row: disk[Int(settlement.id.sequence)], by: process)
        disk.settled(settlement, at: world.clock.now)
    }

    private func hold(_ deliveries: [Delivery]) {
        hasGrown = true
        for delivery in deliveries where heldIDs.insert(delivery.id).inserted {
            held[delivery.backend, default: (0, 0)].count += 1
            held[delivery.backend, default: (0, 0)].bytes += delivery.payload.bytes.count
        }
    }

    private func giveUp(_ ids: [DeliveryID]) {
        for id in ids where heldIDs.remove(id) != nil {
            let delivery = disk[Int(id.sequence)].delivery
            held[delivery.backend, default: (0, 0)].count -= 1
            held[delivery.backend, default: (0, 0)].bytes -= delivery.payload.bytes.count
        }
    }

    // MARK: What is left and what there is room for

    func probe() async throws(QueueError) {
        try await write(grows: true) { _ throws(QueueError) in try await self.disk.content.probe() }
    }

    func prune(now: Timestamp) async throws(QueueError) -> Bool {
        try await write(grows: false) { _ throws(QueueError) in try await self.disk.content.prune(now: now) }
    }

    func statistics() async throws(QueueError) -> [BackendName: QueueStatistics] {
        try await read { () throws(QueueError) in try await self.disk.content.statistics() }
    }

    func backendsWithWaitingDeliveries() async throws(QueueError) -> [BackendName] {
        try await read { () throws(QueueError) in try await self.disk.content.backendsWithWaitingDeliveries() }
    }

    func appsWithWaitingDeliveries() async throws(QueueError) -> [AppName] {
        try await read { () throws(QueueError) in try await self.disk.content.appsWithWaitingDeliveries() }
    }
}

// MARK: - Late answers and pauses

extension SimulatedQueue {
    func store(_ answer: LateAnswer) async throws(QueueError) {
        try await write(grows: false) { isKnown throws(QueueError) in
            guard self.world.sabotage != .forgetsLateAnswers else { return }
            try await self.disk.content.store(answer)
            self.disk.lateAnswers[answer.id] = answer
            if isKnown {
                self.disk.unknownAnswers.remove(answer.id)
            } else {
                self.disk.unknownAnswers.insert(answer.id)
            }
        }
    }

    func remove(_ id: LateAnswer.ID) async throws(QueueError) {
        try await write(grows: false) { _ throws(QueueError) in
            try await self.disk.content.remove(id)
            self.disk.lateAnswers[id] = nil
        }
    }

    func lateAnswer(_ id: LateAnswer.ID) async throws(QueueError) -> LateAnswer? {
        try await read { () throws(QueueError) in try await self.disk.content.lateAnswer(id) }
    }

    func lateAnswerIDs() async throws(QueueError) -> [LateAnswer.ID] {
        try await read { () throws(QueueError) in try await self.disk.content.lateAnswerIDs() }
    }

    func pauses() async throws(QueueError) -> [BackendName: Pause] {
        try await read { () throws(QueueError) in try await self.disk.content.pauses() }
    }

    func setPause(_ pause: Pause?, of backend: BackendName) async throws(QueueError) {
        try await write(grows: false) { _ throws(QueueError) in
            guard self.world.sabotage != .forgetsPauses else { return }
            try await self.disk.content.setPause(pause, of: backend)
            self.disk.pauses[backend] = pause
        }
    }
}
