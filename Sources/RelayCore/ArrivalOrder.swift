// Lists of the in-memory queue that keep an order and forget lazily.

/// Sequences in the order of arrival, which is ascending. Those that are no longer wanted stay until they are trimmed.
struct ArrivalOrder: Sendable {
    private var list: [Int64] = []
    /// Everything before it is known to be unwanted.
    private var head = 0

    /// The oldest first; some may be unwanted.
    var sequences: ArraySlice<Int64> { list[head...] }

    mutating func append(_ sequence: Int64) { list.append(sequence) }

    /// The oldest that is wanted.
    mutating func first(where isWanted: (Int64) -> Bool) -> Int64? {
        while head < list.count {
            if isWanted(list[head]) { return list[head] }
            head += 1
        }
        return nil
    }

    /// Removes the unwanted ones when they are more than the wanted ones, so that trimming costs little on average.
    mutating func trim(_ wantedCount: Int, keeping isWanted: (Int64) -> Bool) {
        guard list.count > 2 * wantedCount + 64 else { return }
        list = list[head...].filter(isWanted)
        head = 0
    }
}

/// Dead letters in the order in which they were given up.
struct DeadLetterOrder: Sendable {
    private var positions = MinHeap<QueuePosition>()

    mutating func append(_ sequence: Int64, settledAt: Timestamp) {
        positions.insert(QueuePosition(due: settledAt, sequence: sequence))
    }

    /// Removes the longest settled one, when it was settled at or before a point in time.
    mutating func popFirst(settledBefore cutoff: Timestamp) -> Int64? {
        guard let first = positions.min, first.due <= cutoff else { return nil }
        return positions.popMin()?.sequence
    }
}
