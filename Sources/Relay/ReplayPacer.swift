// Which replay goes on next, and how far: decided from times and counts alone.

package import RelayCore

/// Shares the time among running replays, each at its own rate.
///
/// The one surprising rule: a step can replay fewer deliveries than it was allowed to, although more are left, because
/// the store looks at a bounded number of rows. What was not used is not lost: the replay goes on at once with the rest.
package struct ReplayPacer: Sendable {
    /// Deliveries of one step: a short transaction.
    package static let maxStep = 100
    /// Between two steps of a replay without a rate, so that storing has room.
    package static let pause = Duration.milliseconds(10)
    /// Between two steps of a replay with a rate, at the least, where its rate is high.
    static let interval = 0.1

    private struct Job: Sendable {
        /// nil: as fast as steps go.
        var bucket: TokenBucket?
        /// Allowed and not used yet.
        var credit = 0
        var replayed: Int
        /// Not before; and when that was said.
        var due: Timestamp
        var isDueSince: Timestamp
        /// Its last step could not be made.
        var isFailing = false
    }

    private var jobs: [Replay.ID: Job] = [:]
    /// The one that had the last turn: the others come first.
    private var last: Replay.ID = 0

    package enum Step: Sendable, Equatable {
        /// Replay at most so many of this one, then report `advanced`.
        case advance(Replay.ID, limit: Int)
        /// Nothing to do until then; nil: until there is another replay.
        case wait(until: Timestamp?)
    }

    package init() {}

    /// These exist now. One that cannot be read is left alone.
    package mutating func found(_ replays: [Replay], now: Timestamp) {
        let running = replays.filter { $0.state == .running && $0.request.filter != nil }
        let ids = Set(running.map(\.id))
        jobs = jobs.filter { ids.contains($0.key) }
        for replay in running where jobs[replay.id] == nil {
            let bucket = replay.request.perSecond.map { rate in
                TokenBucket(RateLimit(perSecond: rate, burst: max(1, min(Self.maxStep, Int(rate * Self.interval)))))
            }
            jobs[replay.id] = Job(bucket: bucket, replayed: replay.replayed, due: now, isDueSince: now)
        }
    }

    package mutating func next(now: Timestamp) -> Step {
        // The clock was set back: nobody waits for as long as that.
        for (id, job) in jobs where job.isDueSince > now { setDue(now, of: id, now: now) }
        let ready = jobs.filter { $0.value.due <= now }.keys
        guard let id = ready.filter({ $0 > last }).min() ?? ready.min(), var job = jobs[id] else {
            return .wait(until: jobs.values.map(\.due).min())
        }
        last = id
        if job.bucket == nil {
            job.credit = Self.maxStep
        } else {
            while job.credit < Self.maxStep, job.bucket?.take(now: now) == true { job.credit += 1 }
        }
        jobs[id] = job
        if job.credit == 0 { setDue(job.bucket?.nextToken(now: now) ?? now, of: id, now: now) }
        return job.credit > 0 ? .advance(id, limit: job.credit) : next(now: now)
    }

    /// A step was made. nil: the replay is gone.
    package mutating func advanced(_ id: Replay.ID, _ replay: Replay?, now: Timestamp) {
        guard let replay, replay.state == .running, var job = jobs[id] else {
            jobs[id] = nil
            return
        }
        job.credit = max(0, job.credit - max(0, replay.replayed - job.replayed))
        job.replayed = replay.replayed
        job.isFailing = false
        jobs[id] = job
        if job.bucket == nil {
            setDue(now.advanced(by: Self.pause), of: id, now: now)
        } else {
            setDue(job.credit > 0 ? now : job.bucket?.nextToken(now: now) ?? now, of: id, now: now)
        }
    }

    private mutating func setDue(_ due: Timestamp, of id: Replay.ID, now: Timestamp) {
        jobs[id]?.due = due
        jobs[id]?.isDueSince = now
    }

    /// A step could not be made: the store does not work now, or not for this one. Returns whether that is new.
    package mutating func failed(_ id: Replay.ID, retryAfter delay: Duration, now: Timestamp) -> Bool {
        defer {
            setDue(now.advanced(by: delay), of: id, now: now)
            jobs[id]?.isFailing = true
        }
        return jobs[id]?.isFailing == false
    }
}
