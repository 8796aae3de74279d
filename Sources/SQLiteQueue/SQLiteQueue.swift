// The durable queue in one file: the adapter of RelayCore's `DeliveryQueue` for SQLite.

package import Logging
package import RelayCore

/// Holds deliveries in an SQLite database.
///
/// One connection writes, with the calls that arrive together sharing a transaction and its sync to the disk; another
/// one reads, so that leasing never waits for a sync, and a third one reads what people list and how old the oldest
/// delivery is. Leases are kept in memory only: the process holds the database exclusively, and whoever opens it next
/// finds every unfinished delivery waiting.
///
/// When the disk is full, read-only or fails, calls throw `unavailable` and change nothing; they succeed again when the
/// disk does.
package final class SQLiteQueue: DeliveryQueue, LateAnswerStore, PauseStore {
    let state: QueueState
    let writer: QueueWriter
    private let reader: QueueReader
    let archive: ArchiveReader
    let queueID: UInt32
    private let limits: QueueLimits

    /// Opens the queue, creating the file (0600) when it is missing, and locks it until `close()` or the end of the
    /// process.
    /// - Parameters:
    ///   - path: the database; its directory must exist, on a local disk. Beside it come `-wal`, `-shm` and `.lock`.
    ///   - patience: how long it may take until what became of a delivery is recorded, when no envelope comes: so much later
    ///     a kill makes it come again.
    ///   - logger: told of a shared file system, and of recoveries.
    /// - Throws: `locked` when another process holds it; `unusable` when the file is something else, was written by a
    ///   newer Relay, or lies on a network file system; `corrupt`; `unavailable` when it cannot be written now.
    package init(
        path: String, limits: QueueLimits = .init(), patience: Duration = .milliseconds(5), logger: Logger
    ) async throws(QueueError) {
        self.limits = limits
        state = QueueState()
        writer = QueueWriter(path: path, limits: limits, patience: patience, state: state, logger: logger)
        let opened = try await writer.open()
        reader = QueueReader(opened, state: state, logger: logger)
        archive = ArchiveReader(opened, state: state)
        queueID = opened.queueID
    }

    package func enqueue(_ requests: [EnqueueRequest]) async throws(QueueError) -> [EnqueueResult] {
        try checkOpen()
        guard case .enqueued(let results) = try await writer.write(.enqueue(requests)) else { return [] }
        return results
    }

    package func remembers(_ envelope: Envelope) async throws(QueueError) -> Bool {
        try checkOpen()
        guard let key = envelope.deduplicationKey else { return false }
        return try await reader.seenAt(key, of: envelope.app).map {
            envelope.receivedAt < $0.advanced(by: limits.deduplicationWindow)
        } ?? false
    }

    package func lease(
        _ backend: BackendName, _ bounds: LeaseBounds, now: Timestamp
    ) async throws(QueueError) -> LeaseResult {
        try checkOpen()
        var (result, unreadable) = try await reader.lease(backend, bounds, now: now)
        // Where that cannot be stored, the leases stand, and it is found again.
        if !unreadable.isEmpty, (try? await writer.write(.giveUp(unreadable, now: now))) != nil {
            // One of its order key may have become due.
            result.nextDue = min(result.nextDue ?? now, now)
        }
        return result
    }

    package func release(_ ids: [DeliveryID]) async {
        state.withTable { table in
            for id in ids where id.queue == queueID { table.release(id.sequence) }
        }
    }

    package func settle(_ settlements: [Settlement]) async throws(QueueError) {
        try checkOpen()
        let unblocks = state.withTable { table in
            settlements.contains { table.lease(on: $0.id.sequence)?.orderKey != nil }
        }
        _ = try await writer.write(.settle(settlements, unblocks: unblocks))
    }

    package func probe() async throws(QueueError) {
        try checkOpen()
        _ = try await writer.write(.probe)
    }

    package func prune(now: Timestamp) async throws(QueueError) -> Bool {
        try checkOpen()
        guard case .pruned(let isMoreWaiting) = try await writer.write(.prune(now: now)) else { return false }
        return isMoreWaiting
    }

    package func statistics() async throws(QueueError) -> [BackendName: QueueStatistics] {
        try checkOpen()
        var statistics: [BackendName: QueueStatistics] = [:]
        for (backend, entry) in state.withTable({ $0.snapshot() }) {
            var waiting: [DeliveryState: Int] = [.inFlight: entry.leased.unfinished]
            for state in [DeliveryState.pending, .scheduled] {
                waiting[state] = entry.count[state] - entry.leased[state]
            }
            let isWaitedFor = entry.count.unfinished > 0
            statistics[backend] = QueueStatistics(
                waiting: waiting.filter { $0.value > 0 },
                oldestReceivedAt: isWaitedFor ? try await archive.oldestReceivedAt(of: backend) : nil,
                dead: entry.count.dead, dropped: entry.count.dropped)
        }
        return statistics
    }

    package func backendsWithWaitingDeliveries() async throws(QueueError) -> [BackendName] {
        try checkOpen()
        return state.withTable(\.backendsWithWaitingDeliveries)
    }

    package func appsWithWaitingDeliveries() async throws(QueueError) -> [AppName] {
        try checkOpen()
        return try await reader.appsWithWaitingDeliveries()
    }

    package func store(_ answer: LateAnswer) async throws(QueueError) {
        try checkOpen()
        _ = try await writer.write(.storeLateAnswer(answer))
    }

    package func remove(_ id: LateAnswer.ID) async throws(QueueError) {
        try checkOpen()
        _ = try await writer.write(.removeLateAnswer(id))
    }

    package func lateAnswer(_ id: LateAnswer.ID) async throws(QueueError) -> LateAnswer? {
        try checkOpen()
        return try await reader.lateAnswer(id)
    }

    package func lateAnswerIDs() async throws(QueueError) -> [LateAnswer.ID] {
        try checkOpen()
        return try await reader.lateAnswerIDs()
    }

    package func pauses() async throws(QueueError) -> [BackendName: Pause] {
        try checkOpen()
        return try await reader.pauses()
    }

    package func setPause(_ pause: Pause?, of backend: BackendName) async throws(QueueError) {
        try checkOpen()
        _ = try await writer.write(.setPause(pause, backend))
    }

    package func close() async {
        await reader.close()
        await archive.close()
        await writer.close()
        state.withTable { $0.close() }
    }

    func checkOpen() throws(QueueError) {
        if state.withTable(\.isClosed) { throw QueueError(.closed, "the queue was closed") }
    }
}
