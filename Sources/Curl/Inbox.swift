// What callers ask of the client's thread.

internal import Synchronization

/// Commands in the order given. Wakes the thread once for all that come while it is busy.
final class Inbox: Sendable {
    enum Command {
        case start(Transfer)
        case cancel(Transfer)
    }

    private struct State {
        var commands: [Command] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let waker: Waker

    init(waker: Waker) {
        self.waker = waker
    }

    /// - Returns: false when the inbox is closed: nobody will see the command.
    func post(_ command: sending Command) -> Bool {
        let (isTaken, wasEmpty) = state.withLock { state in
            guard !state.isClosed else { return (false, false) }
            state.commands.append(command)
            return (true, state.commands.count == 1)
        }
        if wasEmpty { waker.wake() }
        return isTaken
    }

    /// From now on `post` refuses, and the thread ends.
    func close() {
        state.withLock { $0.isClosed = true }
        waker.wake()
    }

    /// All commands not taken yet, and whether these were the last.
    func take() -> (commands: [Command], isClosed: Bool) {
        state.withLock { state in
            defer { state.commands.removeAll(keepingCapacity: false) }
            return (state.commands, state.isClosed)
        }
    }
}
