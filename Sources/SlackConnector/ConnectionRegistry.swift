// The connections that acknowledgements can be sent on.

import RelayCore
import Synchronization

/// Finds a connection by its number, or another one in its place. Used from the gateway's tasks and from event loops
/// alike.
final class ConnectionRegistry: Sendable {
    private struct State {
        var all: [ConnectionID: Connection] = [:]
        /// Those that had their `hello` and are not closing, the youngest last: it will live longest.
        var open: [ConnectionID] = []
    }

    private let state = Mutex(State())

    func add(_ connection: Connection) { state.withLock { $0.all[connection.id] = connection } }

    func markOpen(_ id: ConnectionID) { state.withLock { $0.open.append(id) } }

    /// It can still be told to close, but nothing is sent on it for others.
    func markClosing(_ id: ConnectionID) {
        state.withLock { $0.open.removeAll { $0 == id } }
    }

    func remove(_ id: ConnectionID) {
        state.withLock {
            $0.open.removeAll { $0 == id }
            $0.all[id] = nil
        }
    }

    func connection(_ id: ConnectionID) -> Connection? { state.withLock { $0.all[id] } }

    /// The connection of this number, or the youngest other one that is open.
    func route(_ id: ConnectionID) -> (connection: Connection, via: AcknowledgementWay)? {
        state.withLock { state in
            if let same = state.all[id] { return (same, .same) }
            return state.open.last.flatMap { state.all[$0] }.map { ($0, .other) }
        }
    }

    /// The youngest connection that is open, but not this one.
    func another(than id: ConnectionID) -> Connection? {
        state.withLock { state in
            state.open.last { $0 != id }.flatMap { state.all[$0] }
        }
    }
}
