// A pool among random events: what must hold whatever happens, in any order.

import RelayCore
import SocketMode
import Testing

@Suite struct PoolFuzzTests {
    @Test("one attempt at a time, two sockets per slot, a URL per dial, an end for every socket", arguments: 0..<200)
    func invariants(seed: UInt64) {
        let world = World(seed: seed)
        world.send(.started)
        for _ in 0..<400 { world.step() }
        world.settle()
        #expect(world.violations == [])
        #expect(world.isFinished)
        #expect(world.sockets.isEmpty)
    }

    @Test("after any trouble the pool is whole again", arguments: 0..<100)
    func recovery(seed: UInt64) {
        let world = World(seed: seed)
        world.send(.started)
        for _ in 0..<200 { world.step(drains: false) }
        for _ in 0..<200 { world.stepWell() }
        #expect(world.violations == [])
        #expect(world.pool.status.map(\.state) == Array(repeating: .connected, count: world.slots))
    }
}

/// Answers what the pool asks for, at random: late, twice, never in time, or with nonsense.
private final class World {
    enum Socket: Equatable { case opening, dialing, open, connected, closing }

    private(set) var slots: Int
    var pool: PoolStateMachine
    private var random: FuzzRandom
    private var now: Duration = .zero
    private(set) var sockets: [ConnectionID: (slot: Int, state: Socket)] = [:]
    private var abandoned: Set<ConnectionID> = []
    private var gone: [ConnectionID] = []
    private var timers: [PoolStateMachine.Timer: Duration] = [:]
    private var oldTimers: [PoolStateMachine.Timer] = []
    private var freshURLs: Set<[UInt8]> = []
    private var isDraining = false
    private(set) var isFinished = false
    private(set) var violations: [String] = []

    init(seed: UInt64) {
        random = FuzzRandom(seed: seed)
        slots = Int.random(in: 1...4, using: &random)
        pool = PoolStateMachine(configuration: PoolConfiguration(connections: slots), now: .zero)
    }

    func send(_ event: PoolStateMachine.Event) {
        if case .drain = event { isDraining = true }
        for action in pool.handle(event, random: .random(in: 0..<1, using: &random), now: now) { perform(action) }
        check()
    }

    private func perform(_ action: PoolStateMachine.Action) {
        expect(!isFinished, "action after the end")
        switch action {
        case .open(let id, let slot):
            expect(!isDraining, "opened while draining")
            expect(sockets[id] == nil && !gone.contains(id), "number used twice")
            sockets[id] = (slot, .opening)
        case .dial(let id, let url):
            expect(freshURLs.remove(url.bytes) != nil, "dialed without a fresh URL")
            expect(sockets[id]?.state == .opening, "dialed what was not opening")
            sockets[id]?.state = .dialing
        case .abandon(let id): abandoned.insert(id)
        case .retire(let id), .drain(let id):
            expect(sockets[id] != nil, "asked a socket that is gone")
            sockets[id]?.state = .closing
        case .close(let id, _):
            expect(sockets[id] != nil, "closed a socket that is gone")
            sockets[id]?.state = .closing
        case .schedule(let timer, let delay):
            expect(delay >= .zero, "a wait below zero")
            timers[timer] = now + delay
        case .cancel(let timer):
            expect(timers.removeValue(forKey: timer) != nil, "canceled what was not scheduled")
            oldTimers.append(timer)
        case .notice: break
        case .finish: isFinished = true
        }
    }

    private func check() {
        let attempts = sockets.values.count { [.opening, .dialing, .open].contains($0.state) }
        expect(attempts <= 1, "\(attempts) attempts under way")
        for (slot, used) in Dictionary(grouping: sockets.values, by: \.slot) where used.count > 2 {
            expect(false, "\(used.count) sockets in slot \(slot)")
        }
    }

    private func expect(_ condition: Bool, _ violation: String) {
        if !condition { violations.append(violation) }
    }

    /// Something happens.
    func step(drains: Bool = true) {
        now += .milliseconds(Int64.random(in: 0...20_000, using: &random))
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<50: advance(isKind: false)
        case 50..<60: disturb()
        case 60..<75: fireNextTimer()
        case 75..<85: sendLate()
        case 85: send(.refreshWanted)
        case 86:
            slots = Int.random(in: 1...4, using: &random)
            send(.reconfigured(PoolConfiguration(connections: slots), replacesConnections: .random(using: &random)))
        case 87 where drains: send(.drain(timeout: .seconds(Int64.random(in: 0...30, using: &random))))
        default: fireNextTimer()
        }
    }

    /// Things go well.
    func stepWell() {
        if sockets.values.allSatisfy({ $0.state == .connected }) { firePause() } else { advance(isKind: true) }
    }

    /// The end of all sockets, after which the pool must finish.
    func settle() {
        send(.drain(timeout: .zero))
        for _ in 0..<200 where !isFinished {
            fireNextTimer()
            advance(isKind: false)
        }
    }

    /// One socket goes on to what comes next for it.
    private func advance(isKind: Bool) {
        let movable = sockets.filter { isDraining || $0.value.state != .connected }
        guard let (id, socket) = movable.sorted(by: { $0.key < $1.key }).randomElement(using: &random) else { return }
        let isLucky = isKind || Bool.random(using: &random)
        switch socket.state {
        case .opening:
            guard isLucky else { return fail(id) }
            // Of one that is given up the URL may be on its way, and is its end.
            if abandoned.contains(id) { forget(id) }
            let url = "wss://host/\(UInt64.random(in: 0 ... .max, using: &random))"
            freshURLs.insert(Array(url.utf8))
            send(.opened(id, url: Secret(url)))
        case .dialing:
            guard isLucky else { return fail(id) }
            sockets[id]?.state = .open
            send(.upgraded(id))
        case .open:
            guard isLucky else { return end(id) }
            sockets[id]?.state = .connected
            if isKind { return send(.connected(id, SlackMessage.Hello(connectionCount: slots))) }
            let number = Int.random(in: -1...12, using: &random)
            send(
                .connected(
                    id,
                    SlackMessage.Hello(
                        connectionCount: number,
                        approximateConnectionTime: .seconds(Int64.random(in: 0...20_000, using: &random)))
                ))
        case .connected, .closing: end(id)
        }
    }

    /// Slack does something to a connection.
    private func disturb() {
        guard let id = sockets.keys.sorted().randomElement(using: &random) else { return }
        switch sockets[id]?.state {
        case .connected where Bool.random(using: &random): send(.refreshAsked(id))
        case .connected, .open: end(id)
        case .opening, .dialing, .closing, nil: send(.refreshAsked(id))
        }
    }

    private func fail(_ id: ConnectionID) {
        let outcomes = ConnectOutcome.allCases
        forget(id)
        send(.attemptFailed(id, ConnectFailure(outcomes.randomElement(using: &random) ?? .reset, "fuzz")))
    }

    private func end(_ id: ConnectionID) {
        let reason = EndReason.allCases.randomElement(using: &random) ?? .reset
        if Bool.random(using: &random) {
            sockets[id]?.state = .closing
            send(.closing(id, reason))
        }
        forget(id)
        send(.closed(id, reason))
    }

    private func forget(_ id: ConnectionID) {
        sockets[id] = nil
        gone.append(id)
    }

    private func fireNextTimer() {
        if let timer = timers.min(by: { ($0.value, "\($0.key)") < ($1.value, "\($1.key)") })?.key { fire(timer) }
    }

    private func firePause() {
        if let timer = timers.keys.first(where: { $0.kind == .pause || $0.kind == .room }) { fire(timer) }
    }

    private func fire(_ timer: PoolStateMachine.Timer) {
        guard let due = timers[timer] else { return }
        now = max(now, due)
        timers[timer] = nil
        oldTimers.append(timer)
        send(.timerFired(timer))
    }

    /// Something from the past, which must change nothing.
    private func sendLate() {
        let before = pool.status
        if let timer = oldTimers.randomElement(using: &random) { send(.timerFired(timer)) }
        if let id = gone.randomElement(using: &random) {
            send(.closed(id, .reset))
            send(.attemptFailed(id, ConnectFailure(.reset, "late")))
            send(.connected(id, SlackMessage.Hello(connectionCount: 3)))
        }
        expect(pool.status == before, "a late event changed the pool")
    }
}

/// SplitMix64: one seed, one run.
struct FuzzRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
