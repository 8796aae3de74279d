// What happened at Slack: an event, or something that a person did.

import RelayCore

/// One happening, with all that became of it. Known to the outside only: to Slack, the backends and the checks.
final class Happening {
    enum Shape: CaseIterable {
        case event
        /// A slash command.
        case command
        /// A button of a legacy attachment.
        case legacyButton
        case modal
        case button
        case options
    }

    /// How a backend answers a person, when it answers.
    enum Reply {
        case empty, text, large, unusable
    }

    let number: Int
    let shape: Shape
    let channel: String
    let reply: Reply
    let payload: Payload
    /// The deduplication key that each copy has.
    let key: String
    /// Whether no backend ever takes it.
    let isPoison: Bool

    // At Slack.
    var copiesSent = 0
    var firstSentAt = Timestamp(millisecondsSinceEpoch: 0)
    /// Whether the first copy found a connection.
    var isFirstCopySent = false
    /// When Slack had an acknowledgement that it took.
    var acknowledgedAt: Timestamp?
    /// What it said, when a person waited.
    var acknowledgement: Payload?
    /// Backends that had a delivery of it when it was acknowledged.
    var owed: Set<BackendName> = []
    var posts: [Payload] = []
    var isPostRefused = false
    /// Posts that the gateway was told have arrived.
    var postsTold = 0

    // At the backends.
    var accepts: [BackendName: Int] = [:]
    /// Backends that never want it again.
    var rejections: Set<BackendName> = []
    /// What the asked backend said to the gateway.
    var replies: [BackendReply] = []
    /// Failures that were told to the gateway.
    var failures = 0
    /// Under way.
    var asks = 0

    init(_ number: Int, _ shape: Shape, channel: String, reply: Reply, isPoison: Bool, payload: Payload?) {
        self.number = number
        self.shape = shape
        self.channel = channel
        self.reply = reply
        self.isPoison = isPoison
        key = shape == .event ? "event/Ev\(number)" : "\(shape)/T\(number)"
        self.payload = payload ?? Payload(key)
    }

    /// Each writes in all channels.
    var user: String { "U\(number % 3)" }

    var name: String { shape == .event ? "Ev\(number)" : "\(shape) \(number)" }

    var kind: Kind {
        switch shape {
        case .event: .event
        case .command: .command
        case .legacyButton, .modal, .button: .interaction
        case .options: .options
        }
    }

    /// Whether a late answer can go to a `response_url`.
    var isMessage: Bool { shape == .command || shape == .legacyButton }

    func makeEnvelope(id: String, copy: Int, receivedAt: Timestamp) -> Envelope {
        var attributes = EnvelopeAttributes()
        attributes.channel = channel
        attributes.user = user
        switch shape {
        case .event: attributes.payloadType = "event_callback"
        case .command: attributes.command = "/do"
        case .legacyButton: attributes.payloadType = "interactive_message"
        case .modal: attributes.payloadType = "view_submission"
        case .button: attributes.payloadType = "block_actions"
        case .options: attributes.payloadType = "block_suggestion"
        }
        return Envelope(
            id: id, kind: kind, payload: payload, attributes: attributes,
            deduplicationKey: shape == .options ? nil : key,
            acceptsResponsePayload: shape != .event && shape != .button,
            responseURL: isMessage ? ResponseURL("https://hooks.slack.com/\(number)") : nil,
            retry: copy == 0 || shape != .event ? nil : SlackRetry(attempt: copy, reason: "timeout"),
            receivedAt: receivedAt)
    }

    /// What a backend says in a 200.
    func makeReply() -> BackendReply {
        switch reply {
        case .empty: .empty
        case .text: .payload(Payload(#"{"replace_original":true,"text":"re \#(number)"}"#))
        case .large: .payload(Self.large)
        case .unusable: .unusable(.invalidJSON)
        }
    }

    /// Too large for an acknowledgement.
    private static let large = Payload(
        #"{"replace_original":true,"text":""# + String(repeating: "x", count: 21_000) + #""}"#)
}
