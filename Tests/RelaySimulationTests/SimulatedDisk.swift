// A disk that outlives the process.

import RelayCore

/// What is durable: survives every crash; nothing else does. The moods of the hardware. And an account of all that was ever
/// stored, for the checks: the queue itself forgets what was delivered.
final class SimulatedDisk {
    /// The account of one delivery.
    struct Row {
        /// As it was asked for, with what its attempts have changed.
        var delivery: Delivery
        var key: String?
        var state: DeliveryState
        /// It was settled when it was stored: its backend had been asked before.
        var isRecord = false
        /// When it was settled for good; since then it was not replayed.
        var settledAt: Timestamp?

        // What the backend knows of it.
        var accepts = 0
        var rejections = 0
        var failures = 0
        /// The queue has said that it is settled for good.
        var isKnownSettled = false

        /// Removed to make room, with `drop_oldest`.
        var isDropped = false
        /// A dead letter that a person has removed.
        var isDeleted = false
        /// Its index in `envelopes`.
        fileprivate var envelope: Int

        var isReplayed: Bool { delivery.replays > 0 }
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

    /// What is on the disk: the real rules of a queue, in memory that no process owns.
    let content: MemoryQueue
    /// What the file says, beside the queue.
    var configurations: ConfigurationHistory
    var mood = Mood.good
    /// Settlements that are durable although their write was reported as failed: until the next start their leases stand.
    var unseen: [Settlement] = []
    /// A write changes `content` and the account, one after the other: who reads waits for it, and it for who reads.
    var isChanging = false
    var readers = 0

    // The account.
    private(set) var rows: [Row] = []
    /// What each envelope takes, and for how many deliveries.
    private var envelopes: [(bytes: Int64, deliveries: Int)] = []
    /// What guarantee 7 bounds on disk.
    private(set) var heldBytes: Int64 = 0
    /// Rows of the delivery with sequence n, at n - 1.
    private var indices: [Int] = []
    /// Rows with a deduplication key.
    private var indicesOfKey: [String: [Int]] = [:]
    /// Sequences that are not settled for good, by backend, in the order stored.
    private(set) var unsettled: [BackendName: [Int]] = [:]
    var lateAnswers: [LateAnswer.ID: LateAnswer] = [:]
    /// Late answers that are durable although their write was reported as failed: nobody knows of them before the next
    /// start, which says that they failed, as they did.
    var unknownAnswers: Set<LateAnswer.ID> = []
    var pauses: [BackendName: Pause] = [:]
    var replays: [Replay.ID: ReplayAccount] = [:]

    init(_ configuration: SimulatedConfiguration, _ limits: QueueLimits = .init()) {
        configurations = ConfigurationHistory(configuration)
        content = MemoryQueue(limits: limits, queueID: 1)
    }

    var configuration: SimulatedConfiguration { configurations.current }

    subscript(sequence: Int) -> Row {
        get { rows[indices[sequence - 1]] }
        set { rows[indices[sequence - 1]] = newValue }
    }

    /// Sequences of all deliveries, in the order stored.
    var sequences: Range<Int> { 1..<indices.count + 1 }

    func rows(of key: String) -> [Row] { indicesOfKey[key, default: []].map { rows[$0] } }

    // MARK: Accounting

    /// A request was stored. Numbers its deliveries as the queue has done it.
    func stored(_ request: EnqueueRequest) {
        let envelope = request.envelope
        open(request)
        if let settled = request.settled {
            let verb = settled.settlement.verb
            // The queue in memory keeps of these only what was given up.
            let sequence = verb.state == .dead ? indices.count + 1 : 0
            var row = makeRow(settled.target, of: envelope, sequence)
            row.delivery.attemptsMade = settled.settlement.attempt?.number ?? 0
            (row.state, row.settledAt, row.isRecord) = (verb.state, settled.settlement.at, true)
            add(row, sequence)
        }
        for target in request.targets {
            let sequence = indices.count + 1
            add(makeRow(target, of: envelope, sequence), sequence)
            unsettled[target.backend, default: []].append(sequence)
        }
    }

    private func open(_ request: EnqueueRequest) {
        var request = request
        // As for the sequences: the queue in memory keeps nothing of what was not given up.
        if request.settled?.settlement.verb.state != .dead { request.settled = nil }
        envelopes.append((request.deliveryCount > 0 ? request.storedBytes : 0, request.deliveryCount))
        heldBytes += envelopes[envelopes.count - 1].bytes
    }

    /// A delivery takes no room any more.
    private func letGo(_ sequence: Int) {
        let envelope = self[sequence].envelope
        envelopes[envelope].deliveries -= 1
        if envelopes[envelope].deliveries == 0 { heldBytes -= envelopes[envelope].bytes }
    }

    private func makeRow(_ target: EnqueueRequest.Target, of envelope: Envelope, _ sequence: Int) -> Row {
        let delivery = Delivery(
            id: DeliveryID(queue: 1, sequence: Int64(sequence)), backend: target.backend, route: target.route,
            path: target.path, app: envelope.app, kind: envelope.kind, payload: envelope.payload,
            slackRetry: envelope.retry, receivedAt: envelope.receivedAt, orderKey: target.orderKey)
        return Row(delivery: delivery, key: envelope.deduplicationKey, state: .pending, envelope: envelopes.count - 1)
    }

    private func add(_ row: Row, _ sequence: Int) {
        if let key = row.key { indicesOfKey[key, default: []].append(rows.count) }
        if sequence > 0 { indices.append(rows.count) }
        rows.append(row)
    }

    /// What became of a leased delivery, durable now; decided before.
    func settled(_ settlement: Settlement, at now: Timestamp) {
        let sequence = Int(settlement.id.sequence)
        guard !self[sequence].state.isFinal else { return }
        if let attempt = settlement.attempt, !attempt.isProbe {
            self[sequence].delivery.attemptsMade = attempt.number
            if self[sequence].delivery.firstAttemptAt == nil {
                self[sequence].delivery.firstAttemptAt = attempt.startedAt
            }
        }
        if settlement.verb.state.isFinal {
            end(sequence, settlement.verb.state, at: now)
        } else {
            self[sequence].state = settlement.verb.state
        }
    }

    func end(_ sequence: Int, _ state: DeliveryState, at time: Timestamp) {
        (self[sequence].state, self[sequence].settledAt) = (state, time)
        if state != .dead { letGo(sequence) }
        unsettled[self[sequence].delivery.backend]?.removeAll { $0 == sequence }
    }

    func dropped(_ sequence: Int, at time: Timestamp) {
        end(sequence, .canceled, at: time)
        (self[sequence].isDropped, self[sequence].isKnownSettled) = (true, true)
    }

    func deleted(_ sequence: Int) {
        self[sequence].isDeleted = true
        letGo(sequence)
    }

    /// Waits again, at the place that it was stored at.
    func revived(_ sequence: Int, replays: Int) {
        self[sequence].state = .pending
        self[sequence].settledAt = nil
        self[sequence].isKnownSettled = false
        self[sequence].failures = 0
        self[sequence].delivery.replays = replays
        self[sequence].delivery.attemptsMade = 0
        self[sequence].delivery.firstAttemptAt = nil
        let backend = self[sequence].delivery.backend
        let line = unsettled[backend, default: []]
        unsettled[backend, default: []].insert(sequence, at: line.firstIndex { $0 > sequence } ?? line.count)
    }
}

/// The account of one replay job.
struct ReplayAccount {
    /// As it was last told.
    var replay: Replay
    /// The last sequence that was stored before the job.
    var last: Int
    /// It is durable although its write was reported as failed: nobody tells the gateway that it is there. It is found with
    /// the next one, or at the next start.
    var isUnknown: Bool
    /// What it replayed.
    var replayed: Set<Int> = []
    /// Steps that were durable although their write was reported as failed: each is made a second time.
    var unknownSteps = 0
    /// Lives of the gateway that have worked on it.
    var lives: Set<Int> = []
    /// A person was told that it is canceled.
    var isKnownCanceled = false

    /// Whether somebody waits for it to go on.
    var isUnderWay: Bool { replay.state == .running && !isUnknown }

    /// Whether a delivery is one that was asked for.
    func covers(_ sequence: Int, _ row: SimulatedDisk.Row) -> Bool {
        let backends = replay.request.filter?.backends ?? []
        return sequence <= last && (backends.isEmpty || backends.contains(row.delivery.backend))
    }
}
