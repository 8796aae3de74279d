// The archive in its database: what survives a crash between any two steps, what fails as a whole, what is counted.

import Foundation
import GRDB
import RelayCore
import RelayTestKit
import Synchronization
import Testing

@testable import SQLiteQueue

@Suite("Archive")
struct ArchiveTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test("A replay that is killed after any of its steps replays each delivery once")
    func replayKilled() async throws {
        let queue = try await directory.open()
        let ids = try await storeDead(7, in: queue)
        let replay = try await queue.createReplay(.init(filter: .init()), now: .second(10))
        for step in 0..<5 {
            let copy = try copyOfLiveQueue()
            let again = try await copy.open()
            for _ in 0..<9 { _ = try await again.advanceReplay(replay.id, limit: 2, now: .second(20)) }
            #expect(try await again.replay(replay.id)?.replayed == 7, "killed after \(step) steps")
            var replays: [Int] = []
            for id in ids { replays.append(try await again.record(id)?.summary.replays ?? 0) }
            #expect(replays == Array(repeating: 1, count: 7), "killed after \(step) steps")
            await again.close()
            _ = try await queue.advanceReplay(replay.id, limit: 2, now: .second(20))
        }
    }

    @Test("A call that fails changes nothing, and what it had taken can be leased")
    func failsWhole() async throws {
        let queue = try await directory.open()
        let dead = try await storeDead(2, in: queue)
        let waiting = try await queue.store(.event(at: 3).ordered("k"))
        #expect(try await queue.store(.event(at: 4).ordered("k")) == [])
        await queue.release(waiting)
        let replay = try await queue.createReplay(.init(filter: .init()), now: .second(10))
        let connection = try DatabaseQueue(path: directory.database)
        try await connection.write { db in
            for table in ["delivery", "replay"] {
                for event in ["UPDATE", "DELETE"] {
                    try db.execute(
                        sql: """
                            CREATE TRIGGER refuse_\(event)_\(table) AFTER \(event) ON \(table)
                            BEGIN SELECT RAISE(ABORT, 'refused by the test'); END
                            """)
                }
            }
        }
        let before = try await content()
        let calls: [@Sendable () async throws -> Void] = [
            { _ = try await queue.retry(dead[0], now: .second(20)) },
            { _ = try await queue.cancel(waiting[0], now: .second(20)) },
            { _ = try await queue.delete(dead[0]) }, { _ = try await queue.delete(.init(), limit: 9) },
            { _ = try await queue.advanceReplay(replay.id, limit: 9, now: .second(20)) },
            { _ = try await queue.cancelReplay(replay.id, now: .second(20)) },
        ]
        for (index, call) in calls.enumerated() { #expect(await queueError(call)?.code == .unavailable, "\(index)") }
        #expect(try await content() == before)
        #expect(
            try await queue.statistics()["a"]
                == QueueStatistics(waiting: [.pending: 2], oldestReceivedAt: .second(3), dead: 2))
        try await connection.write { db in
            for table in ["delivery", "replay"] {
                for event in ["UPDATE", "DELETE"] { try db.execute(sql: "DROP TRIGGER refuse_\(event)_\(table)") }
            }
        }
        #expect(try await queue.waitingIDs() == waiting)
        #expect(try await queue.advanceReplay(replay.id, limit: 9, now: .second(20)).replay?.replayed == 2)
        #expect(try await queue.waitingIDs() == dead)
    }

    @Test("A replay that cannot be read fails alone")
    func unreadableReplay() async throws {
        let queue = try await directory.open()
        let id = try await queue.createReplay(.init(filter: .init()), now: .second(1)).id
        let connection = try DatabaseQueue(path: directory.database)
        try await connection.write { try $0.execute(sql: "UPDATE replay SET filter = 'damaged'") }
        let errors = await queue.together(4) { index in
            await queueError {
                if index == 2 {
                    _ = try await queue.advanceReplay(id, limit: 1, now: .second(2))
                } else {
                    _ = try await queue.store(.event("\(index)"))
                }
            }
        }
        #expect(errors.compactMap(\.?.code) == [.corrupt])
        #expect(try await queue.statistics()["a"]?.waiting == [.inFlight: 3])
    }

    @Test(
        "A replay whose filter cannot be read is told as such; the others go on, and it can be ended",
        arguments: [
            "damaged", "null", #"{"states":["of a later version"]}"#, #"{"kinds":["event","of a later version"]}"#,
            #"{"ids":["1"]}"#, #"{"states":[]}"#, #"{"of_a_later_version":["x"]}"#,
        ])
    func unreadableFilter(_ filter: String) async throws {
        let queue = try await directory.open(.init(deadRetention: .seconds(60)))
        _ = try await storeDead(2, in: queue)
        let ids = [
            try await queue.createReplay(.init(filter: .init { $0.kinds = [.event] }), now: .second(2)).id,
            try await queue.createReplay(.init(filter: .init { $0.kinds = [.event] }), now: .second(3)).id,
        ]
        try await DatabaseQueue(path: directory.database).write {
            try $0.execute(sql: "UPDATE replay SET filter = ? WHERE id = ?", arguments: [filter, ids[0]])
        }
        let found = try await queue.replays()
        #expect(found.map(\.id) == [ids[1], ids[0]])
        #expect(found.map { $0.request.filter == nil } == [false, true])
        #expect(await queueError { _ = try await queue.advanceReplay(ids[0], limit: 9, now: .second(4)) } != nil)
        #expect(try await queue.advanceReplay(ids[1], limit: 9, now: .second(4)).replay?.replayed == 2)
        let ended = try await queue.cancelReplay(ids[0], now: .second(5))
        #expect(ended?.state == .canceled && ended?.endedAt == .second(5) && ended?.replayed == 0)
        #expect(try await queue.replay(ids[0]) == ended)
        while try await queue.prune(now: .second(65)) {}
        #expect(try await queue.replays() == [])
    }

    @Test("Whoever lists delays nobody who stores, leases and settles")
    func listingDelaysNobody() async throws {
        let queue = try await directory.open()
        let gate = DispatchSemaphore(value: 0)
        let (entered, continuation) = AsyncStream.makeStream(of: Void.self)
        async let occupied: Void = queue.archive.occupy {
            continuation.finish()
            gate.wait()
        }
        for await _ in entered {}
        async let listed = queue.deliveries(.init(), PageRequest())
        let ids = try await queue.store(.event())
        await queue.release(ids)
        #expect(try await queue.waitingIDs() == ids)
        try await queue.complete(ids)
        #expect(try await queue.statistics()["a"]?.waiting == [:])
        gate.signal()
        #expect(try await listed.items.map(\.state) == [.delivered])
        await occupied
    }

    @Test("Whoever looks for the oldest delivery delays nobody who leases, and finds it behind many that are settled")
    func oldestBehindMany() async throws {
        let settled = Int64(3 * ArchiveReader.stepRows)
        try await directory.open().close()
        try await fill(settled)
        let queue = try await directory.open()
        let waiting = try await queue.store(.event(at: 7))
        await queue.release(waiting)
        let first = DeliveryID(queue: waiting[0].queue, sequence: 1)
        #expect(try await queue.retry(first, now: .second(8)) == .done("a"))
        #expect(try await queue.statistics()["a"]?.oldestReceivedAt == .second(1))
        let gate = DispatchSemaphore(value: 0)
        let (entered, continuation) = AsyncStream.makeStream(of: Void.self)
        async let occupied: Void = queue.archive.occupy {
            continuation.finish()
            gate.wait()
        }
        for await _ in entered {}
        async let statistics = queue.statistics()
        #expect(try await queue.waitingIDs() == waiting + [first])
        try await queue.complete([first])
        gate.signal()
        #expect(try await statistics["a"]?.oldestReceivedAt == .second(7))
        await occupied
        // A list of what waits begins there.
        let oldest = queue.state.withTable(\.oldestUnfinished)
        #expect(oldest == settled + 1)
    }

    @Test("A list gives way between its steps: to whoever looks at one delivery, and to the end of the queue")
    func listGivesWay() async throws {
        try await directory.open().close()
        try await fill(Int64(3 * ArchiveReader.stepRows))
        let queue = try await directory.open()
        let filter = DeliveryFilter { $0.routes = ["none"] }
        #expect(try await queue.archive.isOvertaken(whileListing: filter) { _ = try $0.record(1) })
        let error = await queueError {
            _ = try await queue.archive.isOvertaken(whileListing: filter) { $0.close() }
        }
        #expect(error?.code == .closed)
    }

    /// Delivered ones, as if they had been stored at the first second.
    private func fill(_ count: Int64) async throws {
        try await DatabaseQueue(path: directory.database).write { db in
            try db.execute(
                sql: """
                    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < \(count))
                    INSERT INTO envelope
                    SELECT i, 1, 500, 'app', 'event', 'e', 1000000000, NULL, NULL, CAST('{}' AS BLOB) FROM n;
                    INSERT INTO delivery
                        (id, envelope, backend, route, state, due_at, settled_at, attempts)
                    SELECT id, id, 'a', 'main', 'delivered', received_at, received_at, 0 FROM envelope;
                    UPDATE meta SET next_sequence = \(count + 1), bytes = 500 * \(count);
                    """)
        }
    }

    @Test("Dead letters are found by an index that holds no delivered ones")
    func listUsesTheIndex() async throws {
        let queue = try await directory.open()
        await queue.close()
        let query = DeliveryQuery(.init { $0.states = [.dead] }, queueID: 1)
        try await DatabaseQueue(path: directory.database).read { db in
            let window = try query.window(below: 100, size: 10, db)
            #expect(window.isLast)
            let plan = try Row.fetchAll(
                db, sql: "EXPLAIN QUERY PLAN " + query.sql("delivery.id", in: window, .newestFirst),
                arguments: StatementArguments([1, 99, "[\"dead\"]"]))
            #expect(
                plan.first?["detail"] == "SEARCH delivery USING COVERING INDEX delivery_removable (id>? AND id<?)")
        }
    }

    @Test("The index of dead letters is made for what they are asked for with, word for word")
    func removableIndex() async throws {
        let queue = try await directory.open()
        await queue.close()
        let made = try await DatabaseQueue(path: directory.database).read {
            try String.fetchOne($0, sql: "SELECT sql FROM sqlite_schema WHERE name = 'delivery_removable'")
        }
        #expect(made?.hasSuffix(" WHERE \(DeliveryQuery.removable)") == true)
    }

    @Test("A database of the second version keeps what it holds, and takes what is new")
    func migrated() async throws {
        try await makeSecondVersion()
        let queue = try await directory.open()
        #expect(
            try await queue.statistics()["a"]
                == QueueStatistics(waiting: [.scheduled: 1], oldestReceivedAt: .second(1), dead: 1))
        let waiting = try await queue.lease("a", limit: 9, now: .second(9)).deliveries
        #expect(waiting.map(\.attemptsMade) == [2] && waiting.map(\.firstAttemptAt) == [nil])
        try await queue.complete(waiting.map(\.id))
        let dead = DeliveryID(queue: 9, sequence: 2)
        let attempt = RecordedAttempt(
            number: 3, startedAt: .second(2), finishedAt: .second(3), outcome: "failed", reason: "timeout")
        #expect(try await queue.record(dead)?.attempts == [attempt])
        #expect(try await queue.retry(dead, now: .second(5)) == .done("a"))
        #expect(try await queue.record(dead)?.attempts == [attempt])
        #expect(try await queue.waitingIDs() == [dead])
        #expect(try await directory.number("PRAGMA auto_vacuum") == QueueFile.incremental)
        #expect(try await directory.number("SELECT COUNT(*) FROM envelope") == 1)
    }

    @Test("A history of before probes were in it is kept")
    func historyBeforeProbes() async throws {
        try await makeSecondVersion()
        let database = try DatabaseQueue(path: directory.database)
        try QueueSchema.migrator.migrate(database, upTo: "5: history of deliveries, replays")
        try await database.write { db in
            try db.execute(
                sql: """
                    UPDATE meta SET history_bytes = 200;
                    UPDATE delivery SET has_history = 1 WHERE id = 2;
                    INSERT INTO attempt VALUES (2, 0, 3, 2000000000, 3000000000, 'failed', 'timeout', 'no answer', 200);
                    """)
        }
        try database.close()
        let attempt = RecordedAttempt(
            number: 3, startedAt: .second(2), finishedAt: .second(3), outcome: "failed", reason: "timeout",
            detail: "no answer")
        let queue = try await directory.open()
        #expect(try await queue.record(DeliveryID(queue: 9, sequence: 2))?.attempts == [attempt])
        #expect(try await directory.number("SELECT SUM(size) - history_bytes FROM attempt, meta") == 0)
    }

    /// A queue as Relay made it before it kept a history: an envelope with a delivery that is scheduled and one that is
    /// dead, in a file that does not shrink.
    private func makeSecondVersion() async throws {
        let database = try DatabaseQueue(path: directory.database)
        try await database.writeWithoutTransaction { db in
            try db.execute(
                sql: "PRAGMA page_size = 8192; PRAGMA application_id = \(QueueSchema.applicationID)")
        }
        try QueueSchema.migrator.migrate(
            database, upTo: "2: deliveries that were sent before they were stored, late answers")
        try await database.write { db in
            try db.execute(
                sql: """
                    INSERT INTO meta VALUES (1, 9, 3, 770, 0);
                    INSERT INTO envelope
                    VALUES (1, 2, 770, 'default', 'event', 'e1', 1000000000, NULL, NULL, CAST('{}' AS BLOB));
                    INSERT INTO delivery
                        (id, envelope, backend, route, state, due_at, settled_at, attempts, attempt_started_at,
                        attempt_finished_at, outcome, reason, dead_reason)
                    VALUES (1, 1, 'a', 'main', 'scheduled', 4000000000, NULL, 2, 2000000000, 3000000000, 'failed',
                            'timeout', NULL),
                        (2, 1, 'a', 'main', 'dead', 1000000000, 3000000000, 3, 2000000000, 3000000000, 'failed',
                            'timeout', 'attempts_exhausted_timeout');
                    """)
        }
        try database.close()
    }

    @Test("A large database of an older version is left as it is, and works")
    func leftAsItIs() async throws {
        try await makeSecondVersion()
        let database = try QueueFile(path: directory.database, logger: .silent).connectToWrite().database
        #expect(try !QueueFile(path: directory.database, logger: .silent).makeShrinkable(database, maxBytes: 1_000))
        #expect(try await database.read { try Int.fetchOne($0, sql: "PRAGMA auto_vacuum") } == 0)
        try QueueSchema.migrator.migrate(database)
        let store = try await database.writeWithoutTransaction { try QueueStore($0).isShrinkable }
        #expect(!store)
    }

    @Test("What was removed of a delivery leaves nothing of its history")
    func historyRemoved() async throws {
        let queue = try await directory.open(.init(deliveredRetention: .seconds(5), deadRetention: .seconds(5)))
        _ = try await storeDead(3, in: queue)
        let failed = try await queue.store(.event(at: 9))
        try await queue.settle([settlement(failed[0], 1, .reschedule(at: .second(9)))])
        try await queue.complete(queue.waitingIDs(), at: 10)
        #expect(try await directory.number("SELECT COUNT(*) FROM attempt") == 4)
        #expect(try await directory.number("SELECT COUNT(*) FROM response") == 3)
        while try await queue.prune(now: .second(100)) {}
        for table in ["attempt", "response", "delivery", "envelope"] {
            #expect(try await directory.number("SELECT COUNT(*) FROM \(table)") == 0, "\(table)")
        }
        #expect(try await directory.number("SELECT bytes + history_bytes FROM meta") == 0)
    }

    @Test("A limit of the history that was lowered is reached by and by, the oldest deliveries first")
    func historyLowered() async throws {
        var queue = try await directory.open()
        var stored: [DeliveryID] = []
        for _ in 0..<100 { stored += try await queue.store(.event()) }
        try await queue.settle(
            stored.map { settlement($0, 1, .deadLetter(.attemptsExhausted(.timeout)), at: 1_000) })
        await queue.close()
        let limits = QueueLimits(maxBytes: 512 << 10)
        queue = try await directory.open(limits)
        var kept = try await directory.number("SELECT COUNT(DISTINCT delivery) FROM attempt")
        for _ in 0..<4 {
            _ = try await storeDead(1, in: queue)
            let now = try await directory.number("SELECT COUNT(DISTINCT delivery) FROM attempt")
            #expect((0...WriteTransaction.historyRemovalLimit).contains(kept + 1 - now))
            kept = now
        }
        #expect(try await directory.number("SELECT history_bytes FROM meta") <= limits.maxHistoryBytes)
        #expect(try await queue.record(stored[0])?.attempts.count == 1)
        #expect(try await queue.record(stored[0])?.response == nil)
        #expect(try await directory.number("SELECT MAX(delivery) FROM attempt") == 104)
    }

    @Test("What succeeds at once has no row but its own")
    func nothingMoreForSuccess() async throws {
        let queue = try await directory.open()
        let id = try await queue.store(.event())[0]
        let attempt = Attempt(number: 1, startedAt: .second(1), finishedAt: .second(2), outcome: .accepted)
        try await queue.settle([.init(id: id, attempt: attempt, verb: .complete, at: .second(2))])
        #expect(try await directory.number("SELECT COUNT(*) FROM attempt") == 0)
        #expect(try await directory.number("SELECT has_history FROM delivery") == 0)
        #expect(try await directory.number("SELECT first_attempt_at FROM delivery") == 1_000_000_000)
    }

    // MARK: What is counted

    @Test(
        "After anything that was done, the counts are what the rows say, and one of an order key is due",
        arguments: 1...4)
    func countsAreTrue(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let limits = QueueLimits(
            maxBytes: 60_000, whenFull: .dropOldest, deliveredRetention: .seconds(40), deadRetention: .seconds(90),
            backendsWithoutRecords: ["a"])
        var queue = try await directory.open(limits)
        for second in 0..<400 as Range<Int64> {
            try await doSomething(second, in: queue, &random)
            if second % 40 == 39 { try await checkCounts(queue, "seed \(seed), second \(second)") }
            if second % 160 == 159 {
                await queue.close()
                queue = try await directory.open(limits)
                try await checkCounts(queue, "seed \(seed), reopened")
            }
        }
    }

    private func doSomething(_ second: Int64, in queue: SQLiteQueue, _ random: inout SeededGenerator) async throws {
        let now = Timestamp.second(second)
        let all = try await queue.deliveries(.init(), PageRequest(limit: 200)).items.map(\.id)
        func one() -> DeliveryID { all.randomElement(using: &random) ?? DeliveryID(queue: 1, sequence: 1) }
        switch Int.random(in: 0..<12, using: &random) {
        case 0...3:
            var request = EnqueueRequest.event(
                at: second, to: Bool.random(using: &random) ? ["a", "b"] : ["a"],
                bytes: Int.random(in: 0..<3_000, using: &random))
            if Bool.random(using: &random) {
                request = request.ordered(["k", "l"].randomElement(using: &random) ?? "k")
            }
            let stored = try await queue.store(request)
            if Bool.random(using: &random) { await queue.release(stored) }
        case 4...6:
            let leased = try await queue.lease(
                Bool.random(using: &random) ? "a" : "b", limit: 3, now: now
            ).deliveries
            let verbs: [Settlement.Verb] = [
                .complete, .expire, .reschedule(at: .second(second + 3)), .deadLetter(.attemptsExhausted(.timeout)),
            ]
            for delivery in leased {
                guard let verb = verbs.randomElement(using: &random) else { continue }
                var settlement = settlement(delivery.id, delivery.attemptsMade + 1, verb, at: second)
                if !verb.state.isFinal { settlement.attempt?.isProbe = second.isMultiple(of: 3) }
                try await queue.settle([settlement])
            }
        case 7: _ = try await queue.retry(one(), now: now)
        case 8: _ = try await queue.cancel(one(), now: now)
        case 9: _ = try await queue.delete(one())
        case 10:
            let states = [DeliveryState.dead, .delivered, .expired, .canceled].shuffled(using: &random).prefix(2)
            let filter = DeliveryFilter { $0.states = Set(states) }
            let replay = try await queue.createReplay(.init(filter: filter), now: now)
            _ = try await queue.advanceReplay(replay.id, limit: 3, now: now)
            _ = try await queue.delete(filter, limit: 2)
        default: _ = try await queue.prune(now: now)
        }
    }

    private func checkCounts(_ queue: SQLiteQueue, _ comment: Comment) async throws {
        let none = [
            "SELECT bytes - (SELECT coalesce(SUM(size), 0) FROM envelope) FROM meta",
            """
            SELECT history_bytes - (SELECT coalesce(SUM(size), 0) FROM attempt)
                - (SELECT coalesce(SUM(size), 0) FROM response) FROM meta
            """,
            "SELECT COUNT(*) FROM delivery WHERE envelope NOT IN (SELECT id FROM envelope)",
            "SELECT COUNT(*) FROM envelope WHERE id NOT IN (SELECT envelope FROM delivery)",
            "SELECT COUNT(*) FROM attempt WHERE delivery NOT IN (SELECT id FROM delivery WHERE has_history)",
            "SELECT COUNT(*) FROM response WHERE delivery NOT IN (SELECT delivery FROM attempt)",
            "SELECT COUNT(*) FROM response JOIN delivery ON id = delivery WHERE state = 'delivered'",
            // All but one of an order key wait for it.
            """
            SELECT COUNT(*) FROM (
                SELECT 1 FROM delivery WHERE settled_at IS NULL AND order_key IS NOT NULL
                GROUP BY backend, order_key HAVING SUM(due_at < \(Int64.max)) <> 1)
            """,
            "SELECT COUNT(*) FROM delivery WHERE settled_at IS NULL AND order_key IS NULL AND due_at = \(Int64.max)",
            """
            SELECT COUNT(*) FROM delivery JOIN envelope ON envelope.id = envelope
            WHERE payload IS NULL AND (settled_at IS NULL OR state = 'dead' OR backend <> 'a')
            """,
            "SELECT bytes > 60000 FROM meta",
        ]
        for sql in none { #expect(try await directory.number(sql) == 0, "\(comment.rawValue): \(sql)") }
        let statistics = try await queue.statistics()
        #expect(
            try await directory.number("SELECT COUNT(*) FROM delivery WHERE settled_at IS NULL")
                == statistics.values.reduce(0) { $0 + $1.waitingCount }, comment)
        #expect(
            try await directory.number("SELECT COUNT(*) FROM delivery WHERE state = 'dead'")
                == statistics.values.reduce(0) { $0 + $1.dead }, comment)
        for (backend, entry) in statistics {
            let oldest = try await directory.number(
                """
                SELECT coalesce(MIN(received_at), -1) FROM envelope WHERE id IN (
                    SELECT envelope FROM delivery WHERE settled_at IS NULL AND backend = '\(backend)')
                """)
            #expect(entry.oldestReceivedAt?.nanosecondsSinceEpoch ?? -1 == Int64(oldest), comment)
        }
    }

    // MARK: Space

    @Test("After a backlog the file is as small as before, though storing goes on, and holds what it held")
    func shrinks() async throws {
        let queue = try await directory.open(.init(deliveredRetention: .seconds(10)))
        let waiting = try await queue.store(.event("first", bytes: 10_000))
        await queue.release(waiting)
        try await checkpoint()
        let before = try directory.fileBytes()
        for _ in 0..<20 {
            let stored = try await queue.enqueue((0..<40).map { _ in .event(at: 1, to: ["b"], bytes: 20_000) })
            try await queue.complete(
                stored.flatMap { if case .stored(let leased, _) = $0 { leased.map(\.id) } else { [DeliveryID]() } })
        }
        try await checkpoint()
        #expect(try directory.fileBytes() > before + 15_000_000)
        var kept = waiting
        var steps = 0
        while try await queue.prune(now: .second(60)) {
            steps += 1
            if steps.isMultiple(of: 10) {
                let stored = try await queue.store(.event(at: 2, bytes: 10_000))
                await queue.release(stored)
                kept += stored
            }
        }
        #expect(steps > 20)
        // Its callers are told before the file shrinks: the next transaction comes behind that.
        #expect(try await queue.prune(now: .second(60)) == false)
        let free = Int64(WriteTransaction.freePagesKept * 8_192)
        #expect(try directory.fileBytes() < before + 4 * free)
        #expect(
            try await directory.number("SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'") == 0
        )
        #expect(try await queue.waitingIDs() == kept)
    }

    @Test("A caller who needs room waits for so many removals at most that free nothing; the next one goes on")
    func roomLimit() async throws {
        let count = WriteTransaction.roomLimit + 500
        let request = EnqueueRequest.event(at: 1, to: ["a", "b"])
        let queue = try await directory.open(.init(maxBytes: Int64(count) * request.storedBytes + 10))
        for _ in 0..<count / 500 {
            let results = try await queue.enqueue(Array(repeating: request, count: 500))
            let leased = results.flatMap { if case .stored(let leased, _) = $0 { leased } else { [Delivery]() } }
            try await queue.complete(leased.filter { $0.backend == "a" }.map(\.id))
            await queue.release(leased.filter { $0.backend == "b" }.map(\.id))
        }
        for left in [500, 0] {
            #expect(await queueError { _ = try await queue.store(.event(at: 2)) }?.code == .full)
            #expect(try await directory.number("SELECT COUNT(*) FROM delivery WHERE state = 'delivered'") == left)
        }
        #expect(try await directory.number("SELECT COUNT(*) FROM delivery") == count)
    }

    /// As a busy queue does it by itself, and from outside.
    private func checkpoint() async throws { _ = try await directory.number("PRAGMA wal_checkpoint(PASSIVE)") }

    // MARK: What the tests are told with

    private func settlement(
        _ id: DeliveryID, _ number: Int, _ verb: Settlement.Verb, at second: Int64 = 1
    ) -> Settlement {
        let response = RecordedResponse(
            status: 500, headers: [("Server", "test")], body: Array(repeating: 0x78, count: Int(second) * 10))
        let attempt = Attempt(
            number: number, startedAt: .second(second), finishedAt: .second(second),
            outcome: verb == .complete ? .accepted : .failed(.timeout), detail: "detail \(number)",
            response: verb == .complete ? nil : response)
        return Settlement(id: id, attempt: attempt, verb: verb, at: .second(second))
    }

    private func storeDead(_ count: Int64, in queue: SQLiteQueue) async throws -> [DeliveryID] {
        var ids: [DeliveryID] = []
        for second in 0..<count { ids += try await queue.store(.event(at: second)) }
        try await queue.settle(ids.map { settlement($0, 1, .deadLetter(.attemptsExhausted(.timeout))) })
        return ids
    }

    /// The files as they are on the disk now.
    private func copyOfLiveQueue() throws -> TemporaryDirectory {
        let copy = try TemporaryDirectory()
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(atPath: directory.database + suffix, toPath: copy.database + suffix)
        }
        return copy
    }

    /// All rows that the archive changes.
    private func content() async throws -> [String] {
        try await DatabaseQueue(path: directory.database).read { db in
            try ["meta", "envelope", "delivery", "attempt", "response", "replay"].flatMap {
                try Row.fetchAll(db, sql: "SELECT * FROM \($0)").map(\.description)
            }
        }
    }
}

extension ArchiveReader {
    func occupy(_ body: @Sendable () -> Void) { body() }

    /// Whether a call that comes right after a list began is over before the list is.
    func isOvertaken(
        whileListing filter: DeliveryFilter, by body: @escaping @Sendable (isolated ArchiveReader) throws -> Void
    ) async throws -> Bool {
        let isOver = Mutex(false)
        // It waits for this actor from now on.
        let call = Task {
            try body(self)
            isOver.withLock { $0 = true }
        }
        _ = try await deliveries(filter, PageRequest())
        let isOvertaken = isOver.withLock(\.self)
        try await call.value
        return isOvertaken
    }
}

extension DeliveryFilter {
    init(_ change: (inout DeliveryFilter) -> Void) {
        self.init()
        change(&self)
    }
}

/// SplitMix64: the same numbers for the same seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
