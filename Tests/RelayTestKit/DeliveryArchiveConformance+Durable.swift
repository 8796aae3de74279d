// Facts about archives that keep what is settled, over restarts, too.

import RelayCore
import Testing

extension DeliveryArchiveConformance {
    package static let durableFacts: [Fact] = [
        Fact("what was delivered, expired or canceled is listed, and can be made again") { make in
            let queue = try await make(.init())
            let ids = try await queue.store(.event(to: "a", "b", "c")).map(\.id)
            try await queue.settle([.complete(ids[0], at: 5), .expire(ids[1], at: 6)])
            await queue.release([ids[2]])
            #expect(try await queue.cancel(ids[2], now: .second(7)) == .done("c"))
            let items = try await queue.deliveries(.init(), PageRequest()).items
            #expect(items.map(\.state) == [.canceled, .expired, .delivered])
            #expect(items.map(\.settledAt) == [.second(7), .second(6), .second(5)])
            #expect(items.map(\.outcome) == [nil, nil, "accepted"])
            for (id, backend) in zip(ids, ["a", "b", "c"] as [BackendName]) {
                #expect(try await queue.cancel(id, now: .second(8)) == .refused(items[Int(3 - id.sequence)].state))
                #expect(try await queue.retry(id, now: .second(9)) == .done(backend))
                #expect(try await queue.leasedIDs(backend, at: 9) == [id])
            }
        },
        Fact("a replay takes each final state, if it is named") { make in
            let queue = try await make(.init())
            let ids = try await queue.store(.event(to: "a", "b", "c", "d")).map(\.id)
            try await queue.settle([.complete(ids[0]), .expire(ids[1]), .deadLetter(ids[2])])
            await queue.release([ids[3]])
            _ = try await queue.cancel(ids[3], now: .second(2))
            let states: [DeliveryState] = [.delivered, .expired, .dead, .canceled]
            for (index, state) in states.enumerated() {
                let replay = try await queue.createReplay(.init(filter: .states(state)), now: .second(3))
                #expect(replay.matched == 1)
                try await queue.finish(replay.id)
                #expect(try await queue.listed(.states(.pending)).count == index + 1)
            }
        },
        Fact("delivered ones are not deleted; expired and canceled ones are") { make in
            let queue = try await make(.init())
            let ids = try await queue.store(.event(to: "a", "b", "c")).map(\.id)
            try await queue.settle([.complete(ids[0]), .expire(ids[1])])
            await queue.release([ids[2]])
            _ = try await queue.cancel(ids[2], now: .second(2))
            #expect(try await queue.delete(ids[0]) == .refused(.delivered))
            #expect(try await queue.delete(.init(), limit: 9) == 2)
            #expect(try await queue.listed() == [1])
        },
        Fact("a success stands at the end of the history, and a replay keeps it") { make in
            let queue = try await make(.init())
            let id = try await queue.store(.event())[0].id
            let attempts = (1...10).map { Attempt.failing($0, at: Int64($0), response: .page("no")) }
            for attempt in attempts {
                try await queue.settle([.init(id, attempt, .reschedule(at: .second(20)))])
                #expect(try await queue.leasedIDs(at: 20) == [id])
            }
            let success = Attempt.failing(11, at: 20, .accepted)
            try await queue.settle([.init(id, success, .complete)])
            var expected = ([attempts[0]] + attempts[2...] + [success]).map { RecordedAttempt($0, replay: 0) }
            #expect(try await queue.record(id)?.attempts == expected)
            _ = try await queue.retry(id, now: .second(30))
            #expect(try await queue.record(id)?.attempts == expected)
            #expect(try await queue.leasedIDs(at: 30) == [id])
            let again = Attempt.failing(1, at: 30, .accepted)
            try await queue.settle([.init(id, again, .complete)])
            expected.remove(at: 1)
            #expect(try await queue.record(id)?.attempts == expected + [RecordedAttempt(again, replay: 1)])
        },
        Fact("a success stands behind the probes that failed in its place") { make in
            let queue = try await make(.init())
            let id = try await queue.store(.event())[0].id
            let (probe, success) = (Attempt.probe(1, at: 10), Attempt.failing(1, at: 20, .accepted))
            try await queue.settle([.init(id, probe, .reschedule(at: probe.finishedAt))])
            #expect(try await queue.leasedIDs(at: 20) == [id])
            try await queue.settle([.init(id, success, .complete)])
            let expected = [probe, success].map { RecordedAttempt($0, replay: 0) }
            #expect(try await queue.record(id)?.attempts == expected)
            _ = try await queue.retry(id, now: .second(30))
            #expect(try await queue.record(id)?.attempts == expected)
        },
        Fact("a delivery that succeeds at once has its attempt in its record") { make in
            let queue = try await make(.init())
            let id = try await queue.store(.event())[0].id
            let success = Attempt.failing(1, at: 20, .accepted)
            try await queue.settle([.init(id, success, .complete)])
            #expect(try await queue.record(id)?.attempts == [RecordedAttempt(success, replay: 0)])
        },
        Fact("a response goes when its delivery is delivered, and without records when it is over") { make in
            let queue = try await make(.init(backendsWithoutRecords: ["unrecorded"]))
            for backend in ["a", "unrecorded"] as [BackendName] {
                for verb in [.complete, .expire, Settlement.exhausted] as [Settlement.Verb] {
                    let id = try await queue.store(.event(to: backend))[0].id
                    let failing = Attempt.failing(1, at: 1, response: .page("no"))
                    try await queue.settle([.init(id, failing, .reschedule(at: .second(1)))])
                    #expect(try await queue.record(id)?.response == .page("no"))
                    #expect(try await queue.leasedIDs(backend, at: 1) == [id])
                    try await queue.settle([.init(id: id, attempt: nil, verb: verb, at: .second(2))])
                    let isKept = verb == Settlement.exhausted || verb == .expire && backend == "a"
                    #expect(try await queue.record(id)?.response == (isKept ? .page("no") : nil))
                    #expect(try await queue.record(id)?.attempts.count == 1)
                }
            }
        },
        Fact("without its payload a delivery cannot be made again, and a replay passes it over") { make in
            let queue = try await make(.init(backendsWithoutRecords: ["a"]))
            let removed = try await queue.store(.event(at: 1))[0].id
            let kept = try await queue.store(.event(at: 2, to: "b"))[0].id
            try await queue.settle([.complete(removed), .complete(kept)])
            #expect(try await queue.retry(removed, now: .second(5)) == .noPayload)
            let record = try #require(try await queue.record(removed))
            #expect(record.summary.state == .delivered && record.summary.payloadBytes == nil && record.payload == nil)
            let replay = try await queue.createReplay(.init(filter: .states(.delivered)), now: .second(5))
            try await queue.finish(replay.id)
            let done = try #require(try await queue.replay(replay.id))
            #expect(done.matched == 2 && done.replayed == 1 && done.withoutPayload == 1)
            #expect(try await queue.listed(.states(.pending)) == [kept.sequence])
        },
        Fact("without records the payload goes when the last one that needed it is canceled or deleted") { make in
            let queue = try await make(.init(backendsWithoutRecords: ["a", "b"]))
            for isCanceled in [true, false] {
                let ids = try await queue.store(.event(to: "a", "b")).map(\.id)
                try await queue.settle([.complete(ids[0])] + (isCanceled ? [] : [.deadLetter(ids[1])]))
                await queue.release([ids[1]])
                #expect(try await queue.record(ids[0])?.payload != nil)
                let change =
                    isCanceled ? try await queue.cancel(ids[1], now: .second(2)) : try await queue.delete(ids[1])
                #expect(change == .done("b"))
                #expect(try await queue.record(ids[0])?.payload == nil)
            }
        },
        Fact("without records the payload goes when the last one that needed it is past its retention") { make in
            var limits = QueueLimits(deliveredRetention: .seconds(100), deadRetention: .seconds(10))
            limits.backendsWithoutRecords = ["a", "b"]
            let queue = try await make(limits)
            let ids = try await queue.store(.event(to: "a", "b")).map(\.id)
            try await queue.settle([.complete(ids[0], at: 5), .deadLetter(ids[1], at: 5)])
            while try await queue.prune(now: .second(14)) {}
            #expect(try await queue.record(ids[0])?.payload != nil)
            while try await queue.prune(now: .second(15)) {}
            #expect(try await queue.record(ids[1]) == nil)
            let record = try #require(try await queue.record(ids[0]))
            #expect(record.summary.state == .delivered && record.payload == nil)
        },
        Fact("after a restart records, histories and order are as they were") { make in
            var queue = try await make(.init())
            let dead = try await queue.store(.event(at: 1).ordered("k"))[0].id
            let attempt = Attempt.failing(1, at: 1, detail: "no", response: .page("sorry"))
            try await queue.settle([.init(dead, attempt, Settlement.exhausted)])
            let next = try await queue.store(.event(at: 2).ordered("k"))[0].id
            _ = try await queue.retry(dead, now: .second(5))
            await queue.release([next])
            let records = [try await queue.record(dead), try await queue.record(next)]
            await queue.close()
            queue = try await make(.init())
            #expect([try await queue.record(dead), try await queue.record(next)] == records)
            #expect(try await queue.leasedIDs(at: 9) == [next])
            try await queue.settle([.complete(next)])
            #expect(try await queue.lease("a", limit: 9, now: .second(9)).deliveries.map(\.replays) == [1])
        },
        Fact("a replay goes on after a restart where it stood") { make in
            var queue = try await make(.init())
            for second in 1...5 as ClosedRange<Int64> { try await queue.storeDead(.event("\(second)", at: second)) }
            var filter = DeliveryFilter()
            filter.ids = Set(try await queue.deliveries(.init(), PageRequest()).items.map(\.id))
            (filter.backends, filter.routes, filter.apps) = (["a"], ["main"], ["app"])
            filter.envelopeIDs = Set((1...5).map { "envelope-\($0)" })
            (filter.states, filter.kinds, filter.reasons) = ([.dead], [.event], ["http_410"])
            (filter.since, filter.until) = (.second(1), .second(6))
            let request = ReplayRequest(filter: filter, perSecond: 0.1)
            let id = try await queue.createReplay(request, now: .second(10)).id
            let stood = try await queue.advanceReplay(id, limit: 2, now: .second(11)).replay
            await queue.close()
            queue = try await make(.init())
            #expect(try await queue.replays() == [stood].compactMap(\.self))
            #expect(try await queue.replay(id)?.request == request)
            #expect(try await queue.leasedIDs(at: 11).map(\.sequence) == [1, 2])
            try await queue.finish(id, limit: 2)
            #expect(try await queue.replay(id)?.replayed == 5)
            #expect(try await queue.leasedIDs(at: 100).map(\.sequence) == [3, 4, 5])
        },
        Fact("what was canceled or deleted stays so after a restart") { make in
            var queue = try await make(.init())
            let canceled = try await queue.storeWaiting(.event(at: 1))[0]
            let deleted = try await queue.storeDead(.event(at: 2))[0]
            _ = try await queue.cancel(canceled, now: .second(5))
            _ = try await queue.delete(deleted)
            await queue.close()
            queue = try await make(.init())
            #expect(try await queue.record(canceled)?.summary.state == .canceled)
            #expect(try await queue.record(deleted) == nil)
            #expect(try await queue.statistics() == [:])
        },
    ]
}
