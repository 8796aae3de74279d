// What the outside knows of each attempt, held against the rules of delivery (docs/architecture.md): written down a second
// time, in few words, so that the gateway does not judge itself.

import RelayCore
import RelayTestKit

/// One for a world. Knows of a gateway only what its backends see of it.
final class AttemptModel {
    private unowned let world: SimulatedWorld
    private var conduct: [Line: Conduct] = [:]
    /// Since when a backend has said that it is gone.
    private var gone: [Line: Timestamp] = [:]

    /// One dispatcher, as seen from its backend.
    private struct Line: Hashable {
        var replica: Int
        var life: Int
        var backend: BackendName
        /// How many dispatchers the backend had before it in this life.
        var generation = 0

        /// All dispatchers of the backend in this life.
        var ofLife: Line { Line(replica: replica, life: life, backend: backend) }
    }

    private struct Conduct {
        var failuresInARow = 0
        var lastSuccess: Timestamp?
        /// Between these no attempt begins but one, a probe: the breaker may have opened before it was seen from here.
        var open: Range<Timestamp>?
        var probes = 0
        var askedToBeLeftAlone: Range<Timestamp>?
        /// It has been left alone, or may have been.
        var wasLeftAlone = false
        /// Of deliveries, within the last ten seconds.
        var starts: [Timestamp] = []
    }

    init(_ world: SimulatedWorld) { self.world = world }

    // MARK: Attempts

    func begins(
        _ delivery: Delivery, number: Int, row: SimulatedDisk.Row, others: Int, by process: SimulatedProcess,
        _ backend: Backend
    ) {
        let name = "\(row.key ?? "") for \(backend.name)"
        let happening = row.key.flatMap { world.slack.byKey[$0] }
        if let happening, delivery.payload != happening.payload { violated("2: \(name) is not what happened") }
        if number != delivery.attemptsMade + 1 { violated("2: attempt \(number) of \(name) is another one") }
        // What was asked at once has no order, replayed or not.
        if let happening, !row.isRecord, row.delivery.orderKey != nil || backend.orderBy != .none {
            let key = happening.orderKey(backend.orderBy)
            if row.delivery.orderKey?.hasSuffix(key ?? "?") != true { violated("3: \(name) has another order key") }
        }
        let line = line(process, backend.name)
        let now = world.clock.now
        var conduct = conduct[line, default: Conduct()]
        checkGone(line, now)
        if let open = conduct.open, open.contains(now), now > open.lowerBound {
            conduct.probes += 1
            if conduct.probes > 1 {
                violated("7: \(line.backend) is not left alone after \(conduct.failuresInARow) failures in a row")
            }
        }
        // Without a probe, beside which those may hang that began before it.
        if isPlain, !conduct.wasLeftAlone, others >= backend.maxInFlight {
            violated("7: \(others + 1) attempts at a time, and no probe (\(backend.name))")
        }
        if let hint = conduct.askedToBeLeftAlone, hint.contains(now), now > hint.lowerBound {
            violated("2: \(name) is attempted before the time that the backend asked for with Retry-After")
        }
        if let limit = backend.rateLimit {
            conduct.starts.removeAll { $0 < now.advanced(by: .seconds(-10)) }
            conduct.starts.append(now)
            if Double(conduct.starts.count) > limit.perSecond * 10 + Double(limit.burst) + 1 {
                violated("7: \(conduct.starts.count) attempts within 10 s (\(backend.name))")
            }
        }
        self.conduct[line] = conduct
    }

    func ends(_ result: AttemptResult, by process: SimulatedProcess, _ backend: Backend) {
        let line = line(process, backend.name)
        let now = world.clock.now
        note(result, line, now)
        switch result.outcome {
        case .failed(.requestError): break
        case .accepted, .rejected(.http): succeeded(line, now)
        case .failed(.http(status: 404)): if conduct[line]?.open != nil { succeeded(line, now) }
        case .rejected: break
        case .failed:
            conduct[line, default: Conduct()].failuresInARow += 1
            let seen = conduct[line, default: Conduct()]
            if seen.failuresInARow == backend.circuitBreaker.consecutive, seen.lastSuccess != now {
                conduct[line]?.probes = 0
                conduct[line]?.wasLeftAlone = true
                conduct[line]?.open = now..<now.advanced(by: backend.circuitBreaker.probeAfter)
            }
        }
        if result.retryAfter != nil || result.status == 410 { conduct[line, default: Conduct()].wasLeftAlone = true }
        guard let hint = result.retryAfter, [429, 503].contains(result.status) else { return }
        let until = now.advanced(by: min(hint, backend.retry.retryAfterMax))
        let before = conduct[line, default: Conduct()].askedToBeLeftAlone
        if (before?.upperBound ?? now) <= until { conduct[line, default: Conduct()].askedToBeLeftAlone = now..<until }
    }

    // MARK: Questions

    func asks(_ process: SimulatedProcess, _ backend: Backend) {
        checkGone(line(process, backend.name), world.clock.now)
    }

    /// That one failed says nothing here: it may be asked again before the dispatcher is told.
    func answered(_ result: AttemptResult, by process: SimulatedProcess, _ backend: Backend) {
        let line = line(process, backend.name)
        note(result, line, world.clock.now)
        switch result.outcome {
        case .accepted, .rejected(.http), .failed(.http(status: 404)): succeeded(line, world.clock.now)
        case .rejected, .failed: break
        }
    }

    // MARK: What a person says

    func resumed(_ backend: BackendName, replica: Int) {
        for line in conduct.keys where line.replica == replica && line.backend == backend { conduct[line] = nil }
        for line in gone.keys where line.replica == replica && line.backend == backend { gone[line] = nil }
    }

    /// What was decided on an attempt that failed.
    func rescheduled(_ attempt: Attempt, at due: Timestamp, _ row: SimulatedDisk.Row, by process: SimulatedProcess) {
        guard let backend = world.plan.backends.first(where: { $0.name == row.delivery.backend }) else { return }
        let retry = backend.retry
        let wait = attempt.finishedAt.duration(to: due)
        let name = "\(row.key ?? "") for \(row.delivery.backend)"
        if attempt.isProbe { return }
        if isPlain, row.delivery.orderKey != nil, !row.isReplayed, let first = row.delivery.firstAttemptAt,
            conduct[line(process, row.delivery.backend)]?.wasLeftAlone != true,
            first.duration(to: due) > backend.orderBlockMax + .milliseconds(1)
        {
            violated("3: \(name) holds up its order key for longer than order_block_max")
        }
        guard attempt.number <= retry.schedule.count else {
            return violated("2: \(name) is attempted once more than its schedule says")
        }
        let planned = retry.schedule[attempt.number - 1]
        if row.delivery.orderKey == nil, wait < planned.scaled(by: 1 - retry.jitter) - .milliseconds(1) {
            violated("2: \(name) waits \(wait) after attempt \(attempt.number), and not \(planned)")
        }
        if wait > max(planned.scaled(by: 1 + retry.jitter), retry.retryAfterMax) + .milliseconds(1) {
            violated("2: \(name) waits \(wait) after attempt \(attempt.number), and not \(planned)")
        }
    }

    // MARK: -

    /// All that says something of a backend is seen here: nobody asks, and no gateway begins anew.
    private var isPlain: Bool {
        world.isUntouched && world.plan.people == 0 && world.plan.diskTroubles == 0
            && world.plan.routes.allSatisfy { $0.acknowledge == .stored }
    }

    private func checkGone(_ line: Line, _ now: Timestamp) {
        if let since = gone[line.ofLife], since < now {
            violated("pause: \(line.backend) is asked, and has said that it is gone")
        }
    }

    private func note(_ result: AttemptResult, _ line: Line, _ now: Timestamp) {
        guard result.status == 410, result.outcome != .accepted else { return }
        if gone[line.ofLife] == nil { gone[line.ofLife] = now }
    }

    private func succeeded(_ line: Line, _ now: Timestamp) {
        conduct[line, default: Conduct()].failuresInARow = 0
        conduct[line]?.open = nil
        conduct[line]?.lastSuccess = now
    }

    private func line(_ process: SimulatedProcess, _ backend: BackendName) -> Line {
        Line(
            replica: process.replica, life: process.life, backend: backend,
            generation: process.reloads[backend, default: 0])
    }

    private func violated(_ text: String) { world.guarantees.violated(text) }
}

extension Happening {
    /// What an order key ends with.
    func orderKey(_ orderBy: OrderBy) -> String? {
        switch orderBy {
        case .channel: channel
        case .user: user
        case .none, .thread, .team: nil
        }
    }
}
