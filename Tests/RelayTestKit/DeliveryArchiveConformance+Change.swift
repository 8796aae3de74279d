// Facts about making again, taking back and removing single deliveries.

import RelayCore
import Testing

extension DeliveryArchiveConformance {
    static let changeFacts: [Fact] = [
        Fact("a scheduled delivery that is retried is due now, its attempts as they were") { make in
            let queue = try await make(.init())
            let id = try await queue.store(.event())[0].id
            try await queue.settle([.reschedule(id, to: 90, attempt: 3)])
            #expect(try await queue.lease("a", limit: 0, now: .second(5)).nextDue == .second(90))
            #expect(try await queue.retry(id, now: .second(5)) == .done("a"))
            let leased = try await queue.lease("a", limit: 1, now: .second(5)).deliveries
            #expect(leased.map(\.id) == [id] && leased.map(\.attemptsMade) == [3] && leased.map(\.replays) == [0])
        },
        Fact("a delivery that is due already keeps its place when it is retried") { make in
            let queue = try await make(.init())
            let ids = try await queue.storeWaiting(.event(at: 1)) + queue.storeWaiting(.event(at: 2))
            #expect(try await queue.retry(ids[0], now: .second(9)) == .done("a"))
            #expect(try await queue.leasedIDs(at: 9) == ids)
        },
        Fact("a dead letter that is retried waits as if no attempt had been made, and is counted so") { make in
            let queue = try await make(.init())
            let id = try await queue.storeDead(.event(at: 1))[0]
            #expect(try await queue.retry(id, now: .second(50)) == .done("a"))
            #expect(
                try await queue.statistics()["a"]
                    == QueueStatistics(waiting: [.pending: 1], oldestReceivedAt: .second(1)))
            let summary = try #require(try await queue.record(id)).summary
            #expect(summary.state == .pending && summary.due == .second(50) && summary.attemptsMade == 0)
            #expect(summary.replays == 1 && summary.settledAt == nil && summary.deadReason == nil)
            let leased = try await queue.lease("a", limit: 1, now: .second(50)).deliveries
            #expect(leased.map(\.id) == [id] && leased.map(\.payload.bytes.count) == [20])
        },
        Fact("a replay is kept apart from what was before it, and can be made again") { make in
            let queue = try await make(.init())
            let id = try await queue.store(.event())[0].id
            let attempts = [1, 2].map { Attempt.failing($0, at: Int64($0)) } + [.failing(1, at: 21)]
            try await queue.settle([.init(id, attempts[0], .reschedule(at: .second(2)))])
            #expect(try await queue.leasedIDs(at: 2) == [id])
            try await queue.settle([.init(id, attempts[1], Settlement.exhausted)])
            for replay in 1...2 {
                #expect(try await queue.retry(id, now: .second(20)) == .done("a"))
                #expect(try await queue.leasedIDs(at: 20) == [id])
                try await queue.settle([.init(id, attempts[2], Settlement.exhausted)])
                #expect(try await queue.record(id)?.summary.replays == replay)
            }
            let replays = [0, 0, 1, 2]
            let expected = zip([attempts[0], attempts[1], attempts[2], attempts[2]], replays)
            #expect(try await queue.record(id)?.attempts == expected.map { RecordedAttempt($0, replay: $1) })
            #expect(try await queue.statistics()["a"] == QueueStatistics(dead: 1))
        },
        Fact("over all replays the first attempt and the last nine are kept") { make in
            let queue = try await make(.init())
            let id = try await queue.store(.event())[0].id
            for replay in 0..<13 {
                if replay > 0 {
                    _ = try await queue.retry(id, now: .second(1))
                    #expect(try await queue.leasedIDs(at: 1) == [id])
                }
                try await queue.settle([.init(id, .failing(1, at: Int64(replay)), Settlement.exhausted)])
            }
            #expect(try await queue.record(id)?.attempts.map(\.replay) == [0] + Array(4...12))
        },
        Fact("what is leased, unknown or another queue's cannot be retried, canceled or deleted") { make in
            let queue = try await make(.init())
            let id = try await queue.store(.event())[0].id
            let strangers = [
                DeliveryID(queue: id.queue, sequence: 99), DeliveryID(queue: id.queue ^ 1, sequence: id.sequence),
            ]
            for (id, expected) in [(id, DeliveryChange.refused(.inFlight))] + strangers.map({ ($0, .unknown) }) {
                #expect(try await queue.retry(id, now: .second(1)) == expected)
                #expect(try await queue.cancel(id, now: .second(1)) == expected)
                #expect(try await queue.delete(id) == expected)
            }
            try await queue.settle([.deadLetter(id)])
            #expect(try await queue.statistics()["a"] == QueueStatistics(dead: 1))
        },
        Fact("a delivery that waits for its order key cannot be brought forward") { make in
            let queue = try await make(.init())
            let first = try await queue.storeOrdered(2)
            let second = DeliveryID(queue: first.queue, sequence: first.sequence + 1)
            #expect(try await queue.retry(second, now: .second(9)) == .refused(.pending))
            #expect(try await queue.leasedIDs(at: 9) == [])
        },
        Fact("a waiting delivery that is canceled is never attempted, whether it was due or not") { make in
            let queue = try await make(.init())
            let ids = try await queue.storeWaiting(.event(at: 1)) + queue.storeWaiting(.event(at: 8))
            for id in ids { #expect(try await queue.cancel(id, now: .second(5)) == .done("a")) }
            #expect(try await queue.lease("a", limit: 9, now: .second(9)) == .init(deliveries: [], nextDue: nil))
            #expect(try await queue.statistics()["a"] ?? .init() == .init())
            #expect(try await queue.backendsWithWaitingDeliveries() == [])
        },
        Fact("a dead letter cannot be canceled, and what waits cannot be deleted") { make in
            let queue = try await make(.init())
            let dead = try await queue.storeDead(.event())[0]
            let waiting = try await queue.storeWaiting(.event())[0]
            #expect(try await queue.cancel(dead, now: .second(1)) == .refused(.dead))
            #expect(try await queue.delete(waiting) == .refused(.pending))
            #expect(try await queue.leasedIDs(at: 1) == [waiting])
        },
        Fact("when the first of an order key is canceled the next one goes on; one that waited for it frees nobody") {
            make in
            let queue = try await make(.init())
            let first = try await queue.storeOrdered(4)
            let ids = (0..<4).map { DeliveryID(queue: first.queue, sequence: first.sequence + $0) }
            #expect(try await queue.cancel(ids[1], now: .second(5)) == .done("a"))
            #expect(try await queue.leasedIDs(at: 9) == [])
            await queue.release([first])
            #expect(try await queue.cancel(first, now: .second(5)) == .done("a"))
            #expect(try await queue.leasedIDs(at: 9) == [ids[2]])
        },
        Fact("a dead letter that is deleted is gone, and its room is free") { make in
            let request = EnqueueRequest.event(bytes: 100)
            let queue = try await make(.init(maxBytes: request.storedBytes))
            let id = try await queue.storeDead(request)[0]
            #expect(await queueErrorCode { _ = try await queue.enqueue([request]) } == .full)
            #expect(try await queue.delete(id) == .done("a"))
            #expect(try await queue.delete(id) == .unknown)
            #expect(try await queue.record(id) == nil)
            #expect(try await queue.statistics()["a"]?.dead ?? 0 == 0)
            #expect(try await queue.store(request).count == 1)
        },
        Fact("a filter deletes the oldest first, so that what came after a count stays") { make in
            let queue = try await make(.init())
            for second in 1...4 as ClosedRange<Int64> { try await queue.storeDead(.event(at: second)) }
            try await queue.storeDead(.event(to: "b"))
            let filter = DeliveryFilter { $0.backends = ["a"] }
            #expect(try await queue.delete(filter, limit: 3) == 3)
            #expect(try await queue.listed() == [5, 4])
        },
        Fact("what was not settled before a time is not deleted, however old it is") { make in
            let queue = try await make(.init())
            try await queue.storeWaiting(.event(at: 1))
            let id = try await queue.storeDead(.event(at: 2))[0]
            let settledAt = try #require(try await queue.record(id)?.summary.settledAt)
            let before = DeliveryFilter { $0.settledBefore = settledAt }
            #expect(try await queue.count(before, limit: 9) == 0)
            #expect(try await queue.delete(before, limit: 9) == 0)
            let after = DeliveryFilter { $0.settledBefore = settledAt.advanced(by: .nanoseconds(1)) }
            #expect(try await queue.count(after, limit: 9) == 1)
            #expect(try await queue.delete(after, limit: 9) == 1)
            #expect(try await queue.listed() == [1])
        },
        Fact("a filter deletes dead letters in steps, and nothing that waits") { make in
            let queue = try await make(.init())
            for second in 1...5 as ClosedRange<Int64> { try await queue.storeDead(.event(at: second)) }
            try await queue.storeDead(.event(to: "b"))
            try await queue.storeWaiting(.event())
            let filter = DeliveryFilter { $0.backends = ["a"] }
            for count in [2, 2, 1, 0] { #expect(try await queue.delete(filter, limit: 2) == count) }
            #expect(try await queue.delete(.states(.pending, .inFlight), limit: 9) == 0)
            #expect(try await queue.listed() == [7, 6])
            let statistics = try await queue.statistics()
            #expect(statistics["a"]?.dead == 0 && statistics["b"]?.dead == 1)
        },
        Fact("retention leaves a replayed delivery, and counts anew when it is given up again") { make in
            let queue = try await make(.init(deadRetention: .seconds(60)))
            let id = try await queue.storeDead(.event(at: 0))[0]
            _ = try await queue.retry(id, now: .second(50))
            while try await queue.prune(now: .second(70)) {}
            #expect(try await queue.leasedIDs(at: 70) == [id])
            try await queue.settle([.deadLetter(id, at: 80)])
            while try await queue.prune(now: .second(139)) {}
            #expect(try await queue.statistics()["a"]?.dead == 1)
            while try await queue.prune(now: .second(140)) {}
            #expect(try await queue.statistics()["a"]?.dead ?? 0 == 0)
        },
        Fact("a replayed delivery waits while another of its order key is not settled, then the first stored goes") {
            make in
            let queue = try await make(.init())
            let dead = try await queue.storeDead(.event(at: 1).ordered("k"))[0]
            let next = try await queue.store(.event(at: 2).ordered("k"))[0].id
            #expect(try await queue.enqueue([.event(at: 3).ordered("k")]) == [.stored(leased: [])])
            #expect(try await queue.retry(dead, now: .second(5)) == .done("a"))
            await queue.release([next])
            #expect(try await queue.leasedIDs(at: 9) == [next])
            try await queue.settle([.complete(next)])
            #expect(try await queue.leasedIDs(at: 9) == [dead])
            try await queue.settle([.complete(dead)])
            #expect(try await queue.lease("a", limit: 9, now: .second(9)).deliveries.map(\.receivedAt) == [.second(3)])
        },
        Fact("of several replayed deliveries of an order key one goes after the other") { make in
            let queue = try await make(.init())
            var ids: [DeliveryID] = []
            for second in 1...3 as ClosedRange<Int64> {
                ids += try await queue.storeDead(.event(at: second).ordered("k"))
            }
            for id in ids { #expect(try await queue.retry(id, now: .second(9)) == .done("a")) }
            for id in ids {
                #expect(try await queue.leasedIDs(at: 9) == [id])
                try await queue.settle([.complete(id, at: 9)])
            }
            #expect(try await queue.leasedIDs(at: 9) == [])
        },
        Fact("a replayed delivery is the oldest again: for statistics, and for drop_oldest") { make in
            let request = EnqueueRequest.event(bytes: 100)
            let queue = try await make(.init(maxBytes: 2 * request.storedBytes, whenFull: .dropOldest))
            let dead = try await queue.storeDead(.event(at: 1, bytes: 100))[0]
            let waiting = try await queue.storeWaiting(.event(at: 2, bytes: 100))
            #expect(try await queue.statistics()["a"]?.oldestReceivedAt == .second(2))
            _ = try await queue.retry(dead, now: .second(3))
            #expect(try await queue.statistics()["a"]?.oldestReceivedAt == .second(1))
            _ = try await queue.store(.event(at: 4, bytes: 100))
            #expect(try await queue.record(dead) == nil)
            #expect(try await queue.leasedIDs(at: 9) == waiting)
        },
        Fact("while others lease and settle, what is retried and canceled is leased by one holder or by none") { make in
            let queue = try await make(.init())
            for second in 0..<60 as Range<Int64> { try await queue.storeWaiting(.event(at: second)) }
            let all = try await queue.deliveries(.init(), PageRequest(limit: 60)).items.map(\.id)
            let (leased, canceled) = try await withThrowingTaskGroup { group in
                for worker in 0..<4 {
                    group.addTask { () -> ([DeliveryID], [DeliveryID]) in
                        var (leased, canceled): ([DeliveryID], [DeliveryID]) = ([], [])
                        for id in all where id.sequence % 4 == worker {
                            if id.sequence % 3 == 0 { _ = try await queue.retry(id, now: .second(1)) }
                            if id.sequence % 2 == 0, try await queue.cancel(id, now: .second(90)) == .done("a") {
                                canceled.append(id)
                            }
                            leased += try await queue.leasedIDs(limit: 1, at: 90)
                        }
                        return (leased, canceled)
                    }
                }
                return try await group.reduce(into: ([DeliveryID](), [DeliveryID]())) {
                    $0.0 += $1.0; $0.1 += $1.1
                }
            }
            let rest = try await queue.leasedIDs(limit: 100, at: 90)
            #expect((leased + canceled + rest).count == 60 && Set(leased + canceled + rest).count == 60)
        },
    ]
}
