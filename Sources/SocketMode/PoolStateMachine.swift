// Decides when the connections of one app are opened, replaced and closed. The one owner of reconnecting.

import RelayCore

/// The connections of one Slack app.
///
/// 1. A fixed number of slots, each with one connection, or two while one is replaced: never more (F8).
/// 2. One attempt under way at a time, however many slots are empty; each attempt has its own number, its own URL and
///    one outcome (F1).
/// 3. After a failed attempt, or a connection that ended unasked, everything waits: the wait is drawn by one `Backoff`,
///    which is reset by a connection that stayed up for the stable time, not by one that opened (F2). A planned refresh
///    does not wait (F33).
/// 4. At Slack's cap of connections the old one is closed before the new one is dialed; below it, after. Where another
///    gateway took the last place, what waits for room also waits for what failed: room is no reason to dial at once.
/// 5. New settings keep what is open, unless it was made with settings that no longer hold: then it is replaced as in a
///    refresh. More slots are filled one after the other; of fewer, those without a connection are given up first.
/// 6. What waiting does not cure (a revoked token, Socket Mode switched off) is tried again slowly, not never and not
///    fast (F35).
///
/// The surprising rule is the number: a connection is numbered before its URL is asked for, and every later event and
/// timer names the number. An event that comes late, from a connection that is gone, finds no such number and changes
/// nothing (F4, F49).
///
/// Feed it events, do what it returns, in order. Whatever it asks to open or dial must be answered with one `opened`,
/// `upgraded` or `attemptFailed`, and whatever was upgraded with one `closed`.
package struct PoolStateMachine: ~Copyable {
    var configuration: PoolConfiguration
    var phase = Phase.idle
    /// As many as `configuration.connections`, and behind them those that are being given up.
    var slots: [Slot]
    var backoff: Backoff
    /// Grows with each `too_many_websockets`: minutes, because ghosts take that long to go (F32).
    var capacityBackoff: Backoff
    /// Why nothing is dialed for a time.
    var pause: Pause?
    /// Slack has all the connections it allows: nothing is dialed before one of ours makes room, or until then.
    var roomAwaitedUntil: Duration?
    /// What Slack counted at the last `hello`, less the connections of ours that ended since; nil when not known.
    package internal(set) var reported: Int?
    /// Set by an error that waiting does not cure, until a `hello`.
    package internal(set) var fatal: String?
    /// The last attempt that failed, or connection that ended unasked, since each slot had its connection; nil for none.
    package internal(set) var lastFailure: Failure?
    /// Refreshes that Slack asked for before the stable time, since the last stable connection.
    var earlyRefreshes = 0
    /// All failures so far, to tell whether one came after a given moment. Wraps.
    var failureCount: UInt64 = 0
    var isGhostAlarmRaised = false
    private var timers: [Timer.Kind: UInt64] = [:]
    private var lastTimer: UInt64 = 0
    private var lastConnection: UInt64

    enum Phase: Equatable {
        /// Before `started`.
        case idle
        case running
        /// Nothing new; ends when the last socket has.
        case draining
        case finished
    }

    package struct Failure: Equatable, Sendable {
        /// The word of the outcome or reason, and what more is known.
        package var text: String
        /// By the clock that the pool is fed with.
        package var at: Duration
    }

    struct Pause: Equatable {
        var reason: PauseReason
        var until: Duration
    }

    struct Slot {
        var sockets: [Socket] = []
        var emptySince: Duration

        /// The connection that fills the slot, if it is not being replaced for good.
        var isVacant: Bool {
            !sockets.contains { socket in
                switch socket.state {
                case .opening, .dialing, .awaitingHello, .connected: true
                case .retiring, .closing: false
                }
            }
        }
        var isConnected: Bool { sockets.contains { $0.connected != nil } }
        var isRefreshDue: Bool { sockets.contains { $0.connected?.isRefreshDue == true } }
        var hasRoom: Bool { sockets.count < PoolConfiguration.socketsPerSlot }
    }

    struct Socket {
        let id: ConnectionID
        var state: State
        var since: Duration
        /// An attempt that was begun with settings that no longer hold, or for a slot that is given up.
        var isOutdated = false

        enum State: Equatable {
            /// Its URL is being asked for. To `dialing`, or gone.
            case opening
            /// To `awaitingHello`, or gone.
            case dialing
            /// To `connected`, `closing`.
            case awaitingHello
            /// To `retiring`, `closing`.
            case connected(Connected)
            /// Replaced, or making room; open until nothing is outstanding on it. To `closing`.
            case retiring(Connected)
            /// nil: it never had its `hello`. To gone.
            case closing(Connected?)
        }

        var connected: Connected? {
            if case .connected(let connected) = state { connected } else { nil }
        }
    }

    struct Connected: Equatable {
        var hello: SlackMessage.Hello
        var isRefreshDue = false
        /// Slack had no room for the one that was to take its place: it goes first.
        var mustMakeRoom = false
        var isStable = false
        /// `failureCount` at its `hello`.
        var failureCount: UInt64
    }

    /// - Parameters:
    ///   - lastConnection: the number before that of the first connection.
    ///   - now: as in `handle`.
    package init(configuration: PoolConfiguration, lastConnection: UInt64 = 0, now: Duration) {
        self.configuration = configuration
        self.slots = Array(repeating: Slot(emptySince: now), count: max(1, configuration.connections))
        self.backoff = Backoff(initial: configuration.backoffInitial, maximum: configuration.backoffMaximum)
        self.capacityBackoff = configuration.capacityBackoff
        self.lastConnection = lastConnection
    }

    /// Takes one event and says what to do about it.
    /// - Parameters:
    ///   - random: uniform in 0 ..< 1, a new one for each event.
    ///   - now: time since any fixed moment, by a clock that does not jump.
    package mutating func handle(_ event: Event, random: Double, now: Duration) -> [Action] {
        var turn = Turn(random: random, now: now)
        switch event {
        case .started: started(&turn)
        case .opened(let id, let url): opened(id, url: url, &turn)
        case .upgraded(let id): upgraded(id, &turn)
        case .attemptFailed(let id, let failure): attemptFailed(id, failure, &turn)
        case .connected(let id, let hello): connected(id, hello, &turn)
        case .refreshAsked(let id): refreshAsked(id, &turn)
        case .refreshWanted: refreshWanted()
        case .reconfigured(let configuration, let replacesConnections):
            reconfigured(configuration, replacesConnections: replacesConnections, &turn)
        case .closing(let id, let reason): closing(id, reason, &turn)
        case .closed(let id, let reason): closed(id, reason, &turn)
        case .timerFired(let timer): timerFired(timer, &turn)
        case .drain(let timeout): drain(timeout: timeout, &turn)
        }
        proceed(&turn)
        return turn.actions
    }

    /// One event's random number and time, and the actions it led to so far.
    struct Turn {
        let random: Double
        let now: Duration
        var actions: [Action] = []
    }

    // MARK: Numbers and timers

    mutating func makeConnectionID() -> ConnectionID {
        lastConnection &+= 1
        return ConnectionID(lastConnection)
    }

    /// Replaces the timer of the same kind.
    mutating func schedule(_ kind: Timer.Kind, after delay: Duration, _ turn: inout Turn) {
        cancel(kind, &turn)
        lastTimer &+= 1
        timers[kind] = lastTimer
        turn.actions.append(.schedule(Timer(kind: kind, number: lastTimer), after: delay))
    }

    mutating func cancel(_ kind: Timer.Kind, _ turn: inout Turn) {
        guard let number = timers.removeValue(forKey: kind) else { return }
        turn.actions.append(.cancel(Timer(kind: kind, number: number)))
    }

    func isScheduled(_ kind: Timer.Kind) -> Bool { timers[kind] != nil }

    /// Whether the timer is the one that is waited for, and not one that was replaced or canceled.
    mutating func take(_ timer: Timer) -> Bool {
        guard timers[timer.kind] == timer.number else { return false }
        timers[timer.kind] = nil
        return true
    }
}
