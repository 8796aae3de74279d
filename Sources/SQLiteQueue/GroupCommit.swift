// Calls that arrive while a transaction is running wait together and share the next one.

import RelayCore
import Synchronization

/// A call that changes the queue.
enum Write: Sendable {
    case enqueue([EnqueueRequest])
    case settle([Settlement])
    case prune(now: Timestamp)
    case giveUp([Int64], now: Timestamp)
    case probe
    case storeLateAnswer(LateAnswer)
    case removeLateAnswer(LateAnswer.ID)
    case setPause(Pause?, BackendName)
    case retry(DeliveryID, now: Timestamp)
    case cancel(DeliveryID, now: Timestamp)
    case delete(DeliveryID)
    case deleteFound([WriteTransaction.SettledAt])
    case createReplay(ReplayRequest, matched: Int, now: Timestamp)
    case advanceReplay(Replay.ID, limit: Int, now: Timestamp)
    case cancelReplay(Replay.ID, now: Timestamp)

    /// Whether it is on the disk when its caller is told. What became of a delivery need not be: it survives the process,
    /// and what a power failure takes of it is attempted again, as after any end in the middle of an attempt. The next
    /// synced transaction takes it along.
    var isSynced: Bool { if case .settle = self { false } else { true } }
}

/// What a call came to.
enum Written: Sendable {
    case enqueued([EnqueueResult])
    /// There is nothing to tell.
    case done
    case pruned(isMoreWaiting: Bool)
    case changed(DeliveryChange)
    case deleted(Int)
    /// The job as it stands, and the backends that deliveries became due for.
    case replay(Replay?, Set<BackendName>)
}

/// Calls that wait for a transaction, in the order in which they came.
final class WriteInbox: Sendable {
    /// Names a call until its outcome was fetched.
    typealias Ticket = UInt64

    private let state = Mutex<(next: Ticket, waiting: [(ticket: Ticket, write: Write)])>((0, []))

    func add(_ write: Write) -> Ticket {
        state.withLock { state in
            state.next += 1
            state.waiting.append((state.next, write))
            return state.next
        }
    }

    /// Calls that no transaction has taken yet.
    var count: Int { state.withLock(\.waiting.count) }

    /// Takes the first calls, up to a number that keeps a transaction short.
    func take(_ limit: Int = 1_000) -> [(ticket: Ticket, write: Write)] {
        state.withLock { state in
            let taken = Array(state.waiting.prefix(limit))
            state.waiting.removeFirst(taken.count)
            return taken
        }
    }
}
