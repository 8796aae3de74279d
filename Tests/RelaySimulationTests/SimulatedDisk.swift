// A disk that outlives the process.

import RelayCore

/// What is durable: survives every crash; nothing else does. And the moods of the hardware.
final class SimulatedDisk {
    struct Row {
        var delivery: Delivery
        var key: String?
        var due: Timestamp
        var state: DeliveryState
        /// How it ended.
        var verb: Settlement.Verb?
        var isReplayed = false
        /// It was settled when it was stored: its backend had been asked before.
        var isRecord = false

        // What the backend knows of it; not on the disk, but kept here for the checks.
        var accepts = 0
        var rejections = 0
        var failures = 0
        /// The queue has said that it is settled for good.
        var isKnownSettled = false
    }

    enum Mood: CaseIterable {
        case good
        /// Over `max_bytes`: nothing more is stored, everything else works.
        case full
        /// Writes take seconds.
        case slow
        /// Writes fail now and then, and some that are reported as failed are durable.
        case failing
        /// Writes fail.
        case dead
        /// Writes and reads fail.
        case unreadable
    }

    /// The delivery with sequence n is at n - 1.
    var rows: [Row] = []
    /// When the first copy was received.
    var keys: [String: Timestamp] = [:]
    var lateAnswers: [LateAnswer.ID: LateAnswer] = [:]
    /// Late answers that are durable although their write was reported as failed: nobody knows of them before the next
    /// start, which says that they failed, as they did.
    var unknownAnswers: Set<LateAnswer.ID> = []
    var pauses: [BackendName: Pause] = [:]
    var mood = Mood.good
    /// Sequences that are not settled for good, by backend, in the order stored.
    var unsettled: [BackendName: [Int]] = [:]
    /// Rows with a deduplication key, for the checks.
    var rowsOfKey: [String: [Int]] = [:]

    subscript(sequence: Int) -> Row {
        get { rows[sequence - 1] }
        set { rows[sequence - 1] = newValue }
    }

    func remembers(_ key: String?, at time: Timestamp) -> Bool {
        guard let key, let first = keys[key] else { return false }
        return first.duration(to: time) < .seconds(24 * 3600)
    }

    func add(
        _ target: EnqueueRequest.Target, of envelope: Envelope, _ settlement: Settlement? = nil
    ) -> Int {
        let sequence = rows.count + 1
        let delivery = Delivery(
            id: DeliveryID(queue: 1, sequence: Int64(sequence)), backend: target.backend, route: target.route,
            path: target.path, app: envelope.app, kind: envelope.kind, payload: envelope.payload,
            slackRetry: envelope.retry, receivedAt: envelope.receivedAt, orderKey: target.orderKey,
            attemptsMade: settlement?.attempt?.number ?? 0)
        rows.append(
            Row(
                delivery: delivery, key: envelope.deduplicationKey, due: envelope.receivedAt,
                state: settlement?.verb.state ?? .pending, verb: settlement?.verb, isRecord: settlement != nil))
        if let key = envelope.deduplicationKey { rowsOfKey[key, default: []].append(sequence) }
        if settlement == nil { unsettled[target.backend, default: []].append(sequence) }
        return sequence
    }

    func end(_ sequence: Int, _ state: DeliveryState) {
        self[sequence].state = state
        unsettled[self[sequence].delivery.backend]?.removeAll { $0 == sequence }
    }

    /// Waits again, at the place that it was stored at.
    func revive(_ sequence: Int) {
        let backend = self[sequence].delivery.backend
        let index =
            unsettled[backend, default: []].firstIndex { $0 > sequence } ?? unsettled[backend, default: []].count
        unsettled[backend, default: []].insert(sequence, at: index)
    }
}
