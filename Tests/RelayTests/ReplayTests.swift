// Replays: which one goes on, how fast, and over restarts.

import Logging
import Relay
import RelayCore
import RelayTestKit
import Synchronization
import Testing

@Suite("ReplayPacer")
struct ReplayPacerTests {
    private static func replay(
        _ id: Replay.ID, perSecond: Double? = nil, replayed: Int = 0, state: Replay.State = .running
    ) -> Replay {
        Replay(
            id: id, request: ReplayRequest(filter: DeliveryFilter(), perSecond: perSecond), state: state,
            createdAt: .zero, matched: 1_000, replayed: replayed)
    }

    private static func at(_ milliseconds: Int) -> Timestamp {
        Timestamp.zero.advanced(by: .milliseconds(milliseconds))
    }

    @Test("without replays there is nothing to wait for")
    func none() {
        var pacer = ReplayPacer()
        #expect(pacer.next(now: .zero) == .wait(until: nil))
        pacer.found([Self.replay(1, state: .done), Self.replay(2, state: .canceled)], now: .zero)
        #expect(pacer.next(now: .zero) == .wait(until: nil))
    }

    @Test("what cannot be read is left alone, and holds up nobody")
    func unreadable() {
        var pacer = ReplayPacer()
        var unreadable = Self.replay(1)
        unreadable.request.filter = nil
        pacer.found([unreadable], now: .zero)
        #expect(pacer.next(now: .zero) == .wait(until: nil))
        pacer.found([unreadable, Self.replay(2)], now: .zero)
        #expect(pacer.next(now: .zero) == .advance(2, limit: ReplayPacer.maxStep))
    }

    @Test("without a rate it goes in steps, with room between them")
    func steps() {
        var pacer = ReplayPacer()
        pacer.found([Self.replay(1)], now: .zero)
        #expect(pacer.next(now: .zero) == .advance(1, limit: ReplayPacer.maxStep))
        pacer.advanced(1, Self.replay(1, replayed: 100), now: Self.at(5))
        #expect(pacer.next(now: Self.at(5)) == .wait(until: Self.at(15)))
        #expect(pacer.next(now: Self.at(15)) == .advance(1, limit: ReplayPacer.maxStep))
    }

    @Test("with a rate it takes no more than that")
    func rate() {
        var pacer = ReplayPacer()
        pacer.found([Self.replay(1, perSecond: 20)], now: .zero)
        var (now, replayed) = (Timestamp.zero, 0)
        while now < Self.at(10_000) {
            switch pacer.next(now: now) {
            case .advance(_, let limit):
                replayed += limit
                pacer.advanced(1, Self.replay(1, perSecond: 20, replayed: replayed), now: now)
            case .wait(let until):
                now = until ?? Self.at(10_000)
            }
        }
        #expect((200...203).contains(replayed))
    }

    @Test("what a step was allowed and did not use, the next one has, at once")
    func credit() {
        var pacer = ReplayPacer()
        pacer.found([Self.replay(1, perSecond: 1)], now: .zero)
        #expect(pacer.next(now: .zero) == .advance(1, limit: 1))
        pacer.advanced(1, Self.replay(1, perSecond: 1, replayed: 0), now: .zero)
        #expect(pacer.next(now: .zero) == .advance(1, limit: 1))
        pacer.advanced(1, Self.replay(1, perSecond: 1, replayed: 1), now: .zero)
        guard case .wait(let until?) = pacer.next(now: .zero) else { return #expect(Bool(false)) }
        #expect(until > Self.at(999) && until < Self.at(1_001))
    }

    @Test("several take turns, and one that is over goes")
    func turns() {
        var pacer = ReplayPacer()
        pacer.found([Self.replay(2), Self.replay(1)], now: .zero)
        #expect(pacer.next(now: .zero) == .advance(1, limit: 100))
        #expect(pacer.next(now: .zero) == .advance(2, limit: 100))
        pacer.advanced(1, Self.replay(1, state: .done), now: .zero)
        pacer.advanced(2, nil, now: .zero)
        #expect(pacer.next(now: Self.at(1_000)) == .wait(until: nil))
    }

    @Test("a store that does not work is asked again later; only the first failure in a row is new")
    func failure() {
        var pacer = ReplayPacer()
        pacer.found([Self.replay(1)], now: .zero)
        _ = pacer.next(now: .zero)
        #expect(pacer.failed(1, retryAfter: .zero, now: .zero) == true)
        pacer.advanced(1, Self.replay(1, replayed: 1), now: .zero)
        #expect(pacer.failed(1, retryAfter: .zero, now: .zero) == true)
        #expect(pacer.failed(1, retryAfter: .seconds(1), now: .zero) == false)
        #expect(pacer.next(now: .zero) == .wait(until: Self.at(1_000)))
        #expect(pacer.next(now: Self.at(1_000)) == .advance(1, limit: 100))
    }

    @Test("a clock that is set back holds up none")
    func clockSetBack() {
        var pacer = ReplayPacer()
        pacer.found([Self.replay(1)], now: Self.at(1_000_000))
        _ = pacer.next(now: Self.at(1_000_000))
        pacer.advanced(1, Self.replay(1, replayed: 100), now: Self.at(1_000_000))
        #expect(pacer.next(now: .zero) == .advance(1, limit: 100))
    }
}

@Suite("ReplayService")
struct ReplayServiceTests {
    private static func deadLetters(_ count: Int) async throws -> MemoryQueue {
        let queue = MemoryQueue(limits: QueueLimits(), queueID: 1)
        for number in 1...count {
            let envelope = Envelope(id: "e\(number)", kind: .event, payload: Payload("{}"), receivedAt: .zero)
            let stored = try await queue.enqueue([
                EnqueueRequest(envelope: envelope, targets: [.init(backend: "app", route: "all")])
            ])
            guard case .stored(let leased, _)? = stored.first, let delivery = leased.first else { continue }
            try await queue.settle([
                Settlement(
                    id: delivery.id,
                    attempt: Attempt(
                        number: 1, startedAt: .zero, finishedAt: .zero, outcome: .rejected(.http(status: 400))),
                    verb: .deadLetter(.rejected(.http(status: 400))), at: .zero)
            ])
        }
        return queue
    }

    @Test("every dead letter is made due once, at the rate, and the dispatchers are told")
    func rate() async throws {
        let queue = try await Self.deadLetters(25)
        let replay = try await queue.createReplay(ReplayRequest(filter: .init(), perSecond: 10), now: .zero)
        let clock = VirtualClock(now: .zero)
        let told = Counted()
        told.run(queue, clock)
        #expect(try await queue.replay(replay.id)?.state == .done)
        #expect(try await queue.replay(replay.id)?.replayed == 25)
        #expect(clock.now >= Timestamp.zero.advanced(by: .milliseconds(2_300)))
        #expect(clock.now <= Timestamp.zero.advanced(by: .milliseconds(2_700)))
        #expect(told.count == 25)
        #expect(
            try await queue.lease("app", LeaseBounds(count: 100, bytes: 1 << 20), now: clock.now).deliveries.count == 25
        )
    }

    @Test("what a process left over, the next one goes on with, each delivery once")
    func restart() async throws {
        let queue = try await Self.deadLetters(25)
        let replay = try await queue.createReplay(ReplayRequest(filter: .init(), perSecond: 10), now: .zero)
        let clock = VirtualClock(now: .zero)
        let told = Counted()
        told.run(queue, clock, until: .seconds(1))
        let before = try await queue.replay(replay.id)
        #expect(before?.state == .running && (9...12).contains(before?.replayed ?? 0))
        told.run(queue, clock)
        #expect(try await queue.replay(replay.id)?.state == .done)
        #expect(told.count == 25)
    }

    @Test("changes while it waits add no timers")
    func timers() async throws {
        let queue = try await Self.deadLetters(2)
        _ = try await queue.createReplay(ReplayRequest(filter: .init(), perSecond: 0.01), now: .zero)
        let clock = CountingClock()
        let executor = SeededExecutor(random: SeededRandom(seed: 1))
        let service = ReplayService(archive: queue, clock: clock, logger: .silent) { _ in }
        let main = Task(executorPreference: executor) { try await service.run() }
        for _ in 0..<100 {
            executor.runUntilIdle()
            service.replaysChanged()
        }
        executor.runUntilIdle()
        #expect(clock.sleeps == 1)
        main.cancel()
        executor.runUntilIdle()
    }
}

/// Stands still, and counts who waits for it.
private final class CountingClock: RelayClock {
    private let clock = VirtualClock(now: .zero)
    private let count = Mutex(0)

    var sleeps: Int { count.withLock { $0 } }
    var now: Timestamp { clock.now }
    var minimumResolution: Duration { clock.minimumResolution }

    func sleep(until deadline: Timestamp, tolerance: Duration?) async throws {
        count.withLock { $0 += 1 }
        try await clock.sleep(until: deadline, tolerance: tolerance)
    }
}

/// Runs the service on virtual time, and counts what the dispatchers are told.
private final class Counted: Sendable {
    private let told = Mutex(0)

    var count: Int { told.withLock { $0 } }

    /// Until nothing happens any more, or until `end`.
    func run(_ queue: MemoryQueue, _ clock: VirtualClock, until end: Duration = .seconds(3_600)) {
        let executor = SeededExecutor(random: SeededRandom(seed: 1))
        let main = Task(executorPreference: executor) {
            try await ReplayService(archive: queue, clock: clock, logger: .silent) { backends in
                self.told.withLock { $0 += backends.count }
            }.run()
        }
        repeat {
            executor.runUntilIdle()
            if Timestamp.zero.duration(to: clock.now) >= end { break }
        } while clock.advance()
        main.cancel()
        executor.runUntilIdle()
    }
}
