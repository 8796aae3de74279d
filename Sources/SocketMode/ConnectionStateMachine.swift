// Decides what one WebSocket to Slack does, from the moment it is upgraded to the end of its TCP connection.

/// One connection after its upgrade. It
///
/// 1. waits for `hello` (an upgraded socket is not yet a connection: Slack may send `disconnect` instead),
/// 2. judges life by frames, never by envelopes, because a quiet app is not a dead one,
/// 3. counts the envelopes that the receiver still works on, so that it can be closed between two of them,
/// 4. leaves with a close frame on every path, and cuts TCP when Slack does not.
///
/// The surprising rule of the protocol is the last one: after both close frames Slack often leaves TCP open
/// (slack-protocol.md §2.9), and a socket that is not cut counts against the app's ten for hours, receiving its share
/// of envelopes.
///
/// Feed it what happened, do what it returns. It reports `.closing` at most once and `.closed` exactly once. Timers
/// that it asks for belong to this connection; one that fires when it no longer matters is answered with nothing. `now`
/// is the time since any fixed moment, by a clock that does not jump.
package struct ConnectionStateMachine: ~Copyable {
    private let timing: ConnectionTiming
    private let limits: ConnectionLimits
    private var state: State
    private var lastFrameAt: Duration
    /// Envelopes handed to the receiver, which has not finished them.
    private var outstanding = Outstanding()

    private enum State: Equatable {
        /// Upgraded, no `hello` yet. To `connected`, `closing`, `closed`.
        case awaitingHello
        /// To `retiring`, `closing`, `closed`.
        case connected
        /// Closes, for this reason, as soon as nothing is outstanding; still takes envelopes. To `draining`, `closing`,
        /// `closed`.
        case retiring(EndReason)
        /// As `retiring`, but leaves new envelopes to Slack. To `closing`, `closed`.
        case draining
        /// Slack sent its close frame; ours waits until what is outstanding is acknowledged. To `closing`, `closed`.
        case closedBySlack
        /// Our close frame is sent. To `closed`.
        case closing(EndReason)
        case closed
    }

    private struct Outstanding: Equatable {
        var envelopes = 0
        var bytes = 0
        var isEmpty: Bool { envelopes == 0 }
    }

    package init(timing: ConnectionTiming = .init(), limits: ConnectionLimits = .init(), now: Duration) {
        self.timing = timing
        self.limits = limits
        self.state = .awaitingHello
        self.lastFrameAt = now
    }

    /// The timers to begin with.
    package mutating func upgraded(now: Duration) -> [Action] {
        lastFrameAt = now
        return [.schedule(.hello, after: timing.helloTimeout), .schedule(.life, after: nextLook(now: now))]
    }

    // MARK: Frames

    /// A frame of any kind came, whole or a fragment: the connection lives.
    package mutating func frameReceived(now: Duration) { lastFrameAt = now }

    /// Whether a frame may be written: pongs and acknowledgements from the first byte on, nothing after our close frame
    /// (RFC 6455 §5.5.1). An acknowledgement that may not be written here takes another connection.
    package var maySend: Bool {
        switch state {
        case .awaitingHello, .connected, .retiring, .draining, .closedBySlack: true
        case .closing, .closed: false
        }
    }

    /// Slack said `hello`.
    package mutating func helloReceived() -> [Action] {
        guard state == .awaitingHello else { return [] }
        state = .connected
        return [.cancel(.hello), .report(.connected)]
    }

    /// Slack said `disconnect`. A refresh is for the pool to plan; the other causes, and any of them in place of
    /// `hello`, are the end.
    package mutating func disconnectReceived(_ cause: SlackDisconnect) -> [Action] {
        switch (state, cause) {
        case (_, .linkDisabled): close(.linkDisabled)
        case (_, .tooManyWebSockets): close(.tooManyWebSockets)
        case (.awaitingHello, .refresh): close(.refused)
        case (.connected, .refresh): [.report(.refreshAsked)]
        case (.retiring, .refresh), (.draining, .refresh), (.closedBySlack, .refresh), (.closing, .refresh),
            (.closed, .refresh):
            []
        }
    }

    /// Envelopes were read. Those that come before `hello`, or while this connection is closing, are worth as much as
    /// others: their acknowledgements take another connection; unless there will be none.
    package mutating func envelopesReceived(_ count: Int, bytes: Int) -> OnEnvelopes {
        switch state {
        case .draining, .closing(.drained), .closed:
            return .leave(.draining)
        case .awaitingHello, .connected, .retiring, .closedBySlack, .closing:
            guard outstanding.envelopes < limits.maxOutstanding, outstanding.bytes < limits.maxOutstandingBytes else {
                return .leave(.overloaded)
            }
            outstanding.envelopes += count
            outstanding.bytes += bytes
            return .deliver
        }
    }

    /// The receiver is done with envelopes that were handed to it, acknowledged or not.
    package mutating func envelopesFinished(_ count: Int, bytes: Int) -> [Action] {
        outstanding.envelopes = max(0, outstanding.envelopes - count)
        outstanding.bytes = max(0, outstanding.bytes - bytes)
        guard outstanding.isEmpty else { return [] }
        switch state {
        case .retiring(let reason): return close(reason)
        case .draining: return close(.drained)
        case .closedBySlack: return sendClose(.closedBySlack)
        case .awaitingHello, .connected, .closing, .closed: return []
        }
    }

    /// A frame that breaks RFC 6455, or a message over the cap.
    package mutating func protocolViolated(_ violation: ProtocolViolation) -> [Action] {
        close(violation == .messageTooLarge ? .messageTooLarge : .protocolError)
    }

    /// Slack's close frame. Ours follows once everything outstanding is acknowledged, for which the close timer's time
    /// is left.
    package mutating func closeFrameReceived() -> [Action] {
        switch state {
        case .awaitingHello, .connected, .retiring, .draining:
            let report = [Action.report(.closing(.closedBySlack))]
            guard !outstanding.isEmpty else { return cancelTimers() + sendClose(.closedBySlack) + report }
            state = .closedBySlack
            return cancelTimers() + [.schedule(.close, after: timing.closeTimeout)] + report
        case .closedBySlack, .closing, .closed:
            // Both close frames are exchanged: Slack should now end TCP, the close timer does it otherwise.
            return []
        }
    }

    /// TCP ended, by whomever.
    package mutating func transportClosed() -> [Action] {
        let reports: [Action]
        switch state {
        case .closed: return []
        case .closing(let reason): reports = [.report(.closed(reason))]
        case .closedBySlack: reports = [.report(.closed(.closedBySlack))]
        case .awaitingHello, .connected, .retiring, .draining:
            reports = [.report(.closing(.reset)), .report(.closed(.reset))]
        }
        state = .closed
        return cancelTimers() + reports
    }

    // MARK: What the pool asks

    /// Close when nothing is outstanding; take envelopes until then. After the retire timeout close all the same: what
    /// is still outstanding is acknowledged on the connection that took over.
    package mutating func retire() -> [Action] {
        switch state {
        case .connected:
            guard !outstanding.isEmpty else { return close(.refreshed) }
            state = .retiring(.refreshed)
            return [.schedule(.retire, after: timing.retireTimeout)]
        case .awaitingHello: return close(.refreshed)
        case .retiring, .draining, .closedBySlack, .closing, .closed: return []
        }
    }

    /// Close when nothing is outstanding, and for ever. As there will be no other connection to acknowledge on,
    /// envelopes are taken for a short grace only, then left to Slack, which sends them to another gateway or again
    /// later.
    package mutating func drain() -> [Action] {
        switch state {
        case .connected, .retiring:
            guard !outstanding.isEmpty else { return close(.drained) }
            state = .retiring(.drained)
            return [.cancel(.retire), .schedule(.drain, after: timing.drainGrace)]
        case .awaitingHello: return close(.drained)
        case .draining, .closedBySlack, .closing, .closed: return []
        }
    }

    /// Close now: close frame, the close timeout, then TCP is cut. A second call changes nothing.
    package mutating func close(_ reason: EndReason) -> [Action] {
        switch state {
        case .awaitingHello, .connected, .retiring, .draining:
            return cancelTimers() + sendClose(reason) + [.report(.closing(reason))]
        case .closedBySlack: return sendClose(.closedBySlack)
        case .closing, .closed: return []
        }
    }

    // MARK: Time

    package mutating func timerFired(_ timer: Timer, now: Duration) -> [Action] {
        switch timer {
        case .hello:
            return state == .awaitingHello ? close(.helloTimeout) : []
        case .life:
            return look(now: now)
        case .retire:
            return state == .retiring(.refreshed) ? close(.refreshed) : []
        case .drain:
            guard state == .retiring(.drained) else { return [] }
            state = .draining
            return []
        case .close:
            switch state {
            // The acknowledgements did not make it in time: still a close frame, then the cut.
            case .closedBySlack: return sendClose(.closedBySlack) + [.cut]
            case .closing: return [.cut]
            case .awaitingHello, .connected, .retiring, .draining, .closed: return []
            }
        }
    }

    private mutating func look(now: Duration) -> [Action] {
        switch state {
        case .awaitingHello, .connected, .retiring, .draining:
            guard now - lastFrameAt < timing.deadAfter else { return close(.dead) }
            return [.sendPing, .schedule(.life, after: nextLook(now: now))]
        case .closedBySlack, .closing, .closed:
            return []
        }
    }

    /// The next ping, or the moment of death if that is earlier.
    private func nextLook(now: Duration) -> Duration {
        let untilDead = timing.deadAfter - (now - lastFrameAt)
        return max(.milliseconds(1), min(timing.pingInterval, untilDead))
    }

    private func cancelTimers() -> [Action] { Timer.allCases.map { .cancel($0) } }

    private mutating func sendClose(_ reason: EndReason) -> [Action] {
        state = .closing(reason)
        return [.sendClose(code: reason.closeCode), .schedule(.close, after: timing.closeTimeout)]
    }
}

extension ConnectionStateMachine {
    /// A timer of one connection. Scheduling it again replaces it.
    package enum Timer: Hashable, Sendable, CaseIterable {
        case hello
        /// Pings, and looks whether the connection is dead.
        case life
        case retire
        case drain
        case close
    }

    package enum Action: Equatable, Sendable {
        case schedule(Timer, after: Duration)
        /// May name a timer that is not scheduled.
        case cancel(Timer)
        case sendPing
        /// A close frame with this status code. Nothing is written after it.
        case sendClose(code: UInt16)
        /// End TCP now, whatever the peer does.
        case cut
        /// Tell the pool.
        case report(Report)
    }

    package enum Report: Equatable, Sendable {
        /// `hello` came.
        case connected
        /// Slack wants it replaced.
        case refreshAsked
        /// No longer of use; always comes before `closed`.
        case closing(EndReason)
        /// TCP has ended; the last word.
        case closed(EndReason)
    }

    package enum OnEnvelopes: Equatable, Sendable {
        case deliver
        /// Do not hand them on, so that they are not acknowledged: Slack sends them again.
        case leave(Reason)

        package enum Reason: Equatable, Sendable {
            case draining
            /// The receiver has fallen behind by `ConnectionLimits`.
            case overloaded
        }
    }
}

/// Times of one connection. Defaults are those of relay.yaml.example.
package struct ConnectionTiming: Sendable, Equatable {
    /// From the upgrade to `hello`.
    package var helloTimeout: Duration
    /// Between our pings.
    package var pingInterval: Duration
    /// Without any frame for so long, the connection is dead.
    package var deadAfter: Duration
    /// From our close frame to the cut of TCP (slack-protocol.md §2.9: Slack does not always close).
    package var closeTimeout: Duration
    /// The longest that a refreshed connection waits for what is outstanding.
    package var retireTimeout: Duration
    /// How long a draining connection still takes envelopes while others are outstanding.
    package var drainGrace: Duration

    package init(
        helloTimeout: Duration = .seconds(10), pingInterval: Duration = .seconds(10),
        deadAfter: Duration = .seconds(30),
        closeTimeout: Duration = .seconds(1), retireTimeout: Duration = .seconds(25), drainGrace: Duration = .seconds(1)
    ) {
        self.helloTimeout = helloTimeout
        self.pingInterval = pingInterval
        self.deadAfter = deadAfter
        self.closeTimeout = closeTimeout
        self.retireTimeout = retireTimeout
        self.drainGrace = drainGrace
    }
}

/// How far the receiver may fall behind before envelopes are left to Slack. Slack gives up waiting after 3 s, so more
/// would not help.
package struct ConnectionLimits: Sendable, Equatable {
    package var maxOutstanding: Int
    package var maxOutstandingBytes: Int

    package init(maxOutstanding: Int = 16_384, maxOutstandingBytes: Int = 64 << 20) {
        self.maxOutstanding = maxOutstanding
        self.maxOutstandingBytes = maxOutstandingBytes
    }
}
