// One fact per line on what a backend's deliveries do next.

import RelayCore
import Testing

@Suite struct DispatchStateMachineTests {
    typealias Actions = DispatchStateMachine.Actions

    /// A machine that has looked into an empty queue.
    func makeIdle(
        maxInFlight: Int = 2, maxHeld: Int = 4, maxHeldBytes: Int = 1_000, retry: RetryPolicy = .init(jitter: 0),
        maxAge: [Kind: Duration] = [:], longestIdle: Duration = .seconds(100_000)
    ) -> DispatchStateMachine {
        var machine = DispatchStateMachine(
            .init(
                maxInFlight: maxInFlight, maxHeld: maxHeld, maxHeldBytes: maxHeldBytes, retry: retry, maxAge: maxAge,
                longestIdle: longestIdle))
        _ = machine.started(now: .zero)
        _ = machine.leaseFinished(.init(deliveries: [], nextDue: nil), now: .zero)
        return machine
    }

    @Test("at start it looks into the queue")
    func start() {
        var machine = DispatchStateMachine(.init(maxInFlight: 2, maxHeld: 4, maxHeldBytes: 1_000))
        #expect(machine.started(now: .zero) == Actions(lease: .init(count: 4, bytes: 1_000)))
    }

    @Test("a just-stored delivery is attempted from memory")
    func fromMemory() {
        var machine = makeIdle()
        let delivery = Delivery.numbered(1)
        #expect(machine.deliveriesStored([delivery], othersWait: false, now: .zero) == Actions(start: [delivery]))
    }

    @Test("no more than max_in_flight are attempted at a time, and the next starts when one is finished")
    func inFlight() {
        var machine = makeIdle()
        let actions = machine.deliveriesStored(
            [.numbered(1), .numbered(2), .numbered(3)], othersWait: false, now: .zero)
        #expect(actions.start.map(\.id.sequence) == [1, 2])
        #expect(machine.finish(1, .accepted).start.map(\.id.sequence) == [3])
    }

    @Test("what does not fit into memory goes back to the queue, and is leased when there is room, in order")
    func overflow() {
        var machine = makeIdle()
        let stored = machine.deliveriesStored((1...6).map { .numbered($0) }, othersWait: false, now: .zero)
        #expect(stored.release.map(\.sequence) == [5, 6])
        #expect(stored.lease == nil)
        #expect(machine.released(now: .zero) == Actions())
        let settle = machine.finish(1, .accepted).settle
        #expect(machine.settled(settle, now: .zero).lease?.count == 1)
    }

    @Test("payload bytes are bounded, but one large delivery always fits")
    func bytes() {
        var machine = makeIdle(maxHeldBytes: 100)
        let stored = machine.deliveriesStored(
            [.numbered(1, size: 5_000), .numbered(2)], othersWait: false, now: .zero)
        #expect(stored.start.map(\.id.sequence) == [1])
        #expect(stored.release.map(\.sequence) == [2])
    }

    @Test("while something waits in the queue, new deliveries queue up behind it")
    func noOvertaking() {
        var machine = makeIdle()
        _ = machine.deliveriesStored((1...6).map { .numbered($0) }, othersWait: false, now: .zero)
        _ = machine.released(now: .zero)
        #expect(machine.deliveriesStored([.numbered(7)], othersWait: false, now: .zero).release.map(\.sequence) == [7])
    }

    @Test("what is released while a lease is under way is looked for afterwards")
    func releasedWhileLeasing() {
        var machine = makeIdle(maxInFlight: 1, maxHeld: 1)
        _ = machine.deliveriesStored([.numbered(1), .numbered(2)], othersWait: false, now: .zero)
        let settle = machine.finish(1, .accepted).settle
        #expect(machine.settled(settle, now: .zero).lease?.count == 1)
        #expect(machine.released(now: .zero).lease == nil)
        #expect(machine.leaseFinished(.init(deliveries: [], nextDue: nil), now: .zero).lease?.count == 1)
    }

    @Test("the queue is looked into again after a while, although it said that nothing waits")
    func looksAgain() {
        var machine = makeIdle(longestIdle: .seconds(60))
        _ = machine.deliveriesStored([], othersWait: true, now: .zero)
        #expect(machine.leaseFinished(.init(deliveries: [], nextDue: nil), now: .zero).lease == nil)
        #expect(machine.woke(.seconds(60), now: .seconds(60)).lease?.count == 4)
    }

    @Test("a clock that is set back does not prolong a pause beyond retry_after_max")
    func clockSetBack() {
        var machine = makeIdle(retry: .init(jitter: 0, retryAfterMax: .seconds(30)))
        _ = machine.deliveriesStored([.numbered(1)], othersWait: false, now: .seconds(1_000))
        let busy = AttemptResult(.failed(.http(status: 503)), status: 503, retryAfter: .seconds(20))
        _ = machine.attemptFinished(.numbered(1), busy, startedAt: .zero, now: .seconds(1_000), random: 0.5)
        #expect(machine.deliveriesStored([.numbered(2)], othersWait: false, now: .zero).start == [])
        #expect(machine.woke(.seconds(30), now: .seconds(30)).start.map(\.id.sequence) == [2])
    }

    @Test("a queue that leases nothing back is leased from when something is stored")
    func othersWait() {
        var machine = makeIdle()
        #expect(machine.deliveriesStored([], othersWait: true, now: .zero).lease?.count == 4)
    }

    @Test("what is stored while a lease is under way is looked for afterwards")
    func storedWhileLeasing() {
        var machine = makeIdle()
        _ = machine.deliveriesStored([], othersWait: true, now: .zero)
        _ = machine.deliveriesStored([], othersWait: true, now: .zero)
        #expect(machine.leaseFinished(.init(deliveries: [], nextDue: nil), now: .zero).lease?.count == 4)
    }

    @Test("a retry whose time is stored while a lease is under way is not forgotten")
    func rescheduledWhileLeasing() {
        var machine = makeIdle()
        _ = machine.deliveriesStored([.numbered(1)], othersWait: true, now: .zero)
        let settle = machine.finish(1, .failed(.timeout)).settle
        _ = machine.settled(settle, now: .zero)
        #expect(machine.leaseFinished(.init(deliveries: [], nextDue: nil), now: .zero).wake == .seconds(1))
    }

    @Test("when the next delivery is due later, it wakes then and leases")
    func wakes() {
        var machine = makeIdle()
        _ = machine.deliveriesStored([], othersWait: true, now: .zero)
        let leased = machine.leaseFinished(.init(deliveries: [], nextDue: .seconds(30)), now: .zero)
        #expect(leased == Actions(wake: .seconds(30)))
        #expect(machine.woke(.seconds(30), now: .seconds(30)).lease?.count == 4)
    }

    @Test("a wake is asked for once, and again only for an earlier time")
    func wakesOnce() {
        var machine = makeIdle()
        _ = machine.deliveriesStored([], othersWait: true, now: .zero)
        _ = machine.leaseFinished(.init(deliveries: [.numbered(1)], nextDue: .seconds(30)), now: .zero)
        let settle = machine.finish(1, .failed(.timeout)).settle
        #expect(machine.settled(settle, now: .zero).wake == .seconds(1))
        #expect(machine.woke(.milliseconds(500), now: .milliseconds(500)).wake == nil)
    }

    @Test("a queue that cannot be read is asked again after a second")
    func leaseFailed() {
        var machine = makeIdle()
        _ = machine.deliveriesStored([], othersWait: true, now: .zero)
        #expect(machine.leaseFailed(now: .zero).wake == .seconds(1))
        #expect(machine.woke(.seconds(1), now: .seconds(1)).lease != nil)
    }

    @Test(
        "an attempt's outcome says what is recorded",
        arguments: [
            (AttemptOutcome.accepted, Settlement.Verb.complete),
            (.failed(.connectionRefused), .reschedule(at: .seconds(1))),
            (.failed(.http(status: 500)), .reschedule(at: .seconds(1))),
            (.rejected(.http(status: 400)), .deadLetter(.rejected(.http(status: 400)))),
        ])
    func outcomes(outcome: AttemptOutcome, verb: Settlement.Verb) {
        var machine = makeIdle()
        _ = machine.deliveriesStored([.numbered(1)], othersWait: false, now: .zero)
        let attempt = Attempt(number: 1, startedAt: .zero, finishedAt: .zero, outcome: outcome)
        #expect(
            machine.finish(1, outcome).settle
                == [Settlement(id: .numbered(1), attempt: attempt, verb: verb, at: .zero)])
    }

    @Test("the failure of the last attempt that the schedule allows is a dead letter")
    func lastAttempt() {
        var machine = makeIdle(retry: .init(schedule: [.seconds(1)], jitter: 0))
        let delivery = Delivery.numbered(1, attemptsMade: 1)
        _ = machine.deliveriesStored([delivery], othersWait: false, now: .zero)
        let actions = machine.attemptFinished(
            delivery, .init(.failed(.timeout)), startedAt: .zero, now: .zero, random: 0.5)
        #expect(actions.settle.map(\.verb) == [.deadLetter(.attemptsExhausted(.timeout))])
        #expect(actions.settle.first?.attempt?.number == 2)
    }

    @Test("Retry-After leaves the whole backend alone for that long")
    func retryAfter() {
        var machine = makeIdle()
        _ = machine.deliveriesStored([.numbered(1)], othersWait: false, now: .zero)
        let busy = AttemptResult(.failed(.http(status: 503)), status: 503, retryAfter: .seconds(20))
        let finished = machine.attemptFinished(.numbered(1), busy, startedAt: .zero, now: .zero, random: 0.5)
        #expect(finished.settle.map(\.verb) == [.reschedule(at: .seconds(20))])
        let stored = machine.deliveriesStored([.numbered(2)], othersWait: false, now: .zero)
        #expect(stored.start == [] && stored.wake == .seconds(20))
        #expect(machine.woke(.seconds(20), now: .seconds(20)).start.map(\.id.sequence) == [2])
    }

    @Test("a delivery past its max_age is expired instead of attempted")
    func expires() {
        var machine = makeIdle(maxAge: [.event: .seconds(5)])
        let actions = machine.deliveriesStored([.numbered(1)], othersWait: false, now: .seconds(6))
        #expect(actions.start == [])
        #expect(actions.settle == [Settlement(id: .numbered(1), attempt: nil, verb: .expire, at: .seconds(6))])
    }

    @Test("a delivery as old as its max_age is still attempted")
    func notYetExpired() {
        var machine = makeIdle(maxAge: [.event: .seconds(5)])
        #expect(machine.deliveriesStored([.numbered(1)], othersWait: false, now: .seconds(5)).start.count == 1)
    }

    @Test("one that is replayed is attempted however old it is")
    func replayedLate() {
        var machine = makeIdle(maxAge: [.event: .seconds(5)])
        var delivery = Delivery.numbered(1)
        delivery.replays = 1
        #expect(machine.deliveriesStored([delivery], othersWait: false, now: .seconds(6)).start == [delivery])
    }

    @Test("what is not yet recorded counts against the memory")
    func unsettledCounts() {
        var machine = makeIdle(maxInFlight: 1, maxHeld: 1)
        _ = machine.deliveriesStored([.numbered(1)], othersWait: false, now: .zero)
        _ = machine.finish(1, .accepted)
        #expect(machine.deliveriesStored([.numbered(2)], othersWait: false, now: .zero).release.count == 1)
    }

    @Test("draining gives back what was not started and waits for what was")
    func drains() {
        var machine = makeIdle(maxInFlight: 1)
        _ = machine.deliveriesStored([.numbered(1), .numbered(2)], othersWait: false, now: .zero)
        let drain = machine.drain(now: .zero)
        #expect(drain.release.map(\.sequence) == [2] && !drain.isDrained)
        #expect(!machine.released(now: .zero).isDrained)
        let settle = machine.finish(1, .accepted).settle
        #expect(machine.settled(settle, now: .zero) == Actions(isDrained: true))
    }

    @Test("while draining nothing new is started: it goes back to the queue")
    func drainingRefuses() {
        var machine = makeIdle()
        _ = machine.drain(now: .zero)
        let stored = machine.deliveriesStored([.numbered(1)], othersWait: false, now: .zero)
        #expect(stored.start == [] && stored.release.map(\.sequence) == [1] && !stored.isDrained)
        #expect(machine.released(now: .zero).isDrained)
    }

    @Test("a lease that comes back while draining is given back")
    func drainingWhileLeasing() {
        var machine = makeIdle()
        _ = machine.deliveriesStored([], othersWait: true, now: .zero)
        #expect(!machine.drain(now: .zero).isDrained)
        let leased = machine.leaseFinished(.init(deliveries: [.numbered(1)], nextDue: nil), now: .zero)
        #expect(leased.start == [] && leased.release.map(\.sequence) == [1])
    }
}

extension Timestamp {
    static let zero = Timestamp(nanosecondsSinceEpoch: 0)
    static func seconds(_ seconds: Int) -> Timestamp { zero.advanced(by: .seconds(seconds)) }
    static func milliseconds(_ milliseconds: Int) -> Timestamp { zero.advanced(by: .milliseconds(milliseconds)) }
}

extension DeliveryID {
    static func numbered(_ sequence: Int64) -> DeliveryID { DeliveryID(queue: 1, sequence: sequence) }
}

extension Delivery {
    static func numbered(_ sequence: Int64, size: Int = 2, attemptsMade: Int = 0) -> Delivery {
        Delivery(
            id: .numbered(sequence), backend: "legacy", route: "default", kind: .event,
            payload: Payload(bytes: Array(repeating: UInt8(ascii: " "), count: size)), receivedAt: .zero,
            attemptsMade: attemptsMade)
    }
}

extension DispatchStateMachine {
    /// The first attempt at delivery `sequence` ends at time zero.
    mutating func finish(_ sequence: Int64, _ outcome: AttemptOutcome, status: Int? = nil) -> Actions {
        finish(.numbered(sequence), outcome, status: status)
    }

    mutating func finish(_ delivery: Delivery, _ outcome: AttemptOutcome, status: Int? = nil) -> Actions {
        attemptFinished(delivery, .init(outcome, status: status), startedAt: .zero, now: .zero, random: 0.5)
    }
}

@Suite struct HoldingTests {
    typealias Actions = DispatchStateMachine.Actions

    /// A machine that has looked into an empty queue; its breaker opens after 2 failures and probes after 5 s.
    static func makeIdle(maxInFlight: Int = 2, rateLimit: RateLimit? = nil) -> DispatchStateMachine {
        var machine = DispatchStateMachine(
            .init(
                maxInFlight: maxInFlight, rateLimit: rateLimit,
                circuitBreaker: .init(consecutive: 2, probeAfter: .seconds(5)),
                maxHeld: 8, retry: .init(schedule: [.seconds(1), .seconds(1)], jitter: 0), maxAge: [:],
                longestIdle: .seconds(100_000)))
        _ = machine.started(now: .zero)
        _ = machine.leaseFinished(.init(deliveries: [], nextDue: nil), now: .zero)
        return machine
    }

    /// Two failed attempts have opened the breaker at 0; two more deliveries were in memory.
    static func makeOpen() -> (machine: DispatchStateMachine, last: Actions) {
        var machine = makeIdle()
        _ = machine.deliveriesStored((1...4).map { .numbered($0) }, othersWait: false, now: .zero)
        _ = machine.finish(1, .failed(.timeout))
        let last = machine.finish(2, .failed(.timeout))
        // What it started meanwhile.
        _ = machine.finish(3, .failed(.timeout))
        return (machine, last)
    }

    @Test("an open breaker gives back what was not started, leases nothing, and says so")
    func opens() {
        let (machine, last) = Self.makeOpen()
        #expect(last.breaker == .opened)
        #expect(last.release.map(\.sequence) == [4])
        #expect(last.start == [])
        #expect(last.lease == nil)
        #expect(machine.status.isHeld)
    }

    @Test("what comes while it is open stays in the queue")
    func storesOn() {
        var (machine, _) = Self.makeOpen()
        let actions = machine.deliveriesStored([.numbered(5)], othersWait: false, now: .seconds(1))
        #expect(actions.start == [])
        #expect(actions.release.map(\.sequence) == [5])
    }

    @Test("when its time has come one delivery is leased, and attempted as a probe")
    func probes() {
        var (machine, last) = Self.makeOpen()
        #expect(last.wake == .seconds(5))
        _ = machine.released(now: .zero)
        #expect(machine.woke(.seconds(5), now: .seconds(5)).lease?.count == 1)
        let probe = machine.leaseFinished(
            .init(deliveries: [.numbered(4)], nextDue: .zero), now: .seconds(5))
        #expect(probe.start.map(\.id.sequence) == [4])
        #expect(probe.lease == nil)
    }

    @Test("a probe that fails burns no attempt, lets others go first, and is told as what it was")
    func failedProbe() {
        var (machine, _) = Self.makeOpen()
        _ = machine.woke(.seconds(5), now: .seconds(5))
        _ = machine.leaseFinished(.init(deliveries: [.numbered(4)], nextDue: nil), now: .seconds(5))
        let failed = machine.attemptFinished(
            .numbered(4), AttemptResult(.failed(.timeout)), startedAt: .seconds(5), now: .seconds(6), random: 0.5)
        let probe = Attempt(
            number: 1, isProbe: true, startedAt: .seconds(5), finishedAt: .seconds(6), outcome: .failed(.timeout))
        #expect(failed.settle.map(\.attempt) == [probe])
        #expect(failed.settle.map(\.verb) == [.reschedule(at: .seconds(6))])
        #expect(machine.status.probeDue == .seconds(16))
    }

    @Test(
        "the eleventh probe of one delivery that the backend may have looked at burns an attempt",
        arguments: [
            (.http(status: 500), true), (.timeout, true), (.http(status: 503), false), (.connectionRefused, false),
        ]
            as [(AttemptReason, Bool)])
    func manyProbes(reason: AttemptReason, burns: Bool) {
        var (machine, _) = Self.makeOpen()
        _ = machine.released(now: .zero)
        for number in 1...11 {
            let due = machine.status.probeDue ?? .zero
            #expect(machine.woke(due, now: due).lease?.count == 1)
            _ = machine.leaseFinished(.init(deliveries: [.numbered(4)], nextDue: nil), now: due)
            let failed = machine.attemptFinished(
                .numbered(4), AttemptResult(.failed(reason)), startedAt: due, now: due, random: 0.5)
            let isBurnt = burns && number == 11
            #expect(failed.settle.map(\.attempt?.isProbe) == [!isBurnt])
            #expect(failed.settle.map(\.verb) == [.reschedule(at: isBurnt ? due.advanced(by: .seconds(1)) : due)])
            _ = machine.settled(failed.settle, now: due)
        }
    }

    @Test("a probe whose request could not be made asked nobody: it counts, and waits, as any attempt")
    func probeWithoutRequest() {
        var (machine, _) = Self.makeOpen()
        _ = machine.woke(.seconds(5), now: .seconds(5))
        _ = machine.leaseFinished(.init(deliveries: [.numbered(4)], nextDue: nil), now: .seconds(5))
        let failed = machine.attemptFinished(
            .numbered(4), AttemptResult(.failed(.requestError)), startedAt: .seconds(5), now: .seconds(6), random: 0.5)
        #expect(failed.settle.map(\.attempt?.isProbe) == [false])
        #expect(failed.settle.map(\.verb) == [.reschedule(at: .seconds(7))])
        #expect(machine.status.breaker == .halfOpen)
    }

    @Test("a lease that comes back when the breaker has opened is given back, and made anew for the probe")
    func leasedWhileOpening() {
        var machine = Self.makeIdle()
        _ = machine.deliveriesStored([.numbered(1), .numbered(2)], othersWait: true, now: .zero)
        for number in 1...2 { _ = machine.finish(Int64(number), .failed(.timeout)) }
        let leased = machine.leaseFinished(.init(deliveries: [.numbered(3)], nextDue: nil), now: .zero)
        #expect(leased.start == [] && leased.lease == nil)
        #expect(leased.release.map(\.sequence) == [3])
        _ = machine.released(now: .zero)
        #expect(machine.woke(.seconds(5), now: .seconds(5)).lease?.count == 1)
    }

    @Test("a good probe brings them back, more with each success")
    func recovers() {
        var (machine, _) = Self.makeOpen()
        _ = machine.woke(.seconds(5), now: .seconds(5))
        _ = machine.leaseFinished(.init(deliveries: [.numbered(4)], nextDue: .zero), now: .seconds(5))
        let good = machine.attemptFinished(
            .numbered(4), AttemptResult(.accepted, status: 200), startedAt: .seconds(5), now: .seconds(6), random: 0.5)
        #expect(good.breaker == .closed)
        #expect(good.lease?.count == 4)
        #expect(!machine.status.isHeld)
    }

    @Test("a 400 says that the backend works")
    func rejectedIsNoFailure() {
        var machine = Self.makeIdle()
        _ = machine.deliveriesStored((1...4).map { .numbered($0) }, othersWait: false, now: .zero)
        _ = machine.finish(1, .failed(.timeout))
        _ = machine.finish(2, .rejected(.http(status: 400)))
        #expect(machine.finish(3, .failed(.timeout)).breaker == .none)
    }

    @Test("a 404 does not say that the backend fails, however many come; a timeout after them counts")
    func notFound() {
        var machine = Self.makeIdle()
        for second in 1...20 {
            let result = AttemptResult(.failed(.http(status: 404)), status: 404)
            #expect(machine.answerFinished(result, wasProbe: false, now: .seconds(second)).breaker == .none)
        }
        for _ in 1...2 {
            _ = machine.answerFinished(AttemptResult(.failed(.timeout)), wasProbe: false, now: .seconds(21))
        }
        #expect(machine.status.breaker == .open)
    }

    @Test("a 404 to a probe says that the backend works, and burns an attempt of what it does not know")
    func notFoundProbe() {
        var (machine, _) = Self.makeOpen()
        _ = machine.woke(.seconds(5), now: .seconds(5))
        _ = machine.leaseFinished(.init(deliveries: [.numbered(4)], nextDue: nil), now: .seconds(5))
        let probed = machine.attemptFinished(
            .numbered(4), AttemptResult(.failed(.http(status: 404)), status: 404), startedAt: .seconds(5),
            now: .seconds(6), random: 0.5)
        #expect(probed.breaker == .closed)
        #expect(probed.settle.map(\.attempt?.isProbe) == [false])
        #expect(probed.settle.map(\.verb) == [.reschedule(at: .seconds(7))])
    }

    @Test("a secret that cannot be read says nothing of the backend")
    func requestErrorIsNeutral() {
        var machine = Self.makeIdle()
        _ = machine.deliveriesStored((1...4).map { .numbered($0) }, othersWait: false, now: .zero)
        for number in 1...3 { #expect(machine.finish(Int64(number), .failed(.requestError)).breaker == .none) }
    }

    @Test("no more than the rate allows, and a wake for the next")
    func rate() {
        var machine = Self.makeIdle(maxInFlight: 8, rateLimit: RateLimit(perSecond: 2, burst: 2))
        let actions = machine.deliveriesStored((1...4).map { .numbered($0) }, othersWait: false, now: .zero)
        #expect(actions.start.map(\.id.sequence) == [1, 2])
        #expect(actions.wake.map { Timestamp.zero.duration(to: $0).milliseconds } == 500)
        let next = Timestamp(nanosecondsSinceEpoch: 500_000_001)
        #expect(machine.woke(actions.wake ?? .zero, now: next).start.map(\.id.sequence) == [3])
    }

    @Test("who waits for an answer may ask a backend that works, and one in need of a probe; no other")
    func answers() {
        var machine = Self.makeIdle()
        #expect(machine.askAnswer(.command, now: .zero) == .yes)
        for _ in 0..<2 {
            _ = machine.answerFinished(AttemptResult(.failed(.timeout)), wasProbe: false, now: .zero)
        }
        #expect(machine.askAnswer(.command, now: .seconds(1)) == .no)
        #expect(machine.askAnswer(.command, now: .seconds(5)) == .asProbe)
        #expect(machine.askAnswer(.command, now: .seconds(5)) == .no)
        let good = machine.answerFinished(AttemptResult(.accepted, status: 200), wasProbe: true, now: .seconds(6))
        #expect(good.breaker == .closed)
        #expect(machine.askAnswer(.command, now: .seconds(6)) == .yes)
    }

    @Test("while deliveries have the probes, one person in each wait is let through, whose answer ends it")
    func answersBesides() {
        var (machine, _) = Self.makeOpen()
        _ = machine.released(now: .zero)
        #expect(machine.askAnswer(.command, now: .seconds(1)) == .no)
        _ = machine.woke(.seconds(5), now: .seconds(5))
        _ = machine.leaseFinished(.init(deliveries: [.numbered(4)], nextDue: nil), now: .seconds(5))
        #expect(machine.askAnswer(.event, now: .seconds(5)) == .no)
        #expect(machine.askAnswer(.command, now: .seconds(5)) == .yes)
        #expect(machine.askAnswer(.command, now: .seconds(6)) == .no)
        // One that fails changes nothing.
        _ = machine.answerFinished(AttemptResult(.failed(.timeout)), wasProbe: false, now: .seconds(7))
        #expect(machine.status.breaker == .halfOpen)
        _ = machine.attemptFinished(
            .numbered(4), AttemptResult(.failed(.timeout)), startedAt: .seconds(5), now: .seconds(8), random: 0.5)
        #expect(machine.askAnswer(.command, now: .seconds(9)) == .no)
        #expect(machine.askAnswer(.command, now: .seconds(10)) == .yes)
        let good = machine.answerFinished(AttemptResult(.accepted, status: 200), wasProbe: false, now: .seconds(10))
        #expect(good.breaker == .closed)
    }

    @Test("what opens it again and again does not put off the next person")
    func answersBesidesWhileFlapping() {
        var (machine, _) = Self.makeOpen()
        _ = machine.released(now: .zero)
        #expect(machine.askAnswer(.command, now: .seconds(5)) == .asProbe)
        for second in [6, 9] {
            let good = AttemptResult(.accepted, status: 200)
            #expect(machine.answerFinished(good, wasProbe: second == 6, now: .seconds(second)).breaker == .closed)
            let bad = AttemptResult(.failed(.timeout))
            #expect(machine.answerFinished(bad, wasProbe: false, now: .seconds(second + 1)).breaker == .opened)
        }
        #expect(machine.askAnswer(.command, now: .seconds(10)) == .yes)
        #expect(machine.askAnswer(.command, now: .seconds(11)) == .no)
    }

    @Test("a probe that began before somebody else's answer closed the breaker does not open it again")
    func lateProbe() {
        var (machine, _) = Self.makeOpen()
        _ = machine.released(now: .zero)
        _ = machine.woke(.seconds(5), now: .seconds(5))
        _ = machine.leaseFinished(.init(deliveries: [.numbered(4)], nextDue: nil), now: .seconds(5))
        #expect(machine.askAnswer(.command, now: .seconds(5)) == .yes)
        _ = machine.answerFinished(AttemptResult(.accepted, status: 200), wasProbe: false, now: .seconds(6))
        #expect(machine.finish(4, .failed(.timeout)).breaker == .none)
        #expect(machine.status.breaker == .closed)
    }
}

@Suite struct PauseTests {
    private static func makeIdle() -> DispatchStateMachine { HoldingTests.makeIdle(maxInFlight: 2) }

    @Test("a paused backend gets nothing; what was not started goes back to the queue")
    func pause() {
        var machine = Self.makeIdle()
        _ = machine.deliveriesStored((1...4).map { .numbered($0) }, othersWait: false, now: .zero)
        #expect(machine.paused(now: .zero).release.map(\.sequence) == [3, 4])
        #expect(machine.finish(1, .accepted).start == [])
        #expect(machine.status.isHeld)
        #expect(machine.status.word == "paused")
    }

    @Test("what is stored while it is paused stays in the queue, and nothing is leased")
    func storesOn() {
        var machine = Self.makeIdle()
        _ = machine.paused(now: .zero)
        let stored = machine.deliveriesStored([.numbered(1)], othersWait: false, now: .zero)
        #expect(stored.release.map(\.sequence) == [1])
        #expect(machine.released(now: .zero).lease == nil)
    }

    @Test("a lease that comes back while it is paused is given back, and made anew when it is resumed")
    func leasedWhilePausing() {
        var machine = Self.makeIdle()
        _ = machine.deliveriesStored([], othersWait: true, now: .zero)
        _ = machine.paused(now: .zero)
        let leased = machine.leaseFinished(.init(deliveries: [.numbered(1)], nextDue: nil), now: .zero)
        #expect(leased.start == [] && leased.lease == nil)
        #expect(leased.release.map(\.sequence) == [1])
        _ = machine.released(now: .zero)
        #expect(machine.resumed(now: .zero).lease != nil)
    }

    @Test("one that was paused before the start does not look into the queue")
    func pausedAtStart() {
        var machine = DispatchStateMachine(.init())
        #expect(machine.paused(now: .zero).lease == nil)
        #expect(machine.started(now: .zero).lease == nil)
    }

    @Test("resumed, it looks into the queue at once")
    func resume() {
        var machine = Self.makeIdle()
        _ = machine.paused(now: .zero)
        #expect(machine.resumed(now: .seconds(1)).lease != nil)
        #expect(machine.status.word == "closed")
    }

    @Test("resumed while its breaker is open, paused or not, it makes a probe at once", arguments: [true, false])
    func resumeProbes(wasPaused: Bool) {
        var (machine, _) = HoldingTests.makeOpen()
        _ = machine.released(now: .zero)
        if wasPaused { _ = machine.paused(now: .zero) }
        #expect(machine.resumed(now: .seconds(1)).lease?.count == 1)
        let probe = machine.leaseFinished(.init(deliveries: [.numbered(4)], nextDue: nil), now: .seconds(1))
        #expect(probe.start.map(\.id.sequence) == [4])
        #expect(machine.status.word == "half_open")
    }

    @Test("resumed when the probe has failed, it is tried with the same delivery, where no other waits")
    func resumeAgain() {
        var (machine, _) = HoldingTests.makeOpen()
        _ = machine.released(now: .zero)
        _ = machine.resumed(now: .seconds(1))
        _ = machine.leaseFinished(.init(deliveries: [.numbered(4)], nextDue: nil), now: .seconds(1))
        let failed = machine.finish(4, .failed(.timeout))
        #expect(failed.settle.map(\.verb) == [.reschedule(at: .zero)])
        _ = machine.settled(failed.settle, now: .seconds(2))
        #expect(machine.resumed(now: .seconds(3)).lease?.count == 1)
    }

    @Test("resumed, it is not left alone any longer because it asked for it")
    func resumeEndsRetryAfter() {
        var machine = Self.makeIdle()
        _ = machine.deliveriesStored([.numbered(1)], othersWait: false, now: .zero)
        let busy = AttemptResult(.failed(.http(status: 503)), status: 503, retryAfter: .seconds(60))
        _ = machine.attemptFinished(.numbered(1), busy, startedAt: .zero, now: .zero, random: 0.5)
        #expect(machine.deliveriesStored([.numbered(2)], othersWait: false, now: .zero).start == [])
        #expect(machine.resumed(now: .seconds(1)).start.map(\.id.sequence) == [2])
    }

    @Test("nobody's answer is asked for while it is paused")
    func answers() {
        var machine = Self.makeIdle()
        _ = machine.paused(now: .zero)
        #expect(machine.askAnswer(.command, now: .zero) == .no)
        _ = machine.resumed(now: .zero)
        #expect(machine.askAnswer(.command, now: .zero) == .yes)
    }

    @Test("a 410 is a dead letter, and pauses the backend, told once")
    func gone() {
        var machine = Self.makeIdle()
        _ = machine.deliveriesStored((1...3).map { .numbered($0) }, othersWait: false, now: .zero)
        let first = machine.finish(1, .rejected(.http(status: 410)), status: 410)
        #expect(first.isGone)
        #expect(first.settle.map(\.verb) == [.deadLetter(.rejected(.http(status: 410)))])
        #expect(first.start == [])
        #expect(first.release.map(\.sequence) == [3])
        #expect(!machine.finish(2, .rejected(.http(status: 410)), status: 410).isGone)
    }

    @Test("a 410 to an answer pauses it, too")
    func answerGone() {
        var machine = Self.makeIdle()
        let result = AttemptResult(.rejected(.http(status: 410)), status: 410)
        #expect(machine.answerFinished(result, wasProbe: false, now: .zero).isGone)
        #expect(machine.askAnswer(.command, now: .zero) == .no)
    }
}

@Suite struct OrderTests {
    private static func makeIdle(retries: Int = 1) -> DispatchStateMachine {
        let schedule = Array(repeating: Duration.seconds(60), count: retries)
        var machine = DispatchStateMachine(
            .init(retry: RetryPolicy(schedule: schedule, jitter: 0), orderBlockMax: .seconds(100)))
        _ = machine.started(now: .zero)
        _ = machine.leaseFinished(.init(deliveries: [], nextDue: nil), now: .zero)
        return machine
    }

    private static func ordered(attemptsMade: Int = 0, firstAttemptAt: Timestamp? = nil) -> Delivery {
        var delivery = Delivery.numbered(1)
        delivery.orderKey = "channel:C1"
        delivery.attemptsMade = attemptsMade
        delivery.firstAttemptAt = firstAttemptAt
        return delivery
    }

    /// What is decided when the delivery fails.
    private static func verdict(_ delivery: Delivery, at now: Timestamp) -> Settlement.Verb? {
        var machine = makeIdle()
        _ = machine.deliveriesStored([delivery], othersWait: false, now: now)
        return machine.attemptFinished(
            delivery, AttemptResult(.failed(.timeout)), startedAt: now, now: now, random: 0.5
        ).settle.first?.verb
    }

    @Test("when one of a key is settled for good, the queue is looked into for the next")
    func nextOfKey() {
        var machine = Self.makeIdle()
        let delivery = Self.ordered()
        _ = machine.deliveriesStored([delivery], othersWait: false, now: .zero)
        let settle = machine.finish(delivery, .accepted).settle
        #expect(machine.settled(settle, now: .zero).lease != nil)
    }

    @Test("an unordered one leaves the queue alone")
    func unordered() {
        var machine = Self.makeIdle()
        _ = machine.deliveriesStored([.numbered(1)], othersWait: false, now: .zero)
        #expect(machine.settled(machine.finish(1, .accepted).settle, now: .zero).lease == nil)
    }

    @Test("a failing one is tried again on the schedule")
    func schedule() {
        #expect(Self.verdict(Self.ordered(), at: .seconds(10)) == .reschedule(at: .seconds(70)))
    }

    @Test("however long ago the process started")
    func firstFailure() {
        var machine = Self.makeIdle(retries: 3)
        let delivery = Self.ordered()
        _ = machine.deliveriesStored([delivery], othersWait: false, now: .seconds(5_000))
        let failed = machine.attemptFinished(
            delivery, AttemptResult(.failed(.timeout)), startedAt: .seconds(5_000), now: .seconds(5_001), random: 0.5)
        #expect(failed.settle.map(\.verb) == [.reschedule(at: .seconds(5_061))])
    }

    @Test("its last attempt is no later than order_block_max after its first")
    func lastAttempt() {
        let delivery = Self.ordered(firstAttemptAt: .seconds(10))
        #expect(Self.verdict(delivery, at: .seconds(70)) == .reschedule(at: .seconds(110)))
    }

    @Test("then it is a dead letter, although the schedule would go on")
    func blocked() {
        let delivery = Self.ordered(firstAttemptAt: .seconds(10))
        #expect(Self.verdict(delivery, at: .seconds(110)) == .deadLetter(.orderBlocked(.timeout)))
    }

    @Test("the time in which its backend was left alone does not count")
    func heldMeanwhile() {
        let delivery = Self.ordered(attemptsMade: 1, firstAttemptAt: .seconds(10))
        var machine = Self.makeIdle(retries: 3)
        _ = machine.paused(now: .seconds(20))
        _ = machine.resumed(now: .seconds(2_000))
        _ = machine.leaseFinished(.init(deliveries: [delivery], nextDue: nil), now: .seconds(2_000))
        let failed = machine.attemptFinished(
            delivery, AttemptResult(.failed(.timeout)), startedAt: .seconds(2_000), now: .seconds(2_001), random: 0.5)
        #expect(failed.settle.map(\.verb) == [.reschedule(at: .seconds(2_061))])
    }

    @Test(
        "nor does a long time for which its breaker was open; a short one does",
        arguments: [(50, .reschedule(at: .seconds(170))), (49, .deadLetter(.orderBlocked(.timeout)))]
            as [(Int, Settlement.Verb)])
    func breakerOpen(seconds: Int, verb: Settlement.Verb) {
        var machine = Self.makeIdle(retries: 3)
        let bad = AttemptResult(.failed(.timeout))
        for _ in 1...10 { _ = machine.answerFinished(bad, wasProbe: false, now: .seconds(20)) }
        let good = AttemptResult(.accepted, status: 200)
        #expect(machine.answerFinished(good, wasProbe: false, now: .seconds(20 + seconds)).breaker == .closed)
        let delivery = Self.ordered(attemptsMade: 1, firstAttemptAt: .seconds(10))
        _ = machine.leaseFinished(.init(deliveries: [delivery], nextDue: nil), now: .seconds(110))
        let failed = machine.attemptFinished(
            delivery, bad, startedAt: .seconds(110), now: .seconds(111), random: 0.5)
        #expect(failed.settle.map(\.verb) == [verb])
    }

    @Test(
        "nor does a long time for which it asked with Retry-After; a short one does",
        arguments: [(200, .reschedule(at: .seconds(310))), (49, .deadLetter(.orderBlocked(.http(status: 503))))]
            as [(Int, Settlement.Verb)])
    func askedToBeLeftAlone(seconds: Int, verb: Settlement.Verb) {
        var machine = Self.makeIdle(retries: 3)
        let delivery = Self.ordered()
        _ = machine.deliveriesStored([delivery], othersWait: false, now: .seconds(10))
        let busy = AttemptResult(.failed(.http(status: 503)), status: 503, retryAfter: .seconds(seconds))
        let first = machine.attemptFinished(delivery, busy, startedAt: .seconds(10), now: .seconds(10), random: 0.5)
        _ = machine.settled(first.settle, now: .seconds(10))
        _ = machine.woke(.seconds(59), now: .seconds(59))
        let again = Self.ordered(attemptsMade: 1, firstAttemptAt: .seconds(10))
        _ = machine.leaseFinished(.init(deliveries: [again], nextDue: nil), now: .seconds(110))
        let now = max(Timestamp.seconds(110), .seconds(10 + seconds))
        _ = machine.woke(now, now: now)
        let second = machine.attemptFinished(again, busy, startedAt: now, now: now, random: 0.5)
        #expect(second.settle.map(\.verb) == [verb])
    }
}
