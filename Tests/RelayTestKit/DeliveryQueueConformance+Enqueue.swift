// Facts about storing, and about knowing a second copy.

import RelayCore
import Testing

extension DeliveryQueueConformance {
    static let enqueueFacts: [Fact] = [
        Fact("an envelope is stored with a delivery to each of its targets, in the order given") { make in
            let queue = try await make(.init())
            let deliveries = try await queue.store(.event(to: "b", "a", "c"))
            #expect(deliveries.map(\.backend) == ["b", "a", "c"])
        },
        Fact("a delivery carries what its envelope and its target say, when stored and when leased") { make in
            let queue = try await make(.init())
            let envelope = Envelope(
                app: "workspace", id: "e1", kind: .command, payload: Payload("{\"text\":\"\u{0}ü\"}"),
                deduplicationKey: "k", retry: SlackRetry(attempt: 2, reason: "timeout"), receivedAt: .second(7))
            let target = EnqueueRequest.Target(backend: "a", route: "deploys", path: "/deploy")
            let stored = try #require(
                try await queue.store(EnqueueRequest(envelope: envelope, targets: [target])).first)
            let expected = Delivery(
                id: stored.id, backend: "a", route: "deploys", path: "/deploy", app: "workspace", kind: .command,
                payload: envelope.payload, slackRetry: envelope.retry, receivedAt: .second(7), attemptsMade: 0)
            #expect(stored == expected)
            await queue.release([stored.id])
            let leased = try await queue.lease("a", limit: 1, now: .second(7)).deliveries
            #expect(leased == [expected])
        },
        Fact("results come in the order of the requests") { make in
            let queue = try await make(.init())
            _ = try await queue.store(.event("seen"))
            let results = try await queue.enqueue([.event("new"), .event("seen"), .event("newer")])
            #expect(results.map { $0 == .duplicate } == [false, true, false])
        },
        Fact("nothing to store is stored") { make in
            let queue = try await make(.init())
            #expect(try await queue.enqueue([]).isEmpty)
        },
        Fact("an id is never used twice, not even when all was delivered and removed") { make in
            let limits = QueueLimits(deduplicationWindow: .zero, deliveredRetention: .zero, deadRetention: .zero)
            let queue = try await make(limits)
            var seen: Set<DeliveryID> = []
            for second in 0..<5 as Range<Int64> {
                let ids = try await queue.store(.event(at: second, to: "a", "b")).map(\.id)
                try await queue.settle(ids.map { .complete($0, at: second) })
                while try await queue.prune(now: .second(second)) {}
                #expect(seen.isDisjoint(with: ids) && Set(ids).count == 2)
                seen.formUnion(ids)
            }
        },
        Fact("many callers at once are each told of their own envelope") { make in
            let queue = try await make(.init())
            try await withThrowingTaskGroup { group in
                for second in 0..<100 as Range<Int64> {
                    group.addTask { (second, try await queue.store(.event("\(second)", at: second))) }
                }
                for try await (second, deliveries) in group {
                    #expect(deliveries.map(\.receivedAt) == [.second(second)])
                }
            }
        },
    ]

    static let deduplicationFacts: [Fact] = [
        Fact("a second copy within the window is a duplicate") { make in
            let queue = try await make(.init(deduplicationWindow: .seconds(100)))
            _ = try await queue.store(.event("k", at: 0))
            #expect(try await queue.enqueue([.event("k", at: 99)]) == [.duplicate])
        },
        Fact("a copy at the end of the window is new, and begins a window of its own") { make in
            let queue = try await make(.init(deduplicationWindow: .seconds(100)))
            _ = try await queue.store(.event("k", at: 0))
            #expect(try await queue.store(.event("k", at: 100)).count == 1)
            #expect(try await queue.enqueue([.event("k", at: 199)]) == [.duplicate])
        },
        Fact("the window counts from the first copy, not from the last") { make in
            let queue = try await make(.init(deduplicationWindow: .seconds(100)))
            _ = try await queue.store(.event("k", at: 0))
            _ = try await queue.enqueue([.event("k", at: 99)])
            #expect(try await queue.store(.event("k", at: 101)).count == 1)
        },
        Fact("a copy that was received earlier, by a clock that was set back, is a duplicate") { make in
            let queue = try await make(.init(deduplicationWindow: .seconds(100)))
            _ = try await queue.store(.event("k", at: 50))
            #expect(try await queue.enqueue([.event("k", at: 40)]) == [.duplicate])
        },
        Fact("a copy within one call is a duplicate") { make in
            let queue = try await make(.init())
            let results = try await queue.enqueue([.event("k"), .event("k")])
            #expect(results.map { $0 == .duplicate } == [false, true])
        },
        Fact("of copies that come at once exactly one is stored") { make in
            let queue = try await make(.init())
            let stored = try await withThrowingTaskGroup { group in
                for _ in 0..<50 {
                    group.addTask { try await queue.enqueue([.event("k")]) != [.duplicate] }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(stored == 1)
        },
        Fact("the same key of another app is another key") { make in
            let queue = try await make(.init())
            _ = try await queue.store(.event("k", app: "one"))
            #expect(try await queue.store(.event("k", app: "two")).count == 1)
        },
        Fact("an envelope without a key is never a duplicate") { make in
            let queue = try await make(.init())
            _ = try await queue.store(.event())
            #expect(try await queue.store(.event()).count == 1)
        },
        Fact("a key outlives its delivery") { make in
            let queue = try await make(.init(deliveredRetention: .zero))
            let ids = try await queue.store(.event("k")).map(\.id)
            try await queue.settle(ids.map { .complete($0) })
            while try await queue.prune(now: .second(60)) {}
            #expect(try await queue.enqueue([.event("k", at: 60)]) == [.duplicate])
        },
        Fact("a key whose enqueue failed is not remembered") { make in
            let queue = try await make(.init(maxBytes: 1_000))
            let large = EnqueueRequest.event("k", bytes: 2_000)
            #expect(await queueErrorCode { _ = try await queue.enqueue([large]) } == .full)
            #expect(try await queue.store(.event("k")).count == 1)
        },
    ]
}
