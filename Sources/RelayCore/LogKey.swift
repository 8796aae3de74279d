// The keys of log metadata, one word per thing, so that a search finds every line about it.

/// Keys of structured log lines. The values hold no secret and no payload.
package enum LogKey {
    package static let app = "app"
    package static let answerDuration = "answer.duration_ms"
    package static let attemptNumber = "attempt.number"
    package static let attemptReason = "attempt.reason"
    package static let attemptDetail = "attempt.detail"
    package static let attemptDuration = "attempt.duration_ms"
    package static let attemptStatus = "attempt.status"
    package static let backendName = "backend.name"
    package static let connectionID = "connection.id"
    package static let deliveryID = "delivery.id"
    package static let envelopeID = "envelope.id"
    package static let envelopeKind = "envelope.kind"
    package static let envelopeCount = "envelope.count"
    /// What a route could match on: `envelope.command`, `envelope.action_id`.
    package static func envelopeName(_ key: MatchKey) -> String { "envelope.\(key.rawValue)" }
    package static let error = "error"
    package static let reason = "reason"
    package static let retryIn = "delivery.retry_in_ms"
    package static let waiting = "queue.waiting"
    package static let routeName = "route.name"
    /// What is done with an unrouted envelope.
    package static let action = "action"
    package static let listen = "listen"
    package static let queueFileSystem = "queue.file_system"
    package static let queuePath = "queue.path"
    package static let signal = "signal"
    package static let version = "version"

    // Of what people do through the admin API.

    /// The peer's address.
    package static let adminRemote = "admin.remote"
    /// What it was done to: an id, a backend.
    package static let adminSubject = "admin.subject"
    /// Filters and options as asked for.
    package static let adminQuery = "admin.query"
    package static let adminCount = "admin.count"
    package static let replayID = "replay.id"
    package static let replayCount = "replay.count"
    package static let replayWithoutPayload = "replay.without_payload"

    // Of the configuration.

    /// Counts up with each reload that changed something.
    package static let configurationGeneration = "configuration.generation"
    package static let configurationFingerprint = "configuration.fingerprint"
    /// The keys that differ, without their values.
    package static let configurationChanges = "configuration.changes"

    // Of connections.

    package static let slot = "slot"
    package static let outcome = "outcome"
    package static let detail = "detail"
    /// HTTP status of a refused upgrade or API call.
    package static let status = "status"
    /// The `via` and `server` headers of a refused upgrade.
    package static let via = "via"
    package static let server = "server"
    /// The Slack host behind a connection.
    package static let slackHost = "slack.host"
    package static let reportedConnections = "connections.reported"
    package static let expectedConnections = "connections.expected"
    package static let waitMilliseconds = "wait_ms"
    /// How long there was no connection.
    package static let blindDuration = "blind.duration_ms"
    package static let closeCode = "close.code"
    package static let messageType = "message.type"
    package static let bytes = "bytes"
    /// The number that was, or would be, too small; of `bytes` where they are named.
    package static let limit = "limit"
}
