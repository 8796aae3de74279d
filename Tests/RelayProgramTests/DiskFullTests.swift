// Guarantee 1 at its edge: a disk that is full, and has room again.

import Foundation
import RelayTestKit
import SlackSimulator
import Testing

@Suite("Disk full", .timeLimit(.minutes(2)))
struct DiskFullTests {
    @Test(
        "a full disk: nothing is acknowledged, /readyz names the queue, one line says so; with room again it recovers by itself",
        .enabled("a small file system can be mounted here (root, CAP_SYS_ADMIN)") { await SmallDisk.isAllowed })
    func diskFull() async throws {
        let disk = try await SmallDisk.mount()
        let slack = try await Stage.makeSlack(
            .init(acknowledgementDeadline: .seconds(1), redelivery: .patient))
        let backend = try await RecordingBackend()
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["app": "url: \(backend.url)/slack/events"],
            queue: "path: \(disk.path)/relay.db")
        let load = EventLoad(slack)

        let relay = try await home.serve()
        try await load.send(20)
        try await slack.waitUntilSettled()
        _ = await backend.requests(atLeast: 20)
        #expect(try await relay.health("/readyz").status == 200)

        try disk.fill()
        try await load.send(200)
        try await relay.logged("the queue cannot store: envelopes are not acknowledged until it can")
        let full = try await relay.health("/readyz")
        try await slack.wait { $0.redeliveries >= 400 }

        #expect(full.status == 503)
        #expect(full.body.contains("queue: "))
        #expect(try await slack.statistics().acknowledged == 20, "acknowledged without being stored")
        #expect(try await relay.health("/healthz").status == 200)
        #expect(try await relay.metric("relay_queue_writable") == 0)
        #expect(relay.log.count { $0.message.hasPrefix("the queue cannot store") } == 1)

        try disk.empty()
        try await relay.logged("the queue stores again")
        try await slack.waitUntilSettled()
        let acknowledged = try await load.acknowledged()
        let requests = await backend.events(acknowledged)

        #expect(acknowledged.count == 220)
        #expect(requests.countByEvent.values.allSatisfy { $0 == 1 })
        #expect(try await relay.health("/readyz").status == 200)
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }
}

/// A file system of 64 MiB, unmounted with its last reference.
private final class SmallDisk: Sendable {
    let path: String

    private init(path: String) { self.path = path }

    deinit {
        // Lazily: the process that used it may have died a moment ago.
        _ = umount2(path, Int32(MNT_DETACH))
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Prints why not.
    static var isAllowed: Bool {
        get async {
            do {
                _ = try await mount()
                return true
            } catch {
                print("no test of a full disk: \(error)")
                return false
            }
        }
    }

    static func mount() async throws -> SmallDisk {
        let path = try RelayHome.makeFolder().path
        let process = try ChildProcess(
            "/usr/bin/env", ["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs", path])
        let end = await process.finish()
        guard end.code == 0 else {
            try? FileManager.default.removeItem(atPath: path)
            throw Failure(description: end.errors.isEmpty ? "mount ended with \(end.code)" : end.errors)
        }
        return SmallDisk(path: path)
    }

    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// Takes all the room that is left.
    func fill() throws {
        let descriptor = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure(description: "cannot open the filler: \(errno)") }
        defer { close(descriptor) }
        let zeros = [UInt8](repeating: 0, count: 4096)
        while write(descriptor, zeros, zeros.count) > 0 {}
        guard errno == ENOSPC else { throw Failure(description: "cannot fill the disk: \(errno)") }
    }

    func empty() throws { try FileManager.default.removeItem(atPath: filler) }

    private var filler: String { path + "/filler" }
}
