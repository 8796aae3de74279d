// A pool with a hand to feed it: keeps the time, and remembers the timers that were asked for.

import RelayCore
import SocketMode

final class PoolHarness {
    typealias Action = PoolStateMachine.Action
    typealias Timer = PoolStateMachine.Timer

    private var pool: PoolStateMachine
    private(set) var now: Duration = .zero
    /// In the order scheduled.
    private(set) var timers: [(timer: Timer, due: Duration)] = []
    private(set) var notices: [PoolStateMachine.Notice] = []
    var random = 0.5

    init(_ configuration: PoolConfiguration = .init()) {
        pool = PoolStateMachine(configuration: configuration, now: .zero)
    }

    var status: [PoolStateMachine.SlotStatus] { pool.status }
    var states: [ConnectionState] { pool.status.map(\.state) }
    var fatal: String? { pool.fatal }
    var reported: Int? { pool.reported }
    var lastFailure: PoolStateMachine.Failure? { pool.lastFailure }
    var nextAttempt: Duration? { pool.nextAttempt }

    /// What the pool asks for, without timers and notices.
    @discardableResult func send(_ event: PoolStateMachine.Event) -> [Action] {
        pool.handle(event, random: random, now: now).filter { action in
            switch action {
            case .schedule(let timer, let delay): timers.append((timer, now + delay))
            case .cancel(let timer): timers.removeAll { $0.timer == timer }
            case .notice(let notice): notices.append(notice)
            default: return true
            }
            return false
        }
    }

    /// How long until the timer of a kind is due; nil when there is none.
    func wait(for kind: Timer.Kind) -> Duration? { timers.first { $0.timer.kind == kind }.map { $0.due - now } }

    func timer(_ kind: Timer.Kind) -> Timer? { timers.first { $0.timer.kind == kind }?.timer }

    /// Lets time pass until the timer of a kind is due, and fires it; others stay.
    @discardableResult func fire(_ kind: Timer.Kind) -> [Action] {
        guard let index = timers.firstIndex(where: { $0.timer.kind == kind }) else { return [] }
        let (timer, due) = timers.remove(at: index)
        now = max(now, due)
        return send(.timerFired(timer))
    }

    func advance(_ duration: Duration) { now += duration }

    // MARK: Stories

    /// From `open` to `hello`.
    @discardableResult func connect(_ number: UInt64, reported: Int? = nil, lifetime: Duration? = nil) -> [Action] {
        send(.opened(ConnectionID(number), url: Secret("wss://one/\(number)")))
        send(.upgraded(ConnectionID(number)))
        return send(
            .connected(
                ConnectionID(number), SlackMessage.Hello(connectionCount: reported, approximateConnectionTime: lifetime)
            ))
    }

    func fail(_ number: UInt64, _ outcome: ConnectOutcome = .upgradeRejected, retryAfter: Duration? = nil) -> [Action] {
        send(.attemptFailed(ConnectionID(number), ConnectFailure(outcome, "test", retryAfter: retryAfter)))
    }

    /// Other settings, with nothing else changed.
    @discardableResult func reconfigure(connections: Int, replaces: Bool = false) -> [Action] {
        send(.reconfigured(PoolConfiguration(connections: connections), replacesConnections: replaces))
    }

    /// A connection ends: closing, then closed.
    @discardableResult func end(_ number: UInt64, _ reason: EndReason) -> [Action] {
        send(.closing(ConnectionID(number), reason)) + send(.closed(ConnectionID(number), reason))
    }

    /// Started, and the first `count` connections are up, numbered from 1.
    static func connected(
        _ count: Int, reported: ((Int) -> Int?) = { $0 }, _ configuration: PoolConfiguration? = nil
    ) -> PoolHarness {
        let harness = PoolHarness(configuration ?? PoolConfiguration(connections: count))
        harness.send(.started)
        harness.fire(.pause)
        for number in 1...count { harness.connect(UInt64(number), reported: reported(number)) }
        return harness
    }
}
