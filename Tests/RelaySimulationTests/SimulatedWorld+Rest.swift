// How it is known that everything has come to rest.

import Relay
import RelayCore
import RelayTestKit

extension SimulatedWorld {
    /// After so long without troubles everything must have come to rest. What no backend takes may have each probe of a
    /// breaker, ten for each attempt.
    private var patience: Duration { .seconds((plan.poison > 0 ? 24 : 4) * 3600) }

    /// Looks whether everything has come to rest, and ends the run, or looks again.
    func look() {
        let isQuiet = isAtRest
        looks += 1
        if !isQuiet {
            quietSince = nil
            if healedAt.duration(to: clock.now) > patience { return guarantees.violated("rest: \(restlessness)") }
            // A person says that backends are back, again and again: one that was 410 may be found so late.
            person.putRight()
            if plan.poison > 0, looks % 6 == 0 { goOn() }
        } else if quietSince == nil {
            quietSince = clock.now
            slack.send([slack.make(.event)])
        } else {
            return close()
        }
        after(.seconds(10)) { self.look() }
    }

    /// Others go on working while the backends have what they cannot take: each of the other breakers' waits is shorter.
    private func goOn() {
        slack.send([slack.make(.event)])
        guard looks % 12 == 0 else { return }
        let person = slack.make(.command)
        slack.send([person])
        after(.seconds(15)) { self.guarantees.checkLetThrough(person) }
    }

    private var isAtRest: Bool {
        slack.pending == 0 && !slack.hasGhosts
            && processes.allSatisfy { $0.isAlive && $0.openBatches + $0.openQuestions + $0.openActs == 0 }
            && processes.allSatisfy { !$0.isReloading && $0.disk.configuration == plan.configuration }
            && processes.allSatisfy { $0.connector?.isWhole == true && $0.queue?.leaseCount == 0 }
            && disks.allSatisfy { disk in
                disk.lateAnswers.keys.allSatisfy(disk.unknownAnswers.contains)
                    && (disk.heldBytes == 0 || !plan.isTight) && disk.unsettled.values.allSatisfy(\.isEmpty)
                    && disk.replays.values.allSatisfy { !$0.isUnderWay }
            }
    }

    /// For people: what has not come to rest.
    private var restlessness: String {
        let lines = processes.map { process in
            "\(process.name): \(process.openBatches) batches, \(process.openQuestions) questions, "
                + "\(process.queue?.leaseCount ?? 0) leases, \(process.connector?.openCount ?? 0) of "
                + "\(process.connector?.socketCount ?? 0) sockets connected"
        }
        let waiting = disks.map { disk in
            "\(disk.unsettled.values.reduce(0) { $0 + $1.count }) deliveries and \(disk.lateAnswers.count) late answers wait, "
                + "\(disk.replays.values.count(where: \.isUnderWay)) replays run"
        }
        return (lines + waiting + ["Slack has \(slack.pending) to send"]).joined(separator: "; ")
    }

    /// The last drain: everything must end by itself, and in time.
    private func close() {
        if let event = slack.happenings.last, event.acknowledgedAt == nil, plan.lostAcknowledgements == 0 {
            guarantees.violated("rest: \(event.name) was not taken although all is well")
        }
        isClosing = true
        after(.seconds(3600)) { self.guarantees.violated("rest: the last drain does not end") }
        for process in processes {
            Task(executorPreference: executor) { await self.checkInside(process) }
            process.drain()
        }
    }

    /// The checks keep accounts of their own: the queue and the answerer must say the same.
    private func checkInside(_ process: SimulatedProcess) async {
        guard let parts = process.parts, let statistics = try? await process.disk.content.statistics() else { return }
        for (backend, left) in statistics.sorted(by: { $0.key < $1.key }) where left.waitingCount > 0 {
            guarantees.violated("rest: deliveries wait for \(backend) in the queue of \(process.name): \(left.waiting)")
        }
        let dropped = process.disk.rows.count(where: \.isDropped)
        let counted = statistics.values.reduce(0) { $0 + $1.dropped }
        if dropped != counted { guarantees.violated("7: \(dropped) were dropped, and \(counted) counted") }
        for (backend, count) in await parts.answerer.waiting.sorted(by: { $0.key < $1.key }) where count > 0 {
            guarantees.violated("rest: answers are waited for: \(count) of \(backend) in \(process.name)")
        }
    }
}
