// Waits for backends on behalf of people, and acknowledges with what they say.

package import RelayCore

/// Drives one `AnswerStateMachine` per happening: asks the backend at once, tells Slack what the machine says, and keeps
/// a record afterwards. Events that are acknowledged when delivered come the same way.
///
/// Does no I/O of its own: sender, sockets, queue and clock are ports.
package actor Answerer {
    package struct Configuration: Sendable {
        /// `answer_deadline` of each app: from reading the envelope. 2.5 s for an app that is not among them.
        package var deadlines: [AppName: Duration]
        package var backends: [Backend]
        /// People, for all backends together; each backend has a `max_waiting` of its own.
        package var maxWaiting: Int
        /// Payloads of all that wait for one backend; what comes beyond is withheld, so that memory stays bounded.
        package var maxWaitingBytes: Int

        package init(
            deadlines: [AppName: Duration] = [:], backends: [Backend], maxWaiting: Int = .max,
            maxWaitingBytes: Int = 32 << 20
        ) {
            self.deadlines = deadlines
            self.backends = backends
            self.maxWaiting = maxWaiting
            self.maxWaitingBytes = maxWaitingBytes
        }
    }

    private var configuration: Configuration
    private let instance: UInt32
    private var sender: any AnswerSender
    private let intake: Intake
    private let dispatchers: Dispatchers
    private let lateAnswers: any LateAnswerStore
    private let poster: LateAnswerPoster
    private let clock: any RelayClock
    private let health: QueueHealth
    private var account: AnswerAccount

    private var jobs: [AnswerNumber: AnswerJob] = [:]
    private var jobOfKey: [RecentAnswers.Key: AnswerNumber] = [:]
    private var recent = RecentAnswers()
    private var lastNumber: AnswerNumber = 0
    private var room: AnswerRoom
    /// Payloads of answers that are being recorded.
    private var recordingBytes = 0
    /// Events in line for their turn, each told whether it came.
    private var line: [AnswerNumber: CheckedContinuation<Bool, Never>] = [:]
    private var isDraining = false
    private var drainers: [CheckedContinuation<Void, Never>] = []
    /// Of jobs whose backend is asked; some of them are over meanwhile.
    private var deadlines = MinHeap<Deadline>()
    /// The earliest of `deadlines`, when somebody sleeps until then.
    private var nextDeadline: Timestamp?
    private let work: AsyncStream<Work>
    private let workToDo: AsyncStream<Work>.Continuation

    /// What a child task of `run` sees to.
    private enum Work: Sendable {
        case ask(AnswerNumber)
        case sleep(until: Timestamp)
        case deadlinePassed(AnswerNumber)
    }

    private struct Deadline: Comparable, Sendable {
        let time: Timestamp
        let number: AnswerNumber

        static func < (one: Deadline, other: Deadline) -> Bool { (one.time, one.number) < (other.time, other.number) }
    }

    /// - Parameter instance: the queue part of the ids of this process's answers, drawn at random.
    package init(
        _ configuration: Configuration, instance: UInt32, sender: any AnswerSender, intake: Intake,
        dispatchers: Dispatchers, lateAnswers: any LateAnswerStore, poster: LateAnswerPoster,
        clock: any RelayClock, health: QueueHealth, account: AnswerAccount
    ) {
        self.configuration = configuration
        self.instance = instance
        self.sender = sender
        self.intake = intake
        self.dispatchers = dispatchers
        self.lateAnswers = lateAnswers
        self.poster = poster
        self.clock = clock
        self.health = health
        self.account = account
        room = AnswerRoom(
            configuration.backends, maxWaiting: configuration.maxWaiting, maxBytes: configuration.maxWaitingBytes)
        (work, workToDo) = AsyncStream.makeStream()
    }

    /// For what is asked from now on; what waits already is asked and answered as it was routed.
    func reconfigure(_ configuration: Configuration, sender: any AnswerSender, account: AnswerAccount) {
        self.configuration = configuration
        self.sender = sender
        self.account = account
        let turns = room.reconfigure(configuration.backends, maxWaiting: configuration.maxWaiting) {
            line[$0] != nil
        }
        for number in turns {
            line.removeValue(forKey: number)?.resume(returning: true)
        }
    }

    /// Lives until drained, or until its task is canceled: then nobody waits any more. A late answer that was promised
    /// is posted after the next start.
    package func run() async {
        await withDiscardingTaskGroup { group in
            for await item in work {
                group.addTaskNow { await self.perform(item) }
            }
            // Drained: whoever still sleeps is not needed. Canceled: so are they.
            group.cancelAll()
        }
        for number in jobs.keys.sorted() { if let job = jobs[number] { end(job) } }
    }

    /// Returns when nothing waits any more; `run` then ends. To be called when no envelopes come any more.
    package func drain() async {
        isDraining = true
        await withCheckedContinuation { continuation in
            drainers.append(continuation)
            endIfDrained()
        }
    }

    private func endIfDrained() {
        guard isDraining, jobs.isEmpty else { return }
        workToDo.finish()
        for drainer in drainers { drainer.resume() }
        drainers = []
    }

    /// Asks the backend, and acknowledges what it says. Returns when Slack has been told, or will not be in time; a late
    /// answer goes on without the caller.
    /// - Parameter queued: of an event: the backends that get it when the asked one has it.
    func answer(
        _ envelope: Envelope, _ asked: RoutingPlan.Asked, queued: [EnqueueRequest.Target], on connection: ConnectionID,
        through acknowledger: any Acknowledger
    ) async {
        let asker = AnswerJob.Asker(envelope: envelope, connection: connection, acknowledger: acknowledger)
        if envelope.kind == .event, await intake.remembers(envelope) {
            account.duplicate(envelope)
            await acknowledge([asker], .init(payload: nil))
            return
        }
        let key = RecentAnswers.Key(envelope)
        if let key, let number = jobOfKey[key], let job = jobs[number] {
            account.duplicate(envelope)
            return await join(job, asker)
        }
        if let key, let answer = recent[key] {
            account.duplicate(envelope)
            await acknowledge([asker], answer)
            return
        }
        lastNumber += 1
        let job = AnswerJob(
            lastNumber, envelope, asked, queued: queued, instance: instance, sender: sender,
            hasResponseURL: envelope.responseURL.map { poster.mayPost(to: $0, of: envelope.app) } ?? false)
        jobs[job.number] = job
        if let key { jobOfKey[key] = job.number }
        await join(job, asker)
    }

    /// Requests that wait, by backend; each configured one is there.
    package var waiting: [BackendName: Int] { room.waiting }

    // MARK: Whoever waits

    /// Waits until the envelope is acknowledged or withheld. Whoever comes after the acknowledgement gets the same one.
    private func join(_ job: AnswerJob, _ asker: AnswerJob.Asker) async {
        if let acknowledgement = job.acknowledgement {
            await acknowledge([asker], acknowledgement)
            return
        }
        let isFirst = job.askers.isEmpty
        guard !job.isWithheld else {
            // Should the backend say yes after all, this one is acknowledged, too.
            job.askers.append(asker)
            return
        }
        await withCheckedContinuation { continuation in
            var asker = asker
            asker.continuation = continuation
            job.askers.append(asker)
            guard isFirst else { return }
            // After the drain, or when `run` has ended, nobody is asked any more.
            if case .terminated = workToDo.yield(.ask(job.number)) { end(job) }
        }
    }

    private func release(_ job: AnswerJob) {
        for index in job.askers.indices {
            job.askers[index].continuation?.resume()
            job.askers[index].continuation = nil
        }
    }

    /// The job is over, whatever it came to.
    private func end(_ job: AnswerJob) {
        release(job)
        guard jobs.removeValue(forKey: job.number) != nil else { return }
        if let key = RecentAnswers.Key(job.envelope) {
            jobOfKey[key] = nil
            if job.outcome?.isAnswered == true, let answer = job.acknowledgement { recent.remember(key, answer) }
        }
        endIfDrained()
    }

    /// To all of them. Returns whether none of the acknowledgements could be sent.
    @discardableResult
    private func acknowledge(
        _ askers: [AnswerJob.Asker], _ acknowledgement: AnswerJob.Acknowledgement
    ) async -> Bool {
        var isLost = true
        for asker in askers {
            let way = await asker.acknowledger.acknowledge(
                asker.envelope.id, with: acknowledgement.payload, on: asker.connection)
            guard way != .lost else { continue }
            isLost = false
            account.acknowledged(asker.envelope, at: clock.now)
        }
        return isLost
    }
}

// MARK: - One job

extension Answerer {
    private func perform(_ item: Work) async {
        switch item {
        case .ask(let number):
            if let job = jobs[number] { await ask(job) }
        case .sleep(let time):
            if (try? await clock.sleep(until: time, tolerance: nil)) != nil { deadlineCame(time) }
        case .deadlinePassed(let number):
            if let job = jobs[number], job.isBeingAsked { await deadlinePassed(job) }
        }
    }

    private func ask(_ job: AnswerJob) async {
        let bytes = job.envelope.payload.bytes.count
        if room.enter(job.backend, isEvent: job.shape == .event, bytes: bytes) {
            job.isBeingAsked = true
            watchDeadline(of: job)
            await askBackend(job)
            job.isBeingAsked = false
            // What the machine does about the deadline comes to its end before the job does.
            if job.isDeadlineUnderWay { await withCheckedContinuation { job.afterDeadline = $0 } }
            if job.hasTurn { passTurn(job.backend) }
            room.leave(job.backend, isEvent: job.shape == .event, bytes: bytes)
        } else {
            await carryOut(job) { $0.refused() }
        }
        await record(job)
        end(job)
    }

    private func deadlinePassed(_ job: AnswerJob) async {
        job.isDeadlineUnderWay = true
        await carryOut(job) { $0.deadlinePassed() }
        job.isDeadlineUnderWay = false
        job.afterDeadline?.resume()
        job.afterDeadline = nil
        // An event whose turn has not come by now will come again.
        line.removeValue(forKey: job.number)?.resume(returning: false)
    }

    /// One sleeps for all: nearly every job is over long before its deadline. (A clock that is set forward meanwhile can make
    /// one wait for the sleep that was begun: once, and not longer than that.)
    private func watchDeadline(of job: AnswerJob) {
        deadlines.insert(.init(time: deadline(of: job), number: job.number))
        sleepUntilNextDeadline()
    }

    private func sleepUntilNextDeadline() {
        while let next = deadlines.min, jobs[next.number]?.isBeingAsked != true { _ = deadlines.popMin() }
        guard let next = deadlines.min?.time else { return }
        if let nextDeadline, nextDeadline <= next { return }
        nextDeadline = next
        workToDo.yield(.sleep(until: next))
    }

    private func deadlineCame(_ time: Timestamp) {
        // Somebody woke earlier, and has seen to this one.
        guard time == nextDeadline else { return }
        nextDeadline = nil
        while let next = deadlines.min, next.time <= time {
            _ = deadlines.popMin()
            if jobs[next.number]?.isBeingAsked == true { workToDo.yield(.deadlinePassed(next.number)) }
        }
        sleepUntilNextDeadline()
    }

    private func deadline(of job: AnswerJob) -> Timestamp {
        job.envelope.receivedAt.advanced(by: configuration.deadlines[job.envelope.app] ?? .milliseconds(2_500))
    }

    private func askBackend(_ job: AnswerJob) async {
        guard await waitForTurn(job) else {
            await carryOut(job) { $0.refused() }
            return
        }
        let dispatcher = dispatchers[job.backend]
        let permission = await dispatcher?.askAnswer(job.envelope.kind) ?? .yes
        guard permission != .no else {
            await carryOut(job) { $0.refused(.held) }
            return
        }
        while true {
            let delivery = job.delivery
            let startedAt = clock.now
            let result = await job.sender.ask(
                delivery, attempt: delivery.attemptsMade + 1, deadline: deadline(of: job))
            // Cut short by us: what the backend did is not known, and nobody can be told any more.
            guard !Task.isCancelled || result.reply != nil else { return }
            let attempt = Attempt(
                number: delivery.attemptsMade + 1, startedAt: startedAt, finishedAt: clock.now,
                result: result.attempt)
            job.lastAttempt = (attempt, result)
            account.attempted(job, delivery)
            if let wait = await digest(job, attempt, result), (try? await clock.sleep(for: wait)) != nil {
                if await dispatcher?.pause == nil { continue }
                // Paused meanwhile: left alone from here on.
                await carryOut(job) { $0.refused(.held) }
            }
            await dispatcher?.answerFinished(result.attempt, wasProbe: permission == .asProbe)
            return
        }
    }

    /// Tells the machine, and does what it says. Returns how long to wait before the backend is asked again.
    private func digest(_ job: AnswerJob, _ attempt: Attempt, _ result: AskResult) async -> Duration? {
        if job.shape == .event, !(await keepEvent(job, result)) { return await carryOut(job) { $0.failed() } }
        if let reply = result.reply { return await carryOut(job) { $0.replied(reply) } }
        if result.attempt.outcome == .failed(.connectionRefused) {
            let left = clock.now.duration(to: deadline(of: job))
            return await carryOut(job) { $0.connectionRefused(attempt: attempt.number, left: left) }
        }
        return await carryOut(job) { $0.failed(wantsNoRetry: result.wantsNoRetry) }
    }

    /// An event that the asked backend has, or never wants again, is remembered, and stored for the other backends,
    /// before Slack is told. Returns whether Slack may be told.
    private func keepEvent(_ job: AnswerJob, _ result: AskResult) async -> Bool {
        guard result.reply != nil || result.wantsNoRetry, let request = job.record(now: clock.now) else { return true }
        do {
            let results = try await intake.store([request])
            account.kept(job, request)
            await intake.handOn([request], results)
            return true
        } catch {
            account.unkept(job, because: error)
            // The backend has it: that it is not remembered costs a second copy at worst. The others must not miss it.
            return job.queued.isEmpty
        }
    }

    /// Of an answer, when everybody has been told.
    private func record(_ job: AnswerJob) async {
        guard job.shape != .event, let request = job.record(now: clock.now) else { return }
        let bytes = request.envelope.payload.bytes.count
        // A disk that hangs must not fill memory with records.
        guard recordingBytes == 0 || recordingBytes + bytes <= configuration.maxWaitingBytes else {
            return account.unrecorded(job.envelope, because: QueueError(.unavailable, "too many records wait"))
        }
        recordingBytes += bytes
        defer { recordingBytes -= bytes }
        job.lastAttempt?.result.reply = nil
        do {
            _ = try await intake.store([request])
        } catch {
            account.unrecorded(job.envelope, because: error)
        }
    }

    /// People's requests go out at once. An event is a delivery: `max_in_flight` of them at a time.
    private func waitForTurn(_ job: AnswerJob) async -> Bool {
        if job.shape == .event {
            job.hasTurn = room.takeTurn(job.backend, job.number)
            if !job.hasTurn { job.hasTurn = await withCheckedContinuation { line[job.number] = $0 } }
            return job.hasTurn
        }
        return true
    }

    private func passTurn(_ backend: BackendName) {
        while let next = room.endTurn(backend) {
            if let waiting = line.removeValue(forKey: next) { return waiting.resume(returning: true) }
        }
    }
}

// MARK: - What the machine decides

extension Answerer {
    @discardableResult
    private func carryOut(
        _ job: AnswerJob, _ event: (inout AnswerStateMachine) -> [AnswerStateMachine.Action]
    ) async -> Duration? {
        var actions = event(&job.machine)[...]
        var wait: Duration?
        while let action = actions.popFirst() {
            switch action {
            case .acknowledge(let payload):
                let acknowledgement = AnswerJob.Acknowledgement(payload: payload)
                job.acknowledgement = acknowledgement
                let isLost = await acknowledge(job.askers, acknowledgement)
                release(job)
                actions += job.machine.acknowledged(isLost: isLost)
            case .withhold:
                job.isWithheld = true
                release(job)
            case .askAgain(let delay):
                wait = delay
            case .store(let reply):
                actions += await store(job, reply) ? job.machine.stored() : job.machine.storingFailed()
            case .post:
                job.isPosted = true
                await poster.post(.stored(job.lateAnswerID))
            case .postUnstored(let reply):
                guard let answer = job.lateAnswer(reply) else { continue }
                job.isPosted = true
                await poster.post(.unstored(answer))
            case .forget:
                await poster.post(.nothing(job.lateAnswerID))
            case .finish(let outcome):
                job.outcome = outcome
                account.finished(job, outcome, now: clock.now)
            }
        }
        return wait
    }

    private func store(_ job: AnswerJob, _ reply: Payload?) async -> Bool {
        guard let answer = job.lateAnswer(reply) else { return false }
        do {
            // No sign that the queue stores envelopes: late answers have their room, however full it is.
            try await lateAnswers.store(answer)
            return true
        } catch {
            health.failed(.store, error)
            return false
        }
    }
}
