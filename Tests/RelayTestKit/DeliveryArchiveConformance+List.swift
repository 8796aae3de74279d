// Facts about lists and counts of deliveries.

import RelayCore
import Testing

extension DeliveryArchiveConformance {
    static let listFacts: [Fact] = [
        Fact("a list goes from the newest to the oldest, page by page, whatever is stored meanwhile") { make in
            let queue = try await make(.init())
            for second in 1...5 as ClosedRange<Int64> { try await queue.storeWaiting(.event(at: second)) }
            let first = try await queue.deliveries(.init(), PageRequest(limit: 2))
            #expect(first.items.map(\.receivedAt) == [.second(5), .second(4)])
            try await queue.storeWaiting(.event(at: 6))
            let second = try await queue.deliveries(.init(), PageRequest(limit: 2, cursor: first.next))
            #expect(second.items.map(\.receivedAt) == [.second(3), .second(2)])
            let third = try await queue.deliveries(.init(), PageRequest(limit: 2, cursor: second.next))
            #expect(third.items.map(\.receivedAt) == [.second(1)] && third.next == nil)
        },
        Fact("a page may begin anywhere") { make in
            let queue = try await make(.init())
            for second in 1...2 as ClosedRange<Int64> { try await queue.storeWaiting(.event(at: second)) }
            let filters: [DeliveryFilter] = [
                .init(), .states(.dead, .expired), .states(.pending), .states(.inFlight),
            ]
            for (cursor, count) in [(Int64.min, 0), (-1, 0), (0, 0), (1, 0), (2, 1), (.max, 2)] {
                for filter in filters {
                    let expected = filter.states.isDisjoint(with: [.dead, .inFlight]) ? count : 0
                    let page = try await queue.deliveries(filter, PageRequest(cursor: cursor))
                    #expect(page.items.count == expected && page.next == nil)
                }
            }
        },
        Fact("a page that ends with the last delivery has none after it, and an empty queue has an empty page") {
            make in
            let queue = try await make(.init())
            #expect(try await queue.deliveries(.init(), PageRequest()) == Page(items: [], next: nil))
            for second in 1...2 as ClosedRange<Int64> { try await queue.storeWaiting(.event(at: second)) }
            #expect(try await queue.deliveries(.init(), PageRequest(limit: 2)).next == nil)
            #expect(try await queue.deliveries(.init(), PageRequest(limit: 0)).items.count == 1)
        },
        Fact("a summary tells what a delivery is and where it stands: pending, in flight, scheduled, dead") { make in
            let queue = try await make(.init())
            let envelope = Envelope(
                app: "workspace", id: "e1", kind: .command, payload: Payload("{}"), receivedAt: .second(7))
            let target = EnqueueRequest.Target(backend: "a", route: "deploys", orderKey: "k")
            let id = try #require(try await queue.store(.init(envelope: envelope, targets: [target])).first).id
            var summary = DeliverySummary(
                id: id, backend: "a", route: "deploys", app: "workspace", kind: .command, state: .inFlight,
                orderKey: "k", envelopeID: "e1", receivedAt: .second(7), due: .second(7), payloadBytes: 2)
            #expect(try await queue.record(id)?.summary == summary)
            await queue.release([id])
            summary.state = .pending
            #expect(try await queue.deliveries(.init(), PageRequest()).items == [summary])
            #expect(try await queue.leasedIDs(at: 7) == [id])
            try await queue.settle([.init(id, .failing(1, at: 8), .reschedule(at: .second(60)))])
            (summary.state, summary.due, summary.attemptsMade) = (.scheduled, .second(60), 1)
            (summary.outcome, summary.reason) = ("failed", "http_500")
            #expect(try await queue.deliveries(.init(), PageRequest()).items == [summary])
            #expect(try await queue.leasedIDs(at: 60) == [id])
            let last = Attempt.failing(2, at: 61, .rejected(.http(status: 400)))
            try await queue.settle([.init(id, last, Settlement.exhausted)])
            (summary.state, summary.due, summary.attemptsMade, summary.settledAt) = (.dead, nil, 2, .second(62))
            (summary.outcome, summary.reason) = ("rejected", "http_400")
            summary.deadReason = "attempts_exhausted_http_500"
            #expect(try await queue.deliveries(.init(), PageRequest()).items == [summary])
        },
        Fact("a delivery that waits for its order key is not due") { make in
            let queue = try await make(.init())
            let first = try await queue.storeOrdered(2)
            let items = try await queue.deliveries(.init(), PageRequest()).items
            #expect(items.map(\.state) == [.pending, .inFlight] && items.map(\.due) == [nil, .second(1)])
            try await queue.settle([.deadLetter(first)])
            #expect(try await queue.deliveries(.states(.pending), PageRequest()).items.map(\.due) == [.second(1)])
        },
        Fact("each field of a filter takes what it names, and all of them together what each takes") { make in
            let queue = try await make(.init())
            // 1 to 4: two apps, two kinds, two backends; 1 and 2 dead, 3 scheduled after a failure, 4 pending.
            let reasons: [AttemptReason] = [.http(status: 400), .timeout]
            for (index, reason) in reasons.enumerated() {
                let ids = try await queue.store(
                    .event("\(index + 1)", app: index == 0 ? "one" : "two", at: Int64(index + 1)))
                try await queue.settle(
                    ids.map { .init($0.id, .failing(1, at: 9, .rejected(reason)), .deadLetter(.rejected(reason))) })
            }
            let third = try await queue.store(.event(at: 3, to: "b"))[0].id
            try await queue.settle([.init(third, .failing(1, at: 9, .failed(.dnsError)), .reschedule(at: .second(50)))])
            var command = EnqueueRequest.event("4", at: 4, to: "b")
            command.envelope.kind = .command
            command.targets[0].route = "deploys"
            let fourth = try await queue.storeWaiting(command)[0]
            func list(_ change: (inout DeliveryFilter) -> Void) async throws -> [Int64] {
                let filter = DeliveryFilter(change)
                let listed = try await queue.listed(filter)
                #expect(try await queue.count(filter, limit: 100) == listed.count)
                return listed
            }
            #expect(try await list { _ in } == [4, 3, 2, 1])
            #expect(try await list { $0.ids = [third, fourth] } == [4, 3])
            #expect(try await list { $0.ids = [DeliveryID(queue: third.queue ^ 1, sequence: 1)] } == [])
            #expect(try await list { $0.envelopeIDs = ["envelope-2", "envelope-4", "envelope-9"] } == [4, 2])
            #expect(try await list { ($0.envelopeIDs, $0.states) = (["envelope-2", "envelope-4"], [.dead]) } == [2])
            #expect(try await list { $0.states = [.dead] } == [2, 1])
            #expect(try await list { $0.states = [.scheduled, .dead] } == [3, 2, 1])
            #expect(try await list { $0.states = [.delivered, .held] } == [])
            #expect(try await list { $0.backends = ["b", "c"] } == [4, 3])
            #expect(try await list { $0.routes = ["deploys"] } == [4])
            #expect(try await list { $0.apps = ["one"] } == [1])
            #expect(try await list { $0.kinds = [.command] } == [4])
            #expect(try await list { $0.reasons = ["http_400", "dns_error"] } == [3, 1])
            #expect(try await list { $0.reasons = ["rejected_timeout"] } == [2])
            #expect(try await list { $0.since = .second(3) } == [4, 3])
            #expect(try await list { $0.until = .second(3) } == [2, 1])
            #expect(try await list { ($0.since, $0.until) = (.second(2), .second(3)) } == [2])
            #expect(try await list { ($0.backends, $0.states, $0.kinds) = (["b"], [.pending], [.command]) } == [4])
            #expect(try await list { ($0.ids, $0.states) = ([third, fourth], [.scheduled]) } == [3])
            #expect(try await list { ($0.ids, $0.apps) = ([third, fourth], ["one"]) } == [])
        },
        Fact("in flight is what is leased, and pending and scheduled what is not") { make in
            let queue = try await make(.init())
            let leased = try await queue.store(.event(at: 1))[0].id
            let waiting = try await queue.storeWaiting(.event(at: 2))[0]
            #expect(try await queue.listed(.states(.inFlight)) == [leased.sequence])
            #expect(try await queue.listed(.states(.pending)) == [waiting.sequence])
            #expect(try await queue.count(.states(.pending, .inFlight), limit: 9) == 2)
            #expect(try await queue.count(.states(.inFlight, .held), limit: 9) == 1)
            await queue.release([leased])
            #expect(try await queue.listed(.states(.inFlight)) == [])
        },
        Fact("counting ends at the limit") { make in
            let queue = try await make(.init())
            for _ in 0..<5 { try await queue.storeWaiting(.event()) }
            for (limit, count) in [(0, 0), (1, 1), (5, 5), (9, 5)] {
                #expect(try await queue.count(.init(), limit: limit) == count)
            }
        },
        Fact("few among many are found, however far apart") { make in
            let queue = try await make(.init())
            for _ in 0..<12 { _ = try await queue.enqueue((0..<1_000).map { _ in .event() }) }
            let few: [Int64] = [1, 4_999, 5_000, 5_001, 11_999]
            let first = try #require(try await queue.deliveries(.init(), PageRequest(limit: 1)).items.first).id
            let ids = few.map { DeliveryID(queue: first.queue, sequence: $0) }
            try await queue.settle(ids.map { .deadLetter($0) })
            #expect(try await queue.listed(.states(.dead)) == few.reversed())
            #expect(try await queue.listed(.init { $0.reasons = ["http_410"] }) == few.reversed())
            #expect(try await queue.count(.states(.pending, .inFlight), limit: .max) == 12_000 - few.count)
            let page = try await queue.deliveries(.init { $0.reasons = ["http_410"] }, PageRequest(limit: 3))
            #expect(page.next == 5_000)
        },
        Fact("after close nothing is told or changed: every call throws closed") { make in
            let queue = try await make(.init())
            let id = try await queue.store(.event())[0].id
            await queue.close()
            let calls: [@Sendable () async throws -> Void] = [
                { _ = try await queue.deliveries(.init(), PageRequest()) },
                { _ = try await queue.count(.init(), limit: 1) }, { _ = try await queue.record(id) },
                { _ = try await queue.retry(id, now: .second(1)) }, { _ = try await queue.cancel(id, now: .second(1)) },
                { _ = try await queue.delete(id) }, { _ = try await queue.delete(.init(), limit: 1) },
                { _ = try await queue.createReplay(.init(filter: .init()), now: .second(1)) },
                { _ = try await queue.replays() }, { _ = try await queue.replays(PageRequest()) },
                { _ = try await queue.replay(1) },
                { _ = try await queue.advanceReplay(1, limit: 1, now: .second(1)) },
                { _ = try await queue.cancelReplay(1, now: .second(1)) },
            ]
            for (index, call) in calls.enumerated() { #expect(await queueErrorCode(call) == .closed, "\(index)") }
        },
    ]
}
