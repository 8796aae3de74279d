// Decides, for one backend, which delivery is attempted when, and what becomes of it.

/// Feeds one backend from the queue.
///
/// Responsibilities:
/// 1. attempt deliveries in the order they fell due, at most `maxInFlight` at a time;
/// 2. take just-stored deliveries from memory while there is room, and send the rest back to the queue (the backlog is
///    on disk);
/// 3. lease from the queue when memory runs low, and wake when the next one falls due;
/// 4. turn each attempt's result into a settlement: complete, reschedule, dead-letter, expire;
/// 5. leave the backend alone for as long as its `Retry-After` asks;
/// 6. drain: start nothing more, give back what was not started, and say when all is settled.
///
/// The one surprising rule: deliveries that come from memory are taken only while nothing waits in the queue. Otherwise
/// new deliveries would overtake the backlog, and a backlog that shrinks slower than it grows would never be reached.
///
/// A delivery is *held* from the moment it is leased until its settlement is durable; held deliveries and their bytes
/// are bounded.
package struct DispatchStateMachine: Sendable {
    package struct Configuration: Sendable, Equatable {
        package var maxInFlight: Int
        /// Deliveries held in memory.
        package var maxHeld: Int
        /// Payload bytes held in memory; one delivery is always allowed, however large.
        package var maxHeldBytes: Int
        package var retry: RetryPolicy
        package var maxAge: [Kind: Duration]
        /// How long to wait after the queue could not be read.
        package var leaseRetryDelay: Duration
        /// The queue is looked into again at the latest after so long, whatever it said last: nothing that was stored
        /// can be forgotten for good, not even when the clock was set back.
        package var longestIdle: Duration

        package init(
            maxInFlight: Int = 16, maxHeld: Int = 512, maxHeldBytes: Int = 4 << 20, retry: RetryPolicy = .init(),
            maxAge: [Kind: Duration] = Backend.defaultMaxAge, leaseRetryDelay: Duration = .seconds(1),
            longestIdle: Duration = .seconds(60)
        ) {
            self.maxInFlight = maxInFlight
            self.maxHeld = max(maxHeld, maxInFlight)
            self.maxHeldBytes = maxHeldBytes
            self.retry = retry
            self.maxAge = maxAge
            self.leaseRetryDelay = leaseRetryDelay
            self.longestIdle = longestIdle
        }

        /// For a backend as configured. The memory for held deliveries grows with what may be in flight.
        package init(_ backend: Backend) {
            self.init(
                maxInFlight: backend.maxInFlight, maxHeld: max(512, 4 * backend.maxInFlight), retry: backend.retry,
                maxAge: backend.maxAge)
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
        /// Draining is done: nothing is held any more.
        package var isDrained: Bool

        package init(
            start: [Delivery] = [], settle: [Settlement] = [], release: [DeliveryID] = [], lease: LeaseBounds? = nil,
            wake: Timestamp? = nil, isDrained: Bool = false
        ) {
            self.start = start
            self.settle = settle
            self.release = release
            self.lease = lease
            self.wake = wake
            self.isDrained = isDrained
        }
    }

    private let configuration: Configuration
    private var ready = FIFO<Delivery>()
    private var inFlightCount = 0
    private var unsettledCount = 0
    private var heldBytes = 0
    /// Payload bytes of deliveries whose settlement is under way.
    private var settlingBytes: [DeliveryID: Int] = [:]
    private var queueState = QueueState.mayHaveMore
    private var leasing: Leasing?
    private var releasesUnderWay = 0
    private var pausedUntil: Timestamp?
    /// Wakes asked for and not yet come: few, because a new one is asked for only when it is earlier than all of them.
    private var wakes: Set<Timestamp> = []
    private var isDraining = false

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
    }

    private var heldCount: Int { ready.count + inFlightCount + unsettledCount }
    private var hasRoom: Bool {
        heldCount < configuration.maxHeld && (heldBytes < configuration.maxHeldBytes || heldCount == 0)
    }

    /// The process started: look into the queue.
    package mutating func started(now: Timestamp) -> Actions {
        next(now: now)
    }

    /// New deliveries were stored. `leased` holds those that the queue leased to us at once; `othersWait` says that
    /// there are more, not leased.
    package mutating func deliveriesStored(_ leased: [Delivery], othersWait: Bool, now: Timestamp) -> Actions {
        var surplus: [DeliveryID] = []
        let mustQueueUp = isDraining || queueState == .mayHaveMore || releasesUnderWay > 0
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
        guard !isDraining else { return next(now: now, releasing: result.deliveries.map(\.id)) }
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
        let attempt = Attempt(
            number: delivery.attemptsMade + 1, startedAt: startedAt, finishedAt: now, outcome: result.outcome)
        let verb: Settlement.Verb =
            switch configuration.retry.decide(result, attempt: attempt.number, random: random) {
            case .complete: .complete
            case .retry(let wait): .reschedule(at: now.advanced(by: wait))
            case .deadLetter(let reason): .deadLetter(reason)
            }
        let pause = configuration.retry.cappedRetryAfter(of: result)
        if pause > .zero { pausedUntil = max(pausedUntil ?? now, now.advanced(by: pause)) }
        let settlement = settle(delivery, attempt: attempt, verb, now: now)
        return next(now: now, settling: [settlement])
    }

    /// These settlements of `Actions.settle` are durable.
    package mutating func settled(_ settlements: [Settlement], now: Timestamp) -> Actions {
        for settlement in settlements {
            unsettledCount -= 1
            heldBytes -= settlingBytes.removeValue(forKey: settlement.id) ?? 0
            if case .reschedule(let due) = settlement.verb { noteDue(due) }
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
        let unstarted = ready.removeAll()
        for delivery in unstarted { heldBytes -= delivery.payload.bytes.count }
        return next(now: now, releasing: unstarted.map(\.id))
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
        settlingBytes[delivery.id] = delivery.payload.bytes.count
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
        now: Timestamp, settling: [Settlement] = [], releasing: [DeliveryID] = []
    ) -> Actions {
        var actions = Actions()
        actions.settle = settling
        actions.release = releasing
        if !releasing.isEmpty { releasesUnderWay += 1 }
        if let until = pausedUntil {
            // Never longer than the policy allows, although the clock was set back.
            let left = min(now.duration(to: until), configuration.retry.retryAfterMax)
            pausedUntil = left > .zero ? now.advanced(by: left) : nil
        }

        guard !isDraining else {
            actions.isDrained = heldCount == 0 && leasing == nil && releasesUnderWay == 0
            return actions
        }
        start(into: &actions, now: now)
        if case .idle(let due) = queueState, due <= now { queueState = .mayHaveMore }
        if queueState == .mayHaveMore, leasing == nil, hasRoom,
            ready.count < configuration.maxInFlight
        {
            leasing = Leasing()
            actions.lease = LeaseBounds(
                count: configuration.maxHeld - heldCount, bytes: max(0, configuration.maxHeldBytes - heldBytes))
        }
        actions.wake = newWake()
        return actions
    }

    private mutating func start(into actions: inout Actions, now: Timestamp) {
        guard pausedUntil == nil else { return }
        while inFlightCount < configuration.maxInFlight, let delivery = ready.popFirst() {
            if let maxAge = configuration.maxAge[delivery.kind], delivery.receivedAt.duration(to: now) > maxAge {
                actions.settle.append(settle(delivery, attempt: nil, .expire, now: now))
            } else {
                inFlightCount += 1
                actions.start.append(delivery)
            }
        }
    }

    /// The earliest time at which something happens by itself, when no wake asked for comes before it.
    private mutating func newWake() -> Timestamp? {
        var earliest = ready.isEmpty ? nil : pausedUntil
        if case .idle(let due) = queueState { earliest = min(earliest ?? due, due) }
        guard let earliest, wakes.allSatisfy({ earliest < $0 }) else { return nil }
        wakes.insert(earliest)
        return earliest
    }
}
