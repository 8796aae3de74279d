// The connections' life within the service group.

import ServiceLifecycle
import SlackConnector

/// Slack does not let this app connect, and waiting does not cure it. The reason is Slack's word for it.
package struct SlackRefusedError: Error, CustomStringConvertible {
    package let reason: String

    package var description: String { "Slack refused the connection: \(reason)" }
}

/// Ends the group when Slack refuses the app, for commands that somebody watches; `serve` tries again slowly instead.
struct RefusalWatch: Service {
    let connector: SlackConnector

    func run() async throws {
        try await cancelWhenGracefulShutdown {
            for await status in connector.statusUpdates {
                if let reason = status.fatal { throw SlackRefusedError(reason: reason) }
            }
        }
    }
}

/// Runs the connector until the group shuts down; then it closes its connections, each with a close frame.
struct ConnectorService: Service {
    let connector: SlackConnector
    let drainTimeout: Duration

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await connector.run() }
            group.addTask {
                guard (try? await gracefulShutdown()) != nil else { return }
                await connector.drain(timeout: drainTimeout)
            }
            try await group.next()
            group.cancelAll()
        }
    }
}
