// What the database holds of answers: backends that were asked before anything was stored, and late answers.

import Foundation
import GRDB
import RelayCore
import RelayTestKit
import Testing

@testable import SQLiteQueue

@Suite("Records of answers")
struct AnswerRecordTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private static let sentID = DeliveryID(queue: 0xABCD, sequence: 77)

    /// A command whose backend `asked` was sent it at once, in its second attempt.
    private func command(
        _ verb: Settlement.Verb, key: String? = nil, outcome: AttemptOutcome = .failed(.timeout),
        to others: [BackendName] = [], bytes: Int = 20
    ) -> EnqueueRequest {
        let attempt = Attempt(number: 2, startedAt: .second(3), finishedAt: .second(4), outcome: outcome)
        let settled = EnqueueRequest.SettledTarget(
            target: .init(backend: "asked", route: "deploys", path: "/deploy"),
            settlement: .init(id: Self.sentID, attempt: attempt, verb: verb, at: .second(5)))
        let event = EnqueueRequest.event(key, at: 1, to: others, bytes: bytes)
        return EnqueueRequest(envelope: event.envelope, targets: event.targets, settled: settled)
    }

    @Test("The record of a backend that was asked before says how that went, and the id it was sent with")
    func settledRow() async throws {
        let queue = try await directory.open()
        let deadLetter = Settlement.Verb.deadLetter(.rejected(.http(status: 410)))
        _ = try await queue.store(command(.complete, outcome: .accepted, to: ["a"]))
        _ = try await queue.store(command(deadLetter, outcome: .rejected(.http(status: 410))))
        var unattempted = command(.expire)
        unattempted.settled?.settlement.attempt = nil
        _ = try await queue.store(unattempted)
        let dead = DeadLetterReason.rejected(.http(status: 410)).description
        let times = "1000000000 5000000000"
        #expect(
            try await texts(
                """
                SELECT printf('%s %s %s %s %s|%s %s %s|%s %s %s %s %s|%s %s', id, envelope, backend, route, path, state,
                    due_at, settled_at, attempts, attempt_started_at, attempt_finished_at, outcome, reason, dead_reason,
                    sent_id)
                FROM delivery ORDER BY id
                """) == [
                    "1 1 asked deploys /deploy|delivered \(times)|2 3000000000 4000000000 accepted | 0000abcd-77",
                    "2 1 a main |pending 1000000000 |0    | ",
                    "3 3 asked deploys /deploy|dead \(times)|2 3000000000 4000000000 rejected http_410|\(dead)"
                        + " 0000abcd-77",
                    "4 4 asked deploys /deploy|expired \(times)|0    | 0000abcd-77",
                ])
        #expect(try await texts("SELECT deliveries FROM envelope ORDER BY id") == ["2", "1", "1"])
    }

    @Test("After close and open again they are counted and known as before, and the others wait")
    func settledReopened() async throws {
        let queue = try await directory.open()
        _ = try await queue.store(command(.deadLetter(.rejected(.http(status: 410))), key: "dead", to: ["a"]))
        _ = try await queue.store(command(.complete, key: "complete"))
        await queue.close()
        let again = try await directory.open()
        #expect(try await again.statistics()["asked"] == QueueStatistics(dead: 1))
        #expect(try await again.enqueue([command(.complete, key: "complete")]) == [.duplicate])
        #expect(try await again.remembers(command(.complete, key: "dead").envelope))
        #expect(try await again.waitingIDs().map(\.sequence) == [2])
        #expect(try await again.store(.event()).map(\.sequence) == [4])
    }

    @Test("Without records the payload of an answered command is never stored, unless it is still needed")
    func payloadNotStored() async throws {
        let limits = QueueLimits(backendsWithoutRecords: ["asked", "a"])
        let queue = try await directory.open(limits)
        _ = try await queue.store(command(.complete, bytes: 5_000))
        _ = try await queue.store(command(.expire, bytes: 5_000))
        _ = try await queue.store(command(.deadLetter(.rejected(.http(status: 410)))))
        let withWaiting = try await queue.store(command(.complete, to: ["a"]))
        let withRecords = try await queue.store(command(.complete, to: ["recorded"]))
        let withDead = try await queue.store(command(.deadLetter(.rejected(.http(status: 410))), to: ["a"]))
        #expect(try await payloads() == [nil, nil, 20, 20, 20, 20])
        try await queue.complete(withWaiting + withRecords + withDead)
        #expect(try await payloads() == [nil, nil, 20, nil, 20, 20])
        #expect(try await directory.number("SELECT bytes FROM meta") == 6 * 256 + 9 * 256 + 60)
        #expect(try await directory.number("SELECT SUM(size) FROM envelope") == 6 * 256 + 9 * 256 + 60)
    }

    @Test("A payload that is not stored needs no room")
    func roomForRecordOnly() async throws {
        let queue = try await directory.open(.init(maxBytes: 512, backendsWithoutRecords: ["asked"]))
        _ = try await queue.store(command(.complete, bytes: 5_000))
        #expect(await queueError { _ = try await queue.store(command(.complete, to: ["a"])) }?.code == .full)
        _ = try await queue.store(command(.expire, bytes: 5_000))
        #expect(try await texts("SELECT state FROM delivery") == ["expired"])
    }

    @Test("They are removed at the end of their retention, counted from when they were settled")
    func settledPruned() async throws {
        let limits = QueueLimits(deliveredRetention: .seconds(10), deadRetention: .seconds(20))
        let queue = try await directory.open(limits)
        for verb in [.complete, .expire, Settlement.Verb.deadLetter(.rejected(.http(status: 410)))] {
            _ = try await queue.store(command(verb))
        }
        for (second, states) in [(14, 3), (15, 2), (24, 2), (25, 0)] as [(Int64, Int)] {
            while try await queue.prune(now: .second(second)) {}
            #expect(try await directory.number("SELECT COUNT(*) FROM delivery") == states, "at \(second)")
        }
        #expect(try await directory.number("SELECT COUNT(*) FROM envelope") == 0)
        #expect(try await directory.number("SELECT bytes FROM meta") == 0)
    }

    @Test("A copy that is being stored is not remembered before it is durable")
    func notRememberedBeforeCommit() async throws {
        let queue = try await directory.open()
        let request = EnqueueRequest.event("k")
        let (entered, continuation) = AsyncStream.makeStream(of: Void.self)
        let gate = DispatchSemaphore(value: 0)
        async let occupied: Void = queue.writer.occupy {
            continuation.finish()
            gate.wait()
        }
        for await _ in entered {}
        async let stored = queue.store(request)
        while queue.writer.waitingCalls < 1 { await Task.yield() }
        #expect(try await queue.remembers(request.envelope) == false)
        gate.signal()
        _ = try await (occupied, stored)
        #expect(try await queue.remembers(request.envelope))
    }

    @Test("Late answers survive a crash, and are gone when they were removed")
    func lateAnswersReopened() async throws {
        do {
            let queue = try await directory.open()
            for id in ["removed", "kept"] { try await queue.store(LateAnswer.late(id)) }
            try await queue.remove(LateAnswer.late("removed").id)
        }
        let queue = try await directory.open()
        #expect(try await queue.lateAnswerIDs() == [LateAnswer.late("kept").id])
        #expect(try await queue.lateAnswer(LateAnswer.late("kept").id) == .late("kept"))
    }

    @Test("Late answers share a transaction with what comes at once; one that cannot be stored fails alone, unprinted")
    func lateAnswersShareTransactions() async throws {
        let queue = try await directory.open()
        try await queue.store(LateAnswer.late("20"))
        let connection = try DatabaseQueue(path: directory.database)
        try await connection.write { db in
            try db.execute(
                sql: """
                    CREATE TRIGGER refuse BEFORE INSERT ON late_answer WHEN NEW.envelope_id = '20'
                    BEGIN SELECT RAISE(ABORT, 'refused by the test'); END
                    """)
        }
        let errors = await queue.together(40) { index in
            await queueError {
                if index == 20 {
                    try await queue.store(LateAnswer.late("20", bytes: 99))
                } else if index.isMultiple(of: 2) {
                    try await queue.store(LateAnswer.late("\(index)"))
                } else {
                    _ = try await queue.store(.event("\(index)"))
                }
            }
        }.compactMap(\.self)
        #expect(errors.map(\.code) == [.unavailable])
        #expect(errors.allSatisfy { error in LateAnswer.secrets.allSatisfy { !"\(error)".contains($0) } })
        #expect(try await queue.lateAnswerIDs().count == 20)
        #expect(try await queue.lateAnswer(LateAnswer.late("20").id) == .late("20"))
        #expect(try await queue.statistics()["a"]?.waiting == [.inFlight: 20])
        try await connection.write { try $0.execute(sql: "DROP TRIGGER refuse") }
        let commits = await queue.writer.commits
        let more = await queue.together(40) { index in
            await queueError { try await queue.store(LateAnswer.late("\(index)")) }
        }
        #expect(more.allSatisfy { $0 == nil })
        #expect(await queue.writer.commits == commits + 1)
    }

    @Test("A database of the first version keeps what it holds, and takes what is new")
    func migrated() async throws {
        try await makeFirstVersion()
        let queue = try await directory.open()
        #expect(
            try await queue.statistics()["a"]
                == QueueStatistics(waiting: [.pending: 1], oldestReceivedAt: .second(1), dead: 1))
        #expect(try await queue.enqueue([.event("old", at: 2)]) == [.duplicate])
        let waiting = try await queue.lease("a", limit: 9, now: .second(9)).deliveries
        #expect(waiting.map(\.id) == [DeliveryID(queue: 9, sequence: 1)])
        #expect(waiting.map(\.payload) == [Payload("{}")])
        try await queue.complete(waiting.map(\.id))
        _ = try await queue.store(command(.complete))
        try await queue.store(LateAnswer.late("e"))
        #expect(
            try await texts("SELECT coalesce(sent_id, '-') FROM delivery ORDER BY id") == ["-", "-", "0000abcd-77"])
        #expect(try await queue.lateAnswerIDs().count == 1)
    }

    /// A queue as Relay made it before it answered: an envelope with a delivery that waits and one that is dead.
    private func makeFirstVersion() async throws {
        let file = try QueueFile(path: directory.database, logger: .silent)
        try file.claim()
        let database = try file.connectToWrite().database
        try QueueSchema.migrator.migrate(database, upTo: "1: envelopes, deliveries, deduplication keys")
        try await database.write { db in
            try db.execute(
                sql: """
                    INSERT INTO meta VALUES (1, 9, 3, 770, 0);
                    INSERT INTO envelope
                    VALUES (1, 2, 770, 'default', 'event', 'e1', 1000000000, NULL, NULL, CAST('{}' AS BLOB));
                    INSERT INTO delivery (id, envelope, backend, route, state, due_at, settled_at, attempts)
                    VALUES (1, 1, 'a', 'main', 'pending', 1000000000, NULL, 0),
                        (2, 1, 'a', 'main', 'dead', 1000000000, 2000000000, 1);
                    INSERT INTO deduplication (seen_at, app, key) VALUES (1000000000, 'default', 'old');
                    """)
        }
        try database.close()
    }

    private func texts(_ sql: String) async throws -> [String] {
        try await DatabaseQueue(path: directory.database).read { try String.fetchAll($0, sql: sql) }
    }

    private func payloads() async throws -> [Int?] {
        try await DatabaseQueue(path: directory.database).read {
            try Optional<Int>.fetchAll($0, sql: "SELECT length(payload) FROM envelope ORDER BY id")
        }
    }
}
