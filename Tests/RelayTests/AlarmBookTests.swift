// One fact per line on which alarms are told, and when.

import Relay
import RelayCore
import Testing

@Suite struct AlarmBookTests {
    private static let failing = Alarm.Key(.backendFailing, "orders")
    private static let dead = Alarm.Key(.deadLetter, "orders")
    private static let silent = Alarm.Key(.slackNotConnected, "default")

    private static func firing(_ key: Alarm.Key, since: Timestamp, count: Int = 1) -> [Alarm] {
        [Alarm(key, .firing, since: since, count: count)]
    }

    private var book = AlarmBook(repeatInterval: .seconds(3600))

    @Test("a condition is told when it begins, once")
    mutating func begins() {
        #expect(book.began(Self.failing, now: .zero) == Self.firing(Self.failing, since: .zero))
        #expect(book.began(Self.failing, now: .seconds(1)) == [])
        #expect(book.timePassed(now: .seconds(3599)) == [])
    }

    @Test("it is told again after the interval, while it lasts")
    mutating func repeats() {
        _ = book.began(Self.failing, now: .zero)
        #expect(book.timePassed(now: .seconds(3600)) == Self.firing(Self.failing, since: .zero))
        #expect(book.timePassed(now: .seconds(3601)) == [])
    }

    @Test("it is told when it is over")
    mutating func resolves() {
        _ = book.began(Self.failing, now: .zero)
        #expect(
            book.ended(Self.failing, now: .seconds(5)) == [Alarm(Self.failing, .resolved, since: .zero)])
        #expect(book.ended(Self.failing, now: .seconds(6)) == [])
    }

    @Test("one that comes and goes is told once in the interval, and its end only where its beginning was")
    mutating func flaps() {
        _ = book.began(Self.failing, now: .zero)
        _ = book.ended(Self.failing, now: .seconds(5))
        #expect(book.began(Self.failing, now: .seconds(10)) == [])
        #expect(book.ended(Self.failing, now: .seconds(15)) == [])
    }

    @Test("one that came back and stays is told when the interval is over")
    mutating func comesBack() {
        _ = book.began(Self.failing, now: .zero)
        _ = book.ended(Self.failing, now: .seconds(5))
        _ = book.began(Self.failing, now: .seconds(10))
        #expect(book.timePassed(now: .seconds(3600)) == Self.firing(Self.failing, since: .seconds(10)))
    }

    @Test("each backend has alarms of its own")
    mutating func subjects() {
        _ = book.began(Self.failing, now: .zero)
        let other = Alarm.Key(.backendFailing, "audit")
        #expect(book.began(other, now: .zero) == Self.firing(other, since: .zero))
    }

    @Test("dead letters are told at once, then counted until the interval is over")
    mutating func deadLetters() {
        #expect(book.happened(Self.dead, now: .zero) == Self.firing(Self.dead, since: .zero))
        #expect(book.happened(Self.dead, now: .seconds(10)) == [])
        #expect(book.happened(Self.dead, now: .seconds(20)) == [])
        #expect(book.timePassed(now: .seconds(3600)) == Self.firing(Self.dead, since: .seconds(10), count: 2))
        #expect(book.timePassed(now: .seconds(7200)) == [])
    }

    @Test("Slack may be away for a minute before it is told, and nothing is told of less")
    mutating func patience() {
        #expect(book.began(Self.silent, now: .zero) == [])
        #expect(book.timePassed(now: .seconds(59)) == [])
        #expect(book.timePassed(now: .seconds(60)) == Self.firing(Self.silent, since: .zero))
        var other = AlarmBook(repeatInterval: .seconds(3600))
        _ = other.began(Self.silent, now: .zero)
        #expect(other.ended(Self.silent, now: .seconds(59)) == [])
    }

    @Test("what is observed begins and ends with what is seen; other causes are left alone")
    mutating func observed() {
        let old = Alarm.Key(.backlogOld, "orders")
        _ = book.began(Self.failing, now: .zero)
        #expect(book.observed([old], of: [.backlogOld], now: .zero) == Self.firing(old, since: .zero))
        #expect(book.observed([old], of: [.backlogOld], now: .seconds(5)) == [])
        #expect(
            book.observed([], of: [.backlogOld], now: .seconds(10)) == [Alarm(old, .resolved, since: .zero)])
    }

    @Test("a clock that was set back silences nothing for longer than the interval")
    mutating func clockSetBack() {
        _ = book.happened(Self.dead, now: .seconds(1_000_000))
        #expect(book.happened(Self.dead, now: .zero) == Self.firing(Self.dead, since: .zero))
    }
}

extension Timestamp {
    fileprivate static func seconds(_ seconds: Int) -> Timestamp { zero.advanced(by: .seconds(seconds)) }
}
