// How long the simulated disk takes, and how it fails.

import RelayCore
import RelayTestKit

extension SimulatedQueue {
    /// Durable after a while, and known to be so after another; the process can die in both.
    /// - Parameters:
    ///   - grows: whether it is refused when the disk is full.
    ///   - body: told whether the caller will know that it is durable.
    func write<Value>(
        grows: Bool, _ body: (_ isKnown: Bool) async throws(QueueError) -> Value
    ) async throws(QueueError) -> Value {
        try mustBeOpen()
        let took = world.dice.milliseconds(disk.mood == .slow ? 500...4_000 : 1...20)
        lastWrite = max(lastWrite, world.clock.now).advanced(by: took)
        try await wait(until: lastWrite)
        let error = fault(grows: grows)
        // Some writes are durable although they are reported as failed.
        let isLie = error?.code == .unavailable && disk.mood == .failing && world.dice.chance(0.3)
        if let error { world.note("disk: \(error.message)\(isLie ? ", and yet it is durable" : "")") }
        var outcome: Result<Value, QueueError>?
        if error == nil || isLie {
            while disk.readers > 0 { await Task.yield() }
            disk.isChanging = true
            do throws(QueueError) {
                outcome = .success(try await body(error == nil))
            } catch {
                outcome = .failure(error)
            }
            disk.isChanging = false
        }
        try await wait(until: world.clock.now.advanced(by: world.dice.milliseconds(0...5)))
        if let error { throw error }
        guard let outcome else { throw QueueError(.closed, "the simulated process is dead") }
        return try outcome.get()
    }

    func read<Value>(_ body: () async throws(QueueError) -> Value) async throws(QueueError) -> Value {
        try mustBeOpen()
        guard await pause(10) else { throw QueueError(.closed, "the simulated process is dead") }
        guard disk.mood != .unreadable else { throw QueueError(.unavailable, "the simulated disk cannot be read") }
        disk.readers += 1
        defer { disk.readers -= 1 }
        let result = try await body()
        guard process.isAlive else { throw QueueError(.closed, "the simulated process is dead") }
        return result
    }

    /// A while of at most so many milliseconds, and until no write is under way. False when the process has died.
    func pause(_ longest: Int) async -> Bool {
        var time = world.dice.milliseconds(0...longest)
        repeat {
            guard (try? await wait(until: world.clock.now.advanced(by: time))) != nil else { return false }
            time = .milliseconds(1)
        } while disk.isChanging
        return true
    }

    /// Throws when the process has died meanwhile.
    private func wait(until time: Timestamp) async throws(QueueError) {
        await process.park { resume in self.world.at(time, resume) }
        guard process.isAlive else { throw QueueError(.closed, "the simulated process is dead") }
    }

    private func fault(grows: Bool) -> QueueError? {
        switch disk.mood {
        case .full: grows ? QueueError(.full, "the simulated disk is full") : nil
        case .failing where world.dice.chance(0.4): QueueError(.unavailable, "a simulated write failed")
        case .dead, .unreadable: QueueError(.unavailable, "the simulated disk is dead")
        case .good, .slow, .failing: nil
        }
    }

    private func mustBeOpen() throws(QueueError) {
        if isClosed || !process.isAlive { throw QueueError(.closed, "the simulated process is dead") }
    }
}
