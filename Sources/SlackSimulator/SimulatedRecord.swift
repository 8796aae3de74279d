// What the simulator remembers of what it sent and of who was connected.

package import RelayCore

/// One happening and all its copies.
package struct EnvelopeRecord: Sendable, Equatable {
    /// The `envelope_id` of the first copy; later ones have their own.
    package var id: String
    /// The envelope's type.
    package var type: String
    /// As it went out: its placeholder, if it had one, is replaced.
    package var payload: [UInt8]
    package var acceptsResponsePayload: Bool
    /// The working URL that stands in the payload; nil: none does.
    package var responseURL: String?
    package var state: State
    package var copies: [Copy] = []
    /// What was taken at the `response_url`, in the order it came.
    package var posts: [Post] = []

    package enum State: String, Sendable, CaseIterable {
        /// A copy is out, or another one will be.
        case waiting
        case acknowledged
        /// No copy was acknowledged in time, and no more will be sent.
        case lost
    }

    package struct Copy: Sendable, Equatable {
        package var envelopeID: String
        /// `retry_attempt`; 0 for the first.
        package var attempt: Int
        package var sentAt: Timestamp
        /// nil: swallowed by a ghost, or no connection was open.
        package var connection: ConnectionID?
        /// False: no connection was open, and the copy failed at once.
        package var isDispatched: Bool
        package var acknowledgement: Acknowledgement?

        /// Whether an acknowledgement came within the deadline.
        package var isAcknowledged: Bool { acknowledgement.map { !$0.isLate } ?? false }
    }

    package struct Acknowledgement: Sendable, Equatable {
        package var at: Timestamp
        /// The connection it came on, which may be another than the copy's.
        package var connection: ConnectionID
        /// After the deadline: without effect.
        package var isLate: Bool
        /// The `payload` member, as it came; nil for a bare acknowledgement.
        package var payload: [UInt8]?
    }

    package struct Post: Sendable, Equatable {
        package var at: Timestamp
        /// A JSON object, as it came.
        package var body: [UInt8]
    }

    /// The acknowledgement that settled it.
    package var acknowledgement: Acknowledgement? { copies.first(where: \.isAcknowledged)?.acknowledgement }

    /// From sending to acknowledging the copy that settled it; nil: none did.
    package var acknowledgedAfter: Duration? {
        guard let copy = copies.first(where: \.isAcknowledged), let acknowledgement = copy.acknowledgement else {
            return nil
        }
        return copy.sentAt.duration(to: acknowledgement.at)
    }

    /// From sending the first copy to the post.
    package func delay(of post: Post) -> Duration { copies.first?.sentAt.duration(to: post.at) ?? .zero }
}

/// What has just become of an envelope.
package enum EnvelopeNews: Sendable, Equatable {
    /// It is acknowledged or lost: see `state`.
    case settled(EnvelopeRecord)
    /// The last one of `posts` was taken.
    case posted(EnvelopeRecord)
}

/// A connection as it is now.
package struct ConnectionRecord: Sendable, Equatable {
    package var id: ConnectionID
    package var state: State
    package var openedAt: Timestamp
    package var sent: Int
    package var acknowledged: Int

    package enum State: String, Sendable, CaseIterable {
        /// `hello` was sent.
        case connected
        /// `warning` was sent.
        case warned
        /// Asked to go; gets payloads only when there is no other connection.
        case retiring
        /// A close frame was sent or received; TCP may be open.
        case closing
        /// Half-open: registered, deaf and dumb.
        case silent
        /// Refused: got a disconnect in place of `hello`, or nothing.
        case refused

        /// Whether Slack counts it.
        package var isRegistered: Bool {
            switch self {
            case .connected, .warned, .retiring, .silent: true
            case .closing, .refused: false
            }
        }

        /// Whether the client can be reached through it.
        package var isConnected: Bool {
            switch self {
            case .connected, .warned, .retiring: true
            case .closing, .silent, .refused: false
            }
        }
    }
}

/// One line of the history of connections.
package struct ConnectionEvent: Sendable, Equatable {
    package var at: Timestamp
    package var connection: ConnectionID
    package var what: What
    /// Connections that the client could be reached through, after this event. Never 0 between the first and the last:
    /// no moment without a connection.
    package var connected: Int

    package enum What: String, Sendable, CaseIterable {
        case hello, refused, warning
        case refreshRequested = "refresh_requested"
        case disconnect
        case closeSent = "close_sent"
        case closeReceived = "close_received"
        case silenced, cut, reset
        /// TCP ended, by whomever.
        case ended
    }
}

/// Counts since the start.
package struct SimulatorStatistics: Sendable, Equatable {
    package var apiCalls = 0
    package var upgrades = 0
    package var refusedUpgrades = 0
    package var copiesSent = 0
    /// Copies after the first.
    package var redeliveries = 0
    package var acknowledged = 0
    package var lateAcknowledgements = 0
    /// Acknowledgements that name no envelope, or are no JSON.
    package var strangeMessages = 0
    package var lost = 0
    package var waiting = 0
    /// Client frames over 20,480 bytes.
    package var oversizedFrames = 0
    /// Posts to a `response_url` that were taken.
    package var posts = 0
    /// Those that were not, by a fault or because they may not be.
    package var refusedPosts = 0

    package init() {}
}
