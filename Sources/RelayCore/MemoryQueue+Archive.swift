// The in-memory queue as an archive: of what is not settled, and of dead letters.

/// Lists are read in short steps, between which other calls are served.
extension MemoryQueue: DeliveryArchive {
    /// Deliveries that one step looks at: a millisecond or so.
    private static let stepCount = 1_000

    /// A replay job with how far it is.
    struct ReplayJob {
        var replay: Replay
        /// All up to this sequence were looked at.
        var cursor: Int64 = 0
        /// Deliveries from this sequence on were stored after the job.
        var end: Int64
    }

    package func deliveries(
        _ filter: DeliveryFilter, _ page: PageRequest
    ) async throws(QueueError) -> Page<DeliverySummary> {
        let limit = page.boundedLimit
        // One more than asked for says that there is another page.
        var items = try await summaries(filter, below: page.cursor ?? .max, limit: limit + 1)
        guard items.count > limit else { return Page(items: items, next: nil) }
        items.removeLast()
        return Page(items: items, next: items.last?.id.sequence)
    }

    package func count(_ filter: DeliveryFilter, limit: Int) async throws(QueueError) -> Int {
        var count = 0
        try await forEachSummary(filter, below: .max) { _ in
            count += 1
            return count < limit
        }
        return min(count, max(limit, 0))
    }

    private func summaries(
        _ filter: DeliveryFilter, below cursor: Int64, limit: Int
    ) async throws(QueueError) -> [DeliverySummary] {
        var found: [DeliverySummary] = []
        try await forEachSummary(filter, below: cursor) {
            found.append($0)
            return found.count < limit
        }
        return found
    }

    private func oldest(_ filter: DeliveryFilter, limit: Int) async throws(QueueError) -> [DeliverySummary] {
        var found: [DeliverySummary] = []
        var cursor: Int64 = 0
        while found.count < limit {
            try checkOpen()
            let step = kept.sequences(above: cursor, limit: Self.stepCount)
            guard let last = step.last else { break }
            found += step.lazy.compactMap { self.summary($0) }.filter(filter.takes).prefix(limit - found.count)
            cursor = last
            await Task.yield()
        }
        return found
    }

    /// The newest first, until `body` returns false.
    private func forEachSummary(
        _ filter: DeliveryFilter, below cursor: Int64, _ body: (DeliverySummary) -> Bool
    ) async throws(QueueError) {
        var cursor = cursor
        while true {
            try checkOpen()
            let step = kept.sequences(below: cursor, limit: Self.stepCount)
            for sequence in step {
                if let summary = summary(sequence), filter.takes(summary), !body(summary) { return }
            }
            guard let last = step.last else { return }
            cursor = last
            await Task.yield()
        }
    }

    private func summary(_ sequence: Int64) -> DeliverySummary? {
        guard let entry = entries[sequence], let envelope = envelopes[entry.envelope] else { return nil }
        let (delivery, record) = (entry.delivery, records[sequence])
        return DeliverySummary(
            id: delivery.id, sentID: record.sentID, backend: delivery.backend, route: delivery.route,
            app: delivery.app, kind: delivery.kind, state: entry.isLeased ? .inFlight : entry.state,
            orderKey: delivery.orderKey, envelopeID: envelope.slackID, receivedAt: delivery.receivedAt,
            due: entry.state.isFinal || entry.isBlocked ? nil : entry.due, settledAt: record.settledAt,
            attemptsMade: delivery.attemptsMade, replays: delivery.replays, outcome: record.outcome,
            reason: record.reason, deadReason: record.deadReason, payloadBytes: delivery.payload.bytes.count)
    }

    package func record(_ id: DeliveryID) async throws(QueueError) -> DeliveryRecord? {
        try checkOpen()
        guard let sequence = id.queue == queueID ? id.sequence : records.sequences(sentAs: [id])[id],
            let summary = summary(sequence)
        else { return nil }
        let record = records[sequence]
        return DeliveryRecord(
            summary: summary, attempts: record.attempts, response: record.response,
            payload: entries[sequence]?.delivery.payload)
    }

    package func ids(sentAs ids: Set<DeliveryID>) async throws(QueueError) -> [DeliveryID: DeliveryID] {
        try checkOpen()
        let others = ids.filter { $0.queue != queueID }
        guard !others.isEmpty else { return [:] }
        return records.sequences(sentAs: others).mapValues { DeliveryID(queue: queueID, sequence: $0) }
    }

    // MARK: One delivery

    package func retry(_ id: DeliveryID, now: Timestamp) async throws(QueueError) -> DeliveryChange {
        try checkOpen()
        guard let entry = entry(id) else { return .unknown }
        if entry.state.isFinal {
            replay(entry, now: now)
            return .done(entry.delivery.backend)
        }
        guard entry.canBeLeased else { return .refused(entry.isLeased ? .inFlight : entry.state) }
        guard entry.due > now else { return .done(entry.delivery.backend) }
        entries[id.sequence]?.due = now
        lines[entry.delivery.backend]?.positions.insert(QueuePosition(due: now, sequence: id.sequence))
        return .done(entry.delivery.backend)
    }

    package func cancel(_ id: DeliveryID, now: Timestamp) async throws(QueueError) -> DeliveryChange {
        try checkOpen()
        guard let entry = entry(id) else { return .unknown }
        guard entry.isWaiting else { return .refused(entry.isLeased ? .inFlight : entry.state) }
        lines[entry.delivery.backend]?.unfinished[entry.state, default: 0] -= 1
        forget(id.sequence)
        leaveOrder(entry, now: now)
        return .done(entry.delivery.backend)
    }

    package func delete(_ id: DeliveryID) async throws(QueueError) -> DeliveryChange {
        try checkOpen()
        guard let entry = entry(id) else { return .unknown }
        guard entry.state == .dead else { return .refused(entry.isLeased ? .inFlight : entry.state) }
        removeDeadLetter(id.sequence)
        trimDeadLetters()
        return .done(entry.delivery.backend)
    }

    package func delete(_ filter: DeliveryFilter, limit: Int) async throws(QueueError) -> Int {
        try checkOpen()
        guard limit > 0, let filter = filter.within(DeliveryFilter.removableStates) else { return 0 }
        let found = try await oldest(filter, limit: limit)
        var deleted = 0
        for summary in found {
            guard let settledAt = summary.settledAt, isDead(summary.id.sequence, since: settledAt) else { continue }
            removeDeadLetter(summary.id.sequence)
            deleted += 1
        }
        trimDeadLetters()
        // What was replayed meanwhile is not to be taken for the end.
        guard deleted < found.count, found.count == limit else { return deleted }
        return deleted + (try await delete(filter, limit: limit - deleted))
    }

    private func entry(_ id: DeliveryID) -> Entry? { id.queue == queueID ? entries[id.sequence] : nil }

    /// Lets a dead letter wait again.
    private func replay(_ dead: Entry, now: Timestamp) {
        let (sequence, backend) = (dead.delivery.id.sequence, dead.delivery.backend)
        var entry = dead
        entry.state = .pending
        entry.due = now
        entry.delivery.attemptsMade = 0
        entry.delivery.firstAttemptAt = nil
        entry.delivery.replays += 1
        entry.isBlocked = joinOrder(entry.delivery)
        entries[sequence] = entry
        records[sequence].settledAt = nil
        records[sequence].deadReason = nil
        arrivals.insert(sequence)
        lines[backend]?.arrivals.insert(sequence)
        lines[backend]?.dead -= 1
        lines[backend]?.unfinished[.pending, default: 0] += 1
        if !entry.isBlocked { lines[backend]?.positions.insert(entry.position) }
        trimDeadLetters()
    }

    // MARK: Replays

    package func createReplay(_ request: ReplayRequest, now: Timestamp) async throws(QueueError) -> Replay {
        try checkOpen()
        let matched = if let filter = request.replayable { try await count(filter, limit: .max) } else { 0 }
        try checkOpen()
        let replay = Replay(
            id: nextReplayID, request: request, state: .running, createdAt: now, matched: matched)
        nextReplayID += 1
        replayJobs[replay.id] = ReplayJob(replay: replay, end: nextSequence)
        return replay
    }

    package func replays() async throws(QueueError) -> [Replay] {
        try checkOpen()
        return replayJobs.values.map(\.replay).sorted { $0.id > $1.id }
    }

    package func replays(_ page: PageRequest) async throws(QueueError) -> Page<Replay> {
        Page(try await replays().filter { $0.id < page.cursor ?? .max }, limit: page.boundedLimit)
    }

    package func replay(_ id: Replay.ID) async throws(QueueError) -> Replay? {
        try checkOpen()
        return replayJobs[id]?.replay
    }

    package func advanceReplay(
        _ id: Replay.ID, limit: Int, now: Timestamp
    ) async throws(QueueError) -> (replay: Replay?, backends: Set<BackendName>) {
        try checkOpen()
        guard var job = replayJobs[id], job.replay.state == .running, limit > 0 else {
            return (replayJobs[id]?.replay, [])
        }
        var backends: Set<BackendName> = []
        var left = limit
        let step = kept.sequences(above: job.cursor, limit: Self.stepCount).prefix { $0 < job.end }
        let filter = job.replay.request.replayable
        for sequence in step where left > 0 {
            job.cursor = sequence
            guard let filter, let summary = summary(sequence), filter.takes(summary), let entry = entries[sequence]
            else { continue }
            replay(entry, now: now)
            backends.insert(summary.backend)
            left -= 1
        }
        job.replay.replayed += limit - left
        if filter == nil || left > 0 && step.count < Self.stepCount {
            (job.replay.state, job.replay.endedAt) = (.done, now)
        }
        replayJobs[id] = job
        return (job.replay, backends)
    }

    package func cancelReplay(_ id: Replay.ID, now: Timestamp) async throws(QueueError) -> Replay? {
        try checkOpen()
        if replayJobs[id]?.replay.state == .running {
            replayJobs[id]?.replay.state = .canceled
            replayJobs[id]?.replay.endedAt = now
        }
        return replayJobs[id]?.replay
    }
}
