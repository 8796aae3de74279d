// What the in-memory queue keeps of deliveries that failed, beside themselves.

/// By the sequence of the delivery. The history, attempts and responses, has a bound: beyond it the oldest deliveries lose
/// theirs.
struct MemoryRecords: Sendable {
    private let maxHistoryBytes: Int64
    private var records: [Int64: Record] = [:]
    /// Those that have a history.
    private var histories = ArrivalOrder()
    private var historyCount = 0
    private var historyBytes: Int64 = 0

    init(maxHistoryBytes: Int64) { self.maxHistoryBytes = maxHistoryBytes }

    struct Record: Sendable {
        /// Of the last attempt that was no probe.
        var outcome: String?
        var reason: String?
        /// Not accepted; as `DeliveryRecord.kept`.
        fileprivate(set) var attempts: [RecordedAttempt] = []
        fileprivate(set) var response: RecordedResponse?
        var settledAt: Timestamp?
        var deadReason: String?
        var sentID: DeliveryID?

        fileprivate var historyBytes: Int64 {
            attempts.reduce(response?.storedBytes ?? 0) { $0 + $1.storedBytes }
        }
    }

    /// An empty one where nothing is kept.
    subscript(sequence: Int64) -> Record {
        get { records[sequence] ?? Record() }
        _modify { yield &records[sequence, default: Record()] }
    }

    /// Of those that were sent with one of these ids, by it.
    func sequences(sentAs ids: Set<DeliveryID>) -> [DeliveryID: Int64] {
        records.reduce(into: [:]) { found, entry in
            if let id = entry.value.sentID, ids.contains(id) { found[id] = entry.key }
        }
    }

    mutating func remove(_ sequence: Int64) {
        forgetHistory(of: sequence)
        records[sequence] = nil
    }

    /// Keeps an attempt that was not accepted, and its response in place of the one before.
    mutating func note(_ attempt: Attempt, of sequence: Int64, replay: Int) {
        var record = self[sequence]
        let before = record.historyBytes
        let recorded = RecordedAttempt(attempt, replay: replay)
        if !attempt.isProbe { (record.outcome, record.reason) = (recorded.outcome, recorded.reason) }
        if !record.attempts.contains(where: { $0.position == recorded.position }) {
            record.attempts = DeliveryRecord.kept(record.attempts + [recorded])
        }
        record.response = attempt.response ?? record.response
        records[sequence] = record
        historyBytes += record.historyBytes - before
        if before == 0 {
            historyCount += 1
            histories.insert(sequence)
        }
        while historyBytes > maxHistoryBytes, let oldest = oldestHistory() { forgetHistory(of: oldest) }
    }

    private mutating func oldestHistory() -> Int64? { histories.first { [records] in Self.hasHistory($0, records) } }

    private mutating func forgetHistory(of sequence: Int64) {
        guard let record = records[sequence], !record.attempts.isEmpty else { return }
        historyBytes -= record.historyBytes
        historyCount -= 1
        records[sequence]?.attempts = []
        records[sequence]?.response = nil
        histories.trim(historyCount) { [records] in Self.hasHistory($0, records) }
    }

    private static func hasHistory(_ sequence: Int64, _ records: [Int64: Record]) -> Bool {
        records[sequence].map { !$0.attempts.isEmpty } ?? false
    }
}
