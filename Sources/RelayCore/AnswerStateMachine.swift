// Decides, for one envelope whose acknowledgement waits for its backend, what Slack is told and when.

/// One envelope from the moment its backend is asked to the last word about it.
///
/// Responsibilities:
/// 1. acknowledge with what the backend says, where Slack takes it; bare where it says nothing;
/// 2. withhold where the backend fails, so that the person sees the error that Slack shows in HTTP mode, or say the
///    route's own message;
/// 3. rescue what is late, too large or has no connection, through the `response_url`, where there is one;
/// 4. ask again while nothing listens at the backend and there is time.
///
/// The one surprising rule: a person is never left with a silent success. Where a bare acknowledgement is sent before
/// the reply is known, something that will be posted is stored first: the backend's reply, or a message that says it
/// failed. Where that cannot be stored, the acknowledgement is withheld.
///
/// The table it follows is docs/architecture.md, "Answers".
package struct AnswerStateMachine: Sendable, Equatable {
    private let terms: Terms
    private var state = State.waiting

    /// What is known of the envelope and its route before the backend is asked.
    package struct Terms: Sendable, Equatable {
        package var shape: AnswerShape
        /// `accepts_response_payload`
        package var acceptsPayload: Bool
        /// Whether the envelope has a `response_url` that may be posted to.
        package var hasResponseURL: Bool
        /// The largest payload whose acknowledgement Slack takes, in bytes.
        package var maxPayloadBytes: Int
        /// Said in place of a failure in time (`on_failure: message`); nil: withhold.
        package var failureMessage: Payload?

        package init(
            shape: AnswerShape, acceptsPayload: Bool, hasResponseURL: Bool, maxPayloadBytes: Int,
            failureMessage: Payload? = nil
        ) {
            self.shape = shape
            self.acceptsPayload = acceptsPayload
            self.hasResponseURL = hasResponseURL
            self.maxPayloadBytes = maxPayloadBytes
            self.failureMessage = failureMessage
        }
    }

    private enum State: Sendable, Equatable {
        /// The backend has been asked, or will be. To `acknowledging`, `securing`, `promising`, `overdue`, `done`.
        case waiting
        /// Past the deadline without an acknowledgement: as good as withheld, unless the backend says yes after all. To
        /// `acknowledging`, `done`.
        case overdue
        /// An acknowledgement is being sent; `payload` was in it. To `securing`, `done`.
        case acknowledging(payload: Payload?, AnswerOutcome)
        /// A reply that goes to the `response_url` is being stored; then a bare acknowledgement follows, unless one was
        /// tried already. To `done`.
        case securing(Payload, acknowledges: Bool, AnswerOutcome)
        /// The promise of a late answer is being stored; what the backend says meanwhile waits. To `promised`,
        /// `overdue`.
        case promising(BackendWord?)
        /// Acknowledged bare; the reply, or the message that there is none, goes to the `response_url`. To
        /// `redeeming`, `done`.
        case promised
        /// The late reply is being stored. To `done`.
        case redeeming(Payload)
        case done
    }

    package init(_ terms: Terms) { self.terms = terms }

    /// What to do now, in this order.
    package enum Action: Sendable, Equatable {
        /// Acknowledge, with this payload or bare, then report `acknowledged`.
        case acknowledge(Payload?)
        /// Do not acknowledge, unless `acknowledge` follows: the person sees Slack's error, an event comes again.
        case withhold
        /// Ask the backend again after so long.
        case askAgain(after: Duration)
        /// Store that the `response_url` gets this reply, or, while it is nil and when it stays nil, the late failure
        /// message; then report `stored` or `storingFailed`.
        case store(reply: Payload?)
        /// Post what is stored to the `response_url`.
        case post
        /// Post this to the `response_url` although it could not be stored.
        case postUnstored(Payload)
        /// Forget what is stored: there is nothing to post.
        case forget
        /// The last word.
        case finish(AnswerOutcome)
    }

    // MARK: The backend

    /// The backend's reply came.
    package mutating func replied(_ reply: BackendReply) -> [Action] { heard(.replied(reply)) }

    /// The attempt failed, and will not be repeated.
    /// - Parameter wantsNoRetry: the response said `X-Slack-No-Retry: 1`.
    package mutating func failed(wantsNoRetry: Bool = false) -> [Action] { heard(.failed(wantsNoRetry: wantsNoRetry)) }

    /// Nothing listens at the backend: it has not seen the request.
    /// - Parameters:
    ///   - attempt: the number of the attempt, from 1.
    ///   - left: until the deadline.
    package mutating func connectionRefused(attempt: Int, left: Duration) -> [Action] {
        let wait = min(Self.firstWait * (1 << min(max(0, attempt - 1), 10)), Self.longestWait)
        guard state == .waiting, wait < left else { return failed() }
        return [.askAgain(after: wait)]
    }

    private static let firstWait = Duration.milliseconds(50)
    private static let longestWait = Duration.milliseconds(400)

    /// The request is not made: too many wait for this backend, an event has not had its turn by the deadline, or (`held`)
    /// the backend is left alone.
    package mutating func refused(_ outcome: AnswerOutcome = .overloaded) -> [Action] {
        switch state {
        case .waiting: withhold(outcome)
        case .overdue: finish(outcome)
        // The deadline came first: what was promised is that there is an answer, or a message that there is none.
        case .promising, .promised: failed()
        case .acknowledging, .securing, .redeeming, .done: []
        }
    }

    private mutating func heard(_ word: BackendWord) -> [Action] {
        switch (state, word) {
        case (.waiting, .replied(let reply)): return answer(reply, .answered)
        case (.waiting, .failed(let wantsNoRetry)): return fail(wantsNoRetry: wantsNoRetry)
        case (.overdue, .replied(let reply)): return answerOverdue(reply)
        case (.overdue, .failed(let wantsNoRetry)):
            return wantsNoRetry && terms.shape == .event ? acknowledge(nil, .failedLate) : finish(.failedLate)
        case (.promising, _):
            state = .promising(word)
            return []
        case (.promised, .replied(.empty)):
            state = .done
            return [.forget, .finish(.answeredLate)]
        case (.promised, .replied(.payload(let payload))):
            state = .redeeming(payload)
            return [.store(reply: payload)]
        case (.promised, .replied(.unusable)), (.promised, .failed):
            state = .done
            return [.post, .finish(.failedLate)]
        case (.acknowledging, _), (.securing, _), (.redeeming, _), (.done, _): return []
        }
    }

    // MARK: Time

    /// `answer_deadline` has passed since the envelope was read.
    package mutating func deadlinePassed() -> [Action] {
        guard state == .waiting else { return [] }
        if terms.shape == .message, terms.hasResponseURL {
            state = .promising(nil)
            return [.store(reply: nil)]
        }
        state = .overdue
        return [.withhold]
    }

    // MARK: The store

    /// `Action.store` is durable.
    package mutating func stored() -> [Action] {
        switch state {
        case .promising(let word):
            state = .promised
            return [.acknowledge(nil)] + (word.map { heard($0) } ?? [])
        case .securing(_, let acknowledges, let outcome):
            state = .done
            return (acknowledges ? [.acknowledge(nil)] : []) + [.post, .finish(outcome)]
        case .redeeming:
            state = .done
            return [.post, .finish(.answeredLate)]
        case .waiting, .overdue, .acknowledging, .promised, .done: return []
        }
    }

    /// `Action.store` could not be done.
    package mutating func storingFailed() -> [Action] {
        switch state {
        case .promising(let word):
            state = .overdue
            return [.withhold] + (word.map { heard($0) } ?? [])
        case .securing(let payload, let acknowledges, let outcome):
            state = .done
            return (acknowledges ? [.withhold] : []) + [.postUnstored(payload), .finish(outcome)]
        case .redeeming(let payload):
            // The promise is stored: should the process end first, the person learns that it failed.
            state = .done
            return [.postUnstored(payload), .finish(.answeredLate)]
        case .waiting, .overdue, .acknowledging, .promised, .done: return []
        }
    }

    // MARK: Acknowledgements

    /// `Action.acknowledge` was done.
    /// - Parameter isLost: no connection was open to send it on.
    package mutating func acknowledged(isLost: Bool) -> [Action] {
        guard case .acknowledging(let payload, let outcome) = state else { return [] }
        guard isLost else { return finish(outcome) }
        guard let payload, canRescue else { return finish(.lost) }
        return secure(payload, acknowledges: false, outcome)
    }

    // MARK: -

    /// Whether what does not fit into an acknowledgement can go to the `response_url`.
    private var canRescue: Bool { terms.shape == .message && terms.hasResponseURL }

    private mutating func answer(_ reply: BackendReply, _ outcome: AnswerOutcome) -> [Action] {
        switch (terms.shape, reply) {
        case (.nothing, _), (.event, _), (_, .empty): return acknowledge(nil, outcome)
        case (_, .payload(let payload)): return say(payload, outcome)
        case (.message, .unusable): return fail(wantsNoRetry: false, as: .unusable)
        case (.inAcknowledgement, .unusable): return withhold(.unusable)
        }
    }

    /// As `answer`, but Slack has probably shown its error: a message goes where it can still be seen.
    private mutating func answerOverdue(_ reply: BackendReply) -> [Action] {
        if canRescue, case .payload(let payload) = reply {
            state = .done
            return [.postUnstored(payload), .finish(.answeredLate)]
        }
        if terms.shape == .message, case .unusable = reply { return finish(.failedLate) }
        return answer(reply, .answeredLate)
    }

    /// The payload in the acknowledgement, or else by `response_url`, or else not at all.
    private mutating func say(_ payload: Payload, _ outcome: AnswerOutcome) -> [Action] {
        let fits = payload.bytes.count <= terms.maxPayloadBytes
        if fits, terms.acceptsPayload { return acknowledge(payload, outcome) }
        guard canRescue else {
            let isReply = outcome == .answered || outcome == .answeredLate
            return withhold(!isReply ? outcome : fits ? .notAccepted : .tooLarge)
        }
        return secure(payload, acknowledges: true, outcome)
    }

    private mutating func secure(_ payload: Payload, acknowledges: Bool, _ outcome: AnswerOutcome) -> [Action] {
        state = .securing(payload, acknowledges: acknowledges, outcome == .answered ? .answeredByURL : outcome)
        return [.store(reply: payload)]
    }

    private mutating func fail(wantsNoRetry: Bool, as outcome: AnswerOutcome = .failed) -> [Action] {
        switch terms.shape {
        case .event where wantsNoRetry: return acknowledge(nil, outcome)
        case .message:
            guard let message = terms.failureMessage else { return withhold(outcome) }
            return say(message, outcome)
        case .event, .nothing, .inAcknowledgement: return withhold(outcome)
        }
    }

    private mutating func acknowledge(_ payload: Payload?, _ outcome: AnswerOutcome) -> [Action] {
        state = .acknowledging(payload: payload, outcome)
        return [.acknowledge(payload)]
    }

    private mutating func withhold(_ outcome: AnswerOutcome) -> [Action] {
        state = .done
        return [.withhold, .finish(outcome)]
    }

    private mutating func finish(_ outcome: AnswerOutcome) -> [Action] {
        state = .done
        return [.finish(outcome)]
    }

    private enum BackendWord: Sendable, Equatable {
        case replied(BackendReply)
        case failed(wantsNoRetry: Bool)
    }
}
