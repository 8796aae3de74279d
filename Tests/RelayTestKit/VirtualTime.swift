// Virtual time: a task executor and a clock that make a whole run of the real actors depend on one seed.

package import RelayCore
import Synchronization

/// Runs tasks and default actors one job at a time on the thread that calls `runUntilIdle`, in an order drawn from a
/// seed.
///
/// Only structured tasks inherit it (`Task(executorPreference:)` at the root); that is why the code under test starts
/// no others.
package final class SeededExecutor: TaskExecutor {
    private struct State {
        var jobs: [UnownedJob] = []
        var random: SeededRandom
        var jobsRun = 0
    }

    private let state: Mutex<State>

    package init(random: SeededRandom) {
        state = Mutex(State(random: random))
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        state.withLock { $0.jobs.append(job) }
    }

    /// Runs jobs until none is left.
    package func runUntilIdle() {
        while let job = nextJob() {
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }

    package var jobsRun: Int { state.withLock { $0.jobsRun } }

    private func nextJob() -> UnownedJob? {
        state.withLock { state in
            guard !state.jobs.isEmpty else { return nil }
            let index = Int.random(in: 0..<state.jobs.count, using: &state.random)
            state.jobs.swapAt(index, state.jobs.count - 1)
            state.jobsRun += 1
            return state.jobs.popLast()
        }
    }
}

/// A clock that stands still until it is told to go on.
package final class VirtualClock: RelayClock {
    package typealias Instant = Timestamp

    private struct Sleeper {
        var deadline: Timestamp
        var continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now: Timestamp
        var sleepers: [Int: Sleeper] = [:]
        var nextID = 0
        var canceled: Set<Int> = []
    }

    private let state: Mutex<State>

    package init(now: Timestamp) {
        state = Mutex(State(now: now))
    }

    package var now: Timestamp { state.withLock { $0.now } }
    package var minimumResolution: Duration { .nanoseconds(1) }

    package func sleep(until deadline: Timestamp, tolerance: Duration?) async throws {
        let id = state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let wakeAtOnce: Result<Void, any Error>? = state.withLock { state in
                    if state.canceled.remove(id) != nil { return .failure(CancellationError()) }
                    if deadline <= state.now { return .success(()) }
                    state.sleepers[id] = Sleeper(deadline: deadline, continuation: continuation)
                    return nil
                }
                if let wakeAtOnce { continuation.resume(with: wakeAtOnce) }
            }
        } onCancel: {
            let sleeper = state.withLock { state in
                let sleeper = state.sleepers.removeValue(forKey: id)
                if sleeper == nil { state.canceled.insert(id) }
                return sleeper
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Goes on to the next time at which somebody wakes, and wakes them in the order in which they went to sleep. False
    /// when nobody sleeps.
    package func advance() -> Bool {
        let woken = state.withLock { state -> [Sleeper] in
            guard let next = state.sleepers.values.map(\.deadline).min() else { return [] }
            state.now = max(state.now, next)
            let due = state.sleepers.filter { $0.value.deadline <= next }.keys.sorted()
            return due.compactMap { state.sleepers.removeValue(forKey: $0) }
        }
        for sleeper in woken { sleeper.continuation.resume() }
        return !woken.isEmpty
    }
}

/// SplitMix64: small, fast, and the same on every machine.
package struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// One random source that several parts of a run share.
package final class SharedRandom: Sendable {
    private let generator: Mutex<SeededRandom>

    package init(seed: UInt64) { generator = Mutex(SeededRandom(seed: seed)) }

    /// Uniform in 0 ..< 1.
    package func unit() -> Double { generator.withLock { Double.random(in: 0..<1, using: &$0) } }
    package func chance(_ probability: Double) -> Bool { unit() < probability }
    package func duration(_ range: ClosedRange<Duration>) -> Duration {
        range.lowerBound + (range.upperBound - range.lowerBound).scaled(by: unit())
    }
    package func fork() -> SeededRandom { generator.withLock { SeededRandom(seed: $0.next()) } }
}
