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
    /// The times without any connection.
    package var blindWindows: BlindWindows

    package init(
        app: AppName, connections: [ConnectionStatus] = [], fatal: String? = nil, reported: Int? = nil,
        blindWindows: BlindWindows = .init()
    ) {
        self.app = app
        self.connections = connections
        self.fatal = fatal
        self.reported = reported
        self.blindWindows = blindWindows
    }

    /// Connections that had their `hello` and are not being replaced.
    package var connectedCount: Int { connections.count { $0.state == .connected } }
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
