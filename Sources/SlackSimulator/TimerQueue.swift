// Timers as data: what is due when, earliest first, first set first among equals.

import RelayCore

/// A binary heap. A timer that is no longer wanted stays in it; whoever it is for ignores it when it comes.
struct TimerQueue<Timer> {
    private struct Entry {
        var at: Timestamp
        var number: Int
        var timer: Timer

        func precedes(_ other: Entry) -> Bool { (at, number) < (other.at, other.number) }
    }

    private var heap: [Entry] = []
    private var count = 0

    /// When the earliest timer is due.
    var next: Timestamp? { heap.first?.at }

    mutating func add(_ timer: Timer, at time: Timestamp) {
        count += 1
        heap.append(Entry(at: time, number: count, timer: timer))
        var child = heap.count - 1
        while child > 0, heap[child].precedes(heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// Takes the earliest timer if it is due.
    mutating func pop(before now: Timestamp) -> Timer? {
        guard let first = heap.first, first.at <= now else { return nil }
        let last = heap.removeLast()
        guard !heap.isEmpty else { return first.timer }
        heap[0] = last
        var parent = 0
        while let child = leastChild(of: parent), heap[child].precedes(heap[parent]) {
            heap.swapAt(parent, child)
            parent = child
        }
        return first.timer
    }

    private func leastChild(of parent: Int) -> Int? {
        let (left, right) = (2 * parent + 1, 2 * parent + 2)
        guard left < heap.count else { return nil }
        return right < heap.count && heap[right].precedes(heap[left]) ? right : left
    }
}
