// Facts about what is counted, what there is room for, and the end.

import RelayCore
import Testing

extension DeliveryQueueConformance {
    static let statisticsFacts: [Fact] = [
        Fact("deliveries are counted by backend and state, leased ones as in flight") { make in
            let queue = try await make(.init())
            let first = try await queue.store(.event(at: 1, to: "a", "b")).map(\.id)
            try await queue.storeWaiting(.event(at: 2))
            try await queue.settle([.reschedule(first[0], to: 8)])
            let statistics = try await queue.statistics()
            #expect(
                statistics["a"]
                    == QueueStatistics(waiting: [.pending: 1, .scheduled: 1], oldestReceivedAt: .second(1)))
            #expect(statistics["b"] == QueueStatistics(waiting: [.inFlight: 1], oldestReceivedAt: .second(1)))
        },
        Fact("a scheduled delivery that is leased is in flight, and scheduled again when given back") { make in
            let queue = try await make(.init())
            let ids = try await queue.store(.event()).map(\.id)
            try await queue.settle([.reschedule(ids[0], to: 2)])
            _ = try await queue.leasedIDs(at: 2)
            #expect(try await queue.statistics()["a"]?.waiting == [.inFlight: 1])
            await queue.release(ids)
            #expect(try await queue.statistics()["a"]?.waiting == [.scheduled: 1])
        },
        Fact("the oldest is the one received first of those that are not settled") { make in
            let queue = try await make(.init())
            var ids: [DeliveryID] = []
            for second in 1...3 as ClosedRange<Int64> { ids += try await queue.store(.event(at: second)).map(\.id) }
            #expect(try await queue.statistics()["a"]?.oldestReceivedAt == .second(1))
            try await queue.settle([.complete(ids[0]), .deadLetter(ids[1])])
            #expect(try await queue.statistics()["a"]?.oldestReceivedAt == .second(3))
            try await queue.settle([.complete(ids[2])])
            #expect(try await queue.statistics()["a"]?.oldestReceivedAt == nil)
            _ = try await queue.store(.event(at: 7))
            #expect(try await queue.statistics()["a"]?.oldestReceivedAt == .second(7))
        },
        Fact("backends with deliveries to lease are told, sorted; those with leased or settled ones are not") { make in
            let queue = try await make(.init())
            try await queue.storeWaiting(.event(to: "c", "a"))
            _ = try await queue.store(.event(to: "leased"))
            let ids = try await queue.store(.event(to: "done")).map(\.id)
            try await queue.settle([.complete(ids[0])])
            #expect(try await queue.backendsWithWaitingDeliveries() == ["a", "c"])
        },
        Fact("apps with unsettled deliveries are told, sorted and once; those with settled ones are not") { make in
            let queue = try await make(.init())
            for app in ["c", "a", "c", "done"] as [AppName] {
                var request = EnqueueRequest.event()
                request.envelope.app = app
                let deliveries = try await queue.store(request)
                if app == "done" { try await queue.settle([.complete(deliveries[0].id)]) }
            }
            #expect(try await queue.appsWithWaitingDeliveries() == ["a", "c"])
        },
    ]

    /// Room for two events of 100 bytes to one backend, and not for three.
    private static let roomForTwo = 2 * EnqueueRequest.event(bytes: 100).storedBytes + 100

    static let roomFacts: [Fact] = [
        Fact("a full queue refuses, naming the limit, and stores nothing of the call") { make in
            let queue = try await make(.init(maxBytes: roomForTwo))
            _ = try await queue.store(.event(bytes: 100))
            let error = await #expect(throws: QueueError.self) {
                try await queue.enqueue([.event(to: "b", bytes: 100), .event(to: "b", bytes: 100)])
            }
            #expect(error?.code == .full)
            #expect(error?.message.contains("\(roomForTwo)") == true)
            #expect(try await queue.statistics()["b"] ?? .init() == .init())
            #expect(try await queue.store(.event(bytes: 100)).count == 1)
        },
        Fact("a duplicate takes no room") { make in
            let queue = try await make(.init(maxBytes: roomForTwo))
            _ = try await queue.store(.event("1", bytes: 100))
            _ = try await queue.store(.event("2", bytes: 100))
            #expect(try await queue.enqueue([.event("1", bytes: 100)]) == [.duplicate])
        },
        Fact("a full queue removes what was delivered before it refuses") { make in
            let queue = try await make(.init(maxBytes: roomForTwo))
            for _ in 0..<6 {
                let ids = try await queue.store(.event(bytes: 100)).map(\.id)
                try await queue.settle(ids.map { .complete($0) })
            }
            for _ in 0..<2 { _ = try await queue.store(.event(bytes: 100)) }
            #expect(await queueErrorCode { _ = try await queue.enqueue([.event(bytes: 100)]) } == .full)
        },
        Fact("a full queue settles") { make in
            let queue = try await make(.init(maxBytes: roomForTwo))
            let ids = try await queue.store(.event(bytes: 100)).map(\.id) + queue.store(.event(bytes: 100)).map(\.id)
            try await queue.settle([.complete(ids[0]), .reschedule(ids[1], to: 3)])
            #expect(try await queue.store(.event(bytes: 100)).count == 1)
        },
        Fact("dead letters are kept though the queue is full, until their retention ends") { make in
            let queue = try await make(.init(maxBytes: roomForTwo, deadRetention: .seconds(60)))
            for _ in 0..<2 {
                let ids = try await queue.store(.event(bytes: 100)).map(\.id)
                try await queue.settle(ids.map { .deadLetter($0, at: 10) })
            }
            while try await queue.prune(now: .second(69)) {}
            #expect(await queueErrorCode { _ = try await queue.enqueue([.event(bytes: 100)]) } == .full)
            while try await queue.prune(now: .second(70)) {}
            #expect(try await queue.statistics()["a"]?.dead ?? 0 == 0)
            #expect(try await queue.store(.event(bytes: 100)).count == 1)
        },
        Fact("drop_oldest removes the oldest that wait, and counts them") { make in
            let queue = try await make(.init(maxBytes: roomForTwo, whenFull: .dropOldest))
            for second in 1...2 as ClosedRange<Int64> { try await queue.storeWaiting(.event(at: second, bytes: 100)) }
            let newest = try await queue.storeWaiting(.event(at: 3, to: "b", bytes: 100))
            #expect(
                try await queue.statistics()["a"]
                    == QueueStatistics(waiting: [.pending: 1], oldestReceivedAt: .second(2), dropped: 1))
            #expect(try await queue.lease("a", limit: 9, now: .second(9)).deliveries.map(\.receivedAt) == [.second(2)])
            #expect(try await queue.leasedIDs("b", at: 9) == newest)
        },
        Fact("drop_oldest leaves what is leased") { make in
            let queue = try await make(.init(maxBytes: roomForTwo, whenFull: .dropOldest))
            let leased = try await queue.store(.event(at: 1, bytes: 100)).map(\.id)
            try await queue.storeWaiting(.event(at: 2, bytes: 100))
            _ = try await queue.store(.event(at: 3, bytes: 100))
            await queue.release(leased)
            #expect(try await queue.leasedIDs(at: 9) == leased)
        },
        Fact("drop_oldest removes nothing when that would not be enough") { make in
            let queue = try await make(.init(maxBytes: roomForTwo, whenFull: .dropOldest))
            _ = try await queue.store(.event(at: 1, bytes: 100))
            let waiting = try await queue.storeWaiting(.event(at: 2, bytes: 100))
            #expect(await queueErrorCode { _ = try await queue.enqueue([.event(bytes: 500)]) } == .full)
            #expect(await queueErrorCode { _ = try await queue.enqueue([.event(bytes: 5_000)]) } == .full)
            #expect(try await queue.statistics()["a"]?.dropped == 0)
            #expect(try await queue.leasedIDs(at: 9) == waiting)
        },
        Fact("drop_oldest frees an envelope only with the last of its deliveries that wait") { make in
            let both = EnqueueRequest.event(at: 1, to: "a", "b", bytes: 100)
            let limits = QueueLimits(maxBytes: both.storedBytes + 10, whenFull: .dropOldest)
            let queue = try await make(limits)
            try await queue.storeWaiting(both)
            _ = try await queue.store(.event(at: 2, bytes: 100))
            let statistics = try await queue.statistics()
            #expect(statistics["a"]?.dropped == 1 && statistics["b"]?.dropped == 1)
            #expect(try await queue.leasedIDs("b", at: 9) == [])
        },
        Fact("drop_oldest spares what is older where removing it would free nothing") { make in
            let both = EnqueueRequest.event(at: 1, to: "a", "b", bytes: 100)
            let limits = QueueLimits(
                maxBytes: both.storedBytes + EnqueueRequest.event(bytes: 100).storedBytes + 10, whenFull: .dropOldest)
            let queue = try await make(limits)
            let ids = try await queue.store(both).map(\.id)
            try await queue.settle([.deadLetter(ids[0])])
            await queue.release([ids[1]])
            try await queue.storeWaiting(.event(at: 2, to: "b", bytes: 100))
            let newest = try await queue.storeWaiting(.event(at: 3, to: "c", bytes: 100))
            let statistics = try await queue.statistics()
            #expect(statistics["a"]?.dead == 1 && statistics["b"]?.dropped == 1)
            #expect(try await queue.leasedIDs("b", at: 9) == [ids[1]])
            #expect(try await queue.leasedIDs("c", at: 9) == newest)
        },
        Fact("retention ends: there is nothing more to remove") { make in
            let queue = try await make(.init(deliveredRetention: .seconds(5), deadRetention: .seconds(5)))
            let ids = try await queue.store(.event("k", to: "a", "b", "c")).map(\.id)
            try await queue.settle([.complete(ids[0]), .deadLetter(ids[1]), .expire(ids[2])])
            while try await queue.prune(now: .second(100_000)) {}
            #expect(try await queue.prune(now: .second(100_000)) == false)
            #expect(try await queue.statistics()["b"]?.dead ?? 0 == 0)
        },
        Fact("retention leaves what waits") { make in
            let queue = try await make(.init(deliveredRetention: .zero, deadRetention: .zero))
            let ids = try await queue.storeWaiting(.event("k", to: "a"))
            while try await queue.prune(now: .second(1_000_000)) {}
            #expect(try await queue.leasedIDs(at: 9) == ids)
        },
    ]

    static let closeFacts: [Fact] = [
        Fact("an open queue can write") { make in
            let queue = try await make(.init())
            #expect(await queueErrorCode { try await queue.probe() } == nil)
        },
        Fact("a queue without room says so when it is probed, and when there is room again, too") { make in
            let queue = try await make(.init(maxBytes: EnqueueRequest.event(bytes: 100).storedBytes))
            let ids = try await queue.store(.event(bytes: 100)).map(\.id)
            #expect(await queueErrorCode { try await queue.probe() } == .full)
            try await queue.settle([.complete(ids[0])])
            #expect(await queueErrorCode { try await queue.probe() } == nil)
        },
        Fact("after close every call throws closed, and closing again is harmless") { make in
            let queue = try await make(.init())
            let ids = try await queue.store(.event()).map(\.id)
            await queue.close()
            await queue.close()
            await queue.release(ids)
            #expect(await queueErrorCode { _ = try await queue.enqueue([.event()]) } == .closed)
            #expect(await queueErrorCode { _ = try await queue.lease("a", limit: 1, now: .second(0)) } == .closed)
            #expect(await queueErrorCode { try await queue.settle([.complete(ids[0])]) } == .closed)
            #expect(await queueErrorCode { try await queue.probe() } == .closed)
            #expect(await queueErrorCode { _ = try await queue.prune(now: .second(0)) } == .closed)
            #expect(await queueErrorCode { _ = try await queue.statistics() } == .closed)
            #expect(await queueErrorCode { _ = try await queue.backendsWithWaitingDeliveries() } == .closed)
        },
    ]
}
