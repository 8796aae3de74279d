// One envelope's way in: route it, store it, acknowledge it, hand it on.

package import Logging
package import RelayCore

/// Takes envelopes from the sockets and acknowledges each one when its deliveries are durable, never before.
///
/// Does no I/O of its own: the queue, the sockets and the dispatchers are ports or actors handed in.
package actor Gateway: EnvelopeReceiver {
    package struct Configuration: Sendable {
        package var router: Router
        package var unrouted: UnroutedPolicy
        /// Payload bytes that may wait for the store at the same time. What comes beyond that is not acknowledged, so
        /// that Slack sends it again: memory stays bounded whatever the disk does.
        package var maxPendingBytes: Int

        package init(router: Router, unrouted: UnroutedPolicy = .init(), maxPendingBytes: Int = 64 << 20) {
            self.router = router
            self.unrouted = unrouted
            self.maxPendingBytes = maxPendingBytes
        }
    }

    private let configuration: Configuration
    private let queue: any DeliveryQueue
    private let dispatchers: [BackendName: Dispatcher]
    private let clock: any RelayClock
    private let health: QueueHealth
    private let metrics: GatewayMetrics
    private let logger: Logger
    private var pendingBytes = 0
    private var unroutedKinds: Set<Kind> = []

    package init(
        _ configuration: Configuration, queue: any DeliveryQueue, dispatchers: [BackendName: Dispatcher],
        clock: any RelayClock, health: QueueHealth, metrics: GatewayMetrics, logger: Logger
    ) {
        self.configuration = configuration
        self.queue = queue
        self.dispatchers = dispatchers
        self.clock = clock
        self.health = health
        self.metrics = metrics
        self.logger = logger
    }

    package func receive(
        _ envelopes: [Envelope], on connection: ConnectionID, acknowledgeThrough acknowledger: any Acknowledger
    ) async {
        let (requests, unrouted) = sort(envelopes)
        let acknowledgeable = unrouted.filter { configuration.unrouted.action(for: $0.kind) == .acknowledge }
        acknowledge(acknowledgeable, on: connection, through: acknowledger)
        guard !requests.isEmpty else { return }

        let bytes = requests.reduce(0) { $0 + $1.envelope.payload.bytes.count }
        guard pendingBytes == 0 || pendingBytes + bytes <= configuration.maxPendingBytes else {
            metrics.withheld(requests.map(\.envelope), because: "overloaded")
            logger.warning(
                "too much waits to be stored: envelopes not acknowledged",
                metadata: [LogKey.envelopeCount: "\(requests.count)"])
            return
        }
        pendingBytes += bytes
        defer { pendingBytes -= bytes }
        do {
            let results = try await queue.enqueue(requests)
            // From here on the envelopes are durable, or were before.
            health.worked(.store)
            acknowledge(requests.map(\.envelope), on: connection, through: acknowledger)
            await dispatch(requests, results)
        } catch {
            health.failed(.store, error)
            metrics.withheld(requests.map(\.envelope), because: "queue_\(error.code.rawValue)")
        }
    }

    // MARK: -

    private func sort(_ envelopes: [Envelope]) -> (requests: [EnqueueRequest], unrouted: [Envelope]) {
        var requests: [EnqueueRequest] = []
        var unrouted: [Envelope] = []
        requests.reserveCapacity(envelopes.count)
        for envelope in envelopes {
            metrics.received(envelope)
            let targets = configuration.router.plan(for: envelope).queued
            if targets.isEmpty {
                noteUnrouted(envelope)
                unrouted.append(envelope)
            } else {
                requests.append(EnqueueRequest(envelope: envelope, targets: targets))
            }
        }
        return (requests, unrouted)
    }

    private func acknowledge(
        _ envelopes: [Envelope], on connection: ConnectionID, through acknowledger: any Acknowledger
    ) {
        guard !envelopes.isEmpty else { return }
        acknowledger.acknowledge(envelopes.map(\.id), on: connection)
        let now = clock.now
        for envelope in envelopes { metrics.acknowledged(envelope, at: now) }
    }

    private func dispatch(_ requests: [EnqueueRequest], _ results: [EnqueueResult]) async {
        var leased: [BackendName: [Delivery]] = [:]
        var waiting: Set<BackendName> = []
        for (request, result) in zip(requests, results) {
            switch result {
            case .duplicate:
                metrics.duplicate(request.envelope)
            case .stored(let deliveries):
                for delivery in deliveries { leased[delivery.backend, default: []].append(delivery) }
                guard deliveries.count < request.targets.count else { continue }
                waiting.formUnion(request.targets.map(\.backend))
            }
        }
        for backend in waiting.union(leased.keys).sorted() {
            await dispatchers[backend]?.deliveriesStored(
                leased[backend] ?? [], othersWait: waiting.contains(backend))
        }
    }

    private func noteUnrouted(_ envelope: Envelope) {
        let action = configuration.unrouted.action(for: envelope.kind)
        metrics.unrouted(envelope, action)
        guard unroutedKinds.insert(envelope.kind).inserted else { return }
        logger.warning(
            "no route takes this envelope; further ones of its kind are counted, not logged",
            metadata: [
                LogKey.envelopeID: "\(envelope.id)", LogKey.envelopeKind: "\(envelope.kind.rawValue)",
                LogKey.action: "\(action.rawValue)",
            ])
    }
}
