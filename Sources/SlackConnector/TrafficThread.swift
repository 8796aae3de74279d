// The thread on which Slack's sockets are read and written, and on which what follows runs.

package import NIOCore
import NIOPosix
import RelayCore
import Synchronization

/// Runs tasks on the thread of an event loop, in the order given, between its reads and writes. An envelope then goes
/// from the socket to the queue, and its acknowledgement from the queue to the socket, without another thread being
/// woken, which costs more than what there is to do.
///
/// For tasks that compute for microseconds: the connections wait meanwhile. However many there are, the sockets have
/// their turn after a millisecond.
package final class TrafficThread: TaskExecutor {
    /// How long tasks run before the event loop looks after its sockets.
    private static let turn = TimeAmount.milliseconds(1)
    /// An event loop runs all that is given to `execute` before it looks after its sockets, and what is scheduled and due by
    /// then. So this begins behind what a turn left to do, and is longer than it takes to schedule something, under a
    /// sanitizer too.
    private static let breath = TimeAmount.microseconds(100)

    package let loop: any EventLoop
    private let group: MultiThreadedEventLoopGroup
    private let jobs = Mutex(Jobs())

    private struct Jobs {
        var waiting = FIFO<UnownedJob>()
        /// The event loop has been told, and comes until there are none.
        var isAwaited = false
    }

    /// Starts the thread; it lives as long as the process.
    package init() {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        loop = group.next()
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isFirst = jobs.withLock { jobs in
            jobs.waiting.append(job)
            defer { jobs.isAwaited = true }
            return !jobs.isAwaited
        }
        if isFirst { loop.execute { self.runTurn() } }
    }

    private func runTurn() {
        let end = NIODeadline.now() + Self.turn
        while let job = next() {
            job.runSynchronously(on: asUnownedTaskExecutor())
            guard NIODeadline.now() < end else {
                loop.execute { self.loop.scheduleTask(in: Self.breath) { self.runTurn() } }
                return
            }
        }
    }

    private func next() -> UnownedJob? {
        jobs.withLock { jobs in
            let job = jobs.waiting.popFirst()
            jobs.isAwaited = job != nil
            return job
        }
    }
}
