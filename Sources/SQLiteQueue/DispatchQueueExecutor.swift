// Gives an actor a dispatch queue of its own, so that blocking C never runs on the cooperative pool.

@preconcurrency import Dispatch

/// Runs an actor's jobs one after the other on a serial dispatch queue. (On Linux, Swift 6.3 has no
/// `DispatchSerialQueue`.)
final class DispatchQueueExecutor: SerialExecutor {
    private let queue: DispatchQueue

    init(label: String) {
        self.queue = DispatchQueue(label: label, qos: .userInitiated)
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    /// Not later than a job that is enqueued afterwards.
    func run(_ body: @escaping @Sendable () -> Void) { queue.async(execute: body) }

    /// Late rather than early.
    func run(after delay: DispatchTimeInterval, _ body: @escaping @Sendable () -> Void) {
        queue.asyncAfter(deadline: .now() + delay, execute: body)
    }

    func checkIsolated() { dispatchPrecondition(condition: .onQueue(queue)) }
}
