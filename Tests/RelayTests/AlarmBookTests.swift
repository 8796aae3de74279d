// One fact per line on which alarms are told, and when.

import Relay
import RelayCore
import Testing

@Suite struct AlarmBookTests {
    private static let failing = Alarm.Key(.backendFailing, "orders")
    private static let dead = Alarm.Key(.deadLetter, "orders")
    private static let silent = Alarm.Key(.slackNotConnected, "default")

    private static func firing(_ key: Alarm.Key, since: Timestamp, count: Int = 1) -> Alarm {
        Alarm(key, .firing, since: since, count: count)
    }

    private static func resolved(_ key: Alarm.Key, since: Timestamp) -> Alarm { Alarm(key, .resolved, since: since) }

    private var book = AlarmBook(repeatInterval: .seconds(3600))

    @Test("a condition is told when it begins, once")
    mutating func begins() {
        book.began(Self.failing, now: .zero)
        #expect(book.next(now: .zero) == Self.firing(Self.failing, since: .zero))
        book.began(Self.failing, now: .seconds(1))
        #expect(book.next(now: .seconds(1)) == nil)
        #expect(book.next(now: .seconds(3599)) == nil)
    }

    @Test("it is told again after the interval, while it lasts")
    mutating func repeats() {
        book.began(Self.failing, now: .zero)
        _ = book.next(now: .zero)
        #expect(book.next(now: .seconds(3600)) == Self.firing(Self.failing, since: .zero))
        #expect(book.next(now: .seconds(3601)) == nil)
    }

    @Test("a clock that is set back delays it by its patience, not by the step")
    mutating func clockSetBackBefore() {
        book.began(Self.silent, now: .seconds(50_000))
        #expect(book.next(now: .zero) == nil)
        #expect(book.next(now: .seconds(60)) == Self.firing(Self.silent, since: .zero))
        #expect(book.next(now: .seconds(3660)) == Self.firing(Self.silent, since: .zero))
    }

    @Test("it is told when it is over")
    mutating func resolves() {
        book.began(Self.failing, now: .zero)
        _ = book.next(now: .zero)
        book.ended(Self.failing)
        #expect(book.next(now: .seconds(5)) == Self.resolved(Self.failing, since: .zero))
        book.ended(Self.failing)
        #expect(book.next(now: .seconds(6)) == nil)
    }

    @Test("what is over before it could be told is not told at all")
    mutating func tooLate() {
        book.began(Self.failing, now: .zero)
        book.ended(Self.failing)
        #expect(book.next(now: .zero) == nil)
    }

    @Test("one that comes and goes is told once in the interval, and its end only where its beginning was")
    mutating func flaps() {
        book.began(Self.failing, now: .zero)
        _ = book.next(now: .zero)
        book.ended(Self.failing)
        _ = book.next(now: .seconds(5))
        book.began(Self.failing, now: .seconds(10))
        #expect(book.next(now: .seconds(10)) == nil)
        book.ended(Self.failing)
        #expect(book.next(now: .seconds(15)) == nil)
    }

    @Test("one that came back and stays is told when the interval is over")
    mutating func comesBack() {
        book.began(Self.failing, now: .zero)
        _ = book.next(now: .zero)
        book.ended(Self.failing)
        _ = book.next(now: .seconds(5))
        book.began(Self.failing, now: .seconds(10))
        #expect(book.next(now: .seconds(3600)) == Self.firing(Self.failing, since: .seconds(10)))
    }

    @Test("an end is not told of what is back by then; the end of that is")
    mutating func backBeforeItsEndIsTold() {
        book.began(Self.failing, now: .zero)
        _ = book.next(now: .zero)
        book.ended(Self.failing)
        book.began(Self.failing, now: .seconds(10))
        #expect(book.next(now: .seconds(10)) == nil)
        book.ended(Self.failing)
        #expect(book.next(now: .seconds(20)) == Self.resolved(Self.failing, since: .seconds(10)))
    }

    @Test("each backend has alarms of its own")
    mutating func subjects() {
        book.began(Self.failing, now: .zero)
        _ = book.next(now: .zero)
        let other = Alarm.Key(.backendFailing, "audit")
        book.began(other, now: .zero)
        #expect(book.next(now: .zero) == Self.firing(other, since: .zero))
    }

    @Test("dead letters are told at once, then counted until the interval is over")
    mutating func deadLetters() {
        book.happened(Self.dead, now: .zero)
        #expect(book.next(now: .zero) == Self.firing(Self.dead, since: .zero))
        book.happened(Self.dead, now: .seconds(10))
        #expect(book.next(now: .seconds(10)) == nil)
        book.happened(Self.dead, now: .seconds(20))
        #expect(book.next(now: .seconds(3600)) == Self.firing(Self.dead, since: .seconds(10), count: 2))
        #expect(book.next(now: .seconds(7200)) == nil)
    }

    @Test("Slack may be away for a minute before it is told, and nothing is told of less")
    mutating func patience() {
        book.began(Self.silent, now: .zero)
        #expect(book.next(now: .seconds(59)) == nil)
        #expect(book.next(now: .seconds(60)) == Self.firing(Self.silent, since: .zero))
        var other = AlarmBook(repeatInterval: .seconds(3600))
        other.began(Self.silent, now: .zero)
        other.ended(Self.silent)
        #expect(other.next(now: .seconds(59)) == nil)
    }

    @Test("what is observed begins and ends with what is seen; other causes are left alone")
    mutating func observed() {
        let old = Alarm.Key(.backlogOld, "orders")
        book.began(Self.failing, now: .zero)
        _ = book.next(now: .zero)
        book.observed([old], of: [.backlogOld], now: .zero)
        #expect(book.next(now: .zero) == Self.firing(old, since: .zero))
        book.observed([old], of: [.backlogOld], now: .seconds(5))
        #expect(book.next(now: .seconds(5)) == nil)
        book.observed([], of: [.backlogOld], now: .seconds(10))
        #expect(book.next(now: .seconds(10)) == Self.resolved(old, since: .zero))
        #expect(book.next(now: .seconds(10)) == nil)
    }

    @Test("nothing more is told of what is gone, and it begins anew if it comes back")
    mutating func forgotten() {
        book.began(Self.failing, now: .zero)
        _ = book.next(now: .zero)
        book.forgotten(Self.failing)
        #expect(book.next(now: .seconds(5)) == nil)
        book.began(Self.failing, now: .seconds(10))
        #expect(book.next(now: .seconds(10)) == Self.firing(Self.failing, since: .seconds(10)))
        book.ended(Self.failing)
        book.forgotten(Self.failing)
        #expect(book.next(now: .seconds(20)) == nil)
    }

    @Test("a clock that was set back silences nothing for longer than the interval")
    mutating func clockSetBack() {
        book.happened(Self.dead, now: .seconds(1_000_000))
        _ = book.next(now: .seconds(1_000_000))
        book.happened(Self.dead, now: .zero)
        #expect(book.next(now: .zero) == Self.firing(Self.dead, since: .zero))
    }

    // MARK: What could not be posted

    @Test("a beginning that did not arrive is told again, and its end in any case: it may have arrived")
    mutating func firingNotPosted() {
        let firing = Self.firing(Self.failing, since: .zero)
        book.began(Self.failing, now: .zero)
        #expect(book.next(now: .zero) == firing)
        book.postFailed(firing)
        #expect(book.next(now: .seconds(30)) == firing)
        book.postFailed(firing)
        book.ended(Self.failing)
        #expect(book.next(now: .seconds(60)) == Self.resolved(Self.failing, since: .zero))
    }

    @Test("an end that did not arrive is told again, unless it is back: then the end of that is told")
    mutating func resolvedNotPosted() {
        let resolved = Self.resolved(Self.failing, since: .zero)
        book.began(Self.failing, now: .zero)
        _ = book.next(now: .zero)
        book.ended(Self.failing)
        #expect(book.next(now: .seconds(5)) == resolved)
        book.postFailed(resolved)
        #expect(book.next(now: .seconds(40)) == resolved)
        book.began(Self.failing, now: .seconds(50))
        book.postFailed(resolved)
        #expect(book.next(now: .seconds(60)) == nil)
        book.ended(Self.failing)
        #expect(book.next(now: .seconds(70)) == Self.resolved(Self.failing, since: .seconds(50)))
    }

    @Test("dead letters that did not arrive are counted with those that came meanwhile")
    mutating func deadLettersNotPosted() {
        book.happened(Self.dead, now: .zero)
        #expect(book.next(now: .zero) == Self.firing(Self.dead, since: .zero))
        book.happened(Self.dead, now: .seconds(10))
        book.postFailed(Self.firing(Self.dead, since: .zero))
        #expect(book.next(now: .seconds(30)) == Self.firing(Self.dead, since: .zero, count: 2))
    }

    @Test("what was tried already keeps back nothing else")
    mutating func others() {
        book.began(Self.failing, now: .zero)
        book.happened(Self.dead, now: .zero)
        #expect(book.next(now: .zero, except: [Self.failing]) == Self.firing(Self.dead, since: .zero))
        #expect(book.next(now: .zero, except: [Self.failing]) == nil)
        #expect(book.next(now: .zero) == Self.firing(Self.failing, since: .zero))
    }
}

extension Timestamp {
    fileprivate static func seconds(_ seconds: Int) -> Timestamp { zero.advanced(by: .seconds(seconds)) }
}
