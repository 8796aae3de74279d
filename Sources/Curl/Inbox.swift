// What callers ask of the client's thread.

internal import Dispatch
internal import Glibc
internal import Synchronization

/// Commands in the order given. Wakes the thread once for all that come while it is busy.
final class Inbox: TaskExecutor {
    enum Command {
        case start(Transfer)
        case cancel(Transfer)
        case run(UnownedJob)
    }

    private struct State {
        var commands: [Command] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let waker: Waker
    /// The thread that takes; 0 until it has begun.
    private let thread = Atomic<pthread_t>(0)

    init(waker: Waker) {
        self.waker = waker
    }

    /// To be called once, by the thread that takes.
    func begin() { thread.store(pthread_self(), ordering: .relaxed) }

    var isOnThread: Bool { thread.load(ordering: .relaxed) == pthread_self() }

    /// - Returns: false when the inbox is closed: nobody will see the command.
    func post(_ command: sending Command) -> Bool {
        let (isTaken, wasEmpty) = state.withLock { state in
            guard !state.isClosed else { return (false, false) }
            state.commands.append(command)
            return (true, state.commands.count == 1)
        }
        // The thread itself looks here before it waits.
        if wasEmpty, !isOnThread { waker.wake() }
        return isTaken
    }

    /// A task goes on, on the thread. When that has ended, on another one: whoever waits for the task is not to wait for
    /// ever.
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        guard !post(.run(job)) else { return }
        DispatchQueue.global().async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// From now on `post` refuses, and the thread ends.
    func close() {
        state.withLock { $0.isClosed = true }
        waker.wake()
    }

    /// Whether there is nothing to take.
    var isEmpty: Bool { state.withLock { $0.commands.isEmpty && !$0.isClosed } }

    /// All commands not taken yet, and whether these were the last.
    func take() -> (commands: [Command], isClosed: Bool) {
        state.withLock { state in
            defer { state.commands.removeAll(keepingCapacity: false) }
            return (state.commands, state.isClosed)
        }
    }
}
