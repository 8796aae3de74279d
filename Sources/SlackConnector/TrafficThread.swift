// The thread on which Slack's sockets are read and written, and on which what follows runs.

package import NIOCore
import NIOPosix

/// Runs tasks on the thread of an event loop, in the order given, between its reads and writes. An envelope then goes
/// from the socket to the queue, and its acknowledgement from the queue to the socket, without another thread being
/// woken, which costs more than what there is to do.
///
/// For tasks that compute for microseconds and never block: the connections wait meanwhile. One thread carries more
/// than Slack sends.
package final class TrafficThread: TaskExecutor {
    package let loop: any EventLoop
    private let group: MultiThreadedEventLoopGroup

    /// Starts the thread; it lives as long as the process.
    package init() {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        loop = group.next()
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
