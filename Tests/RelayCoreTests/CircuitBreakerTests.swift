// One fact per line on when a backend is left alone, and how it is come back to.

import RelayCore
import Testing

@Suite struct CircuitBreakerTests {
    /// Opens after 3 failures, probes after 5 s and at most 12 s apart; 4 in flight when all is well.
    var breaker = CircuitBreaker(.init(consecutive: 3, probeAfter: .seconds(5), probeMax: .seconds(12)))
    let maximum = 4

    mutating func fails(_ times: Int = 1, at time: Duration = .zero, probe: Bool = false) -> [CircuitBreaker.Change] {
        (0..<times).map { _ in breaker.attemptFailed(wasProbe: probe, now: .at(time)) }
    }

    mutating func succeeds() -> CircuitBreaker.Change { breaker.attemptSucceeded(maximum: maximum) }

    /// How many attempts may begin at a time, one after the other.
    mutating func startable(at time: Duration) -> Int {
        var count = 0
        while count < 10, breaker.mayStart(inFlight: count, maximum: maximum, now: .at(time)) {
            _ = breaker.attemptStarted()
            count += 1
        }
        return count
    }

    @Test("closed: as many as may be in flight")
    mutating func closed() {
        let result1 = startable(at: .zero)
        #expect(result1 == 4)
        #expect(breaker.condition == .closed)
        #expect(breaker.probeDue == nil)
    }

    @Test("failures in a row open it, once")
    mutating func opens() {
        let result1 = fails(4)
        #expect(result1 == [.none, .none, .opened, .none])
        #expect(breaker.condition == .open)
        let result2 = startable(at: .seconds(4))
        #expect(result2 == 0)
        #expect(breaker.probeDue == .at(.seconds(5)))
    }

    @Test("a success in between starts the count anew")
    mutating func notInARow() {
        let result1 = fails(2)
        #expect(result1 == [.none, .none])
        let result2 = succeeds()
        #expect(result2 == .none)
        let result3 = fails(2)
        #expect(result3 == [.none, .none])
    }

    @Test("one probe when its time has come, although others still hang")
    mutating func probes() {
        _ = fails(3)
        let first = breaker.mayStart(inFlight: 4, maximum: maximum, now: .at(.seconds(5)))
        let isProbe = breaker.attemptStarted()
        let second = breaker.mayStart(inFlight: 1, maximum: maximum, now: .at(.seconds(99)))
        #expect((first, isProbe, second) == (true, true, false))
        #expect(breaker.condition == .halfOpen)
    }

    @Test("a probe that fails makes the next wait twice as long, up to probe_max")
    mutating func growingWait() {
        _ = fails(3)
        var waits: [Duration] = []
        for _ in 0..<3 {
            let due = breaker.probeDue ?? .at(.zero)
            _ = breaker.mayStart(inFlight: 0, maximum: maximum, now: due)
            _ = breaker.attemptStarted()
            _ = breaker.attemptFailed(wasProbe: true, now: due)
            waits.append(due.duration(to: breaker.probeDue ?? due))
        }
        #expect(waits == [.seconds(10), .seconds(12), .seconds(12)])
    }

    @Test("what began before it opened does not judge the probe")
    mutating func stragglers() {
        _ = fails(3)
        _ = startable(at: .seconds(5))
        let result1 = fails(1, at: .seconds(6))
        #expect(result1 == [.none])
        #expect(breaker.condition == .halfOpen)
    }

    @Test("a good probe closes it, and the number in flight grows with each success")
    mutating func recovers() {
        _ = fails(3)
        _ = startable(at: .seconds(5))
        let result1 = succeeds()
        #expect(result1 == .closed)
        let result2 = startable(at: .seconds(5))
        #expect(result2 == 2)
        let result3 = succeeds()
        #expect(result3 == .none)
        let result4 = startable(at: .seconds(5))
        #expect(result4 == 3)
        let result5 = succeeds()
        #expect(result5 == .none)
        let result6 = startable(at: .seconds(5))
        #expect(result6 == 4)
    }

    @Test("a failure while it grows halves it")
    mutating func setBack() {
        _ = fails(3)
        for _ in 1...3 { _ = breaker.attemptSucceeded(maximum: 8) }
        let result1 = fails(1)
        #expect(result1 == [.none])
        let mayStart = (0...2).map { breaker.mayStart(inFlight: $0, maximum: 8, now: .at(.zero)) }
        #expect(mayStart == [true, true, false])
    }

    @Test("one of the first two opens it again at once", arguments: 1...2)
    mutating func relapses(successes: Int) {
        _ = fails(3)
        _ = startable(at: .seconds(5))
        for _ in 1...successes { _ = succeeds() }
        let result1 = fails(1, at: .seconds(6))
        #expect(result1 == [.opened])
        #expect(breaker.probeDue == .at(.seconds(11)))
    }

    @Test("a good end of what began before it opened is as good as a probe")
    mutating func lateSuccess() {
        _ = fails(3)
        let result1 = succeeds()
        #expect(result1 == .closed)
    }

    @Test("a probe that came to nothing leaves its place to another one")
    mutating func abandoned() {
        _ = fails(3)
        _ = startable(at: .seconds(5))
        breaker.probeAbandoned()
        let result1 = startable(at: .seconds(5))
        #expect(result1 == 1)
    }

    @Test("a clock that is set back does not keep it open longer than it was meant to be")
    mutating func clockSetBack() {
        _ = fails(3, at: .seconds(1_000))
        let result1 = startable(at: .zero)
        #expect(result1 == 1)
    }

    @Test("at a person's word the probe is due at once, and the next wait is as long as if it had come by itself")
    mutating func probeAsked() {
        _ = fails(3)
        breaker.probeAsked()
        let result1 = startable(at: .seconds(1))
        #expect(result1 == 1)
        _ = fails(at: .seconds(2), probe: true)
        #expect(breaker.probeDue == .at(.seconds(12)))
    }

    @Test("while it is closed, or a probe is under way, a person's word changes nothing")
    mutating func probeAskedInVain() {
        breaker.probeAsked()
        #expect(breaker.condition == .closed)
        _ = fails(3)
        _ = startable(at: .seconds(5))
        breaker.probeAsked()
        let result1 = startable(at: .seconds(5))
        #expect(result1 == 0)
    }

    @Test("one in flight at most: recovery is over with the probe")
    func single() {
        var breaker = CircuitBreaker(.init(consecutive: 1))
        _ = breaker.attemptFailed(wasProbe: false, now: .at(.zero))
        let change = breaker.attemptSucceeded(maximum: 1)
        let first = breaker.mayStart(inFlight: 0, maximum: 1, now: .at(.zero))
        let second = breaker.mayStart(inFlight: 1, maximum: 1, now: .at(.zero))
        #expect((change, first, second) == (.closed, true, false))
    }
}

@Suite struct TokenBucketTests {
    var bucket = TokenBucket(RateLimit(perSecond: 10, burst: 3))

    mutating func taken(at time: Duration) -> Int {
        var count = 0
        while count < 100, bucket.take(now: .at(time)) { count += 1 }
        return count
    }

    @Test("a burst at first, then so many per second")
    mutating func rate() {
        let result1 = taken(at: .zero)
        #expect(result1 == 3)
        let result2 = taken(at: .milliseconds(99))
        #expect(result2 == 0)
        let result3 = taken(at: .milliseconds(100))
        #expect(result3 == 1)
        let result4 = taken(at: .milliseconds(350))
        #expect(result4 == 2)
    }

    @Test("never more than a burst after a quiet time")
    mutating func full() {
        _ = taken(at: .zero)
        let result1 = taken(at: .seconds(60))
        #expect(result1 == 3)
    }

    @Test("it says when the next token is there, and then it is")
    mutating func next() {
        let first = bucket.nextToken(now: .at(.zero))
        _ = taken(at: .zero)
        let next = bucket.nextToken(now: .at(.milliseconds(30)))
        let isThere = bucket.take(now: next)
        #expect(first == .at(.zero))
        #expect(Timestamp.at(.milliseconds(30)).duration(to: next).milliseconds == 70)
        #expect(isThere)
    }

    @Test("a clock that is set back neither fills nor empties it")
    mutating func clockSetBack() {
        _ = taken(at: .seconds(10))
        let result1 = taken(at: .zero)
        #expect(result1 == 0)
        let result2 = taken(at: .milliseconds(100))
        #expect(result2 == 1)
    }
}

extension Timestamp {
    fileprivate static func at(_ time: Duration) -> Timestamp {
        Timestamp(nanosecondsSinceEpoch: 1_000_000_000_000_000).advanced(by: time)
    }
}
