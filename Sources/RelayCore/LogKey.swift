// The keys of log metadata, one word per thing, so that a search finds every line about it.

/// Keys of structured log lines. The values hold no secret and no payload.
package enum LogKey {
    package static let app = "app"
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
    package static let error = "error"
    package static let reason = "reason"
    package static let retryAt = "delivery.retry_at"
    package static let routeName = "route.name"
}
