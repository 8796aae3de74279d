// How each backend has been doing: since when it fails, and why.

import AdminServer
import RelayCore
import Synchronization

/// What attempts say of backends, since the process started.
final class BackendRecords: Sendable {
    struct Record: Sendable, Equatable {
        var lastAcceptedAt: Timestamp?
        var failing: Failing?

        struct Failing: Sendable, Equatable {
            var since: Timestamp
            var attempts: Int
            var reason: String
        }
    }

    private let records = Mutex<[BackendName: Record]>([:])

    subscript(backend: BackendName) -> Record { records.withLock { $0[backend] ?? Record() } }

    func attemptFinished(_ backend: BackendName, _ result: AttemptResult, at time: Timestamp) {
        records.withLock { records in
            var record = records[backend] ?? Record()
            if let reason = result.outcome.reason {
                let before = record.failing
                record.failing = .init(
                    since: before?.since ?? time, attempts: (before?.attempts ?? 0) + 1, reason: "\(reason)")
            } else {
                record.lastAcceptedAt = time
                record.failing = nil
            }
            records[backend] = record
        }
    }
}

/// Tells the admin API what happens, and then whoever else wants to know.
struct AdminObserver: DeliveryObserver {
    let feed: DeliveryFeed
    let records: BackendRecords
    let next: (any DeliveryObserver)?
    let now: @Sendable () -> Timestamp

    func attemptFinished(_ delivery: Delivery, _ result: AttemptResult, number: Int, duration: Duration) {
        records.attemptFinished(delivery.backend, result, at: now())
        if feed.isWatched {
            let body = API.FeedAttempt(
                id: "\(delivery.id)", backend: delivery.backend.text, route: delivery.route.text,
                app: delivery.app.text, kind: delivery.kind.rawValue, number: number, outcome: result.outcome.word,
                status: result.status, reason: result.outcome.reason?.description,
                durationMs: Int(duration.milliseconds), at: now().rfc3339Milliseconds)
            feed.publish(FeedEvent(.attempt, backend: delivery.backend, body))
        }
        next?.attemptFinished(delivery, result, number: number, duration: duration)
    }

    func settled(_ settlements: [Settlement], of backend: BackendName) {
        if feed.isWatched {
            for settlement in settlements {
                feed.publish(FeedEvent(.settled, backend: backend, API.FeedSettlement(settlement, of: backend)))
            }
        }
        next?.settled(settlements, of: backend)
    }

    func answered(_ report: AnswerReport) {
        if let result = report.result { records.attemptFinished(report.backend, result.attempt, at: now()) }
        if feed.isWatched {
            let body = API.FeedAnswer(
                envelopeId: report.envelope.id, backend: report.backend.text, app: report.envelope.app.text,
                kind: report.envelope.kind.rawValue, outcome: report.outcome.rawValue,
                status: report.result?.attempt.status, durationMs: Int(report.took.milliseconds),
                at: now().rfc3339Milliseconds)
            feed.publish(FeedEvent(.answer, backend: report.backend, body))
        }
        next?.answered(report)
    }

    func posted(_ id: LateAnswer.ID, isDone: Bool, isAccepted: Bool, detail: String) {
        next?.posted(id, isDone: isDone, isAccepted: isAccepted, detail: detail)
    }
}

extension API.FeedSettlement {
    fileprivate init(_ settlement: Settlement, of backend: BackendName) {
        var (deadReason, due): (String?, String?)
        switch settlement.verb {
        case .deadLetter(let reason): deadReason = "\(reason)"
        case .reschedule(let time): due = time.rfc3339Milliseconds
        case .complete, .expire: break
        }
        self.init(
            id: "\(settlement.id)", backend: backend.text, state: settlement.verb.state.rawValue,
            deadReason: deadReason, due: due, at: settlement.at.rfc3339Milliseconds)
    }
}
