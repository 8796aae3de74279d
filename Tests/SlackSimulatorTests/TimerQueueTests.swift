// Timers come in the order of their times.

import RelayCore
import Testing

@testable import SlackSimulator

@Suite struct TimerQueueTests {
    private func time(_ milliseconds: Int) -> Timestamp { Timestamp(millisecondsSinceEpoch: Int64(milliseconds)) }

    @Test("timers come earliest first, those of one moment in the order they were set, and none before its time")
    func order() {
        var queue = TimerQueue<Int>()
        let times = [5, 1, 9, 1, 7, 3, 3, 8, 0, 6, 2, 4]
        for (index, milliseconds) in times.enumerated() { queue.add(index, at: time(milliseconds)) }
        #expect(queue.next == time(0))
        var taken: [Int] = []
        while let timer = queue.pop(before: time(8)) { taken.append(timer) }
        #expect(taken == [8, 1, 3, 10, 5, 6, 11, 0, 9, 4, 7])
        #expect(queue.next == time(9))
        #expect(queue.pop(before: time(8)) == nil)
        #expect(queue.pop(before: time(9)) == 2)
        #expect(queue.next == nil)
    }
}
