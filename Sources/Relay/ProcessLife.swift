// From start to exit: the service group, and what signals do to the process.

import Glibc
import Logging
import RelayCore
import ServiceLifecycle
import UnixSignals

/// Runs services until one fails, a drain is asked for, or the task is canceled. Runs none when a signal came before.
struct ProcessLife: Sendable {
    let services: [any Service]
    let drainRequest: DrainRequest
    let logger: Logger

    func run() async throws {
        guard !drainRequest.isEnding else { return }
        let group = ServiceGroup(
            configuration: .init(
                services: services.map {
                    .init(service: $0, successTerminationBehavior: .gracefullyShutdownGroup)
                }, logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                for await _ in drainRequest.requests {
                    await group.triggerGracefulShutdown()
                    if !drainRequest.isEnding { logger.notice("draining: it was asked for") }
                }
            }
            tasks.addTask { try await group.run() }
            // The first to end is the group: requests never do, unless the task is canceled.
            try await tasks.next()
            tasks.cancelAll()
        }
    }
}

/// SIGTERM and SIGINT, caught from when this is made: at the very beginning, before anything is read or opened.
package struct EndSignals: Sendable {
    private let signals: UnixSignalsSequence

    package init() async { signals = await UnixSignalsSequence(trapping: .sigterm, .sigint) }

    /// For the end of what comes after the drain, and for the file of the queue to be closed.
    private static let grace = Duration.seconds(4)

    /// The first one drains, the second ends the process at once; so does an end that takes too long, as on a disk that
    /// hangs. Runs until its task is canceled.
    func run(_ drainRequest: DrainRequest, logger: Logger) async {
        await withDiscardingTaskGroup { group in
            var count = 0
            for await signal in signals {
                count += 1
                // Somebody is in a hurry: durable state is safe at any moment.
                if count > 1 { _exit(128 + signal.number) }
                drainRequest.end()
                logger.notice("draining", metadata: [LogKey.signal: "\(signal)"])
                let longest = drainRequest.drainTimeout + Self.grace
                group.addTask {
                    guard (try? await Task.sleep(for: longest)) != nil else { return }
                    logger.critical(
                        "the end takes too long: the process exits without it; what is stored is safe",
                        metadata: [LogKey.waitMilliseconds: "\(longest.milliseconds)"])
                    _exit(1)
                }
            }
        }
    }
}

extension UnixSignal {
    fileprivate var number: Int32 { self == .sigint ? SIGINT : SIGTERM }
}
