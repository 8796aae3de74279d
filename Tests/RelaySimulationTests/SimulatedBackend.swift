// A backend that works, fails in every way, and comes back.

import RelayCore
import RelayTestKit
import WebhookSender

/// What it takes it remembers; whether the gateway learns of it is another matter.
final class SimulatedBackend: @unchecked Sendable {  // one thread per run
    enum Mood: CaseIterable {
        case good
        /// Fails now and then.
        case flaky
        /// Nothing listens.
        case down
        /// Connections end before the response.
        case resets
        /// Takes what it is given, and answers after the timeout.
        case hangs
        /// Answers after seconds.
        case slow
        /// 503 with `Retry-After`.
        case overloaded
        case broken
        /// 400 and the others that say that trying again is of no use.
        case rejects
        /// It cannot be reached, or not safely.
        case unreachable
        /// It sends the gateway elsewhere, or says more than can be read.
        case misbehaves
        /// 500 with `X-Slack-No-Retry: 1`.
        case wantsNoRetry
        /// 410
        case gone
    }

    let configuration: Backend
    var mood = Mood.good
    private unowned let world: SimulatedWorld
    /// Deliveries that are being attempted, by gateway.
    private var underWay: [Int: [Int]] = [:]

    init(_ configuration: Backend, _ world: SimulatedWorld) {
        self.configuration = configuration
        self.world = world
    }

    /// What one request comes to.
    private struct Reaction {
        var status: Int?
        var reason: AttemptReason = .connectionReset
        /// Whether the backend has done what it was asked for.
        var isTaken = false
        var noRetry = false
        var retryAfter: Duration?
        var time: Duration

        var isAccepted: Bool { status.map { 200..<300 ~= $0 } ?? false }

        /// What it means for the delivery (docs/architecture.md).
        var verdict: String {
            switch status {
            case .some(200..<300): "accepted"
            case .some where noRetry: "rejected"
            case 400, 410, 413, 414, 415, 422: "rejected"
            default: "failed"
            }
        }

        /// As WebhookSender says it.
        var result: AttemptResult {
            guard let status else { return AttemptResult(.failed(reason)) }
            return AttemptResult(
                AttemptOutcome(status: status, noRetry: noRetry), status: status, retryAfter: retryAfter)
        }
    }

    private func react(to happening: Happening?) -> Reaction {
        let dice = world.dice
        let soon = dice.milliseconds(2...250)
        if let happening, happening.isPoison { return poisoned(by: happening, soon) }
        switch mood {
        case .good: return Reaction(status: 200, isTaken: true, time: soon)
        case .flaky:
            switch dice.int(0...5) {
            case 0: return Reaction(status: 500, time: soon)
            case 1: return Reaction(isTaken: dice.chance(0.5), time: soon)
            case 2: return Reaction(status: 200, isTaken: true, time: dice.seconds(1...5))
            default: return Reaction(status: 200, isTaken: true, time: soon)
            }
        case .down: return Reaction(reason: .connectionRefused, time: .milliseconds(1))
        case .resets: return Reaction(isTaken: dice.chance(0.3), time: soon)
        case .hangs: return Reaction(reason: .timeout, isTaken: dice.chance(0.5), time: configuration.timeout)
        case .slow: return Reaction(status: 200, isTaken: true, time: dice.seconds(1...9))
        case .overloaded:
            return Reaction(
                status: dice.chance(0.5) ? 503 : 429, retryAfter: dice.chance(0.7) ? dice.seconds(1...200) : nil,
                time: soon)
        case .broken: return Reaction(status: dice.pick([500, 502, 504, 404, 408, 425, 418]), time: soon)
        case .rejects: return Reaction(status: dice.pick([400, 413, 414, 415, 422]), time: soon)
        case .unreachable:
            let reasons = [
                AttemptReason.dnsError, .connectTimeout, .tlsError, .blockedAddress, .requestError,
            ]
            return Reaction(reason: dice.pick(reasons) ?? .dnsError, time: soon)
        case .misbehaves:
            return dice.chance(0.5)
                ? Reaction(status: dice.pick([301, 302, 307]), time: soon)
                : Reaction(reason: .responseTooLarge, isTaken: true, time: soon)
        case .wantsNoRetry: return Reaction(status: 500, noRetry: true, time: soon)
        case .gone: return Reaction(status: 410, time: soon)
        }
    }

    /// It crashes, or fails, or is busy with it for ever.
    private func poisoned(by happening: Happening, _ soon: Duration) -> Reaction {
        switch happening.number % 3 {
        case 0: Reaction(time: soon)
        case 1: Reaction(status: 500, time: soon)
        default: Reaction(reason: .timeout, time: configuration.timeout)
        }
    }

    // MARK: Deliveries

    func attempt(
        _ delivery: Delivery, _ number: Int, by process: SimulatedProcess, on disk: SimulatedDisk
    ) async -> AttemptResult {
        let sequence = Int(delivery.id.sequence)
        world.attempts.begins(
            delivery, number: number, row: disk[sequence], others: underWay[process.replica, default: []].count,
            by: process,
            configuration)
        let others = underWay[process.replica, default: []]
        world.guarantees.attempting(sequence, others: others, by: process, on: disk, self)
        underWay[process.replica, default: []].append(sequence)
        defer {
            if let index = underWay[process.replica, default: []].firstIndex(of: sequence) {
                underWay[process.replica]?.remove(at: index)
            }
        }
        let reaction = react(to: disk[sequence].key.flatMap { world.slack.byKey[$0] })
        let result = reaction.result
        let isCut = (try? await world.clock.sleep(for: reaction.time)) == nil
        // Cut short, the backend may have done it all the same.
        guard process.isAlive || reaction.isTaken else { return AttemptResult(.failed(.connectionReset)) }
        if reaction.isTaken {
            disk[sequence].accepts += 1
            if let key = disk[sequence].key { world.slack.byKey[key]?.accepts[delivery.backend, default: 0] += 1 }
        }
        guard process.isAlive, !isCut else { return AttemptResult(.failed(.connectionReset)) }
        world.note(
            "\(delivery.backend) says \(reaction.status.map(String.init) ?? reaction.reason.description) to \(disk[sequence].key ?? "") "
                + "(\(delivery.id.sequence) of \(process.name), attempt \(delivery.attemptsMade + 1))")
        if result.outcome.word != reaction.verdict {
            world.guarantees.violated("2: \(reaction.status ?? 0) was taken for \(result.outcome.word)")
        }
        world.attempts.ends(result, by: process, configuration)
        world.met(result.outcome.reason?.description ?? result.outcome.word)
        switch result.outcome {
        case .accepted: break
        case .rejected: disk[sequence].rejections += 1
        case .failed: disk[sequence].failures += 1
        }
        return result
    }

    /// A process is dead: its connections are gone.
    func forget(_ replica: Int) { underWay[replica] = [] }

    // MARK: Answers

    func ask(_ delivery: Delivery, deadline: Timestamp, by process: SimulatedProcess) async -> AskResult {
        guard let happening = world.slack.happening(asked: delivery.payload) else {
            world.guarantees.violated("asked for something that did not happen")
            return AskResult(AttemptResult(.failed(.connectionReset)))
        }
        world.guarantees.asking(self, by: process)
        world.attempts.asks(process, configuration)
        happening.asks += 1
        defer { happening.asks -= 1 }
        if happening.isMessage { world.guarantees.waiting(happening, by: process) }
        let reaction = react(to: happening)
        let isCut = (try? await world.clock.sleep(for: reaction.time)) == nil
        if reaction.isTaken { happening.accepts[configuration.name, default: 0] += 1 }
        guard process.isAlive, !isCut else { return AskResult(AttemptResult(.failed(.connectionReset))) }
        world.note(
            "\(configuration.name), asked by \(process.name) for \(happening.name), says "
                + "\(reaction.status.map(String.init) ?? reaction.reason.description)")
        world.attempts.answered(reaction.result, by: process, configuration)
        guard reaction.isAccepted, reaction.status == 200 else {
            happening.failures += 1
            if reaction.noRetry { happening.rejections.insert(configuration.name) }
            return AskResult(reaction.result, wantsNoRetry: reaction.noRetry)
        }
        let reply = happening.shape == .event ? BackendReply.empty : happening.makeReply()
        happening.replies.append(reply)
        if case .unusable = reply { happening.failures += 1 }
        world.guarantees.replied(reply, to: happening, deadline: deadline, by: process)
        return AskResult(reaction.result, reply: reply)
    }
}
