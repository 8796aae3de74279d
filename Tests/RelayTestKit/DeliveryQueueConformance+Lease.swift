// Facts about leasing, giving back and settling.

import RelayCore
import Testing

extension DeliveryQueueConformance {
    static let leaseFacts: [Fact] = [
        Fact("a delivery that was leased on storing is leased to nobody else") { make in
            let queue = try await make(.init())
            _ = try await queue.store(.event())
            #expect(try await queue.lease("a", limit: 1, now: .second(9)) == .init(deliveries: [], nextDue: nil))
        },
        Fact("the earliest due comes first, the first stored first among equals") { make in
            let queue = try await make(.init())
            let late = try await queue.storeWaiting(.event(at: 5))
            let early = try await queue.storeWaiting(.event(at: 1))
            let alsoEarly = try await queue.storeWaiting(.event(at: 1))
            #expect(try await queue.leasedIDs(at: 5) == early + alsoEarly + late)
        },
        Fact("a limit cuts the list, and nextDue is not later than now") { make in
            let queue = try await make(.init())
            for second in 1...3 as ClosedRange<Int64> { try await queue.storeWaiting(.event(at: second)) }
            let result = try await queue.lease("a", limit: 2, now: .second(9))
            #expect(result.deliveries.map(\.receivedAt) == [.second(1), .second(2)])
            #expect(result.nextDue == .second(3))
        },
        Fact("payload bytes cut the list, too, but not the first delivery") { make in
            let queue = try await make(.init())
            for second in 1...3 as ClosedRange<Int64> { try await queue.storeWaiting(.event(at: second, bytes: 40)) }
            let two = try await queue.lease("a", LeaseBounds(count: 9, bytes: 80), now: .second(9))
            #expect(two.deliveries.map(\.receivedAt) == [.second(1), .second(2)])
            #expect(two.nextDue == .second(3))
            let last = try await queue.lease("a", LeaseBounds(count: 9, bytes: 0), now: .second(9))
            #expect(last.deliveries.map(\.receivedAt) == [.second(3)])
        },
        Fact("what is not due is not leased, and nextDue tells when it will be") { make in
            let queue = try await make(.init())
            let ids = try await queue.storeWaiting(.event(at: 5))
            #expect(try await queue.lease("a", limit: 9, now: .second(4)) == .init(deliveries: [], nextDue: .second(5)))
            #expect(try await queue.leasedIDs(at: 5) == ids)
        },
        Fact("with a limit of 0 nothing is leased, and nextDue is told") { make in
            let queue = try await make(.init())
            let ids = try await queue.storeWaiting(.event(at: 5))
            #expect(try await queue.lease("a", limit: 0, now: .second(9)) == .init(deliveries: [], nextDue: .second(5)))
            #expect(try await queue.leasedIDs(at: 5) == ids)
        },
        Fact("a backend without deliveries has none due") { make in
            let queue = try await make(.init())
            #expect(try await queue.lease("x", limit: 1, now: .second(9)) == .init(deliveries: [], nextDue: nil))
        },
        Fact("each backend has its own deliveries") { make in
            let queue = try await make(.init())
            let ids = try await queue.storeWaiting(.event(to: "a", "b"))
            #expect(try await queue.leasedIDs("b", at: 0) == [ids[1]])
            #expect(try await queue.leasedIDs("a", at: 0) == [ids[0]])
        },
        Fact("callers that lease at once share the deliveries, none twice") { make in
            let queue = try await make(.init())
            for second in 0..<60 as Range<Int64> { try await queue.storeWaiting(.event(at: second)) }
            let leased = try await withThrowingTaskGroup { group in
                for _ in 0..<20 { group.addTask { try await queue.leasedIDs(limit: 3, at: 60) } }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(leased.count == 60 && Set(leased).count == 60)
        },
        Fact("while others store, lease, give back and complete, nothing is leased twice and nothing is lost") { make in
            let queue = try await make(.init())
            let completed = try await withThrowingTaskGroup { group in
                for worker in 0..<8 {
                    group.addTask {
                        var completed: [DeliveryID] = []
                        for second in 0..<25 as Range<Int64> {
                            try await queue.storeWaiting(.event("\(worker)-\(second)", at: second))
                            let leased = try await queue.leasedIDs(limit: 3, at: 25)
                            await queue.release(Array(leased.dropFirst(2)))
                            try await queue.settle(leased.prefix(2).map { .complete($0) })
                            completed += leased.prefix(2)
                        }
                        return completed
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            let rest = try await queue.leasedIDs(limit: 1_000, at: 25)
            #expect(Set(completed + rest).count == 200)
            #expect(completed.count + rest.count == 200)
        },
        Fact("a delivery given back waits as before") { make in
            let queue = try await make(.init())
            let first = try await queue.storeWaiting(.event(at: 1))
            let second = try await queue.storeWaiting(.event(at: 2))
            #expect(try await queue.leasedIDs(limit: 1, at: 2) == first)
            await queue.release(first)
            let again = try await queue.lease("a", limit: 2, now: .second(2)).deliveries
            #expect(again.map(\.id) == first + second)
            #expect(again.map(\.attemptsMade) == [0, 0])
        },
        Fact("giving back an unknown id, or one that is not leased, changes nothing") { make in
            let queue = try await make(.init())
            let ids = try await queue.storeWaiting(.event())
            let foreign = ids.map { DeliveryID(queue: $0.queue ^ 1, sequence: $0.sequence) }
            await queue.release(ids + foreign + [DeliveryID(queue: ids[0].queue, sequence: 4_711)])
            #expect(try await queue.leasedIDs(at: 0) == ids)
            await queue.release(foreign)
            #expect(try await queue.leasedIDs(at: 0) == [])
        },
    ]

    static let settleFacts: [Fact] = [
        Fact("a completed delivery is not leased again") { make in
            let queue = try await make(.init())
            let ids = try await queue.store(.event()).map(\.id)
            try await queue.settle(ids.map { .complete($0) })
            #expect(try await queue.lease("a", limit: 1, now: .second(9)) == .init(deliveries: [], nextDue: nil))
        },
        Fact("a rescheduled delivery waits until its time, with its attempts counted") { make in
            let queue = try await make(.init())
            let ids = try await queue.store(.event()).map(\.id)
            try await queue.settle([.reschedule(ids[0], to: 30, attempt: 4)])
            #expect(
                try await queue.lease("a", limit: 1, now: .second(29)) == .init(deliveries: [], nextDue: .second(30)))
            let again = try await queue.lease("a", limit: 1, now: .second(30)).deliveries
            #expect(again.map(\.id) == ids)
            #expect(again.map(\.attemptsMade) == [4])
        },
        Fact("a delivery rescheduled without an attempt keeps its attempts") { make in
            let queue = try await make(.init())
            let ids = try await queue.store(.event()).map(\.id)
            try await queue.settle([.reschedule(ids[0], to: 2, attempt: 1)])
            _ = try await queue.leasedIDs(at: 2)
            try await queue.settle([.init(id: ids[0], attempt: nil, verb: .reschedule(at: .second(3)), at: .second(2))])
            #expect(try await queue.lease("a", limit: 1, now: .second(3)).deliveries.map(\.attemptsMade) == [1])
        },
        Fact("a delivery rescheduled to the past comes before what was stored later") { make in
            let queue = try await make(.init())
            let first = try await queue.store(.event(at: 10)).map(\.id)
            let second = try await queue.storeWaiting(.event(at: 20))
            #expect(try await queue.lease("a", limit: 0, now: .second(20)).nextDue == .second(20))
            try await queue.settle([.reschedule(first[0], to: 5)])
            #expect(try await queue.leasedIDs(at: 20) == first + second)
        },
        Fact("a dead letter is not leased again, and is counted") { make in
            let queue = try await make(.init())
            let ids = try await queue.store(.event()).map(\.id)
            try await queue.settle([.deadLetter(ids[0])])
            #expect(try await queue.leasedIDs(at: 9) == [])
            #expect(try await queue.statistics()["a"] == QueueStatistics(dead: 1))
        },
        Fact("a delivery expires without an attempt, and is not leased again") { make in
            let queue = try await make(.init())
            let ids = try await queue.store(.event()).map(\.id)
            try await queue.settle([.expire(ids[0])])
            #expect(try await queue.leasedIDs(at: 9) == [])
        },
        Fact("settling twice changes nothing the second time") { make in
            let queue = try await make(.init())
            let ids = try await queue.store(.event(to: "a", "b")).map(\.id)
            try await queue.settle([.deadLetter(ids[0]), .deadLetter(ids[0])])
            try await queue.settle([.complete(ids[0]), .reschedule(ids[0], to: 1)])
            #expect(try await queue.statistics()["a"] == QueueStatistics(dead: 1))
        },
        Fact("settling a delivery that is not leased, or unknown, changes nothing") { make in
            let queue = try await make(.init())
            let ids = try await queue.storeWaiting(.event())
            let foreign = DeliveryID(queue: ids[0].queue ^ 1, sequence: ids[0].sequence)
            try await queue.settle([.complete(ids[0]), .complete(foreign)])
            #expect(try await queue.leasedIDs(at: 0) == ids)
            try await queue.settle([.complete(foreign)])
            #expect(try await queue.statistics()["a"]?.waiting == [.inFlight: 1])
        },
        Fact("one delivery of an envelope is settled without the others") { make in
            let queue = try await make(.init())
            let ids = try await queue.store(.event(to: "a", "b")).map(\.id)
            try await queue.settle([.complete(ids[0])])
            await queue.release([ids[1]])
            #expect(try await queue.lease("b", limit: 1, now: .second(0)).deliveries.map(\.payload.bytes.count) == [20])
        },
        Fact("one call settles many, each in its own way") { make in
            let queue = try await make(.init())
            var ids: [DeliveryID] = []
            for _ in 0..<4 { ids += try await queue.store(.event()).map(\.id) }
            try await queue.settle([
                .complete(ids[0]), .reschedule(ids[1], to: 8), .deadLetter(ids[2]), .expire(ids[3]),
            ])
            #expect(
                try await queue.statistics()["a"]
                    == QueueStatistics(waiting: [.scheduled: 1], oldestReceivedAt: .second(0), dead: 1))
        },
    ]
}
