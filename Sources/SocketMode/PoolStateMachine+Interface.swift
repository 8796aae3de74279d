// What the pool is told, what it asks for, and how it is configured and seen.

package import RelayCore

extension PoolStateMachine {
    package enum Event: Equatable, Sendable {
        /// The gateway is ready; the first attempt follows, jittered.
        case started
        /// apps.connections.open gave a URL, which works once.
        case opened(ConnectionID, url: Secret)
        /// The WebSocket is open; `hello` is awaited.
        case upgraded(ConnectionID)
        /// No URL, or no WebSocket.
        case attemptFailed(ConnectionID, ConnectFailure)
        /// `hello` came.
        case connected(ConnectionID, SlackMessage.Hello)
        /// Slack announced the end of a connection.
        case refreshAsked(ConnectionID)
        /// A person wants every connection replaced.
        case refreshWanted
        /// Other settings hold from now on. `replacesConnections`: those that are open were made with old ones, and are
        /// replaced, each in its turn.
        case reconfigured(PoolConfiguration, replacesConnections: Bool)
        /// A connection is of no more use, but its TCP connection has not ended.
        case closing(ConnectionID, EndReason)
        /// Its TCP connection has ended.
        case closed(ConnectionID, EndReason)
        case timerFired(Timer)
        /// Shut down; what is not closed after the timeout is closed then.
        case drain(timeout: Duration)
    }

    package enum Action: Equatable, Sendable {
        /// Ask apps.connections.open for a URL.
        case open(ConnectionID, slot: Int)
        /// Dial the URL, at once and only now. It is a secret, and spent whatever comes of it.
        case dial(ConnectionID, url: Secret)
        /// Give up the attempt and answer with `attemptFailed`, or with the `opened` or `upgraded` that was on its way.
        case abandon(ConnectionID)
        /// `ConnectionStateMachine.retire()`
        case retire(ConnectionID)
        /// `ConnectionStateMachine.drain()`
        case drain(ConnectionID)
        /// `ConnectionStateMachine.close(_:)`
        case close(ConnectionID, EndReason)
        case schedule(Timer, after: Duration)
        case cancel(Timer)
        case notice(Notice)
        /// Every socket has ended, after `drain`.
        case finish
    }

    /// What people should know.
    package enum Notice: Equatable, Sendable {
        /// Nothing is dialed for so long.
        case pausing(PauseReason, Duration)
        /// Slack has counted more connections than all gateways together should hold, for long.
        case ghosts(reported: Int, expected: Int)
    }

    package enum PauseReason: String, Sendable {
        /// Jitter before the first attempt.
        case start
        case backoff
        /// Waiting does not cure it; tried again slowly.
        case fatal
        /// Slack has all the connections it allows.
        case capacity
    }

    /// One timer. One that is not the latest of its kind is ignored when it fires.
    package struct Timer: Hashable, Sendable {
        package let kind: Kind
        let number: UInt64

        package enum Kind: Hashable, Sendable {
            case pause
            /// How long room is waited for.
            case room
            case stable(ConnectionID)
            case lifetime(ConnectionID)
            case ghosts
            case drain
        }
    }
}

/// How a pool behaves. Defaults are those of relay.yaml.example.
package struct PoolConfiguration: Sendable, Equatable {
    /// Slots, 1 to 10.
    package var connections: Int
    /// Of all gateways of the app together; more than this, for `ghostAfter`, raises the ghost alarm.
    package var expectedConnections: Int
    package var startJitter: Duration
    package var backoffInitial: Duration
    package var backoffMaximum: Duration
    /// How long a connection must hold before the backoffs begin anew.
    package var stable: Duration
    /// Between attempts after an error that waiting does not cure.
    package var fatalRetry: Duration
    /// Waits after `too_many_websockets`.
    package var capacityBackoff: Backoff
    /// Upper bound of what `Retry-After` can ask for.
    package var retryAfterMaximum: Duration
    package var ghostAfter: Duration

    /// Slack's cap for an app (slack-protocol.md §2.6).
    package static let slackConnectionLimit = 10
    /// The old one and the new one.
    package static let socketsPerSlot = 2
    /// Of the announced lifetime, after which a connection is replaced unasked.
    static let refreshShare = 0.9
    /// Announced lifetimes below this are not believed.
    static let shortestLifetime: Duration = .seconds(20)
    /// Announced lifetimes above this are taken for this.
    static let longestLifetime: Duration = .seconds(7 * 24 * 3600)
    /// Reported numbers above this are taken for this.
    static let believableConnections = 1000
    /// Early refreshes in a row that do not wait.
    static let earlyRefreshLimit = 100

    package init(
        connections: Int = 2, expectedConnections: Int? = nil, startJitter: Duration = .seconds(5),
        backoffInitial: Duration = .seconds(1), backoffMaximum: Duration = .seconds(60),
        stable: Duration = .seconds(120), fatalRetry: Duration = .seconds(300),
        capacityBackoff: Backoff = .init(initial: .seconds(120), maximum: .seconds(300), minimum: .seconds(60)),
        retryAfterMaximum: Duration = .seconds(3600), ghostAfter: Duration = .seconds(300)
    ) {
        self.connections = connections
        self.expectedConnections = expectedConnections ?? connections
        self.startJitter = startJitter
        self.backoffInitial = backoffInitial
        self.backoffMaximum = backoffMaximum
        self.stable = stable
        self.fatalRetry = fatalRetry
        self.capacityBackoff = capacityBackoff
        self.retryAfterMaximum = retryAfterMaximum
        self.ghostAfter = ghostAfter
    }
}

/// Where a connection, or an empty slot, stands. The raw value is the word used in metrics and docs.
package enum ConnectionState: String, Sendable, CaseIterable {
    /// An empty slot that waits for its turn.
    case idle
    case opening
    case dialing
    case awaitingHello = "awaiting_hello"
    case connected
    case retiring
    case closing
    /// An empty slot that waits for time to pass.
    case backingOff = "backing_off"
}

extension PoolStateMachine {
    /// One line per socket, and one per slot without any, in the order of slots.
    package var status: [SlotStatus] {
        slots.indices.flatMap { slot in
            guard !slots[slot].sockets.isEmpty else {
                let isIdle = roomAwaitedUntil == nil && (pause == nil || pause?.reason == .start)
                let state = isIdle ? ConnectionState.idle : .backingOff
                return [SlotStatus(slot: slot, state: state, since: slots[slot].emptySince)]
            }
            return slots[slot].sockets.map { SlotStatus(slot: slot, $0) }
        }
    }

    /// When the next attempt begins that waits for time to pass; nil when there is none.
    package var nextAttempt: Duration? {
        guard phase == .running, attempt == nil,
            slots.prefix(wantedSlots).contains(where: { $0.isVacant || $0.isRefreshDue })
        else { return nil }
        return [pause?.until, roomAwaitedUntil].compactMap { $0 }.max()
    }

    package struct SlotStatus: Equatable, Sendable {
        package var slot: Int
        package var connection: ConnectionID?
        package var state: ConnectionState
        /// By the clock that the pool is fed with.
        package var since: Duration
        /// nil before `hello`.
        package var hello: SlackMessage.Hello?
    }
}

extension PoolStateMachine.SlotStatus {
    fileprivate init(slot: Int, _ socket: PoolStateMachine.Socket) {
        self.init(slot: slot, connection: socket.id, state: .idle, since: socket.since)
        switch socket.state {
        case .opening: state = .opening
        case .dialing: state = .dialing
        case .awaitingHello: state = .awaitingHello
        case .connected(let connected): (state, hello) = (.connected, connected.hello)
        case .retiring(let connected): (state, hello) = (.retiring, connected.hello)
        case .closing(let connected): (state, hello) = (.closing, connected?.hello)
        }
    }
}
