// The in-memory queue: the contract of the port, and what is its own.

import RelayCore
import RelayTestKit
import Testing

@Suite("MemoryQueue")
struct MemoryQueueTests {
    @Test("The queue keeps the contract of its port", arguments: DeliveryQueueConformance.facts)
    func conforms(_ fact: DeliveryQueueConformance.Fact) async throws {
        try await fact.check { MemoryQueue(limits: $0) }
    }

    @Test("The queue keeps the contract of an archive", arguments: DeliveryArchiveConformance.facts)
    func archives(_ fact: DeliveryArchiveConformance.Fact) async throws {
        try await fact.check { MemoryQueue(limits: $0) }
    }

    @Test("Keys beyond an eighth of max_bytes are forgotten, the oldest first")
    func keysAreBounded() async throws {
        let queue = MemoryQueue(limits: .init(maxBytes: 8 << 16))
        let count = (1 << 16) / 128 + 1
        for key in 0..<count {
            try await store("\(key)", in: queue)
        }
        #expect(try await queue.enqueue([request("0")]) != [.duplicate])
        #expect(try await queue.enqueue([request("\(count - 1)")]) == [.duplicate])
    }

    @Test("A delivery stuck for long does not keep the room of those that passed it")
    func roomIsGivenBack() async throws {
        let queue = MemoryQueue(limits: .init(maxBytes: 3 * request("").storedBytes))
        _ = try await queue.enqueue([request("stuck")])
        for key in 0..<1_000 { try await store("\(key)", in: queue) }
        #expect(try await queue.statistics()["a"]?.waiting == [.inFlight: 1])
    }

    private func request(_ key: String) -> EnqueueRequest {
        let envelope = Envelope(
            id: key, kind: .event, payload: Payload("{}"), deduplicationKey: key,
            receivedAt: Timestamp(millisecondsSinceEpoch: 0))
        return EnqueueRequest(envelope: envelope, targets: [.init(backend: "a", route: "main")])
    }

    /// Stores and completes one.
    private func store(_ key: String, in queue: MemoryQueue) async throws {
        guard case .stored(let deliveries, _) = try await queue.enqueue([request(key)])[0] else { return }
        try await queue.settle(
            deliveries.map { Settlement(id: $0.id, attempt: nil, verb: .complete, at: $0.receivedAt) })
    }
}
