// Facts about deliveries that share an order key.

import RelayCore
import Synchronization
import Testing

extension DeliveryQueueConformance {
    static let orderFacts: [Fact] = [
        Fact("of deliveries that share an order key only the first stored is leased on storing, and it tells its key") {
            make in
            let queue = try await make(.init())
            let stored = try await queue.enqueue((1...3).map { .event(at: $0).ordered("k") })
            let leased = stored.flatMap { if case .stored(let leased, _) = $0 { leased } else { [Delivery]() } }
            #expect(leased.map(\.receivedAt) == [.second(1)] && leased.map(\.orderKey) == ["k"])
            await queue.release(leased.map(\.id))
            #expect(try await queue.lease("a", limit: 9, now: .second(9)).deliveries == leased)
        },
        Fact("while the first of an order key is leased, the others are neither leased nor said to be due") { make in
            let queue = try await make(.init())
            try await queue.storeOrdered(3)
            #expect(try await queue.lease("a", limit: 9, now: .second(9)) == .init(deliveries: [], nextDue: nil))
            #expect(try await queue.lease("a", limit: 0, now: .second(9)) == .init(deliveries: [], nextDue: nil))
        },
        Fact("deliveries that wait for their order key are counted as pending, and as waiting for their backend") {
            make in
            let queue = try await make(.init())
            try await queue.storeOrdered(3)
            #expect(
                try await queue.statistics()["a"]
                    == QueueStatistics(waiting: [.pending: 2, .inFlight: 1], oldestReceivedAt: .second(1)))
            #expect(try await queue.backendsWithWaitingDeliveries() == ["a"])
        },
        Fact("when the first of an order key is settled for good, whatever its end, the next one is due at once") {
            make in
            let queue = try await make(.init())
            let ends = [{ .complete($0) }, { .deadLetter($0) }, { .expire($0) }] as [(DeliveryID) -> Settlement]
            for (index, settle) in ends.enumerated() {
                let first = try await queue.storeOrdered(3, "\(index)")
                try await queue.settle([settle(first)])
                let next = try await queue.lease("a", limit: 9, now: .second(3))
                #expect(next.deliveries.map(\.receivedAt) == [.second(2)] && next.nextDue == nil)
            }
        },
        Fact("all of an order key go one after the other, in the order in which they were stored") { make in
            let queue = try await make(.init())
            let first = try await queue.storeOrdered(5)
            var went = [Timestamp.second(1)]
            var last = first
            while true {
                try await queue.settle([.complete(last)])
                let next = try await queue.lease("a", limit: 9, now: .second(9)).deliveries
                guard let delivery = next.first else { break }
                #expect(next.count == 1)
                went.append(delivery.receivedAt)
                last = delivery.id
            }
            #expect(went == (1...5).map { .second($0) })
        },
        Fact("the first of an order key stays the first when it is given back, and the others wait for it") { make in
            let queue = try await make(.init())
            let first = try await queue.storeOrdered(3)
            for _ in 0..<2 {
                await queue.release([first])
                #expect(try await queue.leasedIDs(at: 9) == [first])
            }
        },
        Fact("the first of an order key stays the first when it is rescheduled, and the others wait for it") { make in
            let queue = try await make(.init())
            let first = try await queue.storeOrdered(3)
            try await queue.settle([.reschedule(first, to: 30)])
            #expect(
                try await queue.lease("a", limit: 9, now: .second(9)) == .init(deliveries: [], nextDue: .second(30)))
            #expect(try await queue.leasedIDs(at: 30) == [first])
            try await queue.settle([.complete(first)])
            #expect(
                try await queue.lease("a", limit: 9, now: .second(30)).deliveries.map(\.receivedAt) == [.second(2)])
        },
        Fact("the first of an order key is the only one, though it is rescheduled to the end of time") { make in
            let queue = try await make(.init())
            let first = try await queue.storeOrdered(2)
            let end = Timestamp(nanosecondsSinceEpoch: .max)
            try await queue.settle([.init(id: first, attempt: nil, verb: .reschedule(at: end), at: .second(1))])
            let result = try await queue.lease("a", limit: 9, now: .second(9))
            #expect(result.deliveries == [] && result.nextDue != nil)
            #expect(try await queue.leasedIDs(at: 9) == [])
        },
        Fact("other order keys, and deliveries without one, are not held up") { make in
            let queue = try await make(.init())
            try await queue.storeOrdered(2)
            let other = try await queue.store(.event(at: 3).ordered("l"))
            let unordered = try await queue.store(.event(at: 4)) + queue.store(.event(at: 5))
            #expect(other.count == 1 && unordered.count == 2)
            await queue.release((other + unordered).map(\.id))
            #expect(try await queue.leasedIDs(at: 9) == (other + unordered).map(\.id))
        },
        Fact("the same order key of another backend is another order") { make in
            let queue = try await make(.init())
            let both = try await queue.store(.event(at: 1, to: "a", "b").ordered("k"))
            #expect(both.map(\.backend) == ["a", "b"])
            #expect(try await queue.enqueue([.event(at: 2, to: "a", "b").ordered("k")]) == [.stored(leased: [])])
            try await queue.settle([.complete(both[1].id)])
            #expect(try await queue.leasedIDs("a", at: 9) == [])
            #expect(try await queue.leasedIDs("b", at: 9).count == 1)
        },
        Fact("an order key whose deliveries are all settled holds nothing up") { make in
            let queue = try await make(.init())
            for second in 1...3 as ClosedRange<Int64> {
                let stored = try await queue.store(.event(at: second).ordered("k"))
                #expect(stored.map(\.receivedAt) == [.second(second)])
                try await queue.settle(stored.map { .deadLetter($0.id) })
            }
        },
        Fact("several of an order key that are settled in one call are followed by one") { make in
            let queue = try await make(.init())
            let first = try await queue.storeOrdered(3)
            let other = try await queue.store(.event(at: 1).ordered("l")).map(\.id)
            try await queue.settle([.complete(first), .complete(first), .complete(other[0])])
            #expect(try await queue.leasedIDs(at: 9).count == 1)
        },
        Fact("when drop_oldest removes the first of an order key, the oldest that is left goes on, and is told of") {
            make in
            let request = EnqueueRequest.event(bytes: 100).ordered("k")
            let queue = try await make(.init(maxBytes: 2 * request.storedBytes, whenFull: .dropOldest))
            let first = try await queue.store(.event(at: 1, bytes: 100).ordered("k")).map(\.id)
            _ = try await queue.enqueue([.event(at: 2, bytes: 100).ordered("k")])
            await queue.release(first)
            #expect(
                try await queue.enqueue([.event(at: 3, bytes: 100).ordered("k")])
                    == [.stored(leased: [], becameDue: ["a"])])
            #expect(try await queue.statistics()["a"]?.dropped == 1)
            #expect(try await queue.lease("a", limit: 9, now: .second(9)).deliveries.map(\.receivedAt) == [.second(2)])
        },
        Fact("what became due because another backend needed room is told once in a call") { make in
            let request = EnqueueRequest.event(bytes: 100).ordered("k")
            let queue = try await make(.init(maxBytes: 3 * request.storedBytes, whenFull: .dropOldest))
            let first = try await queue.store(.event(at: 1, bytes: 100).ordered("k")).map(\.id)
            for second in 2...3 as ClosedRange<Int64> {
                _ = try await queue.enqueue([.event(at: second, bytes: 100).ordered("k")])
            }
            await queue.release(first)
            let results = try await queue.enqueue([
                .event(at: 4, to: "b", bytes: 100), .event(at: 5, to: "b", bytes: 100),
            ])
            let becameDue = results.map {
                if case .stored(_, let becameDue) = $0 { becameDue } else { Set<BackendName>() }
            }
            #expect(becameDue == [["a"], []])
            #expect(try await queue.lease("a", limit: 9, now: .second(9)).deliveries.map(\.receivedAt) == [.second(3)])
        },
        Fact("when drop_oldest removes all of an order key, the new one is its first") { make in
            let request = EnqueueRequest.event(bytes: 100).ordered("k")
            let queue = try await make(.init(maxBytes: request.storedBytes, whenFull: .dropOldest))
            try await queue.storeWaiting(.event(at: 1, bytes: 100).ordered("k"))
            #expect(try await queue.store(.event(at: 2, bytes: 100).ordered("k")).map(\.receivedAt) == [.second(2)])
        },
        Fact("when drop_oldest removes what waits behind a leased one, that one's end frees the next that is left") {
            make in
            let request = EnqueueRequest.event(bytes: 100).ordered("k")
            let queue = try await make(.init(maxBytes: 2 * request.storedBytes, whenFull: .dropOldest))
            let first = try await queue.store(.event(at: 1, bytes: 100).ordered("k")).map(\.id)
            for second in 2...4 as ClosedRange<Int64> {
                #expect(try await queue.enqueue([.event(at: second, bytes: 100).ordered("k")]) == [.stored(leased: [])])
            }
            try await queue.settle(first.map { .complete($0) })
            #expect(try await queue.lease("a", limit: 9, now: .second(9)).deliveries.map(\.receivedAt) == [.second(4)])
        },
        Fact("while others store, lease, give back and settle, one of a key is leased at a time, in the order stored") {
            make in
            let queue = try await make(.init())
            let went = Journal()
            let keys = ["k", "l", "m"]
            for second in 0..<60 as Range<Int64> {
                let request = EnqueueRequest.event(at: second).ordered(keys[Int(second) % 3])
                if case .stored(let leased, _)? = try await queue.enqueue([request]).first {
                    await queue.release(leased.map(\.id))
                }
            }
            try await withThrowingTaskGroup { group in
                for worker in 0..<6 {
                    group.addTask {
                        while went.count < 60 {
                            let leased = try await queue.lease("a", limit: 2, now: .second(90)).deliveries
                            await queue.release(leased.dropFirst().map(\.id))
                            guard let first = leased.first else {
                                await Task.yield()
                                continue
                            }
                            went.note(first)
                            let end: Settlement = worker.isMultiple(of: 2) ? .complete(first.id) : .deadLetter(first.id)
                            try await queue.settle([end])
                        }
                    }
                }
                try await group.waitForAll()
            }
            for (index, key) in keys.enumerated() {
                #expect(went.of(key) == (0..<20).map { .second(Int64($0 * 3 + index)) })
            }
        },
    ]
}

/// What went, by order key.
private final class Journal: Sendable {
    private let entries = Mutex<[String: [Timestamp]]>([:])

    var count: Int { entries.withLock { $0.values.reduce(0) { $0 + $1.count } } }

    func note(_ delivery: Delivery) {
        entries.withLock { $0[delivery.orderKey ?? "", default: []].append(delivery.receivedAt) }
    }

    func of(_ key: String) -> [Timestamp] { entries.withLock { $0[key] ?? [] } }
}

extension EnqueueRequest {
    /// The same, its deliveries made in order with those that have the same key.
    func ordered(_ key: String?) -> EnqueueRequest {
        var request = self
        for index in request.targets.indices { request.targets[index].orderKey = key }
        return request
    }
}

extension DeliveryQueue {
    /// Stores events of one order key to the backend `a`, received at the seconds 1, 2, … . Returns the first, leased.
    @discardableResult
    func storeOrdered(_ count: Int64, _ key: String = "k") async throws -> DeliveryID {
        let stored = try await store(.event(at: 1).ordered(key)).map(\.id)
        for second in 2...count {
            #expect(try await enqueue([.event(at: second).ordered(key)]) == [.stored(leased: [])])
        }
        return try #require(stored.first)
    }
}
