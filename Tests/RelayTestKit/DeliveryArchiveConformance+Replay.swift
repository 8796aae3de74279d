// Facts about replay jobs.

import RelayCore
import Testing

extension DeliveryArchiveConformance {
    static let replayFacts: [Fact] = [
        Fact("a replay covers the dead letters that its filter takes, step by step, each once") { make in
            let queue = try await make(.init())
            for second in 1...5 as ClosedRange<Int64> { try await queue.storeDead(.event(at: second)) }
            try await queue.storeDead(.event(to: "b"))
            try await queue.storeWaiting(.event(at: 90))
            let request = ReplayRequest(filter: .init { $0.backends = ["a"] }, perSecond: 2.5)
            let replay = try await queue.createReplay(request, now: .second(10))
            #expect(
                replay == Replay(id: 1, request: request, state: .running, createdAt: .second(10), matched: 5))
            #expect(try await queue.replay(1) == replay)
            var replayed: [Int] = []
            while true {
                let step = try await queue.advanceReplay(1, limit: 2, now: .second(20))
                let job = try #require(step.replay)
                #expect(try await queue.replay(1) == job)
                if job.state == .done { break }
                #expect(step.backends == ["a"])
                replayed.append(job.replayed)
            }
            #expect(replayed.prefix(2) == [2, 4])
            let done = try #require(try await queue.replay(1))
            #expect(done.replayed == 5 && done.withoutPayload == 0 && done.endedAt == .second(20))
            #expect(try await queue.leasedIDs(at: 20).map(\.sequence) == [1, 2, 3, 4, 5])
            #expect(try await queue.statistics()["b"]?.dead == 1)
        },
        Fact("a replay by ids covers these") { make in
            let queue = try await make(.init())
            var ids: [DeliveryID] = []
            for second in 1...4 as ClosedRange<Int64> { ids += try await queue.storeDead(.event(at: second)) }
            let filter = DeliveryFilter { $0.ids = [ids[1], ids[3]] }
            let replay = try await queue.createReplay(.init(filter: filter), now: .second(10))
            #expect(replay.matched == 2)
            try await queue.finish(replay.id, limit: 1)
            #expect(try await queue.listed(.states(.pending)) == [4, 2])
        },
        Fact("what is given up after a replay began is left, if it was stored later, and covered, if earlier") { make in
            let queue = try await make(.init())
            let early = try await queue.store(.event(at: 1))[0].id
            let replay = try await queue.createReplay(.init(filter: .init()), now: .second(10))
            #expect(replay.matched == 0)
            let late = try await queue.storeDead(.event(at: 11))[0]
            try await queue.settle([.deadLetter(early, at: 12)])
            try await queue.finish(replay.id)
            #expect(try await queue.listed(.states(.pending)) == [early.sequence])
            #expect(try await queue.listed(.states(.dead)) == [late.sequence])
        },
        Fact("what is deleted while a replay goes on is passed over, and the replay ends with what it replayed") {
            make in
            let queue = try await make(.init())
            var ids: [DeliveryID] = []
            for second in 1...6 as ClosedRange<Int64> { ids += try await queue.storeDead(.event(at: second)) }
            let replay = try await queue.createReplay(.init(filter: .init()), now: .second(10))
            _ = try await queue.advanceReplay(replay.id, limit: 2, now: .second(10))
            // The next one, one by a filter, and the last one.
            #expect(try await queue.delete(ids[2]) == .done("a"))
            #expect(try await queue.delete(.init { $0.ids = [ids[4]] }, limit: 9) == 1)
            #expect(try await queue.delete(ids[5]) == .done("a"))
            #expect(try await queue.finish(replay.id, limit: 1) <= 3)
            let done = try #require(try await queue.replay(replay.id))
            #expect(done.state == .done && done.matched == 6 && done.replayed == 3 && done.withoutPayload == 0)
            #expect(try await queue.listed() == [4, 2, 1])
        },
        Fact("a replay whose deliveries are all deleted before it begins ends with none") { make in
            let queue = try await make(.init())
            var ids: [DeliveryID] = []
            for second in 1...3 as ClosedRange<Int64> { ids += try await queue.storeDead(.event(at: second)) }
            let filters = [DeliveryFilter(), .init { $0.ids = Set(ids) }]
            var replays: [Replay] = []
            for filter in filters {
                replays.append(try await queue.createReplay(.init(filter: filter), now: .second(10)))
            }
            #expect(try await queue.delete(.init(), limit: 9) == 3)
            try await queue.storeDead(.event(at: 11))
            for replay in replays {
                #expect(try await queue.finish(replay.id) <= 1)
                let done = try #require(try await queue.replay(replay.id))
                #expect(done.state == .done && done.matched == 3 && done.replayed == 0 && done.endedAt == .second(100))
            }
            #expect(try await queue.listed(.states(.dead)) == [4])
        },
        Fact("what is given up again while the replay goes on is not replayed twice") { make in
            let queue = try await make(.init())
            for second in 1...2 as ClosedRange<Int64> { try await queue.storeDead(.event(at: second)) }
            let replay = try await queue.createReplay(.init(filter: .init()), now: .second(10))
            _ = try await queue.advanceReplay(replay.id, limit: 1, now: .second(10))
            let first = try await queue.leasedIDs(at: 10)
            try await queue.settle(first.map { .deadLetter($0, at: 11) })
            try await queue.finish(replay.id)
            #expect(try await queue.replay(replay.id)?.replayed == 2)
            #expect(try await queue.listed(.states(.dead)) == first.map(\.sequence))
        },
        Fact("a replay that is canceled has ended, and what it replayed stays replayed") { make in
            let queue = try await make(.init())
            for second in 1...3 as ClosedRange<Int64> { try await queue.storeDead(.event(at: second)) }
            let replay = try await queue.createReplay(.init(filter: .init()), now: .second(10))
            _ = try await queue.advanceReplay(replay.id, limit: 1, now: .second(10))
            let canceled = try #require(try await queue.cancelReplay(replay.id, now: .second(11)))
            #expect(canceled.state == .canceled && canceled.endedAt == .second(11) && canceled.replayed == 1)
            #expect(try await queue.cancelReplay(replay.id, now: .second(12)) == canceled)
            let step = try await queue.advanceReplay(replay.id, limit: 9, now: .second(12))
            #expect(step.replay == canceled && step.backends == [])
            #expect(try await queue.listed(.states(.pending)) == [1])
        },
        Fact("replays are listed the newest first, and an unknown one is none") { make in
            let queue = try await make(.init())
            #expect(try await queue.replays() == [])
            for second in 1...3 as ClosedRange<Int64> {
                _ = try await queue.createReplay(.init(filter: .init()), now: .second(second))
            }
            #expect(try await queue.replays().map(\.id) == [3, 2, 1])
            let first = try await queue.replays(PageRequest(limit: 2))
            #expect(first.items.map(\.id) == [3, 2] && first.next == 2)
            let last = try await queue.replays(PageRequest(limit: 2, cursor: first.next))
            #expect(last.items.map(\.id) == [1] && last.next == nil)
            #expect(try await queue.replays(PageRequest(limit: 3)).next == nil)
            #expect(try await queue.replay(9) == nil)
            #expect(try await queue.cancelReplay(9, now: .second(1)) == nil)
            #expect(try await queue.advanceReplay(9, limit: 1, now: .second(1)).replay == nil)
        },
        Fact("a replay of what waits covers nothing") { make in
            let queue = try await make(.init())
            try await queue.storeDead(.event())
            try await queue.storeWaiting(.event())
            let request = ReplayRequest(filter: .states(.pending, .scheduled, .inFlight))
            let replay = try await queue.createReplay(request, now: .second(1))
            try await queue.finish(replay.id)
            #expect(replay.matched == 0)
            #expect(try await queue.replay(replay.id)?.replayed == 0)
            #expect(try await queue.replay(replay.id)?.request == request)
            #expect(try await queue.listed(.states(.dead)) == [1])
        },
        Fact("a step looks at few rows, and the replay goes on until all were looked at") { make in
            let queue = try await make(.init())
            for _ in 0..<4 {
                let stored = try await queue.enqueue((0..<1_000).map { _ in .event() })
                let leased = stored.flatMap { if case .stored(let leased, _) = $0 { leased } else { [Delivery]() } }
                try await queue.settle(leased.map { .deadLetter($0.id) })
            }
            try await queue.storeDead(.event(to: "b"))
            let filter = DeliveryFilter { $0.backends = ["b"] }
            let replay = try await queue.createReplay(.init(filter: filter), now: .second(10))
            #expect(replay.matched == 1)
            #expect(try await queue.finish(replay.id) > 1)
            #expect(try await queue.replay(replay.id)?.replayed == 1)
            #expect(try await queue.leasedIDs("b", at: 100).count == 1)
        },
        Fact("replayed deliveries of an order key go one after the other, the first stored first") { make in
            let queue = try await make(.init())
            for second in 1...3 as ClosedRange<Int64> { try await queue.storeDead(.event(at: second).ordered("k")) }
            let replay = try await queue.createReplay(.init(filter: .init()), now: .second(10))
            try await queue.finish(replay.id)
            for sequence in 1...3 as ClosedRange<Int64> {
                let leased = try await queue.leasedIDs(at: 100)
                #expect(leased.map(\.sequence) == [sequence])
                try await queue.settle(leased.map { .complete($0, at: 100) })
            }
        },
        Fact("replays that have ended are kept as long as dead letters, those that run for ever") { make in
            let queue = try await make(.init(deadRetention: .seconds(60)))
            for second in 1...3 as ClosedRange<Int64> {
                _ = try await queue.createReplay(.init(filter: .init()), now: .second(second))
            }
            try await queue.finish(1, at: 10)
            _ = try await queue.cancelReplay(2, now: .second(20))
            while try await queue.prune(now: .second(69)) {}
            #expect(try await queue.replays().map(\.id) == [3, 2, 1])
            while try await queue.prune(now: .second(70)) {}
            #expect(try await queue.replays().map(\.id) == [3, 2])
            while try await queue.prune(now: .second(1_000_000)) {}
            #expect(try await queue.replays().map(\.id) == [3])
            #expect(try await queue.createReplay(.init(filter: .init()), now: .second(1)).id == 4)
        },
    ]
}
