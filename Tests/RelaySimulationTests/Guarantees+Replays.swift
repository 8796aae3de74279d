// What must hold of a person's replays.

import Relay
import RelayCore
import RelayTestKit

extension Guarantees {
    /// A step of a replay is durable.
    /// - Parameter account: as it was before, and the job as it is now.
    func replaying(_ sequences: [Int], _ account: ReplayAccount, _ disk: SimulatedDisk, by process: SimulatedProcess) {
        let name = "replay \(account.replay.id) of \(process.name)"
        if !sequences.isEmpty { world.note("\(name) has \(sequences.count) deliveries made again") }
        for sequence in sequences {
            if account.replayed.contains(sequence) { violated("replay: \(name) has \(sequence) made again twice") }
            if !account.covers(sequence, disk[sequence]) {
                violated("replay: \(name) has \(sequence) made again, and was not asked to")
            }
        }
        if account.isKnownCanceled, !sequences.isEmpty { violated("replay: \(name) goes on after it was canceled") }
        guard let rate = account.replay.request.perSecond else { return }
        // Each life begins with a full bucket, and a step that failed as far as is known is made again.
        let burst = max(1, min(ReplayPacer.maxStep, Int(rate / 10)))
        let elapsed = account.replay.createdAt.duration(to: world.clock.now).inSeconds
        let allowed = rate * elapsed + Double(burst * (account.lives.count + account.unknownSteps))
        if Double(account.replayed.count + sequences.count) > allowed + 0.001 {
            violated("replay: \(name) has more than \(allowed) deliveries made again at \(rate)/s")
        }
    }

    /// When a run is over.
    func checkReplays(_ disk: SimulatedDisk) {
        for account in disk.replays.values.sorted(by: { $0.replay.id < $1.replay.id }) {
            let name = "replay \(account.replay.id)"
            if account.replay.replayed != account.replayed.count {
                violated("replay: \(name) says \(account.replay.replayed), and it were \(account.replayed.count)")
            }
            guard account.replay.state == .done else { continue }
            for sequence in disk.sequences where account.covers(sequence, disk[sequence]) {
                let row = disk[sequence]
                // Not made again since, by whomever.
                guard row.state == .dead, !row.isDeleted, let settledAt = row.settledAt,
                    settledAt < account.replay.createdAt
                else { continue }
                violated("replay: \(name) has passed over \(row.key ?? "") for \(row.delivery.backend)")
            }
        }
    }
}
