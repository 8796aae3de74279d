// What one frame from Slack says.

package import RelayCore

/// One text frame from Slack, understood. `parse` makes it (SlackMessage+Parse.swift).
package enum SlackMessage: Sendable, Equatable {
    /// The connection counts as connected from here on.
    case hello(Hello)
    /// Slack is about to close this connection, or does not want it. Has no id and is not acknowledged.
    case disconnect(Disconnect)
    /// A payload that wants an acknowledgement.
    case envelope(Envelope)
    /// Has an `envelope_id`, but a type we do not know or no payload that is an object: to be acknowledged and logged,
    /// because what is never acknowledged comes again (slack-protocol.md §3.1, F18). `type` is as sent, empty when it
    /// has none.
    case unsupported(type: String, envelopeID: String)
    /// Nothing to do but to log it: such text comes in practice and says nothing about the connection (F17, F47).
    case ignored(Reason)

    /// The first message of a connection. All fields are optional: captures differ (slack-protocol.md §2.3).
    package struct Hello: Sendable, Equatable {
        /// Connections that Slack counts for this app, this one and ghosts included.
        package var connectionCount: Int?
        /// `A…`, to be compared with the configured app.
        package var appID: String?
        /// The Slack host behind the connection, for logs.
        package var host: String?
        package var buildNumber: Int?
        /// How long Slack means to keep this connection; 18,060 s in captures.
        package var approximateConnectionTime: Duration?

        package init(
            connectionCount: Int? = nil, appID: String? = nil, host: String? = nil, buildNumber: Int? = nil,
            approximateConnectionTime: Duration? = nil
        ) {
            self.connectionCount = connectionCount
            self.appID = appID
            self.host = host
            self.buildNumber = buildNumber
            self.approximateConnectionTime = approximateConnectionTime
        }
    }

    package struct Disconnect: Sendable, Equatable {
        package var reason: DisconnectReason
        /// The Slack host behind the connection, for logs.
        package var host: String?

        package init(reason: DisconnectReason, host: String? = nil) {
            self.reason = reason
            self.host = host
        }
    }

    /// Why Slack wants the connection gone (slack-protocol.md §2.4).
    package enum DisconnectReason: Sendable, Hashable, CustomStringConvertible {
        /// The connection will be closed in about 10 s.
        case warning
        /// The connection is being recycled now.
        case refreshRequested
        /// Socket Mode is switched off for the app. Also `socket_mode_disabled`, its old name.
        case linkDisabled
        /// The app already has 10 connections; comes on the new one in place of `hello`.
        case tooManyWebSockets
        /// As sent, empty when absent; to be treated like `refreshRequested` (F45).
        case unknown(String)

        package init(_ text: String) {
            self =
                switch text {
                case "warning": .warning
                case "refresh_requested": .refreshRequested
                case "link_disabled", "socket_mode_disabled": .linkDisabled
                case "too_many_websockets": .tooManyWebSockets
                default: .unknown(text)
                }
        }

        /// Slack's word.
        package var description: String {
            switch self {
            case .warning: "warning"
            case .refreshRequested: "refresh_requested"
            case .linkDisabled: "link_disabled"
            case .tooManyWebSockets: "too_many_websockets"
            case .unknown(let text): text
            }
        }
    }

    /// Why a frame is ignored. Never holds what the frame said, because that may be a payload.
    package enum Reason: Sendable, Equatable, CustomStringConvertible {
        /// No text, or white space only.
        case empty
        /// Text that does not begin like JSON, such as `UNAUTHENTICATED: cache_error`.
        case notJSON
        /// Begins like a JSON object and breaks.
        case malformed(JSONError)
        /// JSON, but not an object.
        case notAnObject
        /// An object without `type` and without `envelope_id`.
        case noType
        /// A known type that needs an `envelope_id` and has none.
        case noEnvelopeID
        /// A type we do not know, without `envelope_id`.
        case unknownType

        package var description: String {
            switch self {
            case .empty: "empty text"
            case .notJSON: "text that is not JSON"
            case .malformed(let error): "malformed JSON: \(error)"
            case .notAnObject: "JSON that is not an object"
            case .noType: "no type"
            case .noEnvelopeID: "no envelope_id"
            case .unknownType: "unknown type without envelope_id"
            }
        }
    }
}
