// What must hold while a run goes on: guarantees 1 to 7, each at the moment at which it could be broken.

import RelayCore
import RelayTestKit
import SlackConnector
import SocketMode

/// Told of everything that a guarantee speaks of; keeps what was violated.
final class Guarantees {
    private(set) var violations: [String] = []
    unowned let world: SimulatedWorld
    /// Since when a person has a backend left alone.
    private var pauses: [Pause: Timestamp] = [:]
    /// Of attempts to connect, for each gateway.
    private var attempts: [Int: [Timestamp]] = [:]
    private var refreshes: [Timestamp] = []
    /// Of gateways that Slack told to wait, or refused: when they may ask again.
    private var mayAsk: [String: Timestamp] = [:]
    /// People who were not let through to a backend that works.
    private var refusedInARow = 0

    private struct Pause: Hashable {
        var replica: Int
        var backend: BackendName
    }

    init(_ world: SimulatedWorld) { self.world = world }

    func violated(_ text: String) {
        guard violations.count < 20 else { return }
        violations.append(text)
        world.note("VIOLATED: \(text)")
    }

    // MARK: 1: on disk before Slack is told

    func acknowledging(_ envelopeID: String, by process: SimulatedProcess, disk: SimulatedDisk) {
        guard let event = world.slack.copy(envelopeID)?.happening, event.shape == .event else { return }
        // Routed by one configuration as a whole, whichever held since it was sent for the first time.
        let stored = Set(disk.rows(of: event.key).map(\.delivery.backend))
        if !disk.configurations.all(since: event.firstSentAt).contains(where: { $0.keeps(event, stored: stored) }) {
            violated("1: \(event.name) was acknowledged before it was durable for all, or with the one that was asked")
        }
        event.owed.formUnion(stored)
    }

    // MARK: 2: at least once, stored once

    func attempting(
        _ sequence: Int, others: [Int], by process: SimulatedProcess, on disk: SimulatedDisk,
        _ backend: SimulatedBackend
    ) {
        let row = disk[sequence]
        let name = backend.configuration.name
        if row.isKnownSettled { violated("2: \(row.key ?? "") was attempted after it was settled for good (\(name))") }
        if others.contains(sequence) { violated("2: \(row.key ?? "") is attempted twice at a time (\(name))") }
        // And one probe, beside those that began before the breaker opened, and may hang.
        if others.count > backend.configuration.maxInFlight * (1 + process.reloads[name, default: 0]) {
            violated("7: more than max_in_flight attempts at a time (\(name))")
        }
        checkPause(name, process)
        guard let key = row.delivery.orderKey else { return }
        if others.contains(where: { disk[$0].delivery.orderKey == key }) {
            violated("3: two deliveries of \(key) at a time (\(name))")
        }
        guard !row.isReplayed else { return }
        for earlier in disk.unsettled[name, default: []] where earlier < sequence {
            if disk[earlier].delivery.orderKey == key, !disk[earlier].isReplayed {
                violated("3: \(row.key ?? "") overtakes \(disk[earlier].key ?? "") of \(key) (\(name))")
            }
        }
    }

    /// Envelopes that were read together: Slack numbers them in the order sent.
    func storing(_ envelopeIDs: [String]) {
        let numbers = envelopeIDs.compactMap { Int($0.dropFirst()) }
        if numbers != numbers.sorted() {
            violated("3: \(envelopeIDs) are stored in another order than they were read in")
        }
    }

    func settling(_ settlement: Settlement, row: SimulatedDisk.Row, by process: SimulatedProcess) {
        let name = "\(row.key ?? "") for \(row.delivery.backend)"
        switch settlement.verb {
        case .complete where row.accepts == 0: violated("2: \(name) is recorded as delivered, and never was")
        case .deadLetter(.rejected) where row.rejections == 0:
            violated("2: \(name) was given up as rejected, and never was")
        case .deadLetter(.attemptsExhausted) where row.failures < world.plan.attempts(row.delivery.backend):
            violated("2: \(name) was given up after \(row.failures) failures")
        case .deadLetter(.orderBlocked):
            let limit = world.plan.backends.first { $0.name == row.delivery.backend }?.orderBlockMax ?? .zero
            let first = row.delivery.firstAttemptAt ?? settlement.attempt?.startedAt ?? settlement.at
            if row.delivery.orderKey == nil || first.duration(to: settlement.at) < limit {
                violated("3: \(name) was given up for its order key before its time")
            }
        case .expire where row.delivery.kind == .event: violated("2: \(name) expired, and events do not")
        case .reschedule(let due):
            if let attempt = settlement.attempt { world.attempts.rescheduled(attempt, at: due, row, by: process) }
        case .complete, .deadLetter, .expire: break
        }
    }

    // MARK: Pauses

    func paused(_ backend: BackendName, _ process: SimulatedProcess, at time: Timestamp?) {
        pauses[Pause(replica: process.replica, backend: backend)] = time
        if time == nil { world.attempts.resumed(backend, replica: process.replica) }
    }

    private func checkPause(_ backend: BackendName, _ process: SimulatedProcess) {
        // What had begun in the same moment is no violation.
        guard let since = pauses[Pause(replica: process.replica, backend: backend)], since < world.clock.now else {
            return
        }
        violated("pause: \(backend) was asked although a person has paused it")
    }

    // MARK: 4: people

    func asking(_ backend: SimulatedBackend, by process: SimulatedProcess) {
        checkPause(backend.configuration.name, process)
    }

    /// A backend is being asked for somebody whose answer can come later: Slack is told of it when the time is up.
    func waiting(_ happening: Happening, by process: SimulatedProcess) {
        guard world.plan.diskTroubles == 0 else { return }
        let envelopes = world.slack.unanswered(happening, by: process)
        // 2.5 s after it was read, and what that takes.
        world.after(.milliseconds(2_800)) { [world] in
            guard process.isAlive, happening.asks > 0 else { return }
            for id in envelopes where !world.slack.hasAcknowledgement(id) && !world.slack.mayBeMissing(id) {
                world.guarantees.violated("4: \(happening.name) waits on, and Slack was not told in time (\(id))")
            }
        }
    }

    /// The backends work, but for what they cannot take; and people ask every two minutes, longer than a breaker waits.
    /// Not each of them: it may have opened a second ago.
    func checkLetThrough(_ person: Happening) {
        guard world.slack.hasBeenRead(person),
            let asked = world.plan.routes.first(where: { $0.name == "people" })?.to.first,
            world.disks.allSatisfy({ $0.pauses[asked] == nil })
        else { return }
        refusedInARow = person.accepts[asked, default: 0] > 0 ? 0 : refusedInARow + 1
        if refusedInARow == 3 { violated("4: nobody was let through to \(asked), which works: \(person.name)") }
    }

    /// A reply that comes in time and fits goes to Slack at once.
    func replied(_ reply: BackendReply, to happening: Happening, deadline: Timestamp, by process: SimulatedProcess) {
        let now = world.clock.now
        guard happening.shape != .event, now.advanced(by: .milliseconds(5)) < deadline else { return }
        switch (reply, happening.shape) {
        case (.unusable, .button), (.empty, _), (.payload, .button): break
        case (.payload(let payload), _) where payload.bytes.count < 10_000: break
        case (.payload, _), (.unusable, _): return
        }
        let envelopes = world.slack.unanswered(happening, by: process)
        world.after(.milliseconds(200)) { [world] in
            guard process.isAlive else { return }
            for id in envelopes where !world.slack.hasAcknowledgement(id) && !world.slack.mayBeMissing(id) {
                world.guarantees.violated("4: \(happening.name) was answered in time, and Slack was not told (\(id))")
            }
        }
    }

    // MARK: 5 and 6: connections

    func closing(_ reason: EndReason, othersOpen: Int, _ connector: SimulatedConnector) {
        guard reason == .refreshed, othersOpen == 0, world.slack.door == .open, world.isCalm else { return }
        violated("5: \(connector.process.name) closed its only connection to replace it")
    }

    func refreshAsked() { refreshes.append(world.clock.now) }

    /// By a person. What failed before says nothing then: the backoff begins anew.
    func newConnectionsWanted() {
        mayAsk = [:]
        for _ in 0..<8 { refreshAsked() }
    }

    func attemptFailed(_ failure: ConnectFailure, _ process: SimulatedProcess) {
        let wait: Duration =
            switch failure.outcome {
            case .apiFatal, .linkDisabled: .seconds(300)
            default: min(failure.retryAfter ?? .zero, .seconds(3600))
            }
        if wait > .zero { mayAsk[process.name] = world.clock.now.advanced(by: wait) }
    }

    func attemptBegins(under way: Int, _ connector: SimulatedConnector) {
        let process = connector.process
        if let earliest = mayAsk[process.name], world.clock.now < earliest {
            violated("6: \(process.name) asks again \(world.clock.now.duration(to: earliest)) before it may")
        }
        if way > 0 { violated("6: \(process.name) makes two attempts to connect at a time") }
        let since = world.clock.now.advanced(by: .seconds(-60))
        attempts[process.replica, default: []].removeAll { $0 < since }
        attempts[process.replica, default: []].append(world.clock.now)
        // Full jitter: each wait is drawn below 1, 2, 4 … 60 s. More than this within a minute is no bad luck. A life
        // begins anew, and a planned refresh does not wait.
        let allowed = 25 + refreshes.count { $0 >= since } + 8 * world.plan.lives
        let made = attempts[process.replica, default: []].count
        if made > allowed { violated("6: \(made) attempts to connect within a minute") }
    }

    // MARK: 7: memory

    /// The backlog on disk.
    func checkSize(_ disk: SimulatedDisk) {
        if disk.heldBytes > world.plan.maxBytes {
            violated("7: \(disk.heldBytes) bytes on disk, and max_bytes is \(world.plan.maxBytes)")
        }
    }

    /// The oldest waiting deliveries have made room for new ones.
    /// - Parameters:
    ///   - oldest: of those that wait still and whose removal would have freed something.
    ///   - added: bytes of what is new.
    func dropping(_ sequences: [Int], oldestLeft oldest: Int?, added: Int64, before: Int64) {
        world.note("dropped to make room: \(sequences.map(String.init).joined(separator: " "))")
        if before + added <= world.plan.maxBytes { violated("7: \(sequences) were dropped, and there was room") }
        if let last = sequences.last, let oldest, oldest < last {
            violated("7: \(last) was dropped before \(oldest), which is older")
        }
    }

    /// Nothing more happens at this moment.
    func checkMemory(_ process: SimulatedProcess) {
        guard let queue = process.queue else { return }
        queue.hasGrown = false
        let largest = world.plan.payloadBytes ?? 64
        for backend in world.plan.backends {
            guard let held = queue.held[backend.name] else { continue }
            // One that is being replaced holds what it has begun.
            let dispatchers = 1 + process.reloads[backend.name, default: 0]
            if held.count > max(512, 4 * backend.maxInFlight) * dispatchers {
                violated("7: \(held.count) deliveries held in memory")
            }
            if held.bytes > (4 << 20 + largest) * dispatchers { violated("7: \(held.bytes) bytes held in memory") }
        }
        if queue.storingBytes > world.plan.maxPendingBytes + largest * 20 {
            violated("7: \(queue.storingBytes) bytes wait for the store")
        }
    }
}

extension Plan {
    /// The lives that gateways have altogether.
    var lives: Int { kills + restarts + 1 }

    /// Attempts that a backend's schedule allows.
    func attempts(_ backend: BackendName) -> Int {
        (backends.first { $0.name == backend }?.retry.schedule.count ?? 0) + 1
    }
}
