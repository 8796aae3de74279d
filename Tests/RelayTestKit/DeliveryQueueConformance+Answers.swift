// Facts about what answers need of a queue: backends that were asked before anything was stored, keys looked up, and
// late answers kept.

import RelayCore
import Testing

extension DeliveryQueueConformance {
    /// Room for two events of 100 bytes to one backend, and not for three.
    private static let roomForTwo = 2 * EnqueueRequest.event(bytes: 100).storedBytes + 100

    static let settledTargetFacts: [Fact] = [
        Fact("of a backend that was asked already nothing waits, and only the others are told") { make in
            let queue = try await make(.init())
            for verb in Settlement.Verb.finalOnes {
                let stored = try await queue.store(.event(to: "b", "c").asked("a", verb))
                #expect(stored.map(\.backend) == ["b", "c"])
                await queue.release(stored.map(\.id))
            }
            #expect(try await queue.lease("a", limit: 9, now: .second(9)) == .init(deliveries: [], nextDue: nil))
            #expect(try await queue.statistics()["a"]?.waiting ?? [:] == [:])
            #expect(try await queue.statistics()["a"]?.oldestReceivedAt == nil)
            #expect(try await queue.backendsWithWaitingDeliveries() == ["b", "c"])
            #expect(try await queue.leasedIDs("b", at: 9).count == 3)
        },
        Fact("with nobody else to go to, an envelope is stored all the same, and its key is remembered") { make in
            let queue = try await make(.init())
            for (index, verb) in Settlement.Verb.finalOnes.enumerated() {
                let request = EnqueueRequest.event("\(index)").asked("a", verb, nobodyElse: true)
                #expect(try await queue.enqueue([request]) == [.stored(leased: [])])
                #expect(try await queue.remembers(request.envelope))
                #expect(try await queue.enqueue([request]) == [.duplicate])
            }
            #expect(try await queue.backendsWithWaitingDeliveries() == [])
            #expect(try await queue.statistics()["a"]?.dead == 1)
        },
        Fact("what is but a record takes nobody's place, with drop_oldest neither") { make in
            let queue = try await make(.init(maxBytes: roomForTwo, whenFull: .dropOldest))
            let waiting =
                try await queue.storeWaiting(.event(at: 1, bytes: 100))
                + queue.storeWaiting(.event(at: 2, bytes: 100))
            let record = EnqueueRequest.event(bytes: 100).asked(
                "b", .deadLetter(.rejected(.http(status: 500))), nobodyElse: true)
            #expect(await queueErrorCode { _ = try await queue.enqueue([record]) } == .full)
            #expect(try await queue.leasedIDs(at: 9) == waiting)
        },
        Fact("of backends that were asked already only what was given up is counted, as long as it is kept") { make in
            let queue = try await make(.init(deadRetention: .seconds(60)))
            for verb in Settlement.Verb.finalOnes {
                _ = try await queue.store(.event().asked("a", verb, at: 10, nobodyElse: true))
            }
            #expect(try await queue.statistics()["a"] == QueueStatistics(dead: 1))
            while try await queue.prune(now: .second(69)) {}
            #expect(try await queue.statistics()["a"]?.dead == 1)
            while try await queue.prune(now: .second(70)) {}
            #expect(try await queue.statistics()["a"]?.dead ?? 0 == 0)
        },
        Fact("a copy of an envelope whose backend was asked before is a duplicate, and not recorded") { make in
            let queue = try await make(.init())
            _ = try await queue.store(.event("k"))
            let copy = EnqueueRequest.event("k").asked("a", .deadLetter(.rejected(.http(status: 410))))
            #expect(try await queue.enqueue([copy]) == [.duplicate])
            #expect(try await queue.statistics()["a"] == .init(waiting: [.inFlight: 1], oldestReceivedAt: .second(0)))
        },
        Fact("the id that a backend was asked with names nothing in the queue") { make in
            let queue = try await make(.init())
            let first = try #require(try await queue.store(.event(to: "b")).first).id
            let foreign = DeliveryID(queue: first.queue ^ 1, sequence: first.sequence)
            let stored = try await queue.store(.event(to: "b").asked("a", .complete, id: foreign)).map(\.id)
            #expect(Set(stored + [first]).count == 2 && stored.allSatisfy { $0.queue == first.queue })
            try await queue.settle([.deadLetter(foreign)])
            await queue.release([foreign])
            #expect(try await queue.statistics()["b"]?.waiting == [.inFlight: 2])
            #expect(try await queue.leasedIDs("b", at: 9) == [])
        },
        Fact("a full queue refuses what was given up as anything else, and remembers nothing of it") { make in
            let queue = try await make(.init(maxBytes: roomForTwo))
            let deadLetter = Settlement.Verb.deadLetter(.rejected(.http(status: 410)))
            for key in ["1", "2"] {
                _ = try await queue.store(.event(key, bytes: 100).asked("a", deadLetter, nobodyElse: true))
            }
            let third = EnqueueRequest.event("3", bytes: 100).asked("a", deadLetter, nobodyElse: true)
            #expect(await queueErrorCode { _ = try await queue.enqueue([third]) } == .full)
            #expect(try await queue.remembers(third.envelope) == false)
            #expect(try await queue.statistics()["a"]?.dead == 2)
        },
        Fact("what backends had already takes no room from what comes") { make in
            let queue = try await make(.init(maxBytes: roomForTwo))
            for verb in [Settlement.Verb.complete, .expire] {
                for _ in 0..<6 {
                    _ = try await queue.store(.event(bytes: 100).asked("a", verb, nobodyElse: true))
                }
            }
            for _ in 0..<2 { _ = try await queue.store(.event(bytes: 100)) }
            #expect(await queueErrorCode { _ = try await queue.enqueue([.event(bytes: 100)]) } == .full)
        },
        Fact("what was given up keeps its envelope when the others have had it") { make in
            let request = EnqueueRequest.event(to: "b", bytes: 100)
                .asked("a", .deadLetter(.rejected(.http(status: 410))))
            let queue = try await make(.init(maxBytes: request.storedBytes, deadRetention: .seconds(60)))
            let ids = try await queue.store(request).map(\.id)
            try await queue.settle(ids.map { .complete($0) })
            #expect(await queueErrorCode { _ = try await queue.enqueue([.event()]) } == .full)
            while try await queue.prune(now: .second(61)) {}
            #expect(try await queue.store(.event()).count == 1)
        },
        Fact("drop_oldest frees an envelope whose other backend was asked already, unless that gave it up") { make in
            let waiting = EnqueueRequest.event(to: "b", bytes: 100)
            let deadLetter = Settlement.Verb.deadLetter(.rejected(.http(status: 410)))
            let limit = waiting.asked("a", .complete).storedBytes
            let queue = try await make(.init(maxBytes: limit, whenFull: .dropOldest))
            for verb in [.complete, .expire, deadLetter] { try await queue.storeWaiting(waiting.asked("a", verb)) }
            #expect(try await queue.statistics()["b"]?.dropped == 2)
            #expect(await queueErrorCode { _ = try await queue.enqueue([waiting]) } == .full)
            #expect(try await queue.statistics()["b"]?.waiting == [.pending: 1])
        },
    ]

    static let rememberingFacts: [Fact] = [
        Fact("a key is remembered within its window, the end excluded, and by its own app") { make in
            let queue = try await make(.init(deduplicationWindow: .seconds(100)))
            _ = try await queue.store(.event("k", app: "one", at: 50))
            for (second, isRemembered) in [(40, true), (50, true), (149, true), (150, false)] as [(Int64, Bool)] {
                let copy = EnqueueRequest.event("k", app: "one", at: second).envelope
                #expect(try await queue.remembers(copy) == isRemembered, "at \(second)")
            }
            #expect(try await queue.remembers(EnqueueRequest.event("k", app: "two", at: 50).envelope) == false)
            #expect(try await queue.remembers(EnqueueRequest.event("l", app: "one", at: 50).envelope) == false)
        },
        Fact("the window of a remembered key counts from the first copy") { make in
            let queue = try await make(.init(deduplicationWindow: .seconds(100)))
            _ = try await queue.store(.event("k", at: 0))
            _ = try await queue.enqueue([.event("k", at: 99)])
            #expect(try await queue.remembers(EnqueueRequest.event("k", at: 100).envelope) == false)
        },
        Fact("an envelope without a key is not remembered") { make in
            let queue = try await make(.init())
            _ = try await queue.store(.event())
            #expect(try await queue.remembers(EnqueueRequest.event().envelope) == false)
        },
        Fact("asking whether a key is remembered does not make it so") { make in
            let queue = try await make(.init())
            for _ in 0..<2 { #expect(try await queue.remembers(EnqueueRequest.event("k").envelope) == false) }
            #expect(try await queue.store(.event("k")).count == 1)
        },
        Fact("a key whose enqueue failed, or whose window was pruned, is not remembered") { make in
            let queue = try await make(.init(maxBytes: 1_000, deduplicationWindow: .seconds(100)))
            let large = EnqueueRequest.event("k", bytes: 2_000)
            #expect(await queueErrorCode { _ = try await queue.enqueue([large]) } == .full)
            #expect(try await queue.remembers(large.envelope) == false)
            _ = try await queue.store(.event("k"))
            while try await queue.prune(now: .second(100)) {}
            #expect(try await queue.remembers(large.envelope) == false)
        },
    ]

    static let lateAnswerFacts: [Fact] = [
        Fact("a late answer is found as it was stored, with a reply and without") { make in
            let queue = try await make(.init())
            let replies = [nil, Payload("{\"text\":\"\u{0}ü\"}"), Payload("")]
            for (index, reply) in replies.enumerated() {
                let answer = LateAnswer.late("\(index)", reply: reply)
                try await queue.store(answer)
                #expect(try await queue.lateAnswer(answer.id) == answer)
            }
            #expect(try await queue.lateAnswerIDs().count == replies.count)
        },
        Fact("a late answer takes the place of one with the same id") { make in
            let queue = try await make(.init())
            try await queue.store(LateAnswer.late("e", reply: nil))
            let replied = LateAnswer.late("e", expiring: 7, reply: Payload("{}"))
            try await queue.store(replied)
            #expect(try await queue.lateAnswer(replied.id) == replied)
            #expect(try await queue.lateAnswerIDs() == [replied.id])
        },
        Fact("the same envelope id of another app is another late answer") { make in
            let queue = try await make(.init())
            let (one, two) = (LateAnswer.late("e", app: "one"), LateAnswer.late("e", app: "two", reply: Payload("{}")))
            for answer in [one, two] { try await queue.store(answer) }
            try await queue.remove(one.id)
            #expect(try await queue.lateAnswer(one.id) == nil)
            #expect(try await queue.lateAnswer(two.id) == two)
        },
        Fact("a late answer that was removed is gone, and an unknown one is ignored") { make in
            let queue = try await make(.init())
            let answer = LateAnswer.late("e")
            try await queue.remove(answer.id)
            try await queue.store(answer)
            for _ in 0..<2 { try await queue.remove(answer.id) }
            #expect(try await queue.lateAnswer(answer.id) == nil)
            #expect(try await queue.lateAnswerIDs() == [])
        },
        Fact("late answers are listed in the order in which they expire") { make in
            let queue = try await make(.init())
            for second in [5, 1, 9, 3] as [Int64] {
                try await queue.store(LateAnswer.late("\(second)", expiring: second))
            }
            #expect(try await queue.lateAnswerIDs().map(\.envelopeID) == ["1", "3", "5", "9"])
        },
        Fact("late answers take no room, and a full queue takes them") { make in
            let queue = try await make(.init(maxBytes: roomForTwo))
            _ = try await queue.store(.event(bytes: 100))
            let large = LateAnswer.late("e", reply: Payload(bytes: Array(repeating: 0x78, count: 5_000)))
            try await queue.store(large)
            _ = try await queue.store(.event(bytes: 100))
            #expect(await queueErrorCode { _ = try await queue.enqueue([.event(bytes: 100)]) } == .full)
            try await queue.store(LateAnswer.late("f"))
            try await queue.remove(large.id)
            #expect(try await queue.lateAnswerIDs().map(\.envelopeID) == ["f"])
        },
        Fact("retention leaves late answers") { make in
            let queue = try await make(.init(deliveredRetention: .zero, deadRetention: .zero))
            try await queue.store(LateAnswer.late("e", expiring: 1))
            while try await queue.prune(now: .second(1_000_000)) {}
            #expect(try await queue.lateAnswerIDs().count == 1)
        },
        Fact("after close nothing is remembered or kept for late: every call throws closed") { make in
            let queue = try await make(.init())
            let answer = LateAnswer.late("e")
            try await queue.store(answer)
            await queue.close()
            #expect(
                await queueErrorCode { _ = try await queue.remembers(EnqueueRequest.event("k").envelope) } == .closed)
            #expect(await queueErrorCode { _ = try await queue.remembers(EnqueueRequest.event().envelope) } == .closed)
            #expect(await queueErrorCode { try await queue.store(answer) } == .closed)
            #expect(await queueErrorCode { try await queue.remove(answer.id) } == .closed)
            #expect(await queueErrorCode { _ = try await queue.lateAnswer(answer.id) } == .closed)
            #expect(await queueErrorCode { _ = try await queue.lateAnswerIDs() } == .closed)
        },
    ]
}

// MARK: - What the facts are told with

extension Settlement.Verb {
    fileprivate static let finalOnes: [Settlement.Verb] = [
        .complete, .deadLetter(.rejected(.http(status: 410))), .expire,
    ]
}

extension EnqueueRequest {
    /// The same, with a backend that was asked before.
    /// - Parameter nobodyElse: whether that one is all.
    fileprivate func asked(
        _ backend: BackendName, _ verb: Settlement.Verb, at second: Int64 = 1,
        id: DeliveryID = DeliveryID(queue: 0, sequence: 1), nobodyElse: Bool = false
    ) -> EnqueueRequest {
        let outcome: AttemptOutcome = verb == .complete ? .accepted : .failed(.timeout)
        let settlement = Settlement(
            id: id, attempt: .finished(1, outcome, at: second), verb: verb, at: .second(second))
        let target = Target(backend: backend, route: "main")
        return EnqueueRequest(
            envelope: envelope, targets: nobodyElse ? [] : targets,
            settled: SettledTarget(target: target, settlement: settlement))
    }
}

extension LateAnswer {
    fileprivate static func late(
        _ envelopeID: String, app: AppName = "app", expiring second: Int64 = 1_800, reply: Payload? = nil
    ) -> LateAnswer {
        LateAnswer(
            id: ID(app: app, envelopeID: envelopeID), responseURL: ResponseURL("https://hooks.slack.com/\(envelopeID)"),
            expiresAt: .second(second), reply: reply, failure: Payload("{\"text\":\"no reply\"}"))
    }
}
