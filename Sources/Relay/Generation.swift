// What follows from one configuration and is replaced together with it.

package import RelayConfiguration
import RelayCore
import Signing
import SlackConnector
import Synchronization
import WebhookSender

/// A configuration that was taken over, with what is made of it alone. Connections, dispatchers, waiting people and the
/// queue outlive it.
struct Generation: Sendable {
    /// From 1; counts up with each reload that changed something.
    let number: Int
    let configuration: Configuration
    let loadedAt: Timestamp
    let sender: WebhookSender
    let gatewayMetrics: GatewayMetrics
    let backendMetrics: [BackendName: BackendMetrics]
    let account: AnswerAccount
    let waysToResponseURLs: [AppName: ResponseURLClient]
    /// People who may wait at a time, for all backends together.
    let maxWaiting: Int

    var gateway: Gateway.Configuration {
        .init(
            router: Router(routes: configuration.routes), unrouted: configuration.unrouted,
            backends: configuration.backends)
    }

    var answerer: Answerer.Configuration {
        .init(
            deadlines: Dictionary(uniqueKeysWithValues: configuration.apps.map { ($0.name, $0.answerDeadline) }),
            backends: configuration.backends, maxWaiting: maxWaiting)
    }
}

/// The generation that holds now, for those who look it up at each use.
final class CurrentGeneration: Sendable {
    private let generation: Mutex<Generation>

    init(_ generation: Generation) { self.generation = Mutex(generation) }

    var value: Generation { generation.withLock { $0 } }

    func set(_ next: Generation) { generation.withLock { $0 = next } }
}

extension Configuration {
    var signingSecrets: [AppName: SecretReference] {
        Dictionary(uniqueKeysWithValues: apps.map { ($0.name, $0.signingSecret) })
    }

    /// The beginning of the SHA-256 of what `relay config show` prints: the same for gateways that run with the same
    /// configuration, but for where their secrets are found, the values of `headers`, and what stands before the `@` of
    /// a URL, which all are `***` there.
    package var fingerprint: String {
        hexadecimal(Array(SHA256.digest(Array(redactedYAML().utf8)).prefix(6)))
    }
}
