// What a person looks at, takes back and replays on the simulated disk.

import Relay
import RelayCore
import RelayTestKit

extension SimulatedQueue: DeliveryArchive {
    func deliveries(
        _ filter: DeliveryFilter, _ page: PageRequest
    ) async throws(QueueError) -> Page<DeliverySummary> {
        try await read { () throws(QueueError) in try await self.disk.content.deliveries(filter, page) }
    }

    func count(_ filter: DeliveryFilter, limit: Int) async throws(QueueError) -> Int {
        try await read { () throws(QueueError) in try await self.disk.content.count(filter, limit: limit) }
    }

    func record(_ id: DeliveryID) async throws(QueueError) -> DeliveryRecord? {
        try await read { () throws(QueueError) in try await self.disk.content.record(id) }
    }

    func ids(sentAs ids: Set<DeliveryID>) async throws(QueueError) -> [DeliveryID: DeliveryID] {
        try await read { () throws(QueueError) in try await self.disk.content.ids(sentAs: ids) }
    }

    // MARK: One delivery

    func retry(_ id: DeliveryID, now: Timestamp) async throws(QueueError) -> DeliveryChange {
        try await write(grows: false) { _ throws(QueueError) in
            let change = try await self.disk.content.retry(id, now: now)
            _ = try await self.accountForRevived()
            return change
        }
    }

    func cancel(_ id: DeliveryID, now: Timestamp) async throws(QueueError) -> DeliveryChange {
        try await write(grows: false) { _ throws(QueueError) in
            let change = try await self.disk.content.cancel(id, now: now)
            if case .done = change {
                self.disk.end(Int(id.sequence), .canceled, at: now)
                self.disk[Int(id.sequence)].isKnownSettled = true
            }
            return change
        }
    }

    func delete(_ id: DeliveryID) async throws(QueueError) -> DeliveryChange {
        try await write(grows: false) { _ throws(QueueError) in
            let change = try await self.disk.content.delete(id)
            if case .done = change { self.disk.deleted(Int(id.sequence)) }
            return change
        }
    }

    func delete(_ filter: DeliveryFilter, limit: Int) async throws(QueueError) -> Int {
        try await write(grows: false) { _ throws(QueueError) in
            let count = try await self.disk.content.delete(filter, limit: limit)
            try await self.accountForDeleted()
            return count
        }
    }

    private func accountForDeleted() async throws(QueueError) {
        var dead = DeliveryFilter()
        dead.states = [.dead]
        let left = Set(try await disk.content.deliveries(dead, PageRequest(limit: 1_000)).items.map(\.id))
        for sequence in disk.sequences where disk[sequence].state == .dead && !disk[sequence].isDeleted {
            if !left.contains(disk[sequence].delivery.id) { disk.deleted(sequence) }
        }
    }

    /// All that the queue has and that is not settled, the newest first.
    private func unsettled() async throws(QueueError) -> [DeliverySummary] {
        var unsettled = DeliveryFilter()
        unsettled.states = [.pending, .scheduled, .inFlight]
        return try await disk.content.deliveries(unsettled, PageRequest(limit: 1_000)).items
    }

    /// Looks for what was removed to make room.
    /// - Parameter before: the bytes that were held.
    func accountForDropped(_ before: Int64) async throws(QueueError) {
        let left = try await unsettled()
        var dead = DeliveryFilter()
        dead.states = [.dead]
        let needed = Set(
            (left.filter { $0.state == .inFlight }
                + (try await disk.content.deliveries(dead, PageRequest(limit: 1_000)).items)).map(\.envelopeID))
        let sequences = Set(left.map { Int($0.id.sequence) })
        let dropped = disk.unsettled.values.flatMap { $0 }.filter { !sequences.contains($0) }.sorted()
        guard !dropped.isEmpty else { return }
        let oldest = left.filter { !needed.contains($0.envelopeID) }.map { Int($0.id.sequence) }.min()
        world.guarantees.dropping(dropped, oldestLeft: oldest, added: disk.heldBytes - before, before: before)
        for sequence in dropped { disk.dropped(sequence, at: world.clock.now) }
    }

    /// What nobody needed to remove.
    func dropOne() async throws(QueueError) {
        guard let one = try await unsettled().first(where: { $0.state != .inFlight }) else { return }
        _ = try await disk.content.cancel(one.id, now: world.clock.now)
    }

    /// Returns the sequences of what was settled, and waits again.
    private func accountForRevived() async throws(QueueError) -> [Int] {
        let found = try await unsettled()
        let revived = found.filter { disk[Int($0.id.sequence)].delivery.replays < $0.replays }
        for summary in revived { disk.revived(Int(summary.id.sequence), replays: summary.replays) }
        return revived.map { Int($0.id.sequence) }
    }

    // MARK: Replays

    func createReplay(_ request: ReplayRequest, now: Timestamp) async throws(QueueError) -> Replay {
        try await write(grows: false) { isKnown throws(QueueError) in
            var asked = request
            if self.world.sabotage == .passesOver {
                asked.filter?.ids = Set(self.disk.rows.filter { $0.state == .dead }.map(\.delivery.id).dropFirst())
            }
            var replay = try await self.disk.content.createReplay(asked, now: now)
            replay.request = request
            self.disk.replays[replay.id] = ReplayAccount(
                replay: replay, last: self.disk.sequences.count, isUnknown: !isKnown)
            return replay
        }
    }

    func replays() async throws(QueueError) -> [Replay] {
        try await read { () throws(QueueError) in try await self.disk.content.replays() }
    }

    func replays(_ page: PageRequest) async throws(QueueError) -> Page<Replay> {
        try await read { () throws(QueueError) in try await self.disk.content.replays(page) }
    }

    func replay(_ id: Replay.ID) async throws(QueueError) -> Replay? {
        try await read { () throws(QueueError) in try await self.disk.content.replay(id) }
    }

    func advanceReplay(
        _ id: Replay.ID, limit: Int, now: Timestamp
    ) async throws(QueueError) -> (replay: Replay?, backends: Set<BackendName>) {
        try await write(grows: false) { isKnown throws(QueueError) in
            if !isKnown { self.disk.replays[id]?.unknownSteps += 1 }
            let limit = self.world.sabotage == .ignoresReplayRate ? ReplayPacer.maxStep : limit
            let step = try await self.disk.content.advanceReplay(id, limit: limit, now: now)
            if self.world.sabotage == .replaysTwice { try await self.replayAgain(id, now: now) }
            let revived = try await self.accountForRevived()
            if let replay = step.replay { self.note(replay, revived) }
            return step
        }
    }

    func cancelReplay(_ id: Replay.ID, now: Timestamp) async throws(QueueError) -> Replay? {
        let canceled = try await write(grows: false) { _ throws(QueueError) -> Replay? in
            guard self.world.sabotage != .ignoresCancel else {
                var replay = try await self.disk.content.replay(id)
                replay?.state = .canceled
                return replay
            }
            let replay = try await self.disk.content.cancelReplay(id, now: now)
            if let replay { self.note(replay, []) }
            return replay
        }
        if canceled?.state == .canceled { disk.replays[id]?.isKnownCanceled = true }
        return canceled
    }

    private func note(_ replay: Replay, _ revived: [Int]) {
        guard var account = disk.replays[replay.id] else { return }
        (account.replay.state, account.replay.replayed) = (replay.state, replay.replayed)
        account.lives.insert(process.life)
        account.isUnknown = false
        world.guarantees.replaying(revived, account, disk, by: process)
        account.replayed.formUnion(revived)
        disk.replays[replay.id] = account
    }

    private func replayAgain(_ id: Replay.ID, now: Timestamp) async throws(QueueError) {
        for sequence in disk.replays[id]?.replayed.sorted() ?? [] where disk[sequence].state == .dead {
            _ = try await disk.content.retry(disk[sequence].delivery.id, now: now)
        }
    }
}
