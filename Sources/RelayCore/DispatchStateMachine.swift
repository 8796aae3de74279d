// Decides, for one backend, which delivery is attempted when, and what becomes of it.

/// Feeds one backend from the queue.
///
/// Responsibilities:
/// 1. attempt deliveries in the order they fell due, at most `maxInFlight` at a time;
/// 2. take just-stored deliveries from memory while there is room, and send the rest back to the queue (the backlog is
///    on disk);
/// 3. lease from the queue when memory runs low, and wake when the next one falls due;
/// 4. turn each attempt's result into a settlement: complete, reschedule, dead-letter, expire;
/// 5. leave the backend alone for as long as its `Retry-After` asks and while its breaker is open, and keep to its rate;
/// 6. leave it alone while it is paused: by a person, or because it answered 410;
/// 7. give up a delivery that holds up its order key for too long (the queue hands out one of a key at a time);
/// 8. say whether somebody who waits for an answer may ask the backend now;
/// 9. drain: start nothing more, give back what was not started, and say when all is settled.
///
/// The one surprising rule: deliveries that come from memory are taken only while nothing waits in the queue. Otherwise
/// new deliveries would overtake the backlog, and a backlog that shrinks slower than it grows would never be reached.
///
/// A delivery is *held* from the moment it is leased until its settlement is recorded; held deliveries and their bytes
/// are bounded.
package struct DispatchStateMachine: Sendable {
    package struct Configuration: Sendable, Equatable {
        package var maxInFlight: Int
        package var rateLimit: RateLimit?
        package var circuitBreaker: CircuitBreaker.Configuration
        /// Deliveries held in memory.
        package var maxHeld: Int
        /// Payload bytes held in memory; one delivery is always allowed, however large.
        package var maxHeldBytes: Int
        package var retry: RetryPolicy
        /// From the first attempt of a delivery that has an order key, or from when attempts were let go on after it.
        package var orderBlockMax: Duration
        package var maxAge: [Kind: Duration]
        /// How long to wait after the queue could not be read.
        package var leaseRetryDelay: Duration
        /// The queue is looked into again at the latest after so long, whatever it said last: nothing that was stored
        /// can be forgotten for good, not even when the clock was set back.
        package var longestIdle: Duration

        package init(
            maxInFlight: Int = 16, rateLimit: RateLimit? = nil, circuitBreaker: CircuitBreaker.Configuration = .init(),
            maxHeld: Int = 512, maxHeldBytes: Int = 4 << 20,
            retry: RetryPolicy = .init(), orderBlockMax: Duration = .seconds(600),
            maxAge: [Kind: Duration] = Backend.defaultMaxAge, leaseRetryDelay: Duration = .seconds(1),
            longestIdle: Duration = .seconds(60)
        ) {
            self.maxInFlight = maxInFlight
            self.rateLimit = rateLimit
            self.circuitBreaker = circuitBreaker
            self.maxHeld = max(maxHeld, maxInFlight)
            self.maxHeldBytes = maxHeldBytes
            self.retry = retry
            self.orderBlockMax = orderBlockMax
            self.maxAge = maxAge
            self.leaseRetryDelay = leaseRetryDelay
            self.longestIdle = longestIdle
        }

        /// For a backend as configured. The memory for held deliveries grows with what may be in flight.
        package init(_ backend: Backend) {
            self.init(
                maxInFlight: backend.maxInFlight, rateLimit: backend.rateLimit, circuitBreaker: backend.circuitBreaker,
                maxHeld: max(512, 4 * backend.maxInFlight), retry: backend.retry,
                orderBlockMax: backend.orderBlockMax, maxAge: backend.maxAge)
        }
    }

    /// What to do now. Everything here may be done in any order and at the same time.
    package struct Actions: Sendable, Equatable {
        /// Attempt these.
        package var start: [Delivery]
        /// Record these, then report `settled`.
        package var settle: [Settlement]
        /// Give these leases back, then report `released`.
        package var release: [DeliveryID]
        /// Lease so much, then report `leaseFinished` or `leaseFailed`.
        package var lease: LeaseBounds?
        /// Report `woke` at this time. Wakes asked for before stand; one that comes for nothing does no harm.
        package var wake: Timestamp?
        /// What the breaker did.
        package var breaker: CircuitBreaker.Change
        /// The backend is gone (410) and paused from now on: that is to be stored, and somebody to be told.
        package var isGone: Bool
        /// Draining is done: nothing is held any more.
        package var isDrained: Bool

        package init(
            start: [Delivery] = [], settle: [Settlement] = [], release: [DeliveryID] = [], lease: LeaseBounds? = nil,
            wake: Timestamp? = nil, breaker: CircuitBreaker.Change = .none, isGone: Bool = false,
            isDrained: Bool = false
        ) {
            self.start = start
            self.settle = settle
            self.release = release
            self.lease = lease
            self.wake = wake
            self.breaker = breaker
            self.isGone = isGone
            self.isDrained = isDrained
        }
    }

    private let configuration: Configuration
    private var ready = FIFO<Delivery>()
    private var inFlightCount = 0
    private var unsettledCount = 0
    private var heldBytes = 0
    /// Of deliveries whose settlement is under way.
    private var settling: [DeliveryID: Settling] = [:]
    private var queueState = QueueState.mayHaveMore
    private var leasing: Leasing?
    private var releasesUnderWay = 0
    private var leftAlone: LeftAlone?
    private var breaker: CircuitBreaker
    private var bucket: TokenBucket?
    /// The attempt that is to find out whether the backend works again.
    private var probe: DeliveryID?
    /// How many of each delivery's probes have failed since the breaker opened, or somebody resumed.
    private var failedProbes: [DeliveryID: Int] = [:]
    /// Of one delivery. With the default waits they take 8 minutes.
    private static let maxFreeProbes = 10
    /// Wakes asked for and not yet come: few, because a new one is asked for only when it is earlier than all of them.
    private var wakes: Set<Timestamp> = []
    private var isPaused = false
    private var isDraining = false
    /// When attempts were let go on last: at the start, when it was resumed, when it had been left alone for long.
    private var letGoAt: Timestamp?
    /// When the breaker opened; nil while it is closed.
    private var openedAt: Timestamp?

    /// By its own `Retry-After`.
    private struct LeftAlone {
        var since: Timestamp
        var until: Timestamp
    }

    private struct Settling {
        var bytes: Int
        var isOrdered: Bool
    }

    /// What waits in the queue, as far as is known here.
    private enum QueueState: Equatable {
        /// A delivery that can be leased now may be there. The state after start: the last run may have left some.
        case mayHaveMore
        /// Nothing until this time, but for what is reported as stored.
        case idle(until: Timestamp)
    }

    /// A lease is under way. What is reported meanwhile may or may not be in its result, so it is remembered.
    private struct Leasing {
        var mayMissMore = false
        var mayMissDue: Timestamp?
    }

    package init(_ configuration: Configuration) {
        self.configuration = configuration
        breaker = CircuitBreaker(configuration.circuitBreaker)
        bucket = configuration.rateLimit.map { TokenBucket($0) }
    }

    /// What is told of the backend.
    package struct Status: Sendable, Equatable {
        package var breaker: CircuitBreaker.Condition
        /// When the next probe is due; nil while the breaker is not open.
        package var probeDue: Timestamp?
        /// Left alone until then, because it asked for it.
        package var retryAfter: Timestamp?
        package var isPaused: Bool
        package var inFlight: Int

        /// Whether what waits for it is held: not attempted, however due.
        package var isHeld: Bool { isPaused || breaker == .open }

        /// `paused`, or the state of the breaker: as it is told in metrics and by the API.
        package var word: String { isPaused ? Self.paused : breaker.rawValue }

        private static let paused = "paused"
        /// All that `word` can be.
        package static let words = CircuitBreaker.Condition.allCases.map(\.rawValue) + [paused]
    }

    package var status: Status {
        Status(
            breaker: breaker.condition, probeDue: breaker.probeDue, retryAfter: leftAlone?.until,
            isPaused: isPaused, inFlight: inFlightCount)
    }

    private var isHeldBack: Bool { isPaused || breaker.condition == .open }
    private var heldCount: Int { ready.count + inFlightCount + unsettledCount }
    private var hasRoom: Bool {
        heldCount < configuration.maxHeld && (heldBytes < configuration.maxHeldBytes || heldCount == 0)
    }

    /// The process started: look into the queue.
    package mutating func started(now: Timestamp) -> Actions {
        letGoAt = now
        return next(now: now)
    }

    /// New deliveries were stored. `leased` holds those that the queue leased to us at once; `othersWait` says that
    /// there are more, not leased.
    package mutating func deliveriesStored(_ leased: [Delivery], othersWait: Bool, now: Timestamp) -> Actions {
        var surplus: [DeliveryID] = []
        let mustQueueUp = isDraining || isHeldBack || queueState == .mayHaveMore || releasesUnderWay > 0
        for delivery in leased {
            if mustQueueUp || !surplus.isEmpty || !hasRoom {
                surplus.append(delivery.id)
            } else {
                hold(delivery)
            }
        }
        if othersWait || !surplus.isEmpty { noteMore() }
        return next(now: now, releasing: surplus)
    }

    /// `Actions.release` was done.
    package mutating func released(now: Timestamp) -> Actions {
        releasesUnderWay -= 1
        noteMore()
        return next(now: now)
    }

    /// `Actions.lease` was done.
    package mutating func leaseFinished(_ result: LeaseResult, now: Timestamp) -> Actions {
        let missed = leasing ?? Leasing()
        leasing = nil
        guard !isDraining, !isHeldBack else {
            if isHeldBack { noteMore() }
            return next(now: now, releasing: result.deliveries.map(\.id))
        }
        for delivery in result.deliveries { hold(delivery) }
        if !missed.mayMissMore {
            let latest = now.advanced(by: configuration.longestIdle)
            queueState = .idle(until: [result.nextDue, missed.mayMissDue, latest].compactMap { $0 }.min() ?? latest)
        }
        return next(now: now)
    }

    /// `Actions.lease` could not be done: the queue cannot be read now.
    package mutating func leaseFailed(now: Timestamp) -> Actions {
        leasing = nil
        queueState = .idle(until: now.advanced(by: configuration.leaseRetryDelay))
        return next(now: now)
    }

    /// An attempt of `Actions.start` came to an end.
    /// - Parameter random: uniform in 0 ..< 1, for jitter.
    package mutating func attemptFinished(
        _ delivery: Delivery, _ result: AttemptResult, startedAt: Timestamp, now: Timestamp, random: Double
    ) -> Actions {
        inFlightCount -= 1
        let wasProbe = probe == delivery.id
        if wasProbe { probe = nil }
        let change = judge(result, wasProbe: wasProbe, now: now)
        let isGone = noteGone(result)
        let wait = configuration.retry.cappedRetryAfter(of: result)
        if wait > .zero {
            let until = now.advanced(by: wait)
            leftAlone = LeftAlone(since: leftAlone?.since ?? now, until: max(leftAlone?.until ?? until, until))
        }

        var attempt = Attempt(
            number: delivery.attemptsMade + 1, startedAt: startedAt, finishedAt: now, result: result)
        let verb: Settlement.Verb
        if wasProbe, change != .closed, case .failed(let reason) = result.outcome, reason != .requestError,
            isFreeProbe(delivery.id, reason)
        {
            // No fault of the delivery. It lets those go first that wait already, for it may be the one that the backend
            // cannot take; and no longer, for it may be the only one that the next probe can be made with.
            attempt.isProbe = true
            verb = .reschedule(at: now)
        } else {
            verb = decide(delivery, attempt, result, random)
        }
        let settlement = settle(delivery, attempt: attempt, verb, now: now)
        var actions = next(now: now, settling: [settlement], releasing: takeUnstartedIfHeldBack())
        actions.breaker = change
        actions.isGone = isGone
        return actions
    }

    /// Whether a probe that failed burns no attempt. The first ones of a delivery do not, nor does any that the backend
    /// cannot have looked at. Then it may be the delivery: where no other can be the probe, for all wait behind its order
    /// key, the backend would be left alone for ever.
    private mutating func isFreeProbe(_ id: DeliveryID, _ reason: AttemptReason) -> Bool {
        guard reason.mayBeOfDelivery else { return true }
        if failedProbes.count > Self.maxFreeProbes * 100 { failedProbes = [:] }
        failedProbes[id, default: 0] += 1
        return failedProbes[id, default: 0] <= Self.maxFreeProbes
    }

    private func decide(
        _ delivery: Delivery, _ attempt: Attempt, _ result: AttemptResult, _ random: Double
    ) -> Settlement.Verb {
        switch configuration.retry.decide(result, attempt: attempt.number, random: random) {
        case .complete:
            return .complete
        case .deadLetter(let reason):
            return .deadLetter(reason)
        case .retry(let wait):
            let due = attempt.finishedAt.advanced(by: wait)
            guard delivery.orderKey != nil, let reason = result.outcome.reason else { return .reschedule(at: due) }
            // While nothing was attempted it was not this one that held up the others.
            let begin = max(delivery.firstAttemptAt ?? attempt.startedAt, letGoAt ?? attempt.startedAt)
            let end = begin.advanced(by: configuration.orderBlockMax)
            return attempt.finishedAt < end
                ? .reschedule(at: min(due, end)) : .deadLetter(.orderBlocked(reason))
        }
    }

    /// Whether the backend says for the first time that it is gone; then it is paused.
    private mutating func noteGone(_ result: AttemptResult) -> Bool {
        guard result.status == 410, result.outcome != .accepted, !isPaused else { return false }
        isPaused = true
        return true
    }

    /// What an attempt says of the backend: any answer but a failing one says that it works. So does a 404: that is how
    /// Bolt says that it has no listener for this one. While the breaker is closed it says nothing: it may come from what
    /// stands before an app that fails.
    private mutating func judge(_ result: AttemptResult, wasProbe: Bool, now: Timestamp) -> CircuitBreaker.Change {
        switch result.outcome {
        case .failed(.http(status: 404)) where breaker.condition == .closed: return .none
        case .accepted, .rejected(.http), .failed(.http(status: 404)):
            let change = breaker.attemptSucceeded(maximum: configuration.maxInFlight)
            if change == .closed {
                if let openedAt { letGo(leftAloneSince: openedAt, now: now) }
                openedAt = nil
                failedProbes = [:]
            }
            return change
        case .rejected, .failed(.requestError):
            // It was not asked.
            if wasProbe { breaker.probeAbandoned() }
            return .none
        case .failed:
            let change = breaker.attemptFailed(wasProbe: wasProbe, now: now)
            if change == .opened { openedAt = now }
            return change
        }
    }

    // MARK: Answers

    /// Whether somebody who waits may ask the backend.
    package enum Permission: Sendable, Equatable {
        case yes
        /// To find out whether it works again; `answerFinished` is to be told.
        case asProbe
        /// Its breaker is open, or it is paused.
        case no
    }

    /// Somebody waits for an answer: a person, or Slack for the acknowledgement of an event, which it sends again. Nothing
    /// of it counts in `maxInFlight`.
    package mutating func askAnswer(_ kind: Kind, now: Timestamp) -> Permission {
        guard !isPaused else { return .no }
        guard breaker.mayStart(inFlight: 0, maximum: 1, now: now) else {
            return kind != .event && breaker.mayAskBesides(now: now) ? .yes : .no
        }
        guard breaker.attemptStarted() else { return .yes }
        // Nobody besides for as long.
        _ = breaker.mayAskBesides(now: now)
        return .asProbe
    }

    /// The backend was asked, and this came of it.
    package mutating func answerFinished(_ result: AttemptResult, wasProbe: Bool, now: Timestamp) -> Actions {
        let change = judge(result, wasProbe: wasProbe, now: now)
        let isGone = noteGone(result)
        var actions = next(now: now, releasing: takeUnstartedIfHeldBack())
        actions.breaker = change
        actions.isGone = isGone
        return actions
    }

    // MARK: Pause

    /// The backend is to be left alone until `resumed`. What is in flight comes to its end.
    package mutating func paused(now: Timestamp) -> Actions {
        isPaused = true
        return next(now: now, releasing: takeUnstartedIfHeldBack())
    }

    /// A person wants it tried now, paused or not: an open breaker makes its probe, and what the backend asked for with
    /// `Retry-After` is over.
    package mutating func resumed(now: Timestamp) -> Actions {
        isPaused = false
        letGoAt = now
        leftAlone = nil
        failedProbes = [:]
        breaker.probeAsked()
        noteMore()
        return next(now: now)
    }

    // MARK: -

    /// What is held and not started goes back to the queue while the backend is left alone.
    private mutating func takeUnstartedIfHeldBack() -> [DeliveryID] {
        guard isHeldBack, !isDraining, !ready.isEmpty else { return [] }
        noteMore()
        return takeUnstarted()
    }

    private mutating func takeUnstarted() -> [DeliveryID] {
        let unstarted = ready.removeAll()
        for delivery in unstarted { heldBytes -= delivery.payload.bytes.count }
        return unstarted.map(\.id)
    }

    /// These settlements of `Actions.settle` are recorded.
    package mutating func settled(_ settlements: [Settlement], now: Timestamp) -> Actions {
        for settlement in settlements {
            unsettledCount -= 1
            let settled = settling.removeValue(forKey: settlement.id)
            heldBytes -= settled?.bytes ?? 0
            if case .reschedule(let due) = settlement.verb {
                noteDue(due)
            } else if settled?.isOrdered == true {
                // The next of its key may go now.
                noteMore()
            }
        }
        return next(now: now)
    }

    /// A time asked for with `Actions.wake` has come.
    package mutating func woke(_ time: Timestamp, now: Timestamp) -> Actions {
        wakes.remove(time)
        return next(now: now)
    }

    /// Start nothing more and give back what was not started.
    package mutating func drain(now: Timestamp) -> Actions {
        isDraining = true
        return next(now: now, releasing: takeUnstarted())
    }

    // MARK: -

    private mutating func hold(_ delivery: Delivery) {
        ready.append(delivery)
        heldBytes += delivery.payload.bytes.count
    }

    private mutating func settle(
        _ delivery: Delivery, attempt: Attempt?, _ verb: Settlement.Verb, now: Timestamp
    ) -> Settlement {
        unsettledCount += 1
        settling[delivery.id] = Settling(
            bytes: delivery.payload.bytes.count, isOrdered: delivery.orderKey != nil)
        return Settlement(id: delivery.id, attempt: attempt, verb: verb, at: now)
    }

    private mutating func noteMore() {
        queueState = .mayHaveMore
        leasing?.mayMissMore = true
    }

    private mutating func noteDue(_ due: Timestamp) {
        if case .idle(let until) = queueState { queueState = .idle(until: min(until, due)) }
        if let known = leasing?.mayMissDue, known <= due { return }
        leasing?.mayMissDue = due
    }

    /// What follows from the present state: the one place that starts, leases, sleeps and ends.
    private mutating func next(
        now: Timestamp, settling settlements: [Settlement] = [], releasing: [DeliveryID] = []
    ) -> Actions {
        var actions = Actions()
        actions.settle = settlements
        actions.release = releasing
        if !releasing.isEmpty { releasesUnderWay += 1 }
        endRetryAfter(now: now)

        guard !isDraining else {
            actions.isDrained = heldCount == 0 && leasing == nil && releasesUnderWay == 0
            return actions
        }
        breaker.timePassed(now: now)
        start(into: &actions, now: now)
        if case .idle(let due) = queueState, due <= now { queueState = .mayHaveMore }
        if queueState == .mayHaveMore, leasing == nil, hasRoom, mayLease {
            leasing = Leasing()
            let isProbing = breaker.condition == .halfOpen
            actions.lease = LeaseBounds(
                count: isProbing ? 1 : configuration.maxHeld - heldCount,
                bytes: max(0, configuration.maxHeldBytes - heldBytes))
        }
        actions.wake = newWake(now: now)
        return actions
    }

    private mutating func endRetryAfter(now: Timestamp) {
        guard let alone = leftAlone else { return }
        // Never longer than the policy allows, although the clock was set back.
        let left = min(now.duration(to: alone.until), configuration.retry.retryAfterMax)
        leftAlone?.until = now.advanced(by: left)
        guard left <= .zero else { return }
        leftAlone = nil
        letGo(leftAloneSince: alone.since, now: now)
    }

    /// The time was no delivery's own. Where it was long, each has `orderBlockMax` again: otherwise the first one of each
    /// order key would be given up after two attempts. Where it was short, what was left alone now and then, for a delivery
    /// that it cannot take, would otherwise have that one for ever.
    private mutating func letGo(leftAloneSince start: Timestamp, now: Timestamp) {
        if start.duration(to: now) * 2 >= configuration.orderBlockMax { letGoAt = now }
    }

    /// More is needed, and can be used: one delivery for a probe, or, while the backend is kept busy with what is left,
    /// the next ones for memory.
    private var mayLease: Bool {
        guard !isHeldBack else { return false }
        return breaker.condition == .halfOpen
            ? ready.isEmpty && probe == nil
            : ready.count < configuration.maxInFlight
                || ready.count < configuration.maxHeld / 2 && heldBytes < configuration.maxHeldBytes / 2
    }

    private mutating func start(into actions: inout Actions, now: Timestamp) {
        guard leftAlone == nil, !isPaused else { return }
        while let delivery = ready.first {
            // Who replays wants it made, however old it is.
            if delivery.replays == 0, let maxAge = configuration.maxAge[delivery.kind],
                delivery.receivedAt.duration(to: now) > maxAge
            {
                _ = ready.popFirst()
                actions.settle.append(settle(delivery, attempt: nil, .expire, now: now))
                continue
            }
            guard breaker.mayStart(inFlight: inFlightCount, maximum: configuration.maxInFlight, now: now),
                bucket?.take(now: now) ?? true
            else { return }
            _ = ready.popFirst()
            inFlightCount += 1
            if breaker.attemptStarted() { probe = delivery.id }
            actions.start.append(delivery)
        }
    }

    /// The earliest time at which something happens by itself, when no wake asked for comes before it.
    private mutating func newWake(now: Timestamp) -> Timestamp? {
        var times: [Timestamp] = []
        if !ready.isEmpty, let leftAlone { times.append(leftAlone.until) }
        // Whether anything waits behind an open breaker is not known before it is looked for.
        if !isPaused, let probeDue = breaker.probeDue { times.append(probeDue) }
        if !ready.isEmpty, leftAlone == nil, !isHeldBack, inFlightCount < configuration.maxInFlight,
            let token = bucket?.nextToken(now: now), token > now
        {
            times.append(token)
        }
        if case .idle(let due) = queueState { times.append(due) }
        guard let earliest = times.min(), wakes.allSatisfy({ earliest < $0 }) else { return nil }
        wakes.insert(earliest)
        return earliest
    }
}
