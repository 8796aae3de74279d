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
        while runOne() {}
    }

    /// Runs one job; false when there is none.
    package func runOne() -> Bool {
        guard let job = nextJob() else { return false }
        job.runSynchronously(on: asUnownedTaskExecutor())
        return true
    }

    /// Runs jobs until none is left, in the order in which they came, and draws nothing: what a dead process still does
    /// then has no influence on what follows.
    package func runInOrderUntilIdle() {
        while let job = state.withLock({ $0.jobs.isEmpty ? nil : $0.jobs.removeFirst() }) {
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }

    package var jobsRun: Int { state.withLock { $0.jobsRun } }

    private func nextJob() -> UnownedJob? {
        state.withLock { state in
            guard let last = state.jobs.last else { return nil }
            state.jobsRun += 1
            // By hand: what is generic takes long in a debug build.
            let count = state.jobs.count
            let index = count == 1 ? 0 : Int(state.random.next() % UInt64(count))
            let job = state.jobs[index]
            state.jobs[index] = last
            state.jobs.removeLast()
            return job
        }
    }
}

/// A clock that stands still until it is told to go on. Tasks sleep on it; parts of a simulation that are no tasks have
/// it call them.
package final class VirtualClock: RelayClock {
    package typealias Instant = Timestamp

    /// Names an action that was scheduled.
    package typealias ActionID = Int

    private enum Sleeper {
        case task(CheckedContinuation<Void, any Error>)
        case action(@Sendable () -> Void)
    }

    private struct Wake: Comparable {
        var deadline: Int64
        var id: Int

        static func < (lhs: Wake, rhs: Wake) -> Bool {
            lhs.deadline == rhs.deadline ? lhs.id < rhs.id : lhs.deadline < rhs.deadline
        }
    }

    private struct State {
        var now: Timestamp
        var sleepers: [Int: Sleeper] = [:]
        /// One per sleeper, and some of sleepers that are gone; the next one last.
        var wakes: [Wake] = []
        var nextID = 0
        var canceled: Set<Int> = []

        mutating func add(_ sleeper: Sleeper, _ id: Int, until deadline: Timestamp) {
            sleepers[id] = sleeper
            let wake = Wake(deadline: deadline.nanosecondsSinceEpoch, id: id)
            var (low, high) = (0, wakes.count)
            while low < high {
                let middle = (low + high) / 2
                if wake < wakes[middle] { low = middle + 1 } else { high = middle }
            }
            wakes.insert(wake, at: low)
        }

        mutating func makeID() -> Int {
            nextID += 1
            return nextID
        }
    }

    private let state: Mutex<State>

    package init(now: Timestamp) {
        state = Mutex(State(now: now))
    }

    package var now: Timestamp { state.withLock { $0.now } }
    package var minimumResolution: Duration { .nanoseconds(1) }

    package func sleep(until deadline: Timestamp, tolerance: Duration?) async throws {
        let id = state.withLock { $0.makeID() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let wakeAtOnce: Result<Void, any Error>? = state.withLock { state in
                    if state.canceled.remove(id) != nil { return .failure(CancellationError()) }
                    if deadline <= state.now { return .success(()) }
                    state.add(.task(continuation), id, until: deadline)
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
            if case .task(let continuation)? = sleeper { continuation.resume(throwing: CancellationError()) }
        }
    }

    /// Calls an action when its time has come, within `advance`; one that is late is called next.
    @discardableResult
    package func schedule(at deadline: Timestamp, _ action: @escaping @Sendable () -> Void) -> ActionID {
        state.withLock { state in
            let id = state.makeID()
            state.add(.action(action), id, until: max(deadline, state.now))
            return id
        }
    }

    @discardableResult
    package func schedule(after delay: Duration, _ action: @escaping @Sendable () -> Void) -> ActionID {
        schedule(at: now.advanced(by: delay), action)
    }

    /// Harmless for one that was called already.
    package func cancel(_ id: ActionID) { state.withLock { _ = $0.sleepers.removeValue(forKey: id) } }

    /// Forgets all actions: the end of a simulation.
    package func forgetActions() {
        state.withLock { state in
            state.sleepers = state.sleepers.filter { if case .task = $0.value { true } else { false } }
        }
    }

    /// Goes on to the next time at which somebody wakes, and wakes them in the order in which they went to sleep. False
    /// when nobody sleeps.
    package func advance() -> Bool {
        let woken = state.withLock { state -> [Int] in
            var woken: [Int] = []
            while let next = state.wakes.last, woken.isEmpty || next.deadline <= state.now.nanosecondsSinceEpoch {
                state.wakes.removeLast()
                guard state.sleepers[next.id] != nil else { continue }
                if state.now.nanosecondsSinceEpoch < next.deadline {
                    state.now = Timestamp(nanosecondsSinceEpoch: next.deadline)
                }
                woken.append(next.id)
            }
            return woken
        }
        for id in woken {
            // Gone when one before it in the same instant canceled it.
            switch state.withLock({ $0.sleepers.removeValue(forKey: id) }) {
            case .task(let continuation): continuation.resume()
            case .action(let action): action()
            case nil: break
            }
        }
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
