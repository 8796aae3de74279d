// Whether the queue does what it is asked to: one answer for all who use it.

package import Logging
package import RelayCore
import Synchronization

/// Told of each failure and each success, by Gateway, Dispatchers and QueueKeeper alike; logs the change from one to the other, once.
package final class QueueHealth: Sendable {
    private let failure = Mutex<QueueError?>(nil)
    private let logger: Logger

    package init(logger: Logger) { self.logger = logger }

    /// Why the queue did not do what it was last asked to; nil while it does.
    package var problem: QueueError? { failure.withLock { $0 } }

    package func failed(_ error: QueueError) {
        let before = failure.withLock { failure in
            defer { failure = error }
            return failure
        }
        guard before?.code != error.code else { return }
        logger.error(
            "the queue fails: envelopes are not acknowledged until it works", metadata: [LogKey.error: "\(error)"])
    }

    package func worked() {
        let before = failure.withLock { failure in
            defer { failure = nil }
            return failure
        }
        guard let before else { return }
        logger.notice("the queue works again", metadata: [LogKey.reason: "\(before.code.rawValue)"])
    }
}
