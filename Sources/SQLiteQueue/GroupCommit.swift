// Calls that arrive while a transaction is running wait together and share the next one.

import RelayCore
import Synchronization

/// A call that changes the queue.
enum Write: Sendable {
    case enqueue([EnqueueRequest])
    /// `unblocks`: another delivery may wait for it.
    case settle([Settlement], unblocks: Bool)
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
    /// synced transaction takes it along. Nor need be what only tells of something that is over.
    var isSynced: Bool {
        switch self {
        case .settle: false
        case .enqueue(let requests): !requests.allSatisfy(\.isRecordOnly)
        default: true
        }
    }

    /// Whether little waits for it, and no other delivery: it may wait for company.
    var isPatient: Bool {
        if case .settle(_, unblocks: true) = self { false } else { !isSynced }
    }
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

/// Calls that wait for a transaction, in the order in which they came, each with whom to tell of the outcome.
final class WriteInbox<Caller: Sendable>: Sendable {
    struct Call: Sendable {
        let write: Write
        let caller: Caller
    }

    /// A transaction that nobody sees to yet. Whoever is told of it does.
    enum Need: Sendable {
        case now
        /// Within the time that a patient call waits.
        case soon
    }

    private struct State {
        var waiting: [Call] = []
        /// Of those waiting.
        var urgent = 0
        /// Told, and not done.
        var isNeededNow = false
        var isNeededSoon = false

        mutating func take(_ limit: Int) -> [Call] {
            let taken = Array(waiting.prefix(limit))
            waiting.removeFirst(taken.count)
            urgent -= taken.count { !$0.write.isPatient }
            return taken
        }

        mutating func needSoon() -> Need? {
            defer { isNeededSoon = true }
            return isNeededSoon ? nil : .soon
        }
    }

    private let state = Mutex(State())

    /// - Returns: what the caller has to see to; nil when a transaction that takes this one is seen to already.
    func add(_ call: Call) -> Need? {
        state.withLock { state in
            state.waiting.append(call)
            // The next transaction takes the patient ones along.
            guard !call.write.isPatient else { return state.isNeededNow ? nil : state.needSoon() }
            state.urgent += 1
            defer { state.isNeededNow = true }
            return state.isNeededNow ? nil : .now
        }
    }

    /// Calls that no transaction has taken yet.
    var count: Int { state.withLock(\.waiting.count) }

    /// Takes the first calls, up to a number that keeps a transaction short; none when all that wait are patient. To be
    /// called until there are none.
    func take(_ limit: Int = 1_000) -> (calls: [Call], need: Need?) {
        state.withLock { state in
            guard state.urgent == 0 else { return (state.take(limit), nil) }
            state.isNeededNow = false
            return ([], state.waiting.isEmpty ? nil : state.needSoon())
        }
    }

    /// As `take`, with the patient ones, who have waited for long enough.
    func takeAll(_ limit: Int = 1_000) -> [Call] {
        state.withLock { state in
            state.isNeededSoon = false
            return state.take(limit)
        }
    }
}
