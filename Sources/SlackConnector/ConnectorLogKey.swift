// The keys of log metadata that only connections need.

import RelayCore

extension LogKey {
    static let slot = "slot"
    static let outcome = "outcome"
    static let detail = "detail"
    /// HTTP status of a refused upgrade or API call.
    static let status = "status"
    /// The `via` and `server` headers of a refused upgrade.
    static let via = "via"
    static let server = "server"
    /// The Slack host behind a connection.
    static let slackHost = "slack.host"
    static let reportedConnections = "connections.reported"
    static let expectedConnections = "connections.expected"
    static let waitMilliseconds = "wait_ms"
    static let closeCode = "close.code"
    static let frameType = "frame.type"
    static let messageType = "message.type"
    static let bytes = "bytes"
}
