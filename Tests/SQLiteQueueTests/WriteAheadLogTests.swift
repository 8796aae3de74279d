// When the write-ahead log is copied into the file, and when it begins anew.

import Foundation
import GRDB
import RelayCore
import Testing

@testable import SQLiteQueue

@Suite("WriteAheadLog")
struct WriteAheadLogTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test("The write-ahead log is copied into the file when it is long, by each connection, and begins anew")
    func copiesLog() async throws {
        let queue = try await directory.open()
        let long = Int64(WriteAheadLog.longPages * 8_192)
        for _ in 1...3 {
            _ = try await directory.number("PRAGMA wal_checkpoint(RESTART)")
            let before = try directory.fileBytes()
            // Half of what is long, to twice of it. SQLite by itself would copy at 1,000 pages.
            for _ in 0..<15 { try await store(pages: 70, in: queue) }
            #expect(try directory.fileBytes() == before)
            for _ in 0..<45 {
                try await store(pages: 70, in: queue)
                #expect(try directory.fileBytes("-wal") < long * 11 / 10)
            }
            #expect(try directory.fileBytes() > before + long / 2)
            await queue.writer.giveUpConnection()
        }
        #expect(try await directory.number("SELECT COUNT(*) FROM delivery") == 3 * 60)
    }

    @Test("A write-ahead log that a reader needs grows, and begins anew when that has gone")
    func readerInTheWay() async throws {
        let queue = try await directory.open()
        try await store(pages: 70, in: queue)
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let reader = try DatabaseQueue(path: directory.database, configuration: configuration)
        try await reader.writeWithoutTransaction { try $0.execute(sql: "BEGIN; SELECT COUNT(*) FROM delivery") }
        let beginnings = try logBeginnings()
        for _ in 0..<60 { try await store(pages: 70, in: queue) }
        #expect(try logBeginnings() == beginnings)
        try await reader.writeWithoutTransaction { try $0.execute(sql: "COMMIT") }
        // The first one has the log copied, the second one begins it.
        for _ in 0..<2 { try await store(pages: 70, in: queue) }
        #expect(try logBeginnings() == beginnings + 1)
    }

    /// How often the log was begun anew (https://www.sqlite.org/fileformat.html §4.1, checkpoint sequence number).
    private func logBeginnings() throws -> UInt32 {
        let log = try FileHandle(forReadingFrom: URL(fileURLWithPath: directory.database + "-wal"))
        defer { try? log.close() }
        return (try log.read(upToCount: 16) ?? Data()).suffix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// In one transaction that writes about so many pages to the log.
    private func store(pages: Int, in queue: SQLiteQueue) async throws {
        _ = try await queue.enqueue([.event(bytes: pages * 8_192)])
    }
}
