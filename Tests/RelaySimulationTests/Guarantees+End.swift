// What must hold when a run is over.

import RelayCore

extension Guarantees {
    func checkEnd() {
        for disk in world.disks {
            checkRows(disk)
            checkReplays(disk)
        }
        for happening in world.slack.happenings {
            if happening.shape == .event { checkEvent(happening) } else { checkPerson(happening) }
        }
    }

    private func checkRows(_ disk: SimulatedDisk) {
        struct Duty: Hashable {
            var key: String
            var backend: BackendName
        }
        var seen: Set<Duty> = []
        for row in disk.rows {
            let name = "\(row.key ?? "") for \(row.delivery.backend)"
            if let key = row.key, !seen.insert(Duty(key: key, backend: row.delivery.backend)).inserted {
                violated("2: \(name) is stored twice")
            }
            if !row.state.isFinal { violated("rest: \(name) is still \(row.state.rawValue)") }
            if row.state == .delivered, row.accepts == 0, !row.isRecord { violated("2: \(name) never arrived") }
        }
    }

    private func checkEvent(_ event: Happening) {
        if world.plan.isPlannedOnly, world.plan.restarts == 0, event.isFirstCopySent, event.copiesSent != 1 {
            violated("5: \(event.name) was sent \(event.copiesSent) times, and there were planned refreshes only")
        }
        if world.plan.isPlannedOnly, event.accepts.values.contains(where: { $0 != 1 }) {
            violated("2: \(event.name) was made \(event.accepts) times, and nothing went wrong")
        }
        for backend in event.owed.sorted() {
            let rows = world.disks.flatMap { disk in
                disk.rows(of: event.key).filter { $0.delivery.backend == backend }
            }
            if rows.allSatisfy({ $0.state == .delivered }), event.accepts[backend, default: 0] == 0 {
                violated("1: \(event.name) was acknowledged, and \(backend) never had it")
            }
        }
    }

    /// Never a silent success, and nothing that the backend did not say.
    private func checkPerson(_ person: Happening) {
        let failureSaid = { (text: String, payload: Payload) in
            String(decoding: payload.bytes, as: UTF8.self).contains(text)
        }
        let policy = world.plan.routes.first { $0.name == "people" }?.failure ?? .init()
        for post in person.posts {
            let isReply = person.replies.contains(.payload(post))
            let isFailure = failureSaid(policy.lateMessage, post) || failureSaid(policy.message, post)
            if !isReply, !isFailure { violated("4: what was posted for \(person.name) nobody said") }
            if isFailure, !isReply, person.failures == 0, world.isUntouched {
                violated("4: \(person.name) was told of a failure, and there was none")
            }
        }
        if world.isUntouched, world.plan.diskTroubles == 0, person.postsTold > 1 {
            violated("4: \(person.name) was posted to again after it had arrived")
        }
        if world.isUntouched, world.plan.replicas == 1, person.failures == 0, person.replies.count > 1 {
            violated("4: what \(person.name) asked for was done twice")
        }
        guard person.acknowledgedAt != nil else { return }
        if let payload = person.acknowledgement {
            let isMessage = policy.onFailure == .message && failureSaid(policy.message, payload)
            if !person.replies.contains(.payload(payload)), !isMessage {
                violated("4: \(person.name) was answered with what nobody said")
            }
            return
        }
        let wasEmpty = person.replies.contains(.empty)
        switch person.shape {
        case .command, .legacyButton:
            if !wasEmpty, person.posts.isEmpty, !person.isPostRefused {
                violated("4: \(person.name) is a silent success")
            }
        case .modal, .options:
            if !wasEmpty { violated("4: \(person.name) was acknowledged bare, and the backend said something else") }
        case .button:
            if person.replies.isEmpty { violated("4: \(person.name) was acknowledged, and the backend never said yes") }
        case .event: break
        }
    }
}
