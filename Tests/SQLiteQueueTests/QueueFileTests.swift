// What the queue asks of its file and its directory, and what it does to them.

import Foundation
import GRDB
import RelayCore
import RelayTestKit
import Testing

@testable import SQLiteQueue

@Suite("QueueFile")
struct QueueFileTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func openingError() async -> QueueError? { await queueError { _ = try await directory.open() } }

    @Test("A second opener is told who holds the queue")
    func locked() async throws {
        let queue = try await directory.open()
        let error = await openingError()
        #expect(error?.code == .locked)
        #expect(error?.message == "\(directory.database).lock is locked by process \(getpid())")
        await queue.close()
        #expect(await openingError() == nil)
    }

    @Test("Two names of one file have one lock")
    func lockedBehindLink() async throws {
        let queue = try await directory.open()
        let link = directory.path + "/link.db"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: directory.database)
        let error = await queueError { _ = try await SQLiteQueue(path: link, logger: .silent) }
        #expect(error?.code == .locked)
        await queue.close()
    }

    @Test("Two names of a file that is not there yet have one lock")
    func lockedBehindEarlyLink() async throws {
        let links = ["/first.db": "second.db", "/second.db": directory.database]
        for (name, target) in links {
            try FileManager.default.createSymbolicLink(atPath: directory.path + name, withDestinationPath: target)
        }
        let queue = try await SQLiteQueue(path: directory.path + "/first.db", logger: .silent)
        for path in [directory.path + "/first.db", directory.database] {
            #expect(await queueError { _ = try await SQLiteQueue(path: path, logger: .silent) }?.code == .locked)
        }
        await queue.close()
        try FileManager.default.createSymbolicLink(atPath: directory.path + "/loop", withDestinationPath: "loop")
        let error = await queueError { _ = try await SQLiteQueue(path: directory.path + "/loop", logger: .silent) }
        #expect(error?.code == .unusable)
    }

    @Test("Who looks at the queue's place is told who holds it, by any name, and changes nothing")
    func inspected() async throws {
        let link = directory.path + "/link.db"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: directory.database)
        #expect(QueueInspection.inspect(link).problem == nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["link.db"])
        let queue = try await directory.open()
        for path in [link, directory.database] {
            let problem = QueueInspection.inspect(path).problem
            #expect(problem?.code == .locked)
            #expect(problem?.message == "\(directory.database).lock is locked by process \(getpid())")
        }
        await queue.close()
        let left = Data("4711\n".utf8)
        try left.write(to: URL(fileURLWithPath: directory.database + ".lock"))
        #expect(QueueInspection.inspect(link).problem == nil)
        #expect(FileManager.default.contents(atPath: directory.database + ".lock") == left)
    }

    @Test("Who looks who holds the queue keeps nobody from taking it")
    func lookedAt() throws {
        try lockAndLetGo(directory.path + "/other.lock") { Issue.record("nobody looks") }
        // As who looks does it, but for longer than an instant.
        let path = directory.path + "/some.lock"
        var looking = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0o600)
        #expect(flock(looking, LOCK_SH | LOCK_NB) == 0)
        #expect(FileLock.holder(of: path) == nil)
        var tries = 0
        #expect(throws: QueueError.self) { try lockAndLetGo(path) { tries += 1 } }
        #expect(tries == 100)
        try lockAndLetGo(path) {
            if looking >= 0 { _ = close(looking) }
            looking = -1
        }
        #expect(looking == -1)
    }

    private func lockAndLetGo(_ path: String, pause: () -> Void) throws(QueueError) {
        let lock = try FileLock(path: path, pause: pause)
        #expect(FileLock.holder(of: path) == "process \(getpid())")
        _ = consume lock
    }

    @Test("Another process cannot lock the queue", .enabled(if: access("/usr/bin/flock", X_OK) == 0))
    func lockedForOtherProcess() async throws {
        let queue = try await directory.open()
        #expect(try run("/usr/bin/flock", "--nonblock", directory.database + ".lock", "true") != 0)
        await queue.close()
        #expect(try run("/usr/bin/flock", "--nonblock", directory.database + ".lock", "true") == 0)
    }

    @Test("All files are their owner's alone, though the umask and an older file say otherwise")
    func permissions() async throws {
        let old = umask(0)
        defer { umask(old) }
        for name in ["relay.db", "relay.db.lock"] {
            _ = FileManager.default.createFile(
                atPath: "\(directory.path)/\(name)", contents: nil, attributes: [.posixPermissions: 0o666])
        }
        let queue = try await directory.open()
        _ = try await queue.store(.event())
        _ = try await queue.waitingIDs()
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
        #expect(names == ["relay.db", "relay.db-shm", "relay.db-wal", "relay.db.lock"])
        for name in names { #expect(try mode(name) == 0o600, "\(name)") }
    }

    @Test("A missing directory is named")
    func missingDirectory() async {
        let path = directory.path + "/none/relay.db"
        let error = await queueError { _ = try await SQLiteQueue(path: path, logger: .silent) }
        #expect(error?.code == .unusable)
        #expect(error?.message.contains(directory.path + "/none") == true)
    }

    @Test("A directory, or a file that is no queue, is refused and left as it is")
    func foreignFile() async throws {
        let text = Data("a letter, longer than the header of a database: \(String(repeating: "x", count: 100))".utf8)
        _ = FileManager.default.createFile(
            atPath: directory.database, contents: text, attributes: [.posixPermissions: 0o644])
        let problem = QueueInspection.inspect(directory.database).problem
        #expect(problem?.message == "\(directory.database) is not a Relay queue: it is not an SQLite database")
        #expect(await openingError()?.message == problem?.message)
        #expect(FileManager.default.contents(atPath: directory.database) == text)
        #expect(try mode("relay.db") == 0o644)
        try FileManager.default.removeItem(atPath: directory.database)
        try FileManager.default.createDirectory(atPath: directory.database, withIntermediateDirectories: false)
        #expect(await openingError()?.code == .unusable)
        #expect(
            QueueInspection.inspect(directory.database).problem?.message
                == "\(directory.database) is not a regular file")
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["relay.db"])
    }

    @Test("A database of another program is refused and left as it is")
    func foreignDatabase() async throws {
        do {
            let other = try DatabaseQueue(path: directory.database)
            try await other.write { try $0.execute(sql: "CREATE TABLE other (id INTEGER PRIMARY KEY)") }
            try other.close()
        }
        let before = FileManager.default.contents(atPath: directory.database)
        #expect(await openingError()?.code == .unusable)
        #expect(FileManager.default.contents(atPath: directory.database) == before)
    }

    @Test("A database of a newer Relay is refused, and opens again with the newer one")
    func newerDatabase() async throws {
        let queue = try await directory.open()
        let ids = try await queue.store(.event())
        await queue.close()
        try await migrations("INSERT INTO grdb_migrations VALUES ('9: from the future')")
        let error = await openingError()
        #expect(error?.code == .unusable)
        #expect(error?.message.contains("newer") == true)
        try await migrations("DELETE FROM grdb_migrations WHERE identifier = '9: from the future'")
        #expect(try await directory.open().waitingIDs() == ids)
    }

    @Test("A damaged database is told as corrupt")
    func damaged() async throws {
        let queue = try await directory.open()
        _ = try await queue.enqueue((0..<200).map { .event("\($0)", bytes: 500) })
        await queue.close()
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: directory.database))
        try file.seek(toOffset: 100)
        try file.write(contentsOf: Data(repeating: 0xA5, count: 60_000))
        try file.close()
        #expect(await openingError()?.code == .corrupt)
    }

    @Test("A probe tells that the file was removed, and nothing is stored in it")
    func removed() async throws {
        let queue = try await directory.open()
        try await queue.probe()
        try FileManager.default.moveItem(atPath: directory.database, toPath: directory.path + "/moved.db")
        #expect(await queueError { try await queue.probe() }?.code == .unavailable)
        try FileManager.default.moveItem(atPath: directory.path + "/moved.db", toPath: directory.database)
        try await queue.probe()
    }

    @Test("A copy in the file's place is not written to, whatever it holds")
    func replaced() async throws {
        let queue = try await directory.open()
        _ = try await queue.store(.event("1"))
        let moved = directory.path + "/moved.db"
        try FileManager.default.moveItem(atPath: directory.database, toPath: moved)
        try FileManager.default.copyItem(atPath: moved, toPath: directory.database)
        #expect(await queueError { try await queue.probe() }?.code == .unavailable)
        let error = await queueError { _ = try await queue.store(.event("2")) }
        #expect(error?.message.contains("was removed or replaced while the queue was open") == true)
    }

    @Test("A write-ahead log that was removed is written to no more; what it held is in the file at the end")
    func logRemoved() async throws {
        let queue = try await directory.open()
        _ = try await queue.store(.event("1"))
        try await queue.probe()
        try FileManager.default.removeItem(atPath: directory.database + "-wal")
        for _ in 1...2 {
            let error = await queueError { try await queue.probe() }
            #expect(error?.message.contains("-wal was removed or replaced while the queue was open") == true)
            #expect(await queueError { _ = try await queue.store(.event("2")) }?.code == .unavailable)
        }
        await queue.close()
        #expect(try await directory.open().waitingIDs().map(\.sequence) == [1])
    }

    @Test("Other programs see that the queue is in use, also after its writer has opened it anew")
    func staysInUse() async throws {
        // Stays open: to close it would take the locks away.
        let descriptor = open(directory.database, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { Foundation.close(descriptor) }
        let queue = try await directory.open()
        _ = try await queue.store(.event("1"))
        #expect(try await queue.deliveries(.init(), PageRequest()).items.count == 1)
        #expect(try isLocked(descriptor))
        await queue.writer.giveUpConnection()
        _ = try await queue.store(.event("2"))
        #expect(try isLocked(descriptor))
        await queue.close()
        #expect(try !isLocked(descriptor))
    }

    /// Whether the file has a lock that is in the way of one of this descriptor's own (fcntl_locking(2), F_OFD_GETLK).
    private func isLocked(_ descriptor: CInt) throws -> Bool {
        var lock = flock(
            l_type: Int16(F_WRLCK), l_whence: Int16(SEEK_SET), l_start: 0, l_len: 0, l_pid: 0)
        let code = fcntl(descriptor, 36, &lock)
        try #require(code == 0)
        return lock.l_type != Int16(F_UNLCK)
    }

    @Test("No error holds a payload")
    func errorsHoldNoPayload() async throws {
        let queue = try await directory.open()
        let connection = try DatabaseQueue(path: directory.database)
        try await connection.write { db in
            try db.execute(
                sql: """
                    CREATE TRIGGER refuse BEFORE INSERT ON envelope BEGIN SELECT RAISE(ABORT, 'refused'); END
                    """)
        }
        let error = await queueError { _ = try await queue.store(.event(bytes: 40)) }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("xxx") == false)
    }

    private func mode(_ name: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: "\(directory.path)/\(name)")[.posixPermissions] as? Int
    }

    private func migrations(_ sql: String) async throws {
        let database = try DatabaseQueue(path: directory.database)
        try await database.write { try $0.execute(sql: sql) }
        try database.close()
    }
}

/// Runs a program to its end and returns its exit code.
func run(_ path: String, _ arguments: String...) throws -> Int32 {
    waitForEnd(of: try spawn(path, arguments, environment: ProcessInfo.processInfo.environment))
}

@Suite struct DurabilityPragmaTests {
    @Test("the writing connection syncs each commit to the disk: write-ahead log, synchronous FULL")
    func pragmas() throws {
        let directory = try TemporaryDirectory()
        let database = try QueueFile(path: directory.database, logger: .silent).connectToWrite().database
        let (journal, synchronous) = try database.writeWithoutTransaction { db in
            (try String.fetchOne(db, sql: "PRAGMA journal_mode"), try Int.fetchOne(db, sql: "PRAGMA synchronous"))
        }
        #expect(journal == "wal")
        // 2 is FULL (https://www.sqlite.org/pragma.html#pragma_synchronous).
        #expect(synchronous == 2)
    }
}

/// Files that SQLite opens and that say what Relay never wrote.
@Suite struct DamagedFileTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func damage(_ sql: String) async throws {
        let database = try DatabaseQueue(path: directory.database)
        try await database.writeWithoutTransaction { try $0.execute(sql: sql) }
        try database.close()
    }

    @Test("a delivery that cannot be read does not keep the ones behind it back, and is given up")
    func skipped() async throws {
        var queue = try await directory.open()
        let ids = try await queue.store(.event(at: 1)) + queue.store(.event(at: 2))
        await queue.close()
        try await damage("UPDATE envelope SET kind = 'of a later version' WHERE id = 1")
        queue = try await directory.open()
        #expect(try await queue.waitingIDs() == [ids[1]])
        #expect(
            try await queue.statistics()["a"]
                == QueueStatistics(waiting: [.inFlight: 1], oldestReceivedAt: .second(2), dead: 1))
        // Whoever mends it, or has the later version, can make it again.
        await queue.close()
        try await damage("UPDATE envelope SET kind = 'event' WHERE id = 1")
        queue = try await directory.open()
        #expect(try await queue.record(ids[0])?.summary.deadReason == "rejected_request_error")
        #expect(try await queue.retry(ids[0], now: .second(9)) == .done("a"))
        #expect(try await queue.waitingIDs() == [ids[1], ids[0]])
    }

    @Test(
        "deliveries whose envelopes are gone keep none of the others back, and are given up",
        arguments: [[1], [2], [1, 3]])
    func envelopeGone(_ gone: [Int64]) async throws {
        var queue = try await directory.open()
        for second in 1...4 as ClosedRange<Int64> { _ = try await queue.store(.event(at: second)) }
        await queue.close()
        for id in gone { try await damage("DELETE FROM envelope WHERE id = \(id)") }
        queue = try await directory.open()
        let result = try await queue.lease("a", limit: 9, now: .second(9))
        #expect(result.deliveries.map(\.id.sequence) == (1...4).filter { !gone.contains($0) })
        #expect(try await queue.statistics()["a"]?.dead == gone.count)
    }

    @Test(
        "a delivery that cannot be read ends, and the next of its order key goes on",
        arguments: [
            "UPDATE envelope SET kind = 'of a later version' WHERE id = 1",
            "UPDATE delivery SET state = 'of a later version' WHERE id = 1",
            "UPDATE envelope SET payload = NULL WHERE id = 1", "DELETE FROM envelope WHERE id = 1",
        ])
    func orderGoesOn(_ sql: String) async throws {
        var queue = try await directory.open()
        for second in 1...2 as ClosedRange<Int64> { _ = try await queue.store(.event(at: second).ordered("k")) }
        await queue.close()
        try await damage(sql)
        queue = try await directory.open()
        // The caller is told to look again, now.
        #expect(try await queue.lease("a", limit: 9, now: .second(9)) == .init(deliveries: [], nextDue: .second(9)))
        #expect(try await queue.waitingIDs().map(\.sequence) == [2])
        #expect(
            try await queue.statistics()["a"]
                == QueueStatistics(waiting: [.inFlight: 1], oldestReceivedAt: .second(2), dead: 1))
    }

    @Test("a delivery that stands twice in an index is leased once")
    func twiceInIndex() async throws {
        var queue = try await directory.open()
        let ids = try await queue.store(.event(at: 1))
        await queue.close()
        // A row that was removed while the index was not looked after, and comes back at another time.
        try await damage(
            """
            CREATE TEMP TABLE kept AS SELECT * FROM delivery;
            CREATE TEMP TABLE hidden AS SELECT * FROM sqlite_schema WHERE name = 'delivery_waiting';
            PRAGMA writable_schema = ON;
            DELETE FROM sqlite_schema WHERE name = 'delivery_waiting';
            PRAGMA writable_schema = RESET;
            DELETE FROM delivery;
            PRAGMA writable_schema = ON;
            INSERT INTO sqlite_schema SELECT * FROM hidden;
            PRAGMA writable_schema = RESET;
            UPDATE kept SET due_at = due_at + 1000000000;
            INSERT INTO delivery SELECT * FROM kept;
            """)
        queue = try await directory.open()
        #expect(try await queue.waitingIDs() == ids)
    }

    @Test("numbers at the end of their range are no end of the process")
    func largeNumbers() async throws {
        var queue = try await directory.open(.init(backendsWithoutRecords: ["a"]))
        let id = try await queue.store(.event(at: 1))[0]
        let replay = try await queue.createReplay(.init(filter: .init()), now: .second(1)).id
        await queue.close()
        try await damage(
            """
            UPDATE envelope SET id = \(Int64.max), deliveries = \(Int64.max);
            UPDATE delivery SET envelope = \(Int64.max);
            UPDATE replay SET cursor = \(Int64.max), end_sequence = \(Int64.min), per_second = 1e300;
            """)
        queue = try await directory.open(.init(backendsWithoutRecords: ["a"]))
        #expect(try await queue.waitingIDs() == [id])
        try await queue.complete([id])
        #expect(try await queue.replays().map { $0.request.filter == nil } == [true])
        try await damage("UPDATE replay SET per_second = NULL")
        #expect(try await queue.advanceReplay(replay, limit: 9, now: .second(2)).replay?.state == .done)
    }
}
