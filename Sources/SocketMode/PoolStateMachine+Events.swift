// What each event does to the pool.

import RelayCore

extension PoolStateMachine {
    mutating func started(_ turn: inout Turn) {
        guard phase == .idle else { return }
        phase = .running
        for index in slots.indices { slots[index].emptySince = turn.now }
        // Replicas that are deployed together must not dial together (F38).
        pause(.start, for: configuration.startJitter.scaled(by: turn.random), &turn)
    }

    mutating func opened(_ id: ConnectionID, url: Secret, _ turn: inout Turn) {
        guard let place = find(id), self[place].state == .opening else { return }
        guard phase == .running, !self[place].isOutdated else { return remove(place, &turn) }
        set(place, .dialing, turn.now)
        turn.actions.append(.dial(id, url: url))
    }

    mutating func upgraded(_ id: ConnectionID, _ turn: inout Turn) {
        guard let place = find(id), self[place].state == .dialing else { return }
        set(place, .awaitingHello, turn.now)
        if phase != .running {
            close(place, .drained, &turn)
        } else if self[place].isOutdated {
            close(place, .refreshed, &turn)
        }
    }

    mutating func attemptFailed(_ id: ConnectionID, _ failure: ConnectFailure, _ turn: inout Turn) {
        guard let place = find(id), self[place].state == .opening || self[place].state == .dialing else { return }
        let isOutdated = self[place].isOutdated
        remove(place, &turn)
        guard !isOutdated else { return }
        failed(failure.outcome, in: place.slot, retryAfter: failure.retryAfter, detail: failure.detail, &turn)
    }

    mutating func connected(_ id: ConnectionID, _ hello: SlackMessage.Hello, _ turn: inout Turn) {
        guard let place = find(id), self[place].state == .awaitingHello else { return }
        fatal = nil
        reported = hello.connectionCount.map { min(max(1, $0), PoolConfiguration.believableConnections) }
        set(place, .connected(Connected(hello: hello, failureCount: failureCount)), turn.now)
        schedule(.stable(id), after: configuration.stable, &turn)
        if let life = hello.approximateConnectionTime, life >= PoolConfiguration.shortestLifetime {
            let refreshAfter = min(life, PoolConfiguration.longestLifetime).scaled(by: PoolConfiguration.refreshShare)
            schedule(.lifetime(id), after: refreshAfter, &turn)
        }
        for other in places(in: place.slot) where self[other].connected != nil && self[other].id != id {
            retire(other, &turn)
        }
        if slots.prefix(wantedSlots).allSatisfy(\.isConnected) { lastFailure = nil }
        watchGhosts(&turn)
    }

    mutating func refreshAsked(_ id: ConnectionID, _ turn: inout Turn) {
        guard let place = find(id), let connected = self[place].connected, !connected.isRefreshDue else { return }
        markRefreshDue(place)
        guard !connected.isStable else { return }
        // A Slack that says hello and asks for a refresh, over and over, would be dialed as fast as it answers.
        earlyRefreshes += 1
        if earlyRefreshes > PoolConfiguration.earlyRefreshLimit, pause == nil { backOff(&turn) }
    }

    /// A person wants new connections: each in its turn, make before break.
    mutating func refreshWanted() {
        for slot in slots.indices {
            for place in places(in: slot) where self[place].connected != nil { markRefreshDue(place) }
        }
    }

    /// What failed with settings that no longer hold says nothing of the new ones: nothing waits for it any more. Nor
    /// does anything when the waits themselves are others.
    mutating func reconfigured(
        _ configuration: PoolConfiguration, replacesConnections: Bool, _ turn: inout Turn
    ) {
        let waitsAnew =
            replacesConnections || configuration.backoffInitial != self.configuration.backoffInitial
            || configuration.backoffMaximum != self.configuration.backoffMaximum
        self.configuration = configuration
        while slots.count < wantedSlots { slots.append(Slot(emptySince: turn.now)) }
        // Those that have a connection are kept.
        if slots.count > wantedSlots {
            slots = slots.filter(\.isConnected) + slots.filter { !$0.isConnected }
            // Where none is missing any more, no attempt would tell that Slack takes the app again.
            if fatal != nil { refreshWanted() }
        }
        if waitsAnew {
            backoff = Backoff(initial: configuration.backoffInitial, maximum: configuration.backoffMaximum)
            capacityBackoff = configuration.capacityBackoff
        }
        guard phase == .running else { return }
        if waitsAnew {
            if roomAwaitedUntil != nil { reported = nil }
            endWaitForRoom(&turn)
            if pause?.reason != .start { endPause(&turn) }
        }
        if replacesConnections {
            fatal = nil
            earlyRefreshes = 0
            refreshWanted()
        }
        for slot in slots.indices {
            for place in places(in: slot) where replacesConnections || slot >= wantedSlots {
                switch self[place].state {
                case .opening, .dialing:
                    self[place].isOutdated = true
                    turn.actions.append(.abandon(self[place].id))
                case .awaitingHello: close(place, .refreshed, &turn)
                case .connected where slot >= wantedSlots: retire(place, &turn)
                case .connected, .retiring, .closing: break
                }
            }
        }
        watchGhosts(&turn)
    }

    mutating func closing(_ id: ConnectionID, _ reason: EndReason, _ turn: inout Turn) {
        guard let place = find(id) else { return }
        switch self[place].state {
        case .opening, .dialing, .awaitingHello:
            set(place, .closing(nil), turn.now)
            failed(
                ConnectOutcome(endedBeforeHello: reason), in: place.slot, retryAfter: nil, detail: reason.rawValue,
                &turn)
        case .connected(let connected):
            set(place, .closing(connected), turn.now)
            ended(connected, in: place.slot, reason, &turn)
        case .retiring(let connected):
            set(place, .closing(connected), turn.now)
        case .closing:
            break
        }
        cancel(.stable(id), &turn)
        cancel(.lifetime(id), &turn)
    }

    mutating func closed(_ id: ConnectionID, _ reason: EndReason, _ turn: inout Turn) {
        closing(id, reason, &turn)
        guard let place = find(id), case .closing(let connected) = self[place].state else { return }
        // Slack may go on counting what it did not see end: then its number at the next hello tells.
        if connected != nil, reason.makesRoom { reported = reported.map { max(0, $0 - 1) } }
        remove(place, &turn)
        // It may have seen the end before that hello.
        reported = reported.map { max($0, slots.reduce(0) { $0 + $1.sockets.count { $0.connected != nil } }) }
        if !isAtLimit { endWaitForRoom(&turn) }
        watchGhosts(&turn)
    }

    mutating func timerFired(_ timer: Timer, _ turn: inout Turn) {
        guard take(timer) else { return }
        switch timer.kind {
        case .pause: pause = nil
        case .room:
            // What Slack counted before is old news: one attempt will tell.
            roomAwaitedUntil = nil
            reported = nil
        case .stable(let id):
            stable(id)
        case .lifetime(let id):
            if let place = find(id), self[place].connected != nil { markRefreshDue(place) }
        case .ghosts:
            guard let reported, reported > configuration.expectedConnections else { return }
            isGhostAlarmRaised = true
            turn.actions.append(
                .notice(.ghosts(reported: reported, expected: configuration.expectedConnections)))
        case .drain:
            for slot in slots.indices {
                for place in places(in: slot) { close(place, .drained, &turn) }
            }
        }
    }

    /// Shuts down; a second call replaces the deadline.
    mutating func drain(timeout: Duration, _ turn: inout Turn) {
        guard phase != .finished else { return }
        let isFirst = phase != .draining
        phase = .draining
        endPause(&turn)
        endWaitForRoom(&turn)
        cancel(.ghosts, &turn)
        schedule(.drain, after: timeout, &turn)
        guard isFirst else { return }
        for slot in slots.indices {
            for place in places(in: slot) {
                switch self[place].state {
                case .opening, .dialing: turn.actions.append(.abandon(self[place].id))
                case .awaitingHello: close(place, .drained, &turn)
                case .connected(let connected):
                    set(place, .retiring(connected), turn.now)
                    turn.actions.append(.drain(self[place].id))
                case .retiring: turn.actions.append(.drain(self[place].id))
                case .closing: break
                }
            }
        }
    }

    // MARK: Steps

    /// A connection that had its hello ended, or begins to.
    private mutating func ended(
        _ connected: Connected, in slot: Int, _ reason: EndReason, _ turn: inout Turn
    ) {
        switch reason {
        case .tooManyWebSockets: failed(.tooManyWebSockets, in: slot, retryAfter: nil, detail: reason.rawValue, &turn)
        case .linkDisabled: failed(.linkDisabled, in: slot, retryAfter: nil, detail: reason.rawValue, &turn)
        case .refreshed, .drained: break
        case .closedBySlack, .reset, .dead, .helloTimeout, .refused, .protocolError, .messageTooLarge:
            // Slack ends what it asked to be refreshed: planned. And where several end together, they are one failure.
            guard !connected.isRefreshDue else { return }
            lastFailure = Failure(text: reason.rawValue, at: turn.now)
            if pause == nil { backOff(&turn) }
        }
    }

    private mutating func failed(
        _ outcome: ConnectOutcome, in slot: Int, retryAfter: Duration?, detail: String, _ turn: inout Turn
    ) {
        guard phase == .running else { return }
        if outcome != .canceled {
            let word = outcome.rawValue
            lastFailure = Failure(text: detail == word || detail.isEmpty ? word : "\(word): \(detail)", at: turn.now)
        }
        switch outcome {
        case .canceled, .connected:
            break
        case .apiFatal, .linkDisabled:
            fatal = detail
            failureCount &+= 1
            pause(.fatal, for: configuration.fatalRetry, &turn)
        case .tooManyWebSockets:
            reported = PoolConfiguration.slackConnectionLimit
            for place in places(in: slot) { note(place) { $0.mustMakeRoom = true } }
            awaitRoom(&turn)
        case .apiUnreachable, .apiError, .rateLimited, .dnsError, .connectError, .proxyError, .tlsError,
            .upgradeRejected, .reset, .timeout, .helloTimeout, .refused:
            backOff(atLeast: min(retryAfter ?? .zero, configuration.retryAfterMaximum), &turn)
        }
    }

    private mutating func backOff(atLeast lowerBound: Duration = .zero, _ turn: inout Turn) {
        guard phase == .running else { return }
        failureCount &+= 1
        pause(.backoff, for: backoff.failed(random: turn.random, lowerBound: lowerBound), &turn)
    }

    private mutating func awaitRoom(_ turn: inout Turn) {
        failureCount &+= 1
        guard roomAwaitedUntil == nil else { return }
        let delay = capacityBackoff.failed(random: turn.random)
        roomAwaitedUntil = turn.now + delay
        schedule(.room, after: delay, &turn)
        turn.actions.append(.notice(.pausing(.capacity, delay)))
    }

    private mutating func endWaitForRoom(_ turn: inout Turn) {
        roomAwaitedUntil = nil
        cancel(.room, &turn)
    }

    /// Dials nothing for so long. A longer pause that is under way stays.
    private mutating func pause(_ reason: PauseReason, for delay: Duration, _ turn: inout Turn) {
        let until = turn.now + delay
        if let pause, pause.until >= until { return }
        pause = Pause(reason: reason, until: until)
        schedule(.pause, after: delay, &turn)
        turn.actions.append(.notice(.pausing(reason, delay)))
    }

    private mutating func endPause(_ turn: inout Turn) {
        pause = nil
        cancel(.pause, &turn)
    }

    private mutating func stable(_ id: ConnectionID) {
        guard let place = find(id), case .connected(var connected) = self[place].state else { return }
        connected.isStable = true
        self[place].state = .connected(connected)
        // While other attempts fail, one old connection that holds does not prove that things are good again.
        guard connected.failureCount == failureCount else { return }
        backoff.reset()
        capacityBackoff.reset()
        earlyRefreshes = 0
    }

    private mutating func markRefreshDue(_ place: Place) { note(place) { $0.isRefreshDue = true } }

    private mutating func note(_ place: Place, _ change: (inout Connected) -> Void) {
        guard case .connected(var connected) = self[place].state else { return }
        change(&connected)
        self[place].state = .connected(connected)
    }

    private mutating func retire(_ place: Place, _ turn: inout Turn) {
        guard case .connected(let connected) = self[place].state else { return }
        let id = self[place].id
        set(place, .retiring(connected), turn.now)
        cancel(.stable(id), &turn)
        cancel(.lifetime(id), &turn)
        turn.actions.append(.retire(id))
    }

    private mutating func close(_ place: Place, _ reason: EndReason, _ turn: inout Turn) {
        switch self[place].state {
        case .opening, .dialing, .closing: return
        case .awaitingHello: set(place, .closing(nil), turn.now)
        case .connected(let connected), .retiring(let connected): set(place, .closing(connected), turn.now)
        }
        cancel(.stable(self[place].id), &turn)
        cancel(.lifetime(self[place].id), &turn)
        turn.actions.append(.close(self[place].id, reason))
    }

    /// More than expected, for long: another gateway, a forgotten laptop, or ghosts (F6, F24, F25).
    private mutating func watchGhosts(_ turn: inout Turn) {
        guard phase == .running, let reported, reported > configuration.expectedConnections else {
            isGhostAlarmRaised = false
            return cancel(.ghosts, &turn)
        }
        if !isGhostAlarmRaised, !isScheduled(.ghosts) { schedule(.ghosts, after: configuration.ghostAfter, &turn) }
    }

    // MARK: The next attempt

    /// Begins the next attempt if one is due and may begin; ends the pool when it is drained.
    mutating func proceed(_ turn: inout Turn) {
        switch phase {
        case .idle, .finished:
            return
        case .draining:
            guard slots.allSatisfy(\.sockets.isEmpty) else { return }
            phase = .finished
            cancel(.drain, &turn)
            turn.actions.append(.finish)
        case .running:
            while slots.count > wantedSlots, slots.last?.sockets.isEmpty == true { slots.removeLast() }
            guard pause == nil, roomAwaitedUntil == nil, attempt == nil else { return }
            let wanted = slots.prefix(wantedSlots)
            if let slot = wanted.firstIndex(where: { $0.isVacant && $0.hasRoom }) {
                fill(slot, &turn)
            } else if let slot = wanted.firstIndex(where: \.isRefreshDue) {
                refresh(slot, &turn)
            }
        }
    }

    private mutating func fill(_ slot: Int, _ turn: inout Turn) {
        if !isAtLimit {
            open(slot, &turn)
        } else if !isAnyEnding {
            awaitRoom(&turn)
        }
    }

    private mutating func refresh(_ slot: Int, _ turn: inout Turn) {
        if !slots[slot].hasRoom {
            // The connection before this one is still leaving: it goes first.
            for place in places(in: slot) where self[place].connected == nil { close(place, .refreshed, &turn) }
        } else if isAtLimit || places(in: slot).contains(where: { self[$0].connected?.mustMakeRoom == true }) {
            // The next attempt waits for its end.
            reported = max(reported ?? 0, PoolConfiguration.slackConnectionLimit)
            for place in places(in: slot) { retire(place, &turn) }
        } else {
            open(slot, &turn)
        }
    }

    private mutating func open(_ slot: Int, _ turn: inout Turn) {
        let id = makeConnectionID()
        slots[slot].sockets.append(Socket(id: id, state: .opening, since: turn.now))
        turn.actions.append(.open(id, slot: slot))
    }

    var wantedSlots: Int { max(1, configuration.connections) }

    /// The attempt under way.
    var attempt: ConnectionID? {
        for slot in slots {
            for socket in slot.sockets {
                switch socket.state {
                case .opening, .dialing, .awaitingHello: return socket.id
                case .connected, .retiring, .closing: continue
                }
            }
        }
        return nil
    }

    /// Whether the next connection would be one more than Slack allows.
    private var isAtLimit: Bool { (reported ?? 0) >= PoolConfiguration.slackConnectionLimit }

    /// Whether a connection of ours is about to make room.
    private var isAnyEnding: Bool {
        slots.contains { slot in
            slot.sockets.contains { socket in
                switch socket.state {
                case .retiring, .closing(.some): true
                case .opening, .dialing, .awaitingHello, .connected, .closing(nil): false
                }
            }
        }
    }
}

// MARK: Where a socket is

extension PoolStateMachine {
    struct Place: Equatable {
        var slot: Int
        var index: Int
    }

    subscript(place: Place) -> Socket {
        get { slots[place.slot].sockets[place.index] }
        set { slots[place.slot].sockets[place.index] = newValue }
    }

    /// nil for a connection that is gone.
    func find(_ id: ConnectionID) -> Place? {
        for slot in slots.indices {
            if let index = slots[slot].sockets.firstIndex(where: { $0.id == id }) {
                return Place(slot: slot, index: index)
            }
        }
        return nil
    }

    func places(in slot: Int) -> [Place] { slots[slot].sockets.indices.map { Place(slot: slot, index: $0) } }

    mutating func set(_ place: Place, _ state: Socket.State, _ now: Duration) {
        self[place].state = state
        self[place].since = now
    }

    mutating func remove(_ place: Place, _ turn: inout Turn) {
        slots[place.slot].sockets.remove(at: place.index)
        if slots[place.slot].sockets.isEmpty { slots[place.slot].emptySince = turn.now }
    }
}
