// What the file of a gateway says, and what a person makes of it.

import Relay
import RelayCore

/// The part of a configuration that a reload takes over here: backends and routes.
struct SimulatedConfiguration: Sendable, Equatable {
    var backends: [Backend]
    var routes: [Route]

    func answerer(_ world: SimulatedWorld) -> Answerer.Configuration {
        .init(
            deadlines: world.sabotage == .ignoresDeadline ? [App.defaultName: .seconds(10)] : [:], backends: backends)
    }

    func gateway(_ world: SimulatedWorld) -> Gateway.Configuration {
        let maxPendingBytes = world.sabotage == .ignoresPendingBytes ? .max : world.plan.maxPendingBytes
        var backends = backends
        if world.sabotage == .forgetsOrder { for index in backends.indices { backends[index].orderBy = .none } }
        return .init(router: Router(routes: routes), backends: backends, maxPendingBytes: maxPendingBytes)
    }

    /// Another file: with other limits of a backend, without a backend, or with events acknowledged the other way.
    func changed(_ dice: Dice) -> SimulatedConfiguration {
        var next = self
        let index = dice.int(0...backends.count - 1)
        switch dice.int(0...2) {
        case 0:
            next.backends[index].maxInFlight = dice.int(1...backends[index].maxInFlight)
            next.backends[index].maxWaiting = dice.weigh([(1_000, 2), (1, 1)])
        // The first one is asked: it stays.
        case 1 where index > 0:
            let removed = next.backends.remove(at: index).name
            for route in next.routes.indices { next.routes[route].to.removeAll { $0 == removed } }
        default:
            for route in next.routes.indices where next.routes[route].name == "events" {
                next.routes[route].acknowledge = routes[route].acknowledge == .stored ? .delivered : .stored
            }
        }
        return next
    }

    /// Whether nothing of an event is lost when its acknowledgement is on its way: each backend has its delivery stored,
    /// or, where it is asked at once, has it or never wants it.
    /// - Parameter stored: the backends that have a delivery of it.
    func keeps(_ event: Happening, stored: Set<BackendName>) -> Bool {
        guard let route = routes.first(where: { $0.name == "events" }) else { return false }
        return route.to.enumerated().allSatisfy { index, backend in
            if stored.contains(backend) { return true }
            guard index == 0, route.acknowledge == .delivered else { return false }
            return event.accepts[backend, default: 0] > 0 || event.rejections.contains(backend)
        }
    }
}

/// Configurations that gateways on one disk have run with.
struct ConfigurationHistory {
    private var past: [(configuration: SimulatedConfiguration, end: Timestamp)] = []
    /// What the file says.
    private(set) var current: SimulatedConfiguration

    init(_ first: SimulatedConfiguration) { current = first }

    mutating func goOn(with next: SimulatedConfiguration) {
        // Until it is known that it holds no more.
        past.append((current, Timestamp(nanosecondsSinceEpoch: .max)))
        current = next
    }

    /// Nothing is routed by what was before `current` any more.
    mutating func pastEnded(at time: Timestamp) {
        for index in past.indices { past[index].end = min(past[index].end, time) }
    }

    /// Those that something may have been routed by since then.
    func all(since time: Timestamp) -> [SimulatedConfiguration] {
        past.filter { $0.end >= time }.map(\.configuration) + [current]
    }
}
