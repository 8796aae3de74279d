// Facts about waits between attempts.

import SocketMode
import Testing

@Suite struct BackoffTests {
    @Test("waits double from 1 s to the cap of 60 s")
    func doubles() {
        var backoff = Backoff()
        let ceilings = (0..<9).map { _ in
            defer { _ = backoff.failed(random: 0) }
            return backoff.ceiling
        }
        #expect(ceilings == [1, 2, 4, 8, 16, 32, 60, 60, 60].map { .seconds($0) })
    }

    @Test("F51: the cap holds after 100 failures, and after a million")
    func capHolds() {
        var backoff = Backoff()
        let waits = (0..<100).map { _ in backoff.failed(random: 0.999) }
        #expect(waits.allSatisfy { $0 <= .seconds(60) })
        #expect(waits[6...].allSatisfy { $0 > .seconds(59) })
        for _ in 0..<1_000_000 { _ = backoff.failed(random: 0.5) }
        #expect(backoff.failed(random: 0.5) == .seconds(30))
    }

    @Test("full jitter: the wait lies anywhere between nothing and the ceiling", arguments: [0, 0.25, 0.5, 0.999])
    func fullJitter(random: Double) {
        var backoff = Backoff(initial: .seconds(8))
        #expect(backoff.failed(random: random) == .milliseconds(Int64(random * 8000)))
    }

    @Test("Retry-After is the lower bound, also above the cap")
    func retryAfter() {
        var backoff = Backoff()
        #expect(backoff.failed(random: 0.5, lowerBound: .seconds(90)) == .seconds(90))
        #expect(backoff.failed(random: 0.5, lowerBound: .milliseconds(1)) == .seconds(1))
    }

    @Test("a minimum is never undercut")
    func minimum() {
        var backoff = Backoff(initial: .seconds(120), maximum: .seconds(300), minimum: .seconds(60))
        #expect(backoff.failed(random: 0) == .seconds(60))
        #expect(backoff.failed(random: 0.5) == .seconds(150))
    }

    @Test("a reset begins anew")
    func reset() {
        var backoff = Backoff()
        for _ in 0..<10 { _ = backoff.failed(random: 0.5) }
        backoff.reset()
        #expect(backoff.ceiling == .seconds(1))
        #expect(backoff.failures == 0)
    }

    @Test("senseless settings give a machine that still answers")
    func senselessSettings() {
        var backoff = Backoff(initial: .zero, maximum: .zero, minimum: .seconds(5))
        #expect(backoff.failed(random: 0.5) == .zero)
        var inverted = Backoff(initial: .seconds(10), maximum: .seconds(1))
        #expect(inverted.failed(random: 0.5) == .seconds(5))
    }
}
