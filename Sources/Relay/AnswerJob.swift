// One happening that somebody waits for: its state machine, and everybody who asked.

import RelayCore
import SlackHTTP
import SocketMode

/// Numbers the answers of a process, from 1.
typealias AnswerNumber = Int64

/// Copies of one envelope share a job: the backend is asked once. Belongs to the `Answerer`.
final class AnswerJob {
    let number: AnswerNumber
    let envelope: Envelope
    let asked: RoutingPlan.Asked
    /// Of an event: the backends that get it when the asked one has it.
    let queued: [EnqueueRequest.Target]
    /// What the request says in `X-Relay-Delivery-Id`.
    let id: DeliveryID
    /// Of the configuration that it was routed by.
    let sender: any AnswerSender
    let shape: AnswerShape
    /// The largest payload that an acknowledgement can carry, in bytes.
    let maxPayloadBytes: Int
    var machine: AnswerStateMachine
    var askers: [Asker] = []
    /// What Slack was told first; nil: nothing yet.
    var acknowledgement: Acknowledgement?
    /// The attempts made; the last one with its result.
    var lastAttempt: (attempt: Attempt, result: AskResult)?
    /// Whether an event has had its turn, and holds one of the backend's `max_in_flight` places.
    var hasTurn = false
    /// Whether its deadline still means something.
    var isBeingAsked = false
    /// Whether what follows from its deadline is being done, and who waits for the end of that.
    var isDeadlineUnderWay = false
    var afterDeadline: CheckedContinuation<Void, Never>?
    /// Whether Slack was left waiting.
    var isWithheld = false
    /// Whether something goes to the `response_url`.
    var isPosted = false
    var outcome: AnswerOutcome?

    /// Bare when `payload` is nil.
    struct Acknowledgement: Sendable, Equatable {
        var payload: Payload?
    }

    /// A copy of the envelope, and whoever waits until it is dealt with.
    struct Asker: Sendable {
        let envelope: Envelope
        let connection: ConnectionID
        let acknowledger: any Acknowledger
        var continuation: CheckedContinuation<Void, Never>?
    }

    /// - Parameter hasResponseURL: that may be posted to.
    init(
        _ number: AnswerNumber, _ envelope: Envelope, _ asked: RoutingPlan.Asked, queued: [EnqueueRequest.Target],
        instance: UInt32, sender: any AnswerSender, hasResponseURL: Bool
    ) {
        self.number = number
        self.envelope = envelope
        self.asked = asked
        self.queued = queued
        self.sender = sender
        id = DeliveryID(queue: instance, sequence: number)
        shape = AnswerShape(envelope)
        maxPayloadBytes = AcknowledgementFrame.maximumPayloadBytes(envelopeID: envelope.id)
        machine = AnswerStateMachine(
            .init(
                shape: shape, acceptsPayload: envelope.acceptsResponsePayload, hasResponseURL: hasResponseURL,
                maxPayloadBytes: maxPayloadBytes,
                failureMessage: asked.failure.onFailure == .message
                    ? ResponseMessage.notice(asked.failure.message, for: envelope) : nil))
    }

    var backend: BackendName { asked.target.backend }

    /// For the next attempt.
    var delivery: Delivery {
        Delivery(
            id: id, backend: backend, route: asked.target.route, path: asked.target.path,
            app: envelope.app, kind: envelope.kind, payload: envelope.payload, slackRetry: envelope.retry,
            receivedAt: envelope.receivedAt, attemptsMade: lastAttempt?.attempt.number ?? 0)
    }

    var lateAnswerID: LateAnswer.ID { LateAnswer.ID(app: envelope.app, envelopeID: envelope.id) }

    /// - Parameter reply: as the backend said it; nil: nothing yet.
    func lateAnswer(_ reply: Payload?) -> LateAnswer? {
        envelope.responseURL.map { url in
            LateAnswer(
                id: lateAnswerID, responseURL: url,
                expiresAt: envelope.receivedAt.advanced(by: ResponseURL.lifetime),
                reply: reply.map { ResponseMessage.post($0, for: envelope) },
                failure: ResponseMessage.notice(asked.failure.lateMessage, for: envelope))
        }
    }

    /// The record of what was asked, for the queue; nil when nothing was. A failed answer is
    /// `expired`, not a dead letter: to replay it would run a person's command a second time.
    func record(now: Timestamp) -> EnqueueRequest? {
        guard let (attempt, result) = lastAttempt else { return nil }
        let verb: Settlement.Verb =
            switch (result.attempt.outcome, shape) {
            case (.accepted, _): .complete
            case (.rejected(let reason), .event), (.failed(let reason), .event): .deadLetter(.rejected(reason))
            case (.rejected, _), (.failed, _): .expire
            }
        var envelope = envelope
        // Only an event is remembered by its record: what is queued beside an answer has remembered the key before.
        if shape != .event { envelope.deduplicationKey = nil }
        return EnqueueRequest(
            envelope: envelope, targets: queued,
            settled: .init(target: asked.target, settlement: .init(id: id, attempt: attempt, verb: verb, at: now)))
    }
}
