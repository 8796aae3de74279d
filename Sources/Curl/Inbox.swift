// What callers ask of the client's thread.

internal import Dispatch
internal import Synchronization

/// Commands in the order given. Wakes the thread once for all that come while it waits.
final class Inbox: TaskExecutor {
    enum Command {
        case start(Transfer)
        case cancel(Transfer)
        case run(UnownedJob)
    }

    private struct State {
        var commands: [Command] = []
        var isClosed = false
        /// The thread waits for its sockets, or is about to: it must be woken.
        var isWaiting = false
    }

    private let state = Mutex(State())
    private let waker: Waker

    init(waker: Waker) {
        self.waker = waker
    }

    /// - Returns: false when the inbox is closed: nobody will see the command.
    func post(_ command: sending Command) -> Bool {
        let (isTaken, mustWake) = state.withLock { state in
            guard !state.isClosed else { return (false, false) }
            state.commands.append(command)
            defer { state.isWaiting = false }
            return (true, state.isWaiting)
        }
        if mustWake { waker.wake() }
        return isTaken
    }

    /// A task goes on, on the thread. When that has ended, on another one: whoever waits for the task is not to wait
    /// forever.
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        guard !post(.run(job)) else { return }
        DispatchQueue.global().async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// From now on `post` refuses, and the thread ends.
    func close() {
        state.withLock { $0.isClosed = true }
        // In any case: `beginWait` does not ask whether it is closed.
        waker.wake()
    }

    // MARK: For the thread

    /// All commands not taken yet, and whether these were the last.
    func take() -> (commands: [Command], isClosed: Bool) {
        state.withLock { state in
            defer { state.commands.removeAll(keepingCapacity: false) }
            return (state.commands, state.isClosed)
        }
    }

    /// - Returns: whether there is nothing to take. Then the thread may wait, and is woken.
    func beginWait() -> Bool {
        state.withLock { state in
            state.isWaiting = state.commands.isEmpty
            return state.isWaiting
        }
    }

    func endWait() { state.withLock { $0.isWaiting = false } }
}
