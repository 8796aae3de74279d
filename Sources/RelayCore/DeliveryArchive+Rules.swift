// What the adapters of DeliveryArchive have in common: what a filter takes, what is kept of attempts, what that counts.

extension DeliveryFilter {
    /// What `DeliveryArchive.delete` can remove.
    package static let removableStates: Set<DeliveryState> = [.dead, .expired, .canceled]

    /// The same, without any other states than these; nil when that leaves none.
    package func within(_ states: Set<DeliveryState>) -> DeliveryFilter? {
        var filter = self
        filter.states = self.states.isEmpty ? states : self.states.intersection(states)
        return filter.states.isEmpty ? nil : filter
    }

    /// Whether it takes a delivery.
    package func takes(_ delivery: DeliverySummary) -> Bool {
        func allows<Value>(_ values: Set<Value>, _ value: Value) -> Bool { values.isEmpty || values.contains(value) }
        return allows(ids, delivery.id) && allows(envelopeIDs, delivery.envelopeID)
            && allows(states, delivery.state) && allows(backends, delivery.backend)
            && allows(routes, delivery.route) && allows(apps, delivery.app) && allows(kinds, delivery.kind)
            && (reasons.isEmpty
                || [delivery.deadReason, delivery.reason].contains { $0.map(reasons.contains) ?? false })
            && delivery.receivedAt >= since ?? delivery.receivedAt
            && (until.map { delivery.receivedAt < $0 } ?? true)
            && (settledBefore.map { end in delivery.settledAt.map { $0 < end } ?? false } ?? true)
    }
}

extension ReplayRequest {
    /// What is replayed: settled deliveries only, and dead ones where no state is named. nil: nothing.
    package var replayable: DeliveryFilter? {
        filter.flatMap { $0.within($0.states.isEmpty ? [.dead] : Set(DeliveryState.allCases.filter(\.isFinal))) }
    }
}

extension PageRequest {
    /// `limit` within its range.
    package var boundedLimit: Int { min(max(limit, 1), 1_000) }
}

extension Page where Element == Replay {
    /// - Parameter found: from where the page begins on; one more than `limit` says that there is another page.
    package init(_ found: [Replay], limit: Int) {
        let items = Array(found.prefix(limit))
        self.init(items: items, next: found.count > limit ? items.last?.id : nil)
    }
}

// MARK: - History

extension QueueLimits {
    /// Room for the history of deliveries: attempts that were not accepted, and responses. It is apart from `maxBytes`,
    /// so that what explains a failure never costs a delivery its place. Where it is used up, the oldest deliveries
    /// lose their history first.
    package var maxHistoryBytes: Int64 { max(maxBytes / 8, 64 << 10) }
}

extension RecordedAttempt {
    /// As an attempt is recorded.
    /// - Parameter replay: `Delivery.replays`
    package init(_ attempt: Attempt, replay: Int) {
        self.init(
            replay: replay, number: attempt.number, isProbe: attempt.isProbe, startedAt: attempt.startedAt,
            finishedAt: attempt.finishedAt, outcome: attempt.outcome.word, reason: attempt.outcome.reason?.description,
            detail: String(String.UnicodeScalarView(attempt.detail.unicodeScalars.prefix(Self.maxDetailLength))))
    }

    /// Its place in a history: no two attempts of a delivery have the same. Probes come before the attempt that burned
    /// their number, in the order made.
    package var position: (replay: Int, number: Int, isCounted: Int, startedAt: Timestamp) {
        (replay, number, isProbe ? 0 : 1, startedAt)
    }

    /// Of `detail`, in Unicode scalars.
    package static let maxDetailLength = 1_000

    /// What it counts against `QueueLimits.maxHistoryBytes`.
    package var storedBytes: Int64 { Self.bytesWithoutDetail + Int64(detail.utf8.count) }

    package static let bytesWithoutDetail: Int64 = 192
}

extension RecordedResponse {
    /// What it counts against `QueueLimits.maxHistoryBytes`.
    package var storedBytes: Int64 {
        headers.reduce(192 + Int64(body.count)) { $0 + 16 + Int64($1.name.utf8.count + $1.value.utf8.count) }
    }
}

extension DeliveryRecord {
    /// What is kept of a history.
    package static func kept(_ attempts: [RecordedAttempt]) -> [RecordedAttempt] {
        let attempts = attempts.sorted { $0.position < $1.position }
        guard attempts.count > maxAttempts else { return attempts }
        return Array(attempts.prefix(1) + attempts.suffix(maxAttempts - 1))
    }
}
