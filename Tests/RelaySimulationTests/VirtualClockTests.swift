// What the clock of the simulation promises about one instant.

import RelayCore
import RelayTestKit
import Synchronization
import Testing

@Suite struct VirtualClockTests {
    private let clock = VirtualClock(now: Timestamp(millisecondsSinceEpoch: 0))

    @Test("an action that one of the same instant cancels is not called")
    func canceledAction() {
        let called = Mutex<[String]>([])
        let second = Mutex<VirtualClock.ActionID?>(nil)
        clock.schedule(after: .seconds(1)) { [clock] in
            called.withLock { $0.append("first") }
            if let id = second.withLock({ $0 }) { clock.cancel(id) }
        }
        let id = clock.schedule(after: .seconds(1)) { called.withLock { $0.append("second") } }
        second.withLock { $0 = id }
        clock.schedule(after: .seconds(1)) { called.withLock { $0.append("third") } }
        while clock.advance() {}
        #expect(called.withLock { $0 } == ["first", "third"])
    }

    @Test("a task that is canceled in the instant in which it wakes is canceled, once")
    func canceledTask() async {
        let executor = SeededExecutor(random: SeededRandom(seed: 1))
        let sleeper = Mutex<Task<Bool, Never>?>(nil)
        clock.schedule(after: .seconds(1)) { sleeper.withLock { $0?.cancel() } }
        let task = Task(executorPreference: executor) { [clock] in
            (try? await clock.sleep(for: .seconds(1))) != nil
        }
        sleeper.withLock { $0 = task }
        executor.runUntilIdle()
        #expect(clock.advance())
        executor.runUntilIdle()
        #expect(await task.value == false)
    }
}
