// Whether the queue does what it is asked to: one answer for all who use it.

package import Logging
package import RelayCore
import Synchronization

/// Told of each failure and each success, by Gateway, Dispatchers and QueueKeeper alike; logs each change once.
package final class QueueHealth: Sendable {
    /// What the queue is asked for. One of them can fail while the others work: a full queue still settles.
    package enum Operation: String, Sendable, CaseIterable {
        /// Storing envelopes, and the probe that stands in for it.
        case store
        case settle
        case lease
        case prune
    }

    /// After so long without an answer the queue counts as one that cannot store.
    static let patience = Duration.seconds(10)

    private let failures = Mutex<[Operation: QueueError]>([:])
    /// Since when the keeper waits for an answer.
    private let askedAt = Mutex<Timestamp?>(nil)
    private let logger: Logger

    package init(logger: Logger) { self.logger = logger }

    /// Why the queue does not do one of the things it is asked for; nil while it does all of them.
    package var problem: QueueError? { problems.first?.error }

    /// What it does not do, and why.
    package var problems: [(operation: Operation, error: QueueError)] {
        let failures = failures.withLock { $0 }
        return Operation.allCases.compactMap { operation in failures[operation].map { (operation, $0) } }
    }

    /// The keeper asks the writer for something small. `queueAnswered` follows, unless the disk hangs.
    package func askedQueue(now: Timestamp) { askedAt.withLock { $0 = now } }

    package func queueAnswered() { askedAt.withLock { $0 = nil } }

    /// Whether the disk hangs. Then nothing is stored, whatever was asked for.
    package func look(now: Timestamp) {
        guard let since = askedAt.withLock({ $0 }), since.duration(to: now) > Self.patience else { return }
        failed(.store, QueueError(.unavailable, "no answer for \(Self.patience.components.seconds) s"))
    }

    package func failed(_ operation: Operation, _ error: QueueError) {
        let before = failures.withLock { $0.updateValue(error, forKey: operation) }
        guard before?.code != error.code else { return }
        logger.error(operation.failure, metadata: [LogKey.error: "\(error)"])
    }

    package func worked(_ operation: Operation) {
        guard let before = failures.withLock({ $0.removeValue(forKey: operation) }) else { return }
        logger.notice(operation.recovery, metadata: [LogKey.reason: "\(before.code.rawValue)"])
    }
}

extension QueueHealth.Operation {
    fileprivate var failure: Logger.Message {
        switch self {
        case .store: "the queue cannot store: envelopes are not acknowledged until it can"
        case .settle: "outcomes cannot be recorded; trying again"
        case .lease: "the queue cannot be read; trying again"
        case .prune: "retention fails; trying again"
        }
    }

    fileprivate var recovery: Logger.Message {
        switch self {
        case .store: "the queue stores again"
        case .settle: "outcomes are recorded again"
        case .lease: "the queue can be read again"
        case .prune: "retention works again"
        }
    }
}
