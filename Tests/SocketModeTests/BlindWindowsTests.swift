// Facts about the times without a connection.

import RelayCore
import SocketMode
import Testing

@Suite("Blind windows")
struct BlindWindowsTests {
    private static func at(_ seconds: Int64) -> Timestamp {
        Timestamp(nanosecondsSinceEpoch: 0).advanced(by: .seconds(seconds))
    }

    /// What is kept of these changes: the number of connections at each second.
    private func windows(_ counts: (at: Int64, count: Int)...) -> BlindWindows {
        var windows = BlindWindows(since: Self.at(0))
        for (second, count) in counts { _ = windows.connectedCountChanged(to: count, now: Self.at(second)) }
        return windows
    }

    @Test("from the start to the first connection is one")
    func start() {
        #expect(windows((3, 1)).ended == [.init(start: Self.at(0), end: Self.at(3))])
    }

    @Test("there is none while one connection is left")
    func oneLeft() {
        #expect(windows((0, 1), (5, 2), (8, 1), (9, 2)).ended.count == 1)
    }

    @Test("it lasts from the last connection's end to the next one, whatever is said in between")
    func window() {
        let windows = windows((0, 2), (10, 0), (11, 0), (14, 1), (15, 1))
        #expect(windows.ended.last == .init(start: Self.at(10), end: Self.at(14)))
        #expect(windows.blindSince == nil)
    }

    @Test("its end is told once")
    func toldOnce() {
        var windows = BlindWindows(since: Self.at(0))
        #expect(windows.connectedCountChanged(to: 0, now: Self.at(1)) == nil)
        #expect(windows.connectedCountChanged(to: 1, now: Self.at(2))?.duration == .seconds(2))
        #expect(windows.connectedCountChanged(to: 2, now: Self.at(3)) == nil)
    }

    @Test("the sum counts all of them, and the present one until now")
    func sum() {
        #expect(windows((1, 1), (10, 0), (14, 1)).duration(until: Self.at(20)) == .seconds(5))
        #expect(windows((1, 1), (10, 0)).duration(until: Self.at(20)) == .seconds(11))
        #expect(windows().duration(until: Self.at(20)) == .seconds(20))
    }

    @Test("the last 100 are kept, and the sum forgets none")
    func bounded() {
        var windows = BlindWindows(since: Self.at(0))
        for number in 0..<150 {
            _ = windows.connectedCountChanged(to: 0, now: Self.at(Int64(number) * 2))
            _ = windows.connectedCountChanged(to: 1, now: Self.at(Int64(number) * 2 + 1))
        }
        #expect(windows.ended.count == 100)
        #expect(windows.ended.first?.start == Self.at(100))
        #expect(windows.duration(until: Self.at(1_000)) == .seconds(150))
    }

    @Test("a clock that is set back makes none negative")
    func clock() {
        #expect(windows((0, 1), (10, 0), (4, 1)).duration(until: Self.at(4)) == .zero)
    }
}
