// Who may attempt what: leases live here and nowhere else, because the process holds the database exclusively.

import RelayCore

/// The leases, and what is needed to find the next delivery to lease without reading past those that are leased.
///
/// Three parties use it, each step under one lock: the writer, which stores and settles; the reader, which looks for
/// waiting rows while the writer goes on; and the callers that give leases back. The reader sees a snapshot that may be
/// older than the table. Hence: what ends while a read goes on is remembered until the read is over, and no row is
/// leased that the read could have seen in an outdated state.
struct LeaseTable: Sendable {
    struct Lease: Sendable, Equatable {
        var backend: BackendName
        /// As stored: pending or scheduled.
        var state: DeliveryState
        var due: Timestamp
        /// The id of its envelope, and how many deliveries were stored with it.
        var envelope: Int64
        var siblings: Int
        var orderKey: String?
        var replays = 0
        /// Whether attempts or a response of it may be kept.
        var hasHistory = false
    }

    /// As of the last committed transaction.
    private(set) var ledger = Ledger()
    private(set) var isClosed = false
    private var leases: [Int64: Lease] = [:]
    private var leased: [BackendName: Ledger.Count] = [:]
    /// Being removed or changed by a transaction that is not over: neither waiting nor leased.
    private var claims: Set<Int64> = []
    /// For each backend, a position before which no delivery waits without a lease.
    private var cursors: [BackendName: QueuePosition] = [:]
    /// For each backend, a sequence below which every delivery is settled.
    private var oldest: [BackendName: Int64] = [:]
    private var read: Read?
    private var search: Search?

    private struct Read {
        var backend: BackendName
        /// `nextSequence` when it began: later rows were leased by who stored them.
        var end: Int64
        /// The first position of the backend that began to wait meanwhile.
        var appeared = QueuePosition.last
        /// Settled, rescheduled or removed meanwhile.
        var ended: Set<Int64> = []
    }

    /// A step on the way to the oldest unfinished delivery of a backend.
    private struct Search {
        var backend: BackendName
        /// The first that was settled when it began and waits again.
        var replayed = Int64.max
    }
}

// MARK: - The reader

extension LeaseTable {
    /// A read begins (one at a time): where to look from.
    mutating func readBegan(_ backend: BackendName) -> QueuePosition {
        read = Read(backend: backend, end: ledger.nextSequence)
        return cursors[backend, default: .first]
    }

    /// Whether a row that a read came upon cannot be leased.
    func isTaken(_ sequence: Int64) -> Bool {
        leases[sequence] != nil || claims.contains(sequence) || sequence >= read?.end ?? ledger.nextSequence
            || read?.ended.contains(sequence) ?? false
    }

    /// A read is over: leases what it found, as far as that still waits.
    /// - Parameter next: the first row after those found that was not taken; nil when the read came to the end.
    /// - Returns: the sequences leased, and when the next delivery of the backend is due.
    mutating func readEnded(found: [Int64: Lease], next: QueuePosition?) -> (leased: Set<Int64>, nextDue: Timestamp?) {
        guard let read, !isClosed else { return ([], nil) }
        var granted: Set<Int64> = []
        for (sequence, lease) in found where !isTaken(sequence) {
            add(lease, sequence)
            granted.insert(sequence)
        }
        self.read = nil
        let cursor = min(next ?? .last, read.appeared)
        cursors[read.backend] = cursor
        return (granted, cursor == .last ? nil : cursor.due)
    }

    /// A read found nothing out: the error is the caller's matter.
    mutating func readFailed() { read = nil }

    /// What statistics are made of.
    func snapshot() -> [BackendName: (count: Ledger.Count, leased: Ledger.Count)] {
        ledger.backends.reduce(into: [:]) { $0[$1.key] = ($1.value, leased[$1.key] ?? .init()) }
    }

    /// A step of looking for the oldest unfinished delivery of a backend begins, before it reads (one at a time).
    /// - Parameter sequence: where the step before ended.
    /// - Returns: the sequences to look at. Later ones are for later steps.
    mutating func searchBegan(_ backend: BackendName, from sequence: Int64) -> Range<Int64> {
        let known = oldest[backend] ?? 1
        // What was replayed below is found by another search. This one goes on, so that it comes to an end.
        search = sequence <= known ? Search(backend: backend) : nil
        let start = max(sequence, known)
        return start..<max(start, ledger.nextSequence)
    }

    /// A step is over: where it looked, all below a sequence are settled.
    mutating func searchEnded(at sequence: Int64) {
        guard let search else { return }
        self.search = nil
        oldest[search.backend] = max(oldest[search.backend] ?? 1, min(sequence, search.replayed))
    }
}

// MARK: - The writer

extension LeaseTable {
    func lease(on sequence: Int64) -> Lease? { leases[sequence] }

    var leasedSequences: [Int64] { leases.keys.sorted() }

    /// A sequence below which every delivery of every backend is settled.
    var oldestUnfinished: Int64 {
        let unfinished = ledger.backends.lazy.filter { $0.value.unfinished > 0 }
        return unfinished.map { oldest[$0.key] ?? 1 }.min() ?? ledger.nextSequence
    }

    /// The database was opened, or opened anew. Leases on deliveries that are settled there are ended: a commit that
    /// was reported as failed may have reached the disk.
    mutating func loaded(_ ledger: Ledger, oldest: [BackendName: Int64], settled: [Int64]) {
        for sequence in settled { remove(sequence) }
        // The same commit may have added to the history of the others.
        for sequence in leases.keys { leases[sequence]?.hasHistory = true }
        let dropped = self.ledger.backends.mapValues(\.dropped)
        self.ledger = ledger
        for (backend, count) in dropped where count > 0 {
            self.ledger.backends[backend, default: .init()].dropped = count
        }
        self.oldest = oldest
        search = nil
        lookFromTheBeginning()
    }

    /// Takes a waiting delivery out of everybody's sight until the transaction is over; one that a replay lets wait,
    /// too. false when it is leased, claimed or not committed.
    mutating func claim(_ sequence: Int64) -> Bool {
        guard leases[sequence] == nil, sequence < ledger.nextSequence else { return false }
        return claims.insert(sequence).inserted
    }

    /// Gives claimed deliveries back, which wait as before.
    mutating func unclaim(_ sequences: some Collection<Int64>) {
        guard !sequences.isEmpty else { return }
        claims.subtract(sequences)
        lookFromTheBeginning()
    }

    /// A transaction failed: whatever it had claimed waits as before. There is one writer, so there are no claims but
    /// its own.
    mutating func unclaimAll() { unclaim(claims) }

    /// A transaction is committed: what it stored is leased, what it settled is not any more.
    mutating func committed(_ effects: WriteTransaction.Effects) {
        for (backend, count) in effects.ledger.backends
        where count.unfinished > 0 && ledger.backends[backend]?.unfinished ?? 0 == 0 {
            oldest[backend] = ledger.nextSequence
        }
        for (sequence, backend) in effects.replayed {
            oldest[backend] = min(oldest[backend] ?? 1, sequence)
            if let search, search.backend == backend { self.search?.replayed = min(search.replayed, sequence) }
        }
        ledger = effects.ledger
        guard !isClosed else { return }
        for (sequence, lease) in effects.stored { add(lease, sequence) }
        for sequence in effects.claimed {
            claims.remove(sequence)
            read?.ended.insert(sequence)
        }
        for (sequence, ending) in effects.ended {
            let backend = leases[sequence]?.backend
            remove(sequence)
            read?.ended.insert(sequence)
            if case .rescheduled(let due) = ending, let backend {
                appeared(QueuePosition(due: due, sequence: sequence), of: backend)
            }
        }
        for (position, backend) in effects.appeared { appeared(position, of: backend) }
    }
}

// MARK: - The callers

extension LeaseTable {
    mutating func release(_ sequence: Int64) {
        guard let lease = leases[sequence] else { return }
        remove(sequence)
        appeared(QueuePosition(due: lease.due, sequence: sequence), of: lease.backend)
    }

    mutating func close() {
        isClosed = true
        (leases, leased, read) = ([:], [:], nil)
    }

    var backendsWithWaitingDeliveries: [BackendName] {
        ledger.backends.filter { $0.value.unfinished > leased[$0.key]?.unfinished ?? 0 }.keys.sorted()
    }

    private mutating func add(_ lease: Lease, _ sequence: Int64) {
        leases[sequence] = lease
        leased[lease.backend, default: .init()][lease.state] += 1
    }

    private mutating func remove(_ sequence: Int64) {
        guard let lease = leases.removeValue(forKey: sequence) else { return }
        leased[lease.backend, default: .init()][lease.state] -= 1
    }

    /// Deliveries wait again whose positions are not known.
    private mutating func lookFromTheBeginning() {
        cursors = [:]
        read?.appeared = .first
    }

    /// A delivery waits without a lease from now on.
    private mutating func appeared(_ position: QueuePosition, of backend: BackendName) {
        cursors[backend] = min(cursors[backend, default: .first], position)
        if let read, read.backend == backend { self.read?.appeared = min(read.appeared, position) }
    }
}
