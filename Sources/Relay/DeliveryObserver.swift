// A look at deliveries and answers as they happen, for the commands that show them.

package import RelayCore

/// Told of attempts and of what became of deliveries and answers. Called on the dispatchers and the answerer: must return
/// at once.
package protocol DeliveryObserver: Sendable {
    func attemptFinished(_ delivery: Delivery, _ result: AttemptResult, number: Int, duration: Duration)
    /// These outcomes are recorded now.
    func settled(_ settlements: [Settlement], of backend: BackendName)
    /// Somebody waited, and this is what it came to.
    func answered(_ report: AnswerReport)
    /// A late answer was tried to be posted.
    /// - Parameter isDone: it will not be tried again.
    func posted(_ id: LateAnswer.ID, isDone: Bool, isAccepted: Bool, detail: String)
}

/// One envelope whose acknowledgement waited for its backend.
package struct AnswerReport: Sendable {
    package var envelope: Envelope
    package var backend: BackendName
    /// Of the last attempt; nil when none was made.
    package var result: AskResult?
    /// Its number, from 1; 0 when none was made.
    package var attempts: Int
    /// How long the last attempt took.
    package var attemptDuration: Duration
    package var outcome: AnswerOutcome
    package var told: Told
    /// Whether something goes to the `response_url`.
    package var isPosted: Bool
    /// From reading the envelope to the end of it.
    package var took: Duration

    /// What Slack was told.
    package enum Told: Sendable, Equatable {
        case nothing
        case bare
        case payload(Payload)
    }

    init(_ job: AnswerJob, _ outcome: AnswerOutcome, took: Duration) {
        envelope = job.envelope
        backend = job.backend
        result = job.lastAttempt?.result
        attempts = job.lastAttempt?.attempt.number ?? 0
        attemptDuration = job.lastAttempt.map { $0.attempt.startedAt.duration(to: $0.attempt.finishedAt) } ?? .zero
        self.outcome = outcome
        // An acknowledgement that no connection took told nothing.
        let isTold = outcome != .lost && !(outcome == .answeredByURL && job.acknowledgement?.payload != nil)
        told = job.acknowledgement.flatMap { isTold ? $0.payload.map(Told.payload) ?? .bare : nil } ?? .nothing
        isPosted = job.isPosted
        self.took = took
    }
}
