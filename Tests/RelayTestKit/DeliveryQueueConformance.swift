// What every adapter of the ports DeliveryQueue, LateAnswerStore and PauseStore must do, one fact for each sentence of
// their docs.

package import RelayCore
import Testing

/// The conformance suite: run each of `facts` against an adapter, with `@Test(arguments:
/// DeliveryQueueConformance.facts)`.
package enum DeliveryQueueConformance {
    /// Opens a new, empty queue.
    package typealias MakeQueue =
        @Sendable (QueueLimits) async throws -> any DeliveryQueue & LateAnswerStore & PauseStore

    /// One rule, and the check that an adapter keeps it. The check records an issue where it does not.
    package struct Fact: Sendable, CustomStringConvertible {
        package let rule: String
        package let check: @Sendable (MakeQueue) async throws -> Void

        init(_ rule: String, _ check: @escaping @Sendable (MakeQueue) async throws -> Void) {
            self.rule = rule
            self.check = check
        }

        package var description: String { rule }
    }

    package static let facts: [Fact] =
        enqueueFacts + deduplicationFacts + leaseFacts + settleFacts + statisticsFacts + roomFacts + closeFacts
        + settledTargetFacts + rememberingFacts + lateAnswerFacts + pauseFacts + orderFacts
}

// MARK: - What the facts are told with

extension Timestamp {
    /// Seconds after the moment at which the facts begin.
    static func second(_ seconds: Int64) -> Timestamp {
        Timestamp(millisecondsSinceEpoch: (1_700_000_000 + seconds) * 1000)
    }
}

extension EnqueueRequest {
    /// An event that was received at a second, for backends that are all reached by the route `main`.
    static func event(
        _ key: String? = nil, app: AppName = "app", at second: Int64 = 0, to backends: BackendName...,
        bytes: Int = 20
    ) -> EnqueueRequest {
        let payload = Payload(bytes: Array(repeating: UInt8(ascii: "x"), count: bytes))
        let envelope = Envelope(
            app: app, id: "envelope-\(key ?? "")", kind: .event, payload: payload, deduplicationKey: key,
            receivedAt: .second(second))
        let targets = (backends.isEmpty ? ["a"] : backends).map { Target(backend: $0, route: "main") }
        return EnqueueRequest(envelope: envelope, targets: targets)
    }
}

extension DeliveryQueue {
    /// Stores one request and holds the leases on its deliveries, whether the adapter gave them back at once or not.
    func store(_ request: EnqueueRequest) async throws -> [Delivery] {
        guard case .stored(let leased, _) = try #require(try await enqueue([request]).first) else {
            Issue.record("taken for a duplicate: \(request.envelope.id)")
            return []
        }
        if !leased.isEmpty { return leased }
        var deliveries: [Delivery] = []
        for target in request.targets {
            deliveries += try await lease(target.backend, limit: 1, now: request.envelope.receivedAt).deliveries
        }
        return deliveries
    }

    /// Stores one request, to wait for whoever leases it.
    @discardableResult
    func storeWaiting(_ request: EnqueueRequest) async throws -> [DeliveryID] {
        let ids = try await store(request).map(\.id)
        await release(ids)
        return ids
    }

    /// Without a bound on bytes.
    package func lease(_ backend: BackendName, limit: Int, now: Timestamp) async throws -> LeaseResult {
        try await lease(backend, LeaseBounds(count: limit, bytes: .max), now: now)
    }

    func leasedIDs(_ backend: BackendName = "a", limit: Int = 100, at second: Int64) async throws -> [DeliveryID] {
        try await lease(backend, limit: limit, now: .second(second)).deliveries.map(\.id)
    }
}

extension Settlement {
    static func complete(_ id: DeliveryID, at second: Int64 = 1) -> Settlement {
        Settlement(id: id, attempt: .finished(1, .accepted, at: second), verb: .complete, at: .second(second))
    }

    static func reschedule(_ id: DeliveryID, to due: Int64, attempt number: Int = 1) -> Settlement {
        let attempt = Attempt.finished(number, .failed(.http(status: 500)), at: 1)
        return Settlement(id: id, attempt: attempt, verb: .reschedule(at: .second(due)), at: .second(1))
    }

    static func deadLetter(_ id: DeliveryID, at second: Int64 = 1) -> Settlement {
        let attempt = Attempt.finished(1, .rejected(.http(status: 410)), at: second)
        return Settlement(
            id: id, attempt: attempt, verb: .deadLetter(.rejected(.http(status: 410))), at: .second(second))
    }

    static func expire(_ id: DeliveryID, at second: Int64 = 1) -> Settlement {
        Settlement(id: id, attempt: nil, verb: .expire, at: .second(second))
    }
}

extension Attempt {
    static func finished(_ number: Int, _ outcome: AttemptOutcome, at second: Int64) -> Attempt {
        Attempt(number: number, startedAt: .second(second), finishedAt: .second(second), outcome: outcome)
    }
}

/// The code of the error that a call throws; nil when it throws none.
func queueErrorCode(_ body: () async throws -> Void) async -> QueueError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? QueueError)?.code
    }
}
