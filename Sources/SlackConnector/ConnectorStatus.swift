// What can be seen of the connections from outside.

package import RelayCore
package import SocketMode

/// The connections of one app at one moment. A copy: cheap to read for readiness, metrics and the API.
package struct ConnectorStatus: Sendable, Equatable {
    package var app: AppName
    /// One per connection, and one per slot without any, in the order of slots.
    package var connections: [ConnectionStatus]
    /// What waiting does not cure (a refused token, Socket Mode switched off); nil while there is no such thing.
    package var fatal: String?
    /// Connections that Slack counts for the app, ghosts included; nil when not known.
    package var reported: Int?
    /// The last attempt that failed, or connection that ended unasked, since each slot had its connection; nil for none.
    package var lastFailure: LastFailure?
    /// When the next attempt begins that waits for time to pass; nil when there is none.
    package var nextAttemptAt: Timestamp?
    /// The times without any connection.
    package var blindWindows: BlindWindows

    package init(
        app: AppName, connections: [ConnectionStatus] = [], fatal: String? = nil, reported: Int? = nil,
        lastFailure: LastFailure? = nil, nextAttemptAt: Timestamp? = nil, blindWindows: BlindWindows = .init()
    ) {
        self.app = app
        self.connections = connections
        self.fatal = fatal
        self.reported = reported
        self.lastFailure = lastFailure
        self.nextAttemptAt = nextAttemptAt
        self.blindWindows = blindWindows
    }

    /// Connections that had their `hello` and are not being replaced.
    package var connectedCount: Int { connections.count { $0.state == .connected } }
}

package struct LastFailure: Sendable, Equatable {
    /// The word of its outcome or reason, and what more is known.
    package var text: String
    package var at: Timestamp

    package init(text: String, at: Timestamp) {
        self.text = text
        self.at = at
    }
}

package struct ConnectionStatus: Sendable, Equatable {
    /// From 0.
    package var slot: Int
    /// nil for an empty slot.
    package var connection: ConnectionID?
    package var state: ConnectionState
    /// Since when in this state.
    package var since: Timestamp
    /// The Slack host behind the connection; nil before `hello`.
    package var host: String?
    /// As told at its `hello`.
    package var numConnections: Int?

    package init(
        slot: Int, connection: ConnectionID?, state: ConnectionState, since: Timestamp, host: String? = nil,
        numConnections: Int? = nil
    ) {
        self.slot = slot
        self.connection = connection
        self.state = state
        self.since = since
        self.host = host
        self.numConnections = numConnections
    }
}
