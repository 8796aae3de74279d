// Why Slack wants a connection gone, and why one ended.

/// What a `disconnect` message asks for (slack-protocol.md §2.4).
package enum SlackDisconnect: Equatable, Sendable, CaseIterable {
    /// The connection is to be replaced: `warning`, `refresh_requested`, and every reason that is not known.
    case refresh
    /// Socket Mode was switched off for the app.
    case linkDisabled
    /// The app has all the connections that it may have.
    case tooManyWebSockets

    package init(_ reason: SlackMessage.DisconnectReason) {
        switch reason {
        case .linkDisabled: self = .linkDisabled
        case .tooManyWebSockets: self = .tooManyWebSockets
        case .warning, .refreshRequested, .unknown: self = .refresh
        }
    }
}

/// Why a connection ended. The raw value is used in metrics and logs; the set is closed.
package enum EndReason: String, Sendable, CaseIterable {
    /// Replaced by a new connection, as planned.
    case refreshed
    /// The gateway shuts down.
    case drained
    /// Slack sent a close frame.
    case closedBySlack = "closed_by_slack"
    /// TCP ended without a close frame: an ordinary end of life (slack-protocol.md §2.5).
    case reset
    /// No frame for `dead_after`.
    case dead
    /// No `hello` within `hello_timeout`.
    case helloTimeout = "hello_timeout"
    /// A `disconnect` that asks for a refresh came in place of `hello`.
    case refused
    case tooManyWebSockets = "too_many_websockets"
    case linkDisabled = "link_disabled"
    /// Slack's frames broke RFC 6455.
    case protocolError = "protocol_error"
    /// A message over the cap.
    case messageTooLarge = "message_too_large"

    /// Status code of our close frame (RFC 6455 §7.4.1).
    package var closeCode: UInt16 {
        switch self {
        case .drained: 1001
        case .protocolError: 1002
        case .messageTooLarge: 1009
        case .refreshed, .closedBySlack, .reset, .dead, .helloTimeout, .refused, .tooManyWebSockets, .linkDisabled: 1000
        }
    }

    /// Whether Slack counts one connection less. Of one that it may not have noticed the end of it goes on counting, and one
    /// that it ends as one too many it had counted beyond what it allows.
    package var makesRoom: Bool { self != .dead && self != .tooManyWebSockets }
}

/// What a peer's frame can do wrong.
package enum ProtocolViolation: Equatable, Sendable {
    case malformed
    /// Over 16 MiB, in one frame or in all fragments together.
    case messageTooLarge
}
