// Disks that are full, and logs that were cut off by a crash.

import Foundation
import RelayCore
import Testing

@testable import SQLiteQueue

@Suite("Failing disks")
struct FailingDiskTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test("A full disk: nothing is stored or remembered, settling and storing go on when there is room again")
    func fullDisk() async throws {
        guard try run("/bin/mount", "-t", "tmpfs", "-o", "size=1m", "relay-test", directory.path) == 0 else {
            print("skipped: a tmpfs cannot be mounted here, so there is no disk to fill")
            return
        }
        defer { _ = try? run("/bin/umount", "--lazy", directory.path) }
        let filler = directory.path + "/filler"
        _ = FileManager.default.createFile(atPath: filler, contents: Data(repeating: 1, count: 200_000))
        let queue = try await directory.open()
        let late = LateAnswer.late("e")
        try await queue.store(late)

        var stored: [DeliveryID] = []
        var failure: QueueError?
        while failure == nil, stored.count < 1_000 {
            failure = await queueError { stored += try await queue.store(.event("\(stored.count)", bytes: 20_000)) }
        }
        #expect(failure?.code == .unavailable)
        #expect(try await queue.statistics()["a"]?.waiting == [.inFlight: stored.count])
        fill(directory.path + "/rest")
        // The failed transaction left room in the log: probes use it up first.
        var probes = 0
        failure = nil
        while failure == nil, probes < 100 {
            failure = await queueError { try await queue.probe() }
            probes += 1
        }
        #expect(failure?.code == .unavailable)
        #expect(await queueError { try await queue.complete([stored[0]]) }?.code == .unavailable)
        #expect(await queueError { try await queue.store(LateAnswer.late("e", bytes: 20_000)) }?.code == .unavailable)
        #expect(await queueError { try await queue.remove(late.id) }?.code == .unavailable)
        #expect(try await queue.lateAnswer(late.id) == late)
        await queue.release([stored[1]])
        #expect(await queueError { _ = try await queue.cancel(stored[1], now: .second(0)) }?.code == .unavailable)
        #expect(
            await queueError { _ = try await queue.createReplay(.init(filter: .init()), now: .second(0)) }?.code
                == .unavailable)
        #expect(
            await queueError { try await queue.setPause(.init(since: .second(0), cause: .gone), of: "a") }?.code
                == .unavailable)
        #expect(try await queue.replays() == [])
        #expect(try await queue.pauses() == [:])
        #expect(try await queue.waitingIDs() == [stored[1]])
        #expect(try await queue.statistics()["a"]?.waiting == [.inFlight: stored.count])

        try FileManager.default.removeItem(atPath: filler)
        try await queue.probe()
        #expect(try await queue.store(.event("\(stored.count)", bytes: 20_000)).count == 1)
        try await queue.complete([stored[0]])
        try await queue.store(LateAnswer.late("e", bytes: 20_000))
        await queue.close()
        let again = try await directory.open()
        #expect(try await again.waitingIDs().count == stored.count)
        #expect(try await again.lateAnswer(late.id) == .late("e", bytes: 20_000))
    }

    /// Writes a file until the disk is full.
    private func fill(_ path: String) {
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        guard let file = FileHandle(forWritingAtPath: path) else { return }
        while (try? file.write(contentsOf: Data(repeating: 1, count: 512))) != nil {}
        try? file.close()
    }

    @Test("A database that is opened anew goes on with the leases and counts that there were")
    func openedAnew() async throws {
        let queue = try await directory.open()
        let leased = try await queue.store(.event("1")) + queue.store(.event("2"))
        await queue.release(try await queue.store(.event("3")))
        await queue.writer.giveUpConnection()
        #expect(try await queue.enqueue([.event("1")]) == [.duplicate])
        #expect(try await queue.waitingIDs().map(\.sequence) == [3])
        try await queue.complete(leased)
        #expect(try await queue.statistics()["a"]?.waiting == [.inFlight: 1])
    }

    @Test("A database that is gone is not made anew, and found again when it is back")
    func goneAndBack() async throws {
        let queue = try await directory.open()
        _ = try await queue.store(.event("1"))
        let moved = try TemporaryDirectory()
        await queue.writer.giveUpConnection()
        try FileManager.default.moveItem(atPath: directory.database, toPath: moved.database)
        #expect(await queueError { _ = try await queue.store(.event("2")) }?.code == .unavailable)
        #expect(!FileManager.default.fileExists(atPath: directory.database))
        try FileManager.default.moveItem(atPath: moved.database, toPath: directory.database)
        #expect(try await queue.store(.event("2")).map(\.sequence) == [2])
    }

    @Test(
        "Half a transaction after the last commit, as a crash leaves it, is not seen", arguments: [1, 24, 100, 5_000])
    func halfWritten(bytes: Int) async throws {
        let copy = try await copyOfLiveQueue(deliveries: 10) { log in
            log.append(contentsOf: log.suffix(bytes))
        }
        #expect(try await copy.open().waitingIDs().count == 10)
    }

    @Test("When the end of the log is cut off, all transactions before it are there", arguments: [1, 100, 4_000])
    func cutOff(bytes: Int) async throws {
        let copy = try await copyOfLiveQueue(deliveries: 10) { log in
            log.removeLast(bytes)
        }
        let queue = try await copy.open()
        #expect(try await queue.waitingIDs().count == 9)
        // The copy that Slack sends again, because it saw no acknowledgement.
        #expect(try await queue.store(.event("9")).count == 1)
    }

    @Test("Without its log a queue is what it was at the last checkpoint, and works")
    func noLog() async throws {
        let copy = try await copyOfLiveQueue(deliveries: 3) { $0.removeAll() }
        #expect(try await copy.open().store(.event("new")).count == 1)
    }

    /// Stores deliveries in a transaction each, and copies the files as they are on the disk then, the log changed.
    private func copyOfLiveQueue(
        deliveries: Int, changingLog change: (inout Data) -> Void
    ) async throws -> TemporaryDirectory {
        let queue = try await directory.open()
        for key in 0..<deliveries { _ = try await queue.store(.event("\(key)", bytes: 100)) }
        let copy = try TemporaryDirectory()
        try FileManager.default.copyItem(atPath: directory.database, toPath: copy.database)
        var log = try Data(contentsOf: URL(fileURLWithPath: directory.database + "-wal"))
        change(&log)
        try log.write(to: URL(fileURLWithPath: copy.database + "-wal"))
        await queue.close()
        return copy
    }
}
