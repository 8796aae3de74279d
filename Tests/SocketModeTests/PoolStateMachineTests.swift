// Facts about the pool of one app.

import RelayCore
import SocketMode
import Testing

@Suite struct PoolStateMachineTests {
    typealias Action = PoolStateMachine.Action

    // MARK: The first connections

    @Test("F38: the first attempt waits a random part of start_jitter")
    func startJitter() {
        let pool = PoolHarness()
        #expect(pool.send(.started) == [])
        #expect(pool.wait(for: .pause) == .milliseconds(2500))
        #expect(pool.fire(.pause) == [.open(ConnectionID(1), slot: 0)])
    }

    @Test("nothing is opened before the start, and one start is enough")
    func start() {
        let pool = PoolHarness()
        #expect(pool.send(.refreshWanted) == [])
        pool.send(.started)
        pool.fire(.pause)
        #expect(pool.send(.started) == [])
    }

    @Test("F36: a URL is dialed at once, and each attempt asks for its own")
    func freshURL() {
        let pool = PoolHarness.connected(1)
        pool.end(1, .reset)
        #expect(pool.fire(.pause) == [.open(ConnectionID(2), slot: 0)])
        #expect(pool.send(.opened(ConnectionID(2), url: Secret("b"))) == [.dial(ConnectionID(2), url: Secret("b"))])
        #expect(pool.send(.opened(ConnectionID(2), url: Secret("c"))) == [])
    }

    @Test("slots are filled one after the other: the second attempt begins at the first hello")
    func oneAtATime() {
        let pool = PoolHarness()
        pool.send(.started)
        pool.fire(.pause)
        #expect(pool.send(.opened(ConnectionID(1), url: Secret("a"))) == [.dial(ConnectionID(1), url: Secret("a"))])
        #expect(pool.send(.upgraded(ConnectionID(1))) == [])
        #expect(pool.states == [.awaitingHello, .idle])
        #expect(pool.send(.connected(ConnectionID(1), SlackMessage.Hello())) == [.open(ConnectionID(2), slot: 1)])
    }

    // MARK: Failures

    @Test("F1: each failure gives one attempt, whatever it is", arguments: passingFailures)
    func oneAttemptPerFailure(outcome: ConnectOutcome) {
        let pool = PoolHarness()
        pool.send(.started)
        pool.fire(.pause)
        #expect(pool.fail(1, outcome) == [])
        #expect(pool.fail(1, outcome) == [])
        #expect(pool.send(.closed(ConnectionID(1), .reset)) == [])
        #expect(pool.timers.count == 1)
        #expect(pool.fire(.pause) == [.open(ConnectionID(2), slot: 0)])
    }

    @Test("F3, F51: 100 failures in a row wait 1, 2, 4 … 60 s at most, halved by the middle of the jitter")
    func hundredFailures() {
        let pool = PoolHarness()
        pool.send(.started)
        var waits: [Duration] = []
        for number in 1...100 {
            pool.fire(.pause)
            _ = pool.fail(UInt64(number))
            waits.append(pool.wait(for: .pause) ?? .zero)
        }
        #expect(waits.prefix(7) == [.milliseconds(500)] + [1, 2, 4, 8, 16, 30].map { .seconds($0) }[...])
        #expect(waits[6...].allSatisfy { $0 == .seconds(30) })
    }

    @Test("F2: opened, upgraded and even hello do not reset the backoff; hello and the stable time do")
    func reset() {
        let pool = PoolHarness(.init(connections: 1))
        pool.send(.started)
        for number in UInt64(1)...3 {
            pool.fire(.pause)
            _ = pool.fail(number)
        }
        pool.fire(.pause)
        pool.connect(4)
        pool.end(4, .reset)
        #expect(pool.wait(for: .pause) == .seconds(4))
        pool.fire(.pause)
        pool.connect(5)
        #expect(pool.wait(for: .stable(ConnectionID(5))) == .seconds(120))
        pool.fire(.stable(ConnectionID(5)))
        pool.end(5, .reset)
        #expect(pool.wait(for: .pause) == .milliseconds(500))
    }

    @Test("one old connection that holds does not reset the backoff while another slot fails")
    func noResetWhileFailing() {
        let pool = PoolHarness()
        pool.send(.started)
        pool.fire(.pause)
        pool.connect(1)
        for number in UInt64(2)...5 {
            _ = pool.fail(number)
            pool.fire(.pause)
        }
        pool.fire(.stable(ConnectionID(1)))
        _ = pool.fail(6)
        #expect(pool.wait(for: .pause) == .seconds(8))
    }

    @Test("Retry-After is the lower bound of the wait, up to an hour")
    func retryAfter() {
        let pool = PoolHarness()
        pool.send(.started)
        pool.fire(.pause)
        _ = pool.fail(1, .rateLimited, retryAfter: .seconds(17))
        #expect(pool.wait(for: .pause) == .seconds(17))
        pool.fire(.pause)
        _ = pool.fail(2, .rateLimited, retryAfter: .seconds(1_000_000))
        #expect(pool.wait(for: .pause) == .seconds(3600))
    }

    @Test("connections that end together are one failure")
    func endTogether() {
        let pool = PoolHarness.connected(2)
        pool.end(1, .reset)
        pool.end(2, .reset)
        #expect(pool.wait(for: .pause) == .milliseconds(500))
        pool.fire(.pause)
        _ = pool.fail(3)
        #expect(pool.wait(for: .pause) == .seconds(1))
    }

    @Test("a connection that ends during another attempt makes the next attempt wait")
    func endDuringAttempt() {
        let pool = PoolHarness.connected(2)
        pool.end(1, .reset)
        pool.fire(.pause)
        pool.end(2, .reset)
        #expect(pool.connect(3) == [])
        #expect(pool.fire(.pause) == [.open(ConnectionID(4), slot: 1)])
    }

    @Test("F32: too_many_websockets waits minutes, growing to 5")
    func tooMany() {
        let pool = PoolHarness(.init(connections: 1))
        pool.send(.started)
        var waits: [Duration] = []
        for number in UInt64(1)...4 {
            pool.fire(number == 1 ? .pause : .room)
            pool.send(.opened(ConnectionID(number), url: Secret("a")))
            pool.send(.upgraded(ConnectionID(number)))
            #expect(pool.end(number, .tooManyWebSockets) == [])
            waits.append(pool.wait(for: .room) ?? .zero)
        }
        #expect(waits == [90, 150, 180, 180].map { .seconds($0) })
    }

    @Test(
        "F35: what waiting does not cure is tried again each 5 minutes, and is said until a hello",
        arguments: [ConnectOutcome.apiFatal, .linkDisabled])
    func fatal(outcome: ConnectOutcome) {
        let pool = PoolHarness(.init(connections: 1))
        pool.send(.started)
        pool.fire(.pause)
        _ = pool.fail(1, outcome)
        #expect(pool.wait(for: .pause) == .seconds(300))
        #expect(pool.fatal == "test")
        #expect(pool.notices.last == .pausing(.fatal, .seconds(300)))
        pool.fire(.pause)
        #expect(pool.fatal == "test")
        pool.connect(2)
        #expect(pool.fatal == nil)
    }

    @Test("link_disabled on a connection is fatal")
    func linkDisabled() {
        let pool = PoolHarness.connected(1)
        #expect(pool.end(1, .linkDisabled) == [])
        #expect(pool.wait(for: .pause) == .seconds(300))
        #expect(pool.fatal != nil)
    }

    @Test("a shorter wait never replaces a longer one")
    func longerWaitStays() {
        let pool = PoolHarness.connected(2)
        pool.end(1, .linkDisabled)
        pool.end(2, .reset)
        #expect(pool.wait(for: .pause) == .seconds(300))
    }

    // MARK: Refresh

    @Test("F33: a refresh dials at once, and retires the old connection at the new one's hello")
    func refresh() {
        let pool = PoolHarness.connected(2)
        #expect(pool.send(.refreshAsked(ConnectionID(1))) == [.open(ConnectionID(3), slot: 0)])
        pool.send(.opened(ConnectionID(3), url: Secret("a")))
        pool.send(.upgraded(ConnectionID(3)))
        #expect(pool.states == [.connected, .awaitingHello, .connected])
        #expect(pool.send(.connected(ConnectionID(3), SlackMessage.Hello())) == [.retire(ConnectionID(1))])
        #expect(pool.states == [.retiring, .connected, .connected])
        #expect(pool.end(1, .refreshed) == [])
        #expect(pool.states == [.connected, .connected])
    }

    @Test("warning and then refresh_requested are one refresh")
    func refreshTwice() {
        let pool = PoolHarness.connected(1)
        #expect(pool.send(.refreshAsked(ConnectionID(1))).count == 1)
        #expect(pool.send(.refreshAsked(ConnectionID(1))) == [])
        #expect(pool.connect(2) == [.retire(ConnectionID(1))])
        #expect(pool.send(.refreshAsked(ConnectionID(1))) == [])
    }

    @Test("a connection that Slack closes after it asked for a refresh is not a failure")
    func refreshThenClosed() {
        let pool = PoolHarness.connected(1)
        pool.send(.refreshAsked(ConnectionID(1)))
        #expect(pool.end(1, .closedBySlack) == [])
        #expect(pool.wait(for: .pause) == nil)
        #expect(pool.connect(2) == [])
        #expect(pool.states == [.connected])
    }

    @Test("both connections asked to be refreshed: one after the other")
    func refreshBoth() {
        let pool = PoolHarness.connected(2)
        #expect(pool.send(.refreshAsked(ConnectionID(1))) == [.open(ConnectionID(3), slot: 0)])
        #expect(pool.send(.refreshAsked(ConnectionID(2))) == [])
        #expect(pool.connect(3) == [.retire(ConnectionID(1)), .open(ConnectionID(4), slot: 1)])
    }

    @Test("at 90 % of the announced lifetime a connection is replaced unasked")
    func lifetime() {
        let pool = PoolHarness(.init(connections: 1))
        pool.send(.started)
        pool.fire(.pause)
        pool.connect(1, lifetime: .seconds(18060))
        #expect(pool.wait(for: .lifetime(ConnectionID(1))) == .seconds(16254))
        #expect(pool.fire(.lifetime(ConnectionID(1))) == [.open(ConnectionID(2), slot: 0)])
    }

    @Test("lifetimes that make no sense are not believed", arguments: [Int64.min, -1, 0, 19])
    func senselessLifetime(seconds: Int64) {
        let pool = PoolHarness(.init(connections: 1))
        pool.send(.started)
        pool.fire(.pause)
        pool.connect(1, lifetime: .seconds(seconds))
        #expect(pool.wait(for: .lifetime(ConnectionID(1))) == nil)
    }

    @Test("a lifetime of ages is taken for a week")
    func endlessLifetime() {
        let pool = PoolHarness(.init(connections: 1))
        pool.send(.started)
        pool.fire(.pause)
        pool.connect(1, lifetime: .seconds(Int64.max))
        #expect(pool.wait(for: .lifetime(ConnectionID(1))) == .seconds(7 * 24 * 3600).scaled(by: 0.9))
    }

    @Test("F8: a third connection of a slot waits until the first has gone")
    func twoPerSlot() {
        let pool = PoolHarness.connected(1)
        pool.send(.refreshAsked(ConnectionID(1)))
        pool.connect(2)
        #expect(pool.send(.refreshAsked(ConnectionID(2))) == [.close(ConnectionID(1), .refreshed)])
        #expect(pool.send(.closing(ConnectionID(1), .refreshed)) == [])
        #expect(pool.send(.closed(ConnectionID(1), .refreshed)) == [.open(ConnectionID(3), slot: 0)])
    }

    @Test("at Slack's cap the old connection goes first")
    func breakBeforeMake() {
        let pool = PoolHarness.connected(2) { $0 + 8 }
        #expect(pool.send(.refreshAsked(ConnectionID(1))) == [.retire(ConnectionID(1))])
        #expect(pool.send(.refreshAsked(ConnectionID(2))) == [])
        #expect(pool.send(.closing(ConnectionID(1), .refreshed)) == [])
        #expect(pool.send(.closed(ConnectionID(1), .refreshed)) == [.open(ConnectionID(3), slot: 0)])
    }

    @Test("F6: with ten counted and none of ours leaving, nothing is dialed for minutes")
    func neverTheEleventh() {
        let pool = PoolHarness()
        pool.send(.started)
        pool.fire(.pause)
        #expect(pool.connect(1, reported: 10) == [])
        #expect(pool.wait(for: .room) == .seconds(90))
        #expect(pool.notices.last == .pausing(.capacity, .seconds(90)))
        #expect(pool.states == [.connected, .backingOff])
        #expect(pool.fire(.room) == [.open(ConnectionID(2), slot: 1)])
    }

    @Test("room that one of ours makes ends the wait for room")
    func roomMade() {
        let pool = PoolHarness()
        pool.send(.started)
        pool.fire(.pause)
        pool.connect(1, reported: 10)
        pool.send(.refreshAsked(ConnectionID(1)))
        #expect(pool.end(1, .closedBySlack) == [.open(ConnectionID(2), slot: 0)])
    }

    @Test("a dead connection makes no room: Slack may count it for hours")
    func ghostMakesNoRoom() {
        let pool = PoolHarness.connected(2) { $0 + 8 }
        pool.end(1, .dead)
        #expect(pool.reported == 10)
        #expect(pool.fire(.pause) == [])
        #expect(pool.wait(for: .room) == .seconds(90))
    }

    @Test("F2: room that an end unasked makes does not end the wait for that end", arguments: [EndReason.reset, .dead])
    func roomAndBackoff(reason: EndReason) {
        let pool = PoolHarness()
        pool.send(.started)
        pool.fire(.pause)
        pool.connect(1, reported: 10)
        #expect(pool.end(1, reason) == [])
        #expect(pool.wait(for: .pause) == .milliseconds(500))
    }

    @Test("F32: one that is closed as one too many after its hello makes no room", arguments: 1...2)
    func tooManyAfterHello(connections: Int) {
        let pool = PoolHarness.connected(connections) { $0 + 10 - connections }
        #expect(pool.end(1, .tooManyWebSockets) == [])
        #expect(pool.reported == 10)
        #expect(pool.wait(for: .room) == .seconds(90))
        #expect(pool.fire(.room) == [.open(ConnectionID(UInt64(connections) + 1), slot: 0)])
    }

    @Test("at the cap, too, early refreshes wait after a hundred")
    func refreshStormAtTheCap() {
        let pool = PoolHarness.connected(2) { $0 + 8 }
        for number in UInt64(3)...102 {
            pool.send(.refreshAsked(ConnectionID(number == 3 ? 1 : number - 1)))
            #expect(pool.end(number == 3 ? 1 : number - 1, .closedBySlack) == [.open(ConnectionID(number), slot: 0)])
            pool.connect(number, reported: 10)
        }
        pool.send(.refreshAsked(ConnectionID(102)))
        #expect(pool.end(102, .closedBySlack) == [])
        #expect(pool.wait(for: .pause) == .milliseconds(500))
    }

    @Test("a refresh that Slack had no room for is made again with the old connection going first")
    func refusedRefresh() {
        let pool = PoolHarness.connected(1) { _ in 9 }
        #expect(pool.send(.refreshAsked(ConnectionID(1))) == [.open(ConnectionID(2), slot: 0)])
        #expect(pool.fail(2, .tooManyWebSockets) == [])
        #expect(pool.fire(.room) == [.retire(ConnectionID(1))])
        #expect(pool.end(1, .refreshed) == [.open(ConnectionID(3), slot: 0)])
    }

    @Test("refreshes that Slack asks for over and over do not wait a hundred times, then they do")
    func refreshStorm() {
        let pool = PoolHarness.connected(1)
        var unpaused = 0
        for number in UInt64(1)...150 {
            let actions = pool.send(.refreshAsked(ConnectionID(number)))
            if pool.wait(for: .pause) == nil { unpaused += 1 } else { #expect(actions == []) }
            pool.fire(.pause)
            pool.connect(number + 1)
            pool.end(number, .refreshed)
        }
        #expect(unpaused == 100)
    }

    @Test("a person's refresh replaces each connection in its turn")
    func refreshWanted() {
        let pool = PoolHarness.connected(2)
        #expect(pool.send(.refreshWanted) == [.open(ConnectionID(3), slot: 0)])
        #expect(pool.connect(3) == [.retire(ConnectionID(1)), .open(ConnectionID(4), slot: 1)])
        #expect(pool.connect(4) == [.retire(ConnectionID(2))])
    }

    // MARK: What is told

    @Test("the last failure and the next attempt are told until each slot has its connection")
    func lastFailure() {
        let pool = PoolHarness()
        pool.send(.started)
        pool.fire(.pause)
        pool.advance(.seconds(1))
        _ = pool.fail(1, .dnsError)
        #expect(pool.lastFailure?.text == "dns_error: test")
        #expect(pool.lastFailure.map { $0.at + .milliseconds(500) } == pool.nextAttempt)
        pool.fire(.pause)
        #expect(pool.nextAttempt == nil)
        pool.connect(2)
        #expect(pool.lastFailure != nil)
        pool.connect(3)
        #expect(pool.lastFailure == nil)
        pool.end(2, .reset)
        #expect(pool.lastFailure?.text == "reset")
    }

    @Test("what Slack counts is never less than what is connected")
    func reportedAtLeastOurs() {
        let pool = PoolHarness.connected(2)
        pool.send(.refreshAsked(ConnectionID(1)))
        // Its hello did not count the first one any more.
        pool.connect(3, reported: 2)
        pool.end(1, .refreshed)
        #expect(pool.reported == 2)
    }

    // MARK: Late events

    @Test("F4: events of a connection that is gone change nothing")
    func lateEvents() {
        let pool = PoolHarness.connected(2)
        pool.end(1, .reset)
        let states = pool.states
        let old = ConnectionID(1)
        let late: [PoolStateMachine.Event] = [
            .opened(old, url: Secret("a")), .upgraded(old), .connected(old, SlackMessage.Hello(connectionCount: 9)),
            .refreshAsked(old), .closing(old, .dead), .closed(old, .linkDisabled),
            .attemptFailed(old, ConnectFailure(.apiFatal, "x")), .connected(ConnectionID(99), SlackMessage.Hello()),
        ]
        for event in late { #expect(pool.send(event) == []) }
        #expect(pool.states == states)
        #expect(pool.reported == 1)
        #expect(pool.fatal == nil)
    }

    @Test("F49: a timer that was replaced or canceled is ignored when it fires")
    func lateTimers() throws {
        let pool = PoolHarness.connected(1)
        let stable = try #require(pool.timer(.stable(ConnectionID(1))))
        pool.end(1, .reset)
        let pause = try #require(pool.timer(.pause))
        pool.fire(.pause)
        #expect(pool.send(.timerFired(pause)) == [])
        #expect(pool.send(.timerFired(stable)) == [])
        _ = pool.fail(2)
        #expect(pool.send(.timerFired(pause)) == [])
    }

    // MARK: Ghosts

    @Test("F24: more than expected for 5 minutes is said, once")
    func ghosts() {
        let pool = PoolHarness.connected(1) { _ in 2 }
        #expect(pool.wait(for: .ghosts) == .seconds(300))
        pool.fire(.ghosts)
        #expect(pool.notices.last == .ghosts(reported: 2, expected: 1))
        pool.send(.refreshAsked(ConnectionID(1)))
        pool.connect(2, reported: 3)
        #expect(pool.wait(for: .ghosts) == nil)
    }

    @Test("the overlap of a refresh is no ghost")
    func overlap() {
        let pool = PoolHarness.connected(1)
        pool.send(.refreshAsked(ConnectionID(1)))
        pool.connect(2, reported: 2)
        #expect(pool.wait(for: .ghosts) == .seconds(300))
        pool.end(1, .refreshed)
        #expect(pool.wait(for: .ghosts) == nil)
    }

    @Test("numbers that make no sense do no harm", arguments: [Int.min, -1, 0, Int.max])
    func senselessNumber(number: Int) {
        let pool = PoolHarness.connected(1) { _ in number }
        pool.send(.refreshAsked(ConnectionID(1)))
        pool.end(1, .closedBySlack)
        #expect((pool.reported ?? 0) >= 0)
    }

    // MARK: New settings

    @Test("more slots are filled one after the other, and what is open stays")
    func moreSlots() {
        let pool = PoolHarness.connected(2)
        #expect(pool.reconfigure(connections: 4) == [.open(ConnectionID(3), slot: 2)])
        #expect(pool.connect(3) == [.open(ConnectionID(4), slot: 3)])
    }

    @Test("other waits that come before the start hold from the start")
    func waitsBeforeStart() {
        let pool = PoolHarness()
        let slow = PoolConfiguration(connections: 1, backoffInitial: .seconds(100), backoffMaximum: .seconds(100))
        pool.send(.reconfigured(slow, replacesConnections: false))
        pool.send(.started)
        pool.fire(.pause)
        _ = pool.fail(1)
        #expect(pool.notices.last == .pausing(.backoff, .seconds(50)))
    }

    @Test("of fewer slots the last ones are given up")
    func fewerSlots() {
        let pool = PoolHarness.connected(3)
        #expect(pool.reconfigure(connections: 1) == [.retire(ConnectionID(2)), .retire(ConnectionID(3))])
        pool.end(3, .refreshed)
        pool.end(2, .refreshed)
        #expect(pool.states == [.connected])
    }

    @Test("of fewer slots the one with a connection is kept")
    func fewerSlotsOneEmpty() {
        let pool = PoolHarness.connected(2)
        pool.end(1, .reset)
        pool.fire(.pause)
        #expect(pool.fail(3, .apiFatal) == [])
        #expect(pool.reconfigure(connections: 1) == [])
        #expect(pool.states == [.connected])
        // Whether Slack takes the app again is found out as before.
        #expect(pool.fire(.pause) == [.open(ConnectionID(4), slot: 0)])
        #expect(pool.connect(4) == [.retire(ConnectionID(2))])
        #expect(pool.fatal == nil)
        #expect(pool.lastFailure == nil)
    }

    @Test("settings that no longer hold: each connection is replaced in its turn, make before break")
    func replaced() {
        let pool = PoolHarness.connected(2)
        #expect(pool.reconfigure(connections: 2, replaces: true) == [.open(ConnectionID(3), slot: 0)])
        #expect(pool.states == [.connected, .opening, .connected])
        #expect(pool.connect(3) == [.retire(ConnectionID(1)), .open(ConnectionID(4), slot: 1)])
        #expect(pool.connect(4) == [.retire(ConnectionID(2))])
    }

    @Test("new settings that do not work leave the old connections open")
    func replacementFails() {
        let pool = PoolHarness.connected(1)
        pool.reconfigure(connections: 1, replaces: true)
        #expect(pool.fail(2, .apiFatal) == [])
        #expect(pool.states == [.connected])
        #expect(pool.fire(.pause) == [.open(ConnectionID(3), slot: 0)])
    }

    @Test("an attempt with settings that no longer hold is given up, and one with the new ones follows")
    func attemptGivenUp() {
        let pool = PoolHarness()
        pool.send(.started)
        pool.fire(.pause)
        #expect(pool.reconfigure(connections: 1, replaces: true) == [.abandon(ConnectionID(1))])
        #expect(pool.fail(1, .canceled) == [.open(ConnectionID(2), slot: 0)])
    }

    @Test("a URL, or an upgrade, that comes after that is not used")
    func attemptTooLate() {
        let pool = PoolHarness()
        pool.send(.started)
        pool.fire(.pause)
        pool.reconfigure(connections: 1, replaces: true)
        #expect(pool.send(.opened(ConnectionID(1), url: Secret("a"))) == [.open(ConnectionID(2), slot: 0)])
        pool.send(.opened(ConnectionID(2), url: Secret("b")))
        pool.reconfigure(connections: 1, replaces: true)
        #expect(
            pool.send(.upgraded(ConnectionID(2))) == [
                .close(ConnectionID(2), .refreshed), .open(ConnectionID(3), slot: 0),
            ])
        #expect(pool.end(2, .refreshed) == [])
    }

    @Test(
        "new settings are tried at once, whatever the old ones came to",
        arguments: [ConnectOutcome.apiFatal, .tooManyWebSockets, .timeout])
    func triedAtOnce(outcome: ConnectOutcome) {
        let pool = PoolHarness()
        pool.send(.started)
        pool.fire(.pause)
        #expect(pool.fail(1, outcome) == [])
        #expect(pool.reconfigure(connections: 1, replaces: true) == [.open(ConnectionID(2), slot: 0)])
        #expect(pool.fatal == nil)
    }

    @Test("what Slack asked to wait for is waited for, although more connections are wanted")
    func stillWaits() {
        let pool = PoolHarness()
        pool.send(.started)
        pool.fire(.pause)
        #expect(pool.fail(1, .rateLimited) == [])
        #expect(pool.reconfigure(connections: 2) == [])
        #expect(pool.wait(for: .pause) != nil)
    }

    // MARK: Drain

    @Test("F7: drained, every connection is drained, nothing is dialed, and the end is said once")
    func drain() {
        let pool = PoolHarness.connected(2)
        #expect(pool.send(.drain(timeout: .seconds(25))) == [.drain(ConnectionID(1)), .drain(ConnectionID(2))])
        #expect(pool.end(1, .drained) == [])
        #expect(pool.end(2, .drained) == [.finish])
        #expect(pool.send(.drain(timeout: .seconds(25))) == [])
        #expect(pool.timers.isEmpty)
    }

    @Test("drained in the middle of an attempt: it is given up")
    func drainDuringAttempt() {
        let pool = PoolHarness()
        pool.send(.started)
        pool.fire(.pause)
        #expect(pool.send(.drain(timeout: .seconds(25))) == [.abandon(ConnectionID(1))])
        #expect(pool.fail(1, .canceled) == [.finish])
    }

    @Test("an upgrade that wins the race against the drain is closed")
    func drainRace() {
        let pool = PoolHarness()
        pool.send(.started)
        pool.fire(.pause)
        pool.send(.opened(ConnectionID(1), url: Secret("a")))
        pool.send(.drain(timeout: .seconds(25)))
        #expect(pool.send(.upgraded(ConnectionID(1))) == [.close(ConnectionID(1), .drained)])
        #expect(pool.end(1, .drained) == [.finish])
    }

    @Test("a URL that comes after the drain is not dialed")
    func drainOpened() {
        let pool = PoolHarness()
        pool.send(.started)
        pool.fire(.pause)
        pool.send(.drain(timeout: .seconds(25)))
        #expect(pool.send(.opened(ConnectionID(1), url: Secret("a"))) == [.finish])
    }

    @Test("what is not drained in time is closed; a second drain sets a new deadline")
    func drainTimeout() {
        let pool = PoolHarness.connected(1)
        pool.send(.drain(timeout: .seconds(25)))
        #expect(pool.send(.drain(timeout: .zero)) == [])
        #expect(pool.fire(.drain) == [.close(ConnectionID(1), .drained)])
        #expect(pool.end(1, .drained) == [.finish])
    }

    @Test("a pool that never started drains at once")
    func drainIdle() {
        #expect(PoolHarness().send(.drain(timeout: .seconds(25))) == [.finish])
    }

    static let passingFailures: [ConnectOutcome] = [
        .apiUnreachable, .apiError, .rateLimited, .dnsError, .connectError, .proxyError, .tlsError, .upgradeRejected,
        .reset, .timeout, .helloTimeout, .refused,
    ]
}
