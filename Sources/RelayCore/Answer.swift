// What an answer is made of: what Slack takes for which envelope, what a backend can say, and how it can end.

/// What an acknowledgement of an envelope may carry, and what can be done when it is too late for one (slack-protocol.md
/// §3.5, §5).
package enum AnswerShape: Sendable, Equatable, CaseIterable {
    /// A message: slash commands and legacy interactive messages. A late or large one can go to the `response_url`.
    case message
    /// What only an acknowledgement can carry: modals, dialogs, menu options. Too late is too late.
    case inAcknowledgement
    /// Nothing: buttons, shortcuts, closed modals. The backend's yes or no is all.
    case nothing
    /// An event, acknowledged when delivered.
    case event

    package init(_ envelope: Envelope) {
        self =
            switch (envelope.kind, envelope.attributes.payloadType) {
            case (.event, _): .event
            case (.command, _), (.interaction, "interactive_message"): .message
            case (.options, _), (.interaction, "view_submission"), (.interaction, "dialog_submission"):
                .inAcknowledgement
            case (.interaction, _): .nothing
            }
    }
}

/// A backend's 200, read for Slack.
package enum BackendReply: Sendable, Equatable {
    /// No body, or white space only.
    case empty
    /// A JSON object, as it came or made of a text: what an acknowledgement's `payload` may be.
    case payload(Payload)
    case unusable(ReplyProblem)
}

/// Why the body of a 200 says nothing to Slack. The raw value is used in logs and metrics.
package enum ReplyProblem: String, Sendable, CaseIterable {
    /// A JSON content type, and something that is not JSON.
    case invalidJSON = "invalid_json"
    /// JSON, but not an object.
    case notAnObject = "not_an_object"
    /// Not UTF-8, which is all that Slack takes.
    case wrongCharset = "wrong_charset"
    /// Longer than 1 MiB, cut off, or encoded in a way nobody knows.
    case incomplete
}

/// What became of an envelope whose acknowledgement waited for a backend. The raw value is used in logs and metrics.
package enum AnswerOutcome: String, Sendable, CaseIterable {
    /// Acknowledged in time as the backend said.
    case answered
    /// Acknowledged bare in time, the reply posted to the `response_url`: it was too large for an acknowledgement, or
    /// none could carry it.
    case answeredByURL = "answered_by_url"
    /// The reply came after the deadline: it went to the `response_url`, or into an acknowledgement that Slack may
    /// ignore.
    case answeredLate = "answered_late"
    /// The backend failed in time: withheld, or the route's message said.
    case failed
    /// The backend failed, or had not replied, after the deadline.
    case failedLate = "failed_late"
    /// Withheld: the reply is not what Slack can be told.
    case unusable
    /// Withheld: the reply does not fit into an acknowledgement, and there is no other way.
    case tooLarge = "too_large"
    /// Withheld: the envelope takes no payload (`accepts_response_payload`), and there is no other way.
    case notAccepted = "not_accepted"
    /// Withheld without asking: `max_waiting` others wait for the backend.
    case overloaded
    /// Withheld without asking: the backend's circuit breaker is open.
    case held
    /// No connection was open to acknowledge on, and there is no other way.
    case lost

    /// Whether the backend's own answer, or its silent yes, was sent to Slack.
    package var isAnswered: Bool {
        switch self {
        case .answered, .answeredByURL, .answeredLate: true
        case .failed, .failedLate, .unusable, .tooLarge, .notAccepted, .overloaded, .held, .lost: false
        }
    }
}

/// A URL of Slack's that takes one message for half an hour (slack-protocol.md §5). Prints as `***`: whoever has it can
/// post.
package struct ResponseURL: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable
{
    package let text: String

    package init(_ text: String) { self.text = text }

    package var description: String { "***" }
    package var debugDescription: String { "***" }
    package var customMirror: Mirror { Mirror(self, children: []) }

    /// How long after the interaction Slack takes posts.
    package static let lifetime = Duration.seconds(30 * 60)
}

/// What is owed to a person after a bare acknowledgement: outlives the process.
package struct LateAnswer: Sendable, Equatable, Identifiable {
    /// The envelope that was, or is about to be, acknowledged bare.
    package struct ID: Sendable, Hashable {
        package var app: AppName
        package var envelopeID: String

        package init(app: AppName, envelopeID: String) {
            self.app = app
            self.envelopeID = envelopeID
        }
    }

    package var id: ID
    package var responseURL: ResponseURL
    /// Slack takes no post after it.
    package var expiresAt: Timestamp
    /// What the backend replied, as it is posted; nil: nothing yet, or nothing any more.
    package var reply: Payload?
    /// Posted in place of a reply that does not come.
    package var failure: Payload

    package init(id: ID, responseURL: ResponseURL, expiresAt: Timestamp, reply: Payload?, failure: Payload) {
        self.id = id
        self.responseURL = responseURL
        self.expiresAt = expiresAt
        self.reply = reply
        self.failure = failure
    }

    /// The body of the post.
    package var body: Payload { reply ?? failure }
}

/// Keeps late answers until they are posted. The queues are its adapters.
package protocol LateAnswerStore: Sendable {
    /// Durable when it returns; takes the place of one with the same id. Never refused for lack of room by `max_bytes`:
    /// few wait, and not for long.
    func store(_ answer: LateAnswer) async throws(QueueError)

    /// Forgets it: posted, expired, or not needed. An unknown id is ignored.
    func remove(_ id: LateAnswer.ID) async throws(QueueError)

    /// nil when it was removed.
    func lateAnswer(_ id: LateAnswer.ID) async throws(QueueError) -> LateAnswer?

    /// The ids of all that are kept, those that expire first before the others.
    func lateAnswerIDs() async throws(QueueError) -> [LateAnswer.ID]
}

/// Asks a backend, and brings what it says. The adapter is `WebhookSender`.
package protocol AnswerSender: Sendable {
    /// As `AttemptSender.send`, with the body of a 200 read for Slack; any other status is no answer.
    /// - Parameter deadline: until when an answer is of use; told to the backend.
    func ask(_ delivery: Delivery, attempt number: Int, deadline: Timestamp) async -> AskResult
}

/// What asking a backend came to.
package struct AskResult: Sendable, Equatable {
    package var attempt: AttemptResult
    /// What it said; nil when the attempt was not accepted.
    package var reply: BackendReply?
    /// `X-Slack-No-Retry: 1` on a failure.
    package var wantsNoRetry: Bool

    package init(_ attempt: AttemptResult, reply: BackendReply? = nil, wantsNoRetry: Bool = false) {
        self.attempt = attempt
        self.reply = reply
        self.wantsNoRetry = wantsNoRetry
    }
}

/// Posts to a `response_url`. The adapter is in `SlackConnector`.
package protocol ResponsePoster: Sendable {
    /// Whether it is a URL of Slack's: nothing else is ever posted to.
    func mayPost(to url: ResponseURL) -> Bool

    /// Makes one attempt. Never throws.
    func post(_ body: Payload, to url: ResponseURL) async -> ResponsePostResult
}

package enum ResponsePostResult: Sendable, Equatable {
    case posted
    /// May pass: a network error, 429, 5xx.
    /// - Parameter retryAfter: what Slack asks for.
    case failed(retryAfter: Duration?, detail: String)
    /// Slack does not take it, and never will.
    case refused(detail: String)
}
