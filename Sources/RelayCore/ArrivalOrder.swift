// Lists of the in-memory queue that keep an order and forget lazily.

/// Sequences in the order of arrival, which is ascending. Those that are no longer wanted stay until they are trimmed.
struct ArrivalOrder: Sendable {
    private var list: [Int64] = []
    /// Everything before it is known to be unwanted.
    private var head = 0

    /// The oldest first; some may be unwanted.
    var sequences: ArraySlice<Int64> { list[head...] }

    mutating func append(_ sequence: Int64) { list.append(sequence) }

    /// Puts one where it belongs that is wanted again; it may be there still.
    mutating func insert(_ sequence: Int64) {
        let index = firstIndex(notBelow: sequence)
        if index == list.count || list[index] != sequence { list.insert(sequence, at: index) }
        head = min(head, index)
    }

    /// The last ones below a sequence, the newest first; some may be unwanted.
    func sequences(below end: Int64, limit: Int) -> [Int64] {
        list[..<firstIndex(notBelow: end)].suffix(limit).reversed()
    }

    /// The first ones above a sequence, the oldest first; some may be unwanted.
    func sequences(above start: Int64, limit: Int) -> ArraySlice<Int64> {
        start == .max ? [] : list[firstIndex(notBelow: start + 1)...].prefix(limit)
    }

    private func firstIndex(notBelow sequence: Int64) -> Int {
        guard let last = list.last, sequence <= last else { return list.count }
        var (low, high) = (0, list.count)
        while low < high {
            let middle = (low + high) / 2
            if list[middle] < sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }

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

/// Dead letters in the order in which they were given up. Those that were replayed or removed stay until they are
/// trimmed.
struct DeadLetterOrder: Sendable {
    private var positions = MinHeap<QueuePosition>()

    mutating func append(_ sequence: Int64, settledAt: Timestamp) {
        positions.insert(QueuePosition(due: settledAt, sequence: sequence))
    }

    /// Removes the longest settled one, when it was settled at or before a point in time.
    mutating func popFirst(settledBefore cutoff: Timestamp) -> (sequence: Int64, settledAt: Timestamp)? {
        guard let first = positions.min, first.due <= cutoff else { return nil }
        return positions.popMin().map { ($0.sequence, $0.due) }
    }

    /// Removes the unwanted ones when they are more than the wanted ones.
    mutating func trim(_ wantedCount: Int, keeping isWanted: (QueuePosition) -> Bool) {
        guard positions.count > 2 * wantedCount + 64 else { return }
        positions = positions.filter(isWanted)
    }
}

/// Deliveries of one backend that share an order key and are not settled: the first of them, which is not here, and
/// those that wait for it.
struct OrderLine: Sendable {
    /// All of them.
    private(set) var count = 0
    private var blocked = MinHeap<Int64>()

    /// One more. Returns whether it waits for another.
    mutating func join(_ sequence: Int64) -> Bool {
        count += 1
        if count > 1 { blocked.insert(sequence) }
        return count > 1
    }

    /// One is settled or gone. `isBlocked` says which of the others still wait.
    /// - Parameter wasFirst: whether it was the one that they waited for.
    /// - Returns: the one that waits for nobody from now on.
    mutating func leave(wasFirst: Bool, isBlocked: (Int64) -> Bool) -> Int64? {
        count -= 1
        if blocked.count > 2 * count + 64 { blocked = blocked.filter(isBlocked) }
        guard wasFirst else { return nil }
        while let next = blocked.popMin() {
            if isBlocked(next) { return next }
        }
        return nil
    }
}
