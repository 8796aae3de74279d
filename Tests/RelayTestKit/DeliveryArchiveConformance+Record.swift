// Facts about the record of one delivery: its attempts and its response.

import RelayCore
import Testing

extension DeliveryArchiveConformance {
    static let recordFacts: [Fact] = [
        Fact("a record holds the payload; of an unknown delivery, or one of another queue, there is none") { make in
            let queue = try await make(.init())
            let id = try await queue.store(.event(bytes: 30))[0].id
            let record = try #require(try await queue.record(id))
            #expect(record.payload?.bytes.count == 30 && record.attempts == [] && record.response == nil)
            #expect(try await queue.record(DeliveryID(queue: id.queue, sequence: 99)) == nil)
            #expect(try await queue.record(DeliveryID(queue: id.queue ^ 1, sequence: id.sequence)) == nil)
        },
        Fact("of the attempts that were not accepted the first one and the last nine are kept, with what they tell") {
            make in
            let queue = try await make(.init())
            let id = try await queue.store(.event())[0].id
            let attempts = (1...14).map {
                Attempt.failing(
                    $0, at: Int64($0 * 10), .failed($0 == 3 ? .timeout : .http(status: 503)), detail: "no \($0)")
            }
            for attempt in attempts.dropLast() {
                try await queue.settle([.init(id, attempt, .reschedule(at: attempt.finishedAt))])
                #expect(try await queue.leasedIDs(at: 1_000) == [id])
            }
            try await queue.settle([.init(id, attempts[13], Settlement.exhausted)])
            let record = try #require(try await queue.record(id))
            let kept = [attempts[0]] + attempts[5...]
            #expect(record.attempts == kept.map { RecordedAttempt($0, replay: 0) })
            #expect(record.summary.attemptsMade == 14)
        },
        Fact("a detail is kept to its bound") { make in
            let queue = try await make(.init())
            let id = try await queue.store(.event())[0].id
            let detail = String(repeating: "ü", count: 5_000)
            try await queue.settle([.init(id, .failing(1, at: 1, detail: detail), Settlement.exhausted)])
            #expect(
                try await queue.record(id)?.attempts.map(\.detail)
                    == [String(repeating: "ü", count: RecordedAttempt.maxDetailLength)])
        },
        Fact("the response of the last attempt that had one is kept as it was recorded") { make in
            let queue = try await make(.init())
            let id = try await queue.store(.event())[0].id
            let long = RecordedResponse.page(String(repeating: "x", count: RecordedResponse.maxBodyBytes + 1))
            let responses = [RecordedResponse.page("first"), long, nil]
            for (index, response) in responses.enumerated() {
                let attempt = Attempt.failing(index + 1, at: Int64(index + 1), response: response)
                try await queue.settle([.init(id, attempt, .reschedule(at: .second(9)))])
                #expect(try await queue.leasedIDs(at: 9) == [id])
            }
            #expect(try await queue.record(id)?.response == long)
            try await queue.settle([
                .init(id, .failing(4, at: 9, response: .page("", status: 410)), Settlement.exhausted)
            ])
            #expect(try await queue.record(id)?.response == .page("", status: 410))
        },
        Fact("a lease tells when the first attempt began, and how often a person had the delivery made again") { make in
            let queue = try await make(.init())
            let stored = try await queue.store(.event())[0]
            #expect(stored.firstAttemptAt == nil && stored.replays == 0)
            for number in 1...2 {
                let attempt = Attempt.failing(number, at: Int64(number * 10))
                try await queue.settle([.init(stored.id, attempt, .reschedule(at: attempt.finishedAt))])
                let leased = try await queue.lease("a", limit: 1, now: .second(90)).deliveries
                #expect(leased.map(\.firstAttemptAt) == [.second(10)] && leased.map(\.attemptsMade) == [number])
            }
            try await queue.settle([.init(stored.id, .failing(3, at: 90), Settlement.exhausted)])
            _ = try await queue.retry(stored.id, now: .second(100))
            let replayed = try await queue.lease("a", limit: 1, now: .second(100)).deliveries
            #expect(replayed.map(\.firstAttemptAt) == [nil] && replayed.map(\.attemptsMade) == [0])
            #expect(replayed.map(\.replays) == [1])
        },
        Fact("a probe that failed stands in the history, before the attempt of its number, and burns none") { make in
            let queue = try await make(.init())
            let id = try await queue.store(.event())[0].id
            let attempts = [
                Attempt.failing(1, at: 10), .probe(2, at: 20, response: .page("down")), .probe(2, at: 30),
                .failing(2, at: 40),
            ]
            for attempt in attempts.dropLast() {
                try await queue.settle([.init(id, attempt, .reschedule(at: attempt.finishedAt))])
                let leased = try await queue.lease("a", limit: 1, now: .second(90)).deliveries
                #expect(leased.map(\.attemptsMade) == [1] && leased.map(\.firstAttemptAt) == [.second(10)])
            }
            let held = try #require(try await queue.record(id))
            #expect(held.attempts == attempts.dropLast().map { RecordedAttempt($0, replay: 0) })
            #expect(held.response == .page("down"))
            #expect(held.summary.attemptsMade == 1 && held.summary.reason == "http_500")
            try await queue.settle([.init(id, attempts[3], Settlement.exhausted)])
            let record = try #require(try await queue.record(id))
            #expect(record.attempts == attempts.map { RecordedAttempt($0, replay: 0) })
            #expect(record.summary.attemptsMade == 2)
        },
        Fact("of a delivery that was only probed with, the probes are kept, the first one and the last nine") { make in
            let queue = try await make(.init())
            let id = try await queue.store(.event())[0].id
            let probes = (1...14).map { Attempt.probe(1, at: Int64($0 * 10)) }
            for probe in probes {
                try await queue.settle([.init(id, probe, .reschedule(at: probe.finishedAt))])
                let leased = try await queue.lease("a", limit: 1, now: .second(900)).deliveries
                #expect(leased.map(\.attemptsMade) == [0] && leased.map(\.firstAttemptAt) == [nil])
            }
            let record = try #require(try await queue.record(id))
            #expect(record.attempts == ([probes[0]] + probes[5...]).map { RecordedAttempt($0, replay: 0) })
            #expect(record.summary.attemptsMade == 0 && record.summary.outcome == nil)
        },
        Fact("a rescheduling without an attempt leaves no trace in the history") { make in
            let queue = try await make(.init())
            let id = try await queue.store(.event())[0].id
            try await queue.settle([.init(id: id, attempt: nil, verb: .reschedule(at: .second(5)), at: .second(1))])
            let record = try #require(try await queue.record(id))
            #expect(record.attempts == [] && record.summary.outcome == nil && record.summary.attemptsMade == 0)
        },
        Fact("a backend that was asked before anything was stored has its failed attempt and the id it was sent with") {
            make in
            let queue = try await make(.init())
            let sent = DeliveryID(queue: 0xABCD, sequence: 7)
            let attempt = Attempt.failing(2, at: 3, detail: "no answer", response: .page("sorry"))
            var request = EnqueueRequest.event(at: 1)
            request.settled = .init(
                target: request.targets[0],
                settlement: .init(id: sent, attempt: attempt, verb: Settlement.exhausted, at: .second(5)))
            request.targets = []
            #expect(try await queue.enqueue([request]) == [.stored(leased: [])])
            let page = try await queue.deliveries(.states(.dead), PageRequest())
            let summary = try #require(page.items.first)
            #expect(summary.sentID == sent && summary.settledAt == .second(5) && summary.attemptsMade == 2)
            let record = try #require(try await queue.record(summary.id))
            #expect(record.attempts == [RecordedAttempt(attempt, replay: 0)] && record.response == .page("sorry"))
            try await queue.storeDead(.event(at: 2))
            #expect(try await queue.record(sent) == record)
            let unknown = DeliveryID(queue: sent.queue, sequence: 8)
            #expect(try await queue.record(unknown) == nil)
            #expect(try await queue.ids(sentAs: [sent, unknown, summary.id]) == [sent: summary.id])
            #expect(try await queue.ids(sentAs: []) == [:])
        },
        Fact("a history takes no room from deliveries, and where it grows too large the oldest lose theirs") { make in
            let limits = QueueLimits(maxBytes: 64 << 10)
            let queue = try await make(limits)
            let large = RecordedResponse.page(String(repeating: "x", count: 10_000))
            var ids: [DeliveryID] = []
            for second in 1...10 as ClosedRange<Int64> {
                let id = try await queue.store(.event(at: second))[0].id
                try await queue.settle([.init(id, .failing(1, at: second, response: large), Settlement.exhausted)])
                ids.append(id)
            }
            var kept: [Bool] = []
            for id in ids {
                let record = try #require(try await queue.record(id))
                #expect(record.response == nil || !record.attempts.isEmpty)
                #expect(record.summary.outcome == "failed")
                kept.append(record.response == large)
            }
            let count = Int(limits.maxHistoryBytes / (large.storedBytes + RecordedAttempt.bytesWithoutDetail))
            #expect(kept == Array(repeating: false, count: 10 - count) + Array(repeating: true, count: count))
            let room = Int(limits.maxBytes / EnqueueRequest.event().storedBytes) - 10
            #expect(try await queue.enqueue((0..<room).map { _ in .event() }).count == room)
        },
    ]
}
