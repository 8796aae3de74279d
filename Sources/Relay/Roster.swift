// Who serves under which name now: what changes when the configuration does, and is looked up each time.

package import RelayCore
package import SlackConnector
import Synchronization

/// The dispatchers of the backends that are configured now.
package typealias Dispatchers = Roster<Backend, Dispatcher>
/// The connectors of the apps that are configured now.
package typealias Connectors = Roster<App, SlackConnector>

/// Members by name. Whoever needs one looks it up when it is needed, and so gets the one that serves at that moment.
package final class Roster<Thing, Member: AnyObject & Sendable>: Sendable, ExpressibleByDictionaryLiteral {
    private let members: Mutex<[Name<Thing>: Member]>

    package init(_ members: [Name<Thing>: Member] = [:]) { self.members = Mutex(members) }

    package convenience init(dictionaryLiteral elements: (Name<Thing>, Member)...) {
        self.init(Dictionary(elements) { first, _ in first })
    }

    package subscript(name: Name<Thing>) -> Member? { members.withLock { $0[name] } }

    package var all: [Name<Thing>: Member] { members.withLock { $0 } }

    /// In the order of their names.
    package var sorted: [Member] { all.sorted { $0.key < $1.key }.map(\.value) }

    /// From now on this one serves under the name; nil: nobody. Returns the one that did.
    @discardableResult
    package func set(_ member: Member?, for name: Name<Thing>) -> Member? {
        members.withLock { members in
            defer { members[name] = member }
            return members[name]
        }
    }
}

extension Roster where Thing == Backend, Member == Dispatcher {
    /// Tells the backend's dispatcher, and the one that a reload has put in its place meanwhile. false: there is none.
    package func tell(
        _ backend: BackendName, _ body: (Dispatcher) async throws(QueueError) -> Void
    ) async throws(QueueError) -> Bool {
        guard var dispatcher = self[backend] else { return false }
        try await body(dispatcher)
        while let next = self[backend], next !== dispatcher {
            dispatcher = next
            try await body(dispatcher)
        }
        return true
    }

    /// Deliveries of these backends, stored long ago, are to be made now.
    package func deliveriesBecameDue(for backends: Set<BackendName>) async {
        for backend in backends.sorted() { await self[backend]?.deliveriesStored([], othersWait: true) }
    }
}
