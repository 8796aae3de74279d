// Where envelopes become deliveries: store them, then hand them to whom they go.

package import RelayCore

/// The queue and the dispatchers, as Gateway and Answerer use them.
package struct Intake: Sendable {
    private let queue: any DeliveryQueue
    private let dispatchers: Dispatchers
    private let health: QueueHealth

    package init(queue: any DeliveryQueue, dispatchers: Dispatchers, health: QueueHealth) {
        self.queue = queue
        self.dispatchers = dispatchers
        self.health = health
    }

    /// As `DeliveryQueue.enqueue`. What it returns is to be given to `handOn`.
    func store(_ requests: [EnqueueRequest]) async throws(QueueError) -> [EnqueueResult] {
        do {
            let results = try await queue.enqueue(requests)
            health.worked(.store)
            return results
        } catch {
            health.failed(.store, error)
            throw error
        }
    }

    /// Tells the dispatchers what was stored for them. What nobody takes waits in the queue.
    func handOn(_ requests: [EnqueueRequest], _ results: [EnqueueResult]) async {
        var leased: [BackendName: [Delivery]] = [:]
        var waiting: Set<BackendName> = []
        for (request, result) in zip(requests, results) {
            guard case .stored(let deliveries, let becameDue) = result else { continue }
            waiting.formUnion(becameDue)
            for delivery in deliveries { leased[delivery.backend, default: []].append(delivery) }
            guard deliveries.count < request.targets.count else { continue }
            for target in request.targets where !deliveries.contains(where: { $0.backend == target.backend }) {
                waiting.insert(target.backend)
            }
        }
        for backend in waiting.union(leased.keys).sorted() {
            await handOn(leased[backend] ?? [], othersWait: waiting.contains(backend), to: backend)
        }
    }

    private func handOn(_ leased: [Delivery], othersWait: Bool, to backend: BackendName) async {
        var asked: Dispatcher?
        // One that drains may have been replaced since it was looked up.
        while let dispatcher = dispatchers[backend], dispatcher !== asked {
            if await dispatcher.deliveriesStored(leased, othersWait: othersWait) { return }
            asked = dispatcher
        }
        if !leased.isEmpty { await queue.release(leased.map(\.id)) }
    }

    /// Whether a copy of the envelope was stored before. A queue that cannot be read remembers nothing: to deliver a
    /// second time is better than not at all.
    func remembers(_ envelope: Envelope) async -> Bool {
        do {
            let isKnown = try await queue.remembers(envelope)
            health.worked(.lease)
            return isKnown
        } catch {
            health.failed(.lease, error)
            return false
        }
    }
}
