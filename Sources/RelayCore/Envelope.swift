// What comes in from Slack: one envelope, as far as Relay needs to know it.

/// What an envelope carries, in Relay's words. The raw value is used in configuration, logs, metrics and the store.
package enum Kind: String, Sendable, CaseIterable {
    /// `events_api`
    case event
    /// `slash_commands`
    case command
    /// `interactive`, except those below
    case interaction
    /// `interactive` that asks for menu options: block_suggestion, dialog_suggestion, legacy options load
    case options
}

/// The bytes inside an envelope that are forwarded, exactly as they were cut from the frame: a JSON object, UTF-8.
/// Prints as its size only, because payloads hold people's words and live credentials.
package struct Payload: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package let bytes: [UInt8]

    package init(bytes: [UInt8]) { self.bytes = bytes }
    package init(_ text: String) { self.bytes = Array(text.utf8) }

    package var description: String { "<\(bytes.count) bytes>" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// Slack sent this envelope before and saw no acknowledgement in time. Only events are sent again (slack-protocol.md
/// §3.6).
package struct SlackRetry: Sendable, Hashable {
    /// `retry_attempt`, 1 to 3 by Slack's schedule; kept as sent.
    package var attempt: Int
    /// `retry_reason` as sent on the socket, for example `timeout`; may be empty.
    package var reason: String

    package init(attempt: Int, reason: String) {
        self.attempt = attempt
        self.reason = reason
    }
}

/// One Slack message that carries a payload and wants an acknowledgement.
package struct Envelope: Sendable, Equatable {
    package var app: AppName
    /// `envelope_id`: new for each copy that Slack sends.
    package var id: String
    package var kind: Kind
    package var payload: Payload
    /// What routes match on.
    package var attributes: EnvelopeAttributes {
        get { attributesBox.value }
        set { attributesBox = AttributesBox(newValue) }
    }
    /// In a box: each copy of an envelope retains one object for them, not sixteen.
    private var attributesBox: AttributesBox
    /// Same for each copy of the same happening, without the app (which the queue adds); nil means: never deduplicated.
    package var deduplicationKey: String?
    /// `accepts_response_payload`
    package var acceptsResponsePayload: Bool
    /// `payload.response_url`; nil where there is none.
    package var responseURL: ResponseURL?
    /// nil for the first copy (`retry_attempt` 0 or absent).
    package var retry: SlackRetry?
    /// When its frame had been read.
    package var receivedAt: Timestamp

    package init(
        app: AppName = App.defaultName, id: String, kind: Kind, payload: Payload,
        attributes: EnvelopeAttributes = .init(),
        deduplicationKey: String? = nil, acceptsResponsePayload: Bool = false,
        responseURL: ResponseURL? = nil, retry: SlackRetry? = nil, receivedAt: Timestamp
    ) {
        self.app = app
        self.id = id
        self.kind = kind
        self.payload = payload
        self.attributesBox = AttributesBox(attributes)
        self.deduplicationKey = deduplicationKey
        self.acceptsResponsePayload = acceptsResponsePayload
        self.responseURL = responseURL
        self.retry = retry
        self.receivedAt = receivedAt
    }
}

private final class AttributesBox: Sendable, Equatable {
    let value: EnvelopeAttributes

    init(_ value: EnvelopeAttributes) { self.value = value }

    static func == (lhs: AttributesBox, rhs: AttributesBox) -> Bool { lhs.value == rhs.value }
}

/// The fields of a payload that routes match on. Absent fields are nil or empty; every field is optional in real
/// payloads.
package struct EnvelopeAttributes: Sendable, Hashable {
    /// `payload.type` (`event_callback`, `block_actions`, …); nil for commands.
    package var payloadType: String?
    /// `payload.event.type`, or `payload.type` where an events_api payload has no `event` (`app_rate_limited`).
    package var event: String?
    /// `payload.event.subtype`
    package var eventSubtype: String?
    /// `payload.command`, with its slash
    package var command: String?
    /// `action_id` of each element of `actions`, or the top-level `action_id` of a block_suggestion
    package var actionIDs: [String] = []
    /// `block_id`, likewise
    package var blockIDs: [String] = []
    /// `payload.callback_id`
    package var callbackID: String?
    /// `payload.view.callback_id`
    package var view: String?
    package var channel: String?
    /// The timestamp of the message that begins the thread; of a message that is in none, its own.
    package var thread: String?
    package var user: String?
    package var team: String?
    package var enterprise: String?
    /// `api_app_id`
    package var app: String?

    package init() {}
}
