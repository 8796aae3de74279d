// From start to exit: the service group, and what signals do to it.

import Glibc
import Logging
import RelayCore
import ServiceLifecycle
import UnixSignals

/// Runs services until one fails, a signal comes, or the task is canceled.
struct ProcessLife: Sendable {
    let services: [any Service]
    let drainRequest: DrainRequest
    let logger: Logger

    func run() async throws {
        let group = ServiceGroup(
            configuration: .init(
                services: services.map {
                    .init(service: $0, successTerminationBehavior: .gracefullyShutdownGroup)
                }, logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                var signals = 0
                for await signal in await UnixSignalsSequence(trapping: .sigterm, .sigint) {
                    signals += 1
                    // Somebody is in a hurry: durable state is safe at any moment.
                    if signals > 1 { _exit(128 + signal.number) }
                    drainRequest.end()
                    await group.triggerGracefulShutdown()
                    logger.notice("draining", metadata: [LogKey.signal: "\(signal)"])
                }
            }
            tasks.addTask {
                for await _ in drainRequest.requests {
                    await group.triggerGracefulShutdown()
                    logger.notice("draining: it was asked for")
                }
            }
            tasks.addTask { try await group.run() }
            // The first to end is the group: signals and requests never do, unless the task is canceled.
            try await tasks.next()
            tasks.cancelAll()
        }
    }
}

extension UnixSignal {
    fileprivate var number: Int32 { self == .sigint ? SIGINT : SIGTERM }
}
