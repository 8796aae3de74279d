// The durable queue: the contract of the port, and what survives.

import Foundation
import GRDB
import RelayCore
import RelayTestKit
import Testing

@testable import SQLiteQueue

@Suite("SQLiteQueue")
struct SQLiteQueueTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test("The queue keeps the contract of its port", arguments: DeliveryQueueConformance.facts)
    func conforms(_ fact: DeliveryQueueConformance.Fact) async throws {
        try await fact.check { [directory] in try await directory.open($0) }
    }

    @Test(
        "The queue keeps the contract of an archive that outlives the process",
        arguments: DeliveryArchiveConformance.facts + DeliveryArchiveConformance.durableFacts)
    func archives(_ fact: DeliveryArchiveConformance.Fact) async throws {
        try await fact.check { [directory] in try await directory.open($0) }
    }

    @Test("After a crash everything unfinished waits again, and nothing settled does")
    func reopenedAfterCrash() async throws {
        var ids: [DeliveryID] = []
        do {
            let queue = try await directory.open()
            for second in 0..<4 as Range<Int64> { ids += try await queue.store(.event("\(second)", at: second)) }
            try await queue.complete([ids[0]])
            try await queue.settle([
                .init(id: ids[1], attempt: nil, verb: .deadLetter(.rejected(.http(status: 410))), at: .second(0)),
                .init(id: ids[2], attempt: nil, verb: .reschedule(at: .second(50)), at: .second(0)),
            ])
        }
        let queue = try await directory.open()
        #expect(
            try await queue.statistics()["a"]
                == QueueStatistics(waiting: [.pending: 1, .scheduled: 1], oldestReceivedAt: .second(2), dead: 1))
        #expect(try await queue.waitingIDs() == [ids[3], ids[2]])
        #expect(try await queue.enqueue([.event("0", at: 9)]) == [.duplicate])
        #expect(try await queue.store(.event("new")).map(\.sequence) == [5])
    }

    @Test("After close and open again the ids go on and the queue's own id stays")
    func reopenedAfterClose() async throws {
        let queue = try await directory.open()
        let first = try await queue.store(.event())[0]
        _ = try await queue.waitingIDs()
        await queue.close()
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        #expect(names.sorted() == ["relay.db", "relay.db.lock"])
        let again = try await directory.open()
        #expect(try await again.store(.event()) == [DeliveryID(queue: first.queue, sequence: 2)])
    }

    @Test("After a crash one of an order key is due, and the others wait for it as before")
    func orderReopened() async throws {
        let ids: [DeliveryID]
        do {
            let queue = try await directory.open()
            ids = try await queue.store(.event("1", at: 1).ordered("k"))
            for second in 2...4 as ClosedRange<Int64> {
                #expect(try await queue.store(.event("\(second)", at: second).ordered("k")) == [])
            }
            try await queue.complete(ids)
        }
        let queue = try await directory.open()
        let second = try await queue.waitingIDs()
        #expect(second.map(\.sequence) == [2])
        #expect(try await queue.store(.event("5", at: 5).ordered("k")) == [])
        try await queue.settle([.init(id: second[0], attempt: nil, verb: .reschedule(at: .second(50)), at: .second(0))])
        await queue.close()
        let again = try await directory.open()
        #expect(try await again.lease("a", limit: 9, now: .second(9)) == .init(deliveries: [], nextDue: .second(50)))
        try await again.complete(again.waitingIDs())
        #expect(try await again.waitingIDs().map(\.sequence) == [3])
    }

    @Test("Whoever waits for an order key is found by an index that holds ordered deliveries only")
    func orderUsesTheIndex() async throws {
        let queue = try await directory.open()
        try await queue.complete(try await queue.store(.event()) + queue.store(.event().ordered("k")))
        let plan = try await DatabaseQueue(path: directory.database).read {
            try Row.fetchAll(
                $0,
                sql: """
                    EXPLAIN QUERY PLAN SELECT id FROM delivery INDEXED BY delivery_ordered
                    WHERE backend = 'a' AND order_key = 'k' AND settled_at IS NULL ORDER BY id LIMIT 1
                    """
            ).map { $0["detail"] as String }
        }
        #expect(plan == ["SEARCH delivery USING COVERING INDEX delivery_ordered (backend=? AND order_key=?)"])
        await queue.close()
    }

    @Test("Pauses survive a crash, and are gone when they were ended")
    func pausesReopened() async throws {
        let pause = Pause(since: .second(5), cause: .gone)
        do {
            let queue = try await directory.open()
            for backend in ["a", "b"] as [BackendName] { try await queue.setPause(pause, of: backend) }
            try await queue.setPause(nil, of: "b")
        }
        #expect(try await directory.open().pauses() == ["a": pause])
    }

    @Test("Calls that come while a transaction runs share the next one")
    func groupCommit() async throws {
        let queue = try await directory.open()
        let errors = await queue.together(200) { key in
            await queueError { _ = try await queue.store(.event("\(key)")) }
        }
        #expect(errors.allSatisfy { $0 == nil })
        #expect(await queue.writer.commits == 1)
        #expect(try await queue.statistics()["a"]?.waiting == [.inFlight: 200])
    }

    @Test("What is stored is on the disk when it returns; what became of it goes along with the next that is")
    func synced() async throws {
        let queue = try await directory.open()
        let ids = try await queue.store(.event("1"))
        #expect(await queue.writer.synchronous == 2)
        try await queue.complete(ids)
        #expect(await queue.writer.synchronous == 1)
        try await queue.store(LateAnswer.late("e"))
        #expect(await queue.writer.synchronous == 2)
        let more = try await queue.store(.event("2"))
        // Together: as the one that must be.
        async let completed: Void = queue.complete(more)
        async let stored = queue.store(.event("3"))
        _ = try await (completed, stored)
        try await queue.setPause(nil, of: "a")
        #expect(await queue.writer.synchronous == 2)
    }

    @Test(
        "What nobody waits for is recorded with what comes, and what others wait for at once", .timeLimit(.minutes(1)))
    func patience() async throws {
        let queue = try await directory.open(patience: .seconds(100_000))
        let ids = try await queue.store(.event("1"))
        let ordered = try await queue.store(.event("2").ordered("c"))
        async let completed: Void = queue.complete(ids)
        while queue.writer.waitingCalls < 1 { await Task.yield() }
        let commits = await queue.writer.commits
        try await queue.complete(ordered)
        try await completed
        #expect(await queue.writer.commits == commits + 1)
        #expect(try await queue.statistics()["a"]?.waiting == [:])
    }

    @Test("What nobody waits for is recorded in time though nothing comes", .timeLimit(.minutes(1)))
    func patienceEnds() async throws {
        let queue = try await directory.open(patience: .zero)
        try await queue.complete(try await queue.store(.event("1")))
        #expect(try await queue.statistics()["a"]?.waiting == [:])
    }

    @Test("Of one transaction's calls, those that are refused for lack of room are refused alone")
    func refusedAlone() async throws {
        let queue = try await directory.open(.init(maxBytes: 3 * EnqueueRequest.event().storedBytes))
        let errors = await queue.together(5) { _ in await queueError { _ = try await queue.store(.event()) } }
        #expect(errors.compactMap(\.?.code) == [.full, .full])
        #expect(await queue.writer.commits == 1)
        #expect(try await queue.statistics()["a"]?.waiting == [.inFlight: 3])
    }

    @Test("A call whose data fails the shared transaction fails alone")
    func oneFailsAlone() async throws {
        let queue = try await directory.open()
        let connection = try DatabaseQueue(path: directory.database)
        try await connection.write { db in
            try db.execute(
                sql: """
                    CREATE TRIGGER refuse BEFORE INSERT ON envelope WHEN NEW.slack_id = 'bad'
                    BEGIN SELECT RAISE(ABORT, 'refused by the test'); END
                    """)
        }
        let errors = await queue.together(40) { index in
            await queueError { _ = try await queue.store(.event(index == 20 ? "bad" : "\(index)")) }
        }.compactMap(\.self)
        #expect(errors.map(\.code) == [.unavailable])
        #expect(errors.first?.message.contains("refused by the test") == true)
        #expect(try await queue.statistics()["a"]?.waiting == [.inFlight: 39])
        try await connection.write { try $0.execute(sql: "DROP TRIGGER refuse") }
        #expect(try await queue.store(.event("bad")).count == 1)
    }

    @Test("Retention removes rows in small steps, and the envelope with its last delivery")
    func prunesInSteps() async throws {
        let queue = try await directory.open(.init(deliveredRetention: .seconds(10)))
        let requests = (0..<600).map { EnqueueRequest.event("\($0)", to: $0 == 0 ? ["a", "b"] : ["a"]) }
        let results = try await queue.enqueue(requests)
        let ids = results.flatMap { if case .stored(let leased, _) = $0 { leased.map(\.id) } else { [DeliveryID]() } }
        try await queue.complete(ids.filter { $0 != ids[1] }, at: 5)
        #expect(try await queue.prune(now: .second(14)) == false)
        #expect(try await rows("delivery") == 601)
        #expect(try await queue.prune(now: .second(15)))
        #expect(try await rows("delivery") == 601 - WriteTransaction.removalLimit.deliveries)
        while try await queue.prune(now: .second(15)) {}
        #expect(try await rows("delivery") == 1)
        #expect(try await rows("envelope") == 1)
        #expect(try await bytes() == requests[0].storedBytes)
        #expect(try await rows("deduplication") == 600)
        while try await queue.prune(now: .second(24 * 3600)) {}
        #expect(try await rows("deduplication") == 0)
    }

    @Test("A queue full of what was delivered makes room for a call of any size that fits")
    func makesRoomForMany() async throws {
        let one = EnqueueRequest.event().storedBytes
        let queue = try await directory.open(.init(maxBytes: 1_000 * one))
        for round in 0..<3 {
            let results = try await queue.enqueue((0..<900).map { .event("\(round)-\($0)") })
            let ids = results.flatMap {
                if case .stored(let leased, _) = $0 { leased.map(\.id) } else { [DeliveryID]() }
            }
            try await queue.complete(ids)
        }
        #expect(try await rows("envelope") == 1_000)
    }

    @Test("Without records a payload goes with the last delivery of its envelope, unless one is dead")
    func removesPayloads() async throws {
        let queue = try await directory.open(.init(backendsWithoutRecords: ["a", "b"]))
        let alone = try await queue.store(.event(bytes: 5_000))
        let both = try await queue.store(.event(to: ["a", "b"]))
        let withRecords = try await queue.store(.event(to: ["a", "recorded"]))
        let dead = try await queue.store(.event(to: ["a", "b"]))
        try await queue.complete(alone + [both[0]] + withRecords + [dead[0]])
        try await queue.settle([
            .init(id: dead[1], attempt: nil, verb: .deadLetter(.rejected(.http(status: 410))), at: .second(0))
        ])
        #expect(try await payloads() == [nil, 20, 20, 20])
        try await queue.complete([both[1]])
        #expect(try await payloads() == [nil, nil, 20, 20])
        #expect(try await bytes() == 4 * 256 + 7 * 256 + 40)
    }

    @Test("What is counted against max_bytes is what the rows say, whatever happened")
    func bytesAreTrue() async throws {
        let limits = QueueLimits(
            maxBytes: 20_000, whenFull: .dropOldest, deliveredRetention: .seconds(3), backendsWithoutRecords: ["a"])
        let queue = try await directory.open(limits)
        for second in 0..<100 as Range<Int64> {
            let ids = try await queue.store(
                .event(at: second, to: second % 3 == 0 ? ["a", "b"] : ["a"], bytes: Int(second) * 30))
            if second % 2 == 0 { try await queue.complete([ids[0]], at: second) }
            await queue.release(ids)
            if second % 10 == 0 { _ = try await queue.prune(now: .second(second)) }
        }
        #expect(try await queue.statistics()["a"]?.dropped ?? 0 > 0)
        #expect(try await bytes() == directory.number("SELECT SUM(size) FROM envelope"))
        #expect(try await bytes() <= 20_000)
        let waiting = try await directory.number("SELECT COUNT(*) FROM delivery WHERE settled_at IS NULL")
        let counted = try await queue.statistics().values.reduce(0) { $0 + $1.waiting.values.reduce(0, +) }
        #expect(counted == waiting)
        #expect(
            try await directory.number("SELECT COUNT(*) FROM delivery WHERE envelope NOT IN (SELECT id FROM envelope)")
                == 0)
        #expect(
            try await directory.number("SELECT COUNT(*) FROM envelope WHERE id NOT IN (SELECT envelope FROM delivery)")
                == 0)
    }

    @Test("The next delivery is found by the index alone, from the cursor on")
    func leaseUsesTheIndex() async throws {
        let queue = try await directory.open()
        let connection = try DatabaseQueue(path: directory.database)
        let plan = try await connection.read {
            try Row.fetchAll(
                $0,
                sql: """
                    EXPLAIN QUERY PLAN SELECT due_at, id FROM delivery INDEXED BY delivery_waiting
                    WHERE backend = 'a' AND settled_at IS NULL AND (due_at, id) >= (1, 1) AND due_at < 9
                    ORDER BY due_at, id
                    """
            ).map { $0["detail"] as String }
        }
        #expect(
            plan == [
                "SEARCH delivery USING COVERING INDEX delivery_waiting (backend=? AND due_at>? AND due_at<?)"
            ])
        await queue.close()
    }

    private func rows(_ table: String) async throws -> Int {
        try await directory.number("SELECT COUNT(*) FROM \(table)")
    }

    private func bytes() async throws -> Int { try await directory.number("SELECT bytes FROM meta") }

    private func payloads() async throws -> [Int?] {
        try await DatabaseQueue(path: directory.database).read {
            try Optional<Int>.fetchAll($0, sql: "SELECT length(payload) FROM envelope ORDER BY id")
        }
    }
}
