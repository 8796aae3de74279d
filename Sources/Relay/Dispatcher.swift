// One backend's way out: attempts its deliveries and records what became of them.

package import Logging
package import RelayCore

/// Drives one backend's `DispatchStateMachine`: asks it, and does what it says. One dispatcher per backend, so that a
/// slow one delays nobody else.
///
/// Does no I/O of its own: the queue, the sender and the clock are ports.
package actor Dispatcher {
    private enum Work: Sendable {
        case attempt(Delivery)
        case settle
        case release([DeliveryID])
        case lease(LeaseBounds)
        case storePause
        case wake(Timestamp)
    }

    nonisolated package let backend: Backend
    private let queue: any DeliveryQueue
    private let pauses: any PauseStore
    private var sender: any AttemptSender
    private let clock: any RelayClock
    private let random: @Sendable () -> Double
    private let health: QueueHealth
    private let metrics: BackendMetrics
    private let logger: Logger
    private let observer: (any DeliveryObserver)?
    private let alarms: AlarmService?
    private var machine: DispatchStateMachine
    private let work: AsyncStream<Work>
    private let workToDo: AsyncStream<Work>.Continuation
    /// Decided, not yet recorded; in the order decided.
    private var unrecorded: [Settlement] = []
    private var isSettling = false
    private var isDraining = false
    /// Called when something that it gave back or put off is another one's.
    private var handOn: (@Sendable () async -> Void)?
    /// The one before it may have told that the backend fails: whether it works is told with the first answer.
    private var hasWorked = false
    /// Since when it is left alone, and why; nil: it is not.
    package private(set) var pause: Pause?

    /// - Parameters:
    ///   - queue: its pause is stored there, too.
    ///   - pause: as it was stored.
    ///   - random: gives numbers uniform in 0 ..< 1, for jitter.
    package init(
        _ backend: Backend, queue: any DeliveryQueue & PauseStore, pause: Pause? = nil, sender: any AttemptSender,
        clock: any RelayClock,
        random: @escaping @Sendable () -> Double, health: QueueHealth, metrics: BackendMetrics, logger: Logger,
        observer: (any DeliveryObserver)? = nil, alarms: AlarmService? = nil
    ) {
        self.backend = backend
        self.queue = queue
        self.pauses = queue
        self.pause = pause
        self.sender = sender
        self.clock = clock
        self.random = random
        self.health = health
        self.metrics = metrics
        var logger = logger
        logger[metadataKey: LogKey.backendName] = "\(backend.name)"
        self.logger = logger
        self.observer = observer
        self.alarms = alarms
        self.machine = DispatchStateMachine(.init(backend))
        if pause != nil { _ = machine.paused(now: clock.now) }
        (self.work, self.workToDo) = AsyncStream.makeStream()
    }

    /// Lives until drained, or until its task is canceled: then attempts under way are canceled, and their deliveries
    /// are attempted again after the next start.
    package func run() async {
        if pause?.cause == .gone { alarms?.began(.init(.backendGone, backend.name.text)) }
        perform(machine.started(now: clock.now))
        await withDiscardingTaskGroup { group in
            for await item in work {
                group.addTaskNow { await self.perform(item) }
            }
            // Drained: what is left are wakes that nobody needs.
            group.cancelAll()
        }
    }

    /// New deliveries of this backend were stored; see `DispatchStateMachine.deliveriesStored`.
    /// - Returns: false, with nothing done, when it is draining: then they are another one's, or wait.
    @discardableResult
    package func deliveriesStored(_ leased: [Delivery], othersWait: Bool) -> Bool {
        guard !isDraining else { return false }
        perform(machine.deliveriesStored(leased, othersWait: othersWait, now: clock.now))
        return true
    }

    /// Makes attempts from now on. The backend is as it was; the secrets of apps may be others.
    func use(_ sender: any AttemptSender) { self.sender = sender }

    /// Whether somebody who waits for an answer may ask the backend now.
    func askAnswer(_ kind: Kind) -> DispatchStateMachine.Permission { machine.askAnswer(kind, now: clock.now) }

    /// The backend was asked for an answer, and this came of it.
    func answerFinished(_ result: AttemptResult, wasProbe: Bool) {
        noteWorks(result)
        perform(machine.answerFinished(result, wasProbe: wasProbe, now: clock.now), after: result)
    }

    /// Leaves the backend alone until `resume`, over restarts. What is in flight comes to its end; what waits is held.
    /// When it throws, nothing has changed. A backend that is paused stays paused as it is.
    package func pauseByPerson() async throws(QueueError) {
        // Stored again where there is one: what a 410 has begun may not be durable yet.
        let pause = pause ?? Pause(since: clock.now, cause: .person)
        try await pauses.setPause(pause, of: backend.name)
        // It answered 410 meanwhile, or another person was faster.
        guard self.pause == nil else { return }
        self.pause = pause
        logger.notice("backend paused: its deliveries are held")
        perform(machine.paused(now: clock.now))
    }

    /// Attempts the backend's deliveries again, or makes a probe where its breaker is open, at once. When it throws,
    /// nothing has changed. What pauses it meanwhile is newer, and holds.
    package func resume() async throws(QueueError) {
        let before = pause
        try await pauses.setPause(nil, of: backend.name)
        guard pause == before else {
            // Stored after this, whichever was stored first.
            workToDo.yield(.storePause)
            return
        }
        if pause != nil { logger.notice("backend resumed") }
        pause = nil
        alarms?.ended(.init(.backendGone, backend.name.text))
        perform(machine.resumed(now: clock.now))
    }

    /// How it stands with the backend.
    package var status: DispatchStateMachine.Status { machine.status }

    /// Is left alone as the dispatcher was whose place it takes.
    func takeOver(_ pause: Pause?) {
        guard pause != self.pause else { return }
        self.pause = pause
        perform(pause == nil ? machine.resumed(now: clock.now) : machine.paused(now: clock.now))
    }

    /// Starts nothing more; `run()` returns when what is in flight has been settled.
    /// - Parameter handOn: called whenever deliveries of the backend may be due that are this one's no more.
    /// - Returns: its pause, which does not change any more.
    @discardableResult
    package func drain(handOn: (@Sendable () async -> Void)? = nil) -> Pause? {
        isDraining = true
        if let handOn { self.handOn = handOn }
        perform(machine.drain(now: clock.now))
        return pause
    }

    // MARK: -

    /// - Parameter result: of the attempt or answer that they follow from.
    private func perform(_ actions: DispatchStateMachine.Actions, after result: AttemptResult? = nil) {
        for delivery in actions.start { workToDo.yield(.attempt(delivery)) }
        note(actions.breaker, after: result)
        // One that is being replaced speaks for the backend no more.
        if actions.isGone, !isDraining { noteGone() }
        if !actions.settle.isEmpty {
            noteExpired(actions.settle)
            unrecorded += actions.settle
            if !isSettling {
                isSettling = true
                workToDo.yield(.settle)
            }
        }
        if !actions.release.isEmpty { workToDo.yield(.release(actions.release)) }
        if let bounds = actions.lease { workToDo.yield(.lease(bounds)) }
        if let time = actions.wake { workToDo.yield(.wake(time)) }
        if actions.isDrained { workToDo.finish() }
    }

    private func perform(_ item: Work) async {
        switch item {
        case .attempt(let delivery):
            // What an attempt lets start goes on in its task: one hand-over and one task less for each delivery.
            var next: Delivery? = delivery
            while let delivery = next { next = await attempt(delivery) }
        case .settle:
            await settle()
        case .release(let ids):
            await queue.release(ids)
            perform(machine.released(now: clock.now))
            await handOn?()
        case .lease(let bounds):
            await lease(bounds)
        case .storePause:
            await storePause()
        case .wake(let time):
            guard (try? await clock.sleep(until: time, tolerance: nil)) != nil else { return }
            perform(machine.woke(time, now: clock.now))
        }
    }

    /// - Returns: one that is to be attempted now.
    private func attempt(_ delivery: Delivery) async -> Delivery? {
        let startedAt = clock.now
        let number = delivery.attemptsMade + 1
        let result = await sender.send(delivery, attempt: number)
        let now = clock.now
        var actions = machine.attemptFinished(
            delivery, result, startedAt: startedAt, now: now, random: random())
        guard !Task.isCancelled else {
            // Cut short by us: the backend may or may not have it, so it is attempted again after the next start. Not
            // so what it accepted.
            if result.outcome == .accepted { try? await queue.settle(actions.settle) }
            return nil
        }
        metrics.attempted(delivery, result, startedAt: startedAt, finishedAt: now)
        noteWorks(result)
        if case .deadLetter? = actions.settle.first?.verb {
            metrics.deadLettered()
            alarms?.happened(.init(.deadLetter, backend.name.text))
        }
        log(delivery, result, number: number, duration: startedAt.duration(to: now), actions.settle.first?.verb)
        observer?.attemptFinished(delivery, result, number: number, duration: startedAt.duration(to: now))
        let next = actions.start.isEmpty ? nil : actions.start.removeFirst()
        perform(actions, after: result)
        return next
    }

    /// Records what has been decided, over and over until nothing is left: settlements that come while one write is
    /// under way share the next one.
    private func settle() async {
        while !unrecorded.isEmpty {
            let batch = unrecorded
            unrecorded = []
            do {
                try await queue.settle(batch)
                health.worked(.settle)
                observer?.settled(batch, of: backend.name)
                perform(machine.settled(batch, now: clock.now))
                await handOn?()
            } catch {
                health.failed(.settle, error)
                unrecorded = batch + unrecorded
                guard (try? await clock.sleep(for: .seconds(1))) != nil
                else { break }
            }
        }
        isSettling = false
    }

    private func lease(_ bounds: LeaseBounds) async {
        do {
            let result = try await queue.lease(backend.name, bounds, now: clock.now)
            health.worked(.lease)
            perform(machine.leaseFinished(result, now: clock.now))
        } catch {
            health.failed(.lease, error)
            perform(machine.leaseFailed(now: clock.now))
        }
    }

    /// It answered 410, and is paused already.
    private func noteGone() {
        pause = Pause(since: clock.now, cause: .gone)
        logger.error("backend is gone (410): its deliveries are held until somebody resumes it")
        conditions?.began(.init(.backendGone, backend.name.text))
        workToDo.yield(.storePause)
    }

    /// Until it is stored, or a person has decided otherwise.
    private func storePause() async {
        while let pause {
            do {
                try await pauses.setPause(pause, of: backend.name)
                return health.worked(.settle)
            } catch {
                health.failed(.settle, error)
                guard (try? await clock.sleep(for: .seconds(1))) != nil else { return }
            }
        }
    }

    /// Who is told how it stands with the backend. One that drains may be being replaced, and speaks for it no more.
    private var conditions: AlarmService? { isDraining ? nil : alarms }

    /// Any answer but a failing one says that it works, as for the breaker.
    private func noteWorks(_ result: AttemptResult) {
        guard !hasWorked else { return }
        switch result.outcome {
        case .accepted, .rejected(.http):
            hasWorked = true
            conditions?.ended(.init(.backendFailing, backend.name.text))
        case .rejected, .failed: break
        }
    }

    private func note(_ change: CircuitBreaker.Change, after result: AttemptResult?) {
        switch change {
        case .none: break
        case .opened:
            metrics.breakerOpened()
            conditions?.began(.init(.backendFailing, backend.name.text))
            let wait = machine.status.probeDue.map { clock.now.duration(to: $0).milliseconds } ?? 0
            var metadata = result.map(Self.metadata(of:)) ?? [:]
            metadata[LogKey.waitMilliseconds] = "\(wait)"
            logger.warning("backend fails: its deliveries are held until a probe succeeds", metadata: metadata)
        case .closed:
            conditions?.ended(.init(.backendFailing, backend.name.text))
            logger.notice("backend works again: its deliveries are released, slowly at first")
        }
    }

    private func noteExpired(_ settlements: [Settlement]) {
        for settlement in settlements where settlement.verb == .expire {
            metrics.expired()
            logger.notice(
                "delivery expired before it could be made", metadata: [LogKey.deliveryID: "\(settlement.id)"])
        }
    }

    private func log(
        _ delivery: Delivery, _ result: AttemptResult, number: Int, duration: Duration, _ verb: Settlement.Verb?
    ) {
        let (level, message): (Logger.Level, Logger.Message) =
            switch verb {
            case .deadLetter: (.error, "delivery given up: dead letter")
            case .reschedule: (.warning, "attempt failed; the delivery is tried again")
            case .complete, .expire, nil: (.debug, "delivered")
            }
        guard level >= logger.logLevel else { return }
        var metadata: Logger.Metadata = [
            LogKey.app: "\(delivery.app)", LogKey.deliveryID: "\(delivery.id)", LogKey.routeName: "\(delivery.route)",
            LogKey.envelopeKind: "\(delivery.kind.rawValue)", LogKey.attemptNumber: "\(number)",
            LogKey.attemptDuration: "\(duration.milliseconds)",
        ]
        metadata.merge(Self.metadata(of: result)) { $1 }
        if case .reschedule(let due) = verb {
            let next = max(due, machine.status.probeDue ?? due)
            metadata[LogKey.retryIn] = "\(clock.now.duration(to: next).milliseconds)"
        }
        logger.log(level: level, message, metadata: metadata)
    }

    private static func metadata(of result: AttemptResult) -> Logger.Metadata {
        var metadata: Logger.Metadata = [:]
        if let status = result.status { metadata[LogKey.attemptStatus] = "\(status)" }
        if let reason = result.outcome.reason { metadata[LogKey.attemptReason] = "\(reason)" }
        if !result.detail.isEmpty { metadata[LogKey.attemptDetail] = "\(result.detail)" }
        return metadata
    }
}
