// For commands that somebody watches: the end of the program when Slack refuses the app.

import ServiceLifecycle
import SlackConnector

/// Slack does not let this app connect, and waiting does not cure it. The reason is Slack's word for it.
package struct SlackRefusedError: Error, CustomStringConvertible {
    package let reason: String

    package var description: String { "Slack refused the connection: \(reason)" }
}

/// Ends the group when Slack refuses the app; `serve`, which has none of these, tries again slowly instead.
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
