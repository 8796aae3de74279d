// The section `slack`, or one entry of `apps`: a Slack app, and how to be connected to it.

package import RelayCore

/// A Slack app and its connections.
package struct SlackConfiguration: Sendable, Equatable {
    /// What logs, metrics and deliveries call the app: `default` for the section `slack`.
    package var name: AppName
    /// The app-level token (`xapp-…`) with the scope `connections:write`.
    package var appToken: SecretReference
    /// Signs for every backend that has no secret of its own.
    package var signingSecret: SecretReference
    /// Held at once by this process, 1 to 10 (Slack's limit per app).
    package var connections: Int
    /// Of all processes together, `connections` to 10.
    package var expectedConnections: Int
    /// The first dial waits a random part of this, so that replicas do not dial together. 0 s to 10 min.
    package var startJitter: Duration
    /// How long the first dial waits for every backend to accept TCP. 0 s to 1 h; zero: not at all.
    package var waitForBackends: Duration
    /// Where `apps.connections.open` is, without the method and without a slash at the end.
    package var apiURL: String
    /// An `http` URL, userinfo allowed; nil: as `HTTPS_PROXY` and `NO_PROXY` say.
    package var proxy: String?
    /// PEM file of certificate authorities trusted beside the system's.
    package var caFile: String?
    package var backoff: BackoffConfiguration
    /// From the upgrade to `hello`. 1 ms to 5 min.
    package var helloTimeout: Duration
    /// 1 ms to 5 min.
    package var pingInterval: Duration
    /// Without a frame of any kind for this long a connection is given up. Longer than `pingInterval`, at most 10 min.
    package var deadAfter: Duration
    /// How long after its arrival an envelope's acknowledgement waits for a backend. 1 ms to 2.9 s: Slack waits 3 s,
    /// counted from sending (slack-protocol.md §3.6).
    package var answerDeadline: Duration
    /// How long in-flight deliveries are waited for at the end. 0 s to 10 min.
    package var drainTimeout: Duration

    package static let defaultAPIURL = "https://slack.com/api"

    /// - Parameter expectedConnections: nil: as many as `connections`.
    package init(
        name: AppName = App.defaultName, appToken: SecretReference, signingSecret: SecretReference,
        connections: Int = 2,
        expectedConnections: Int? = nil,
        startJitter: Duration = .seconds(5), waitForBackends: Duration = .zero, apiURL: String = defaultAPIURL,
        proxy: String? = nil, caFile: String? = nil, backoff: BackoffConfiguration = .init(),
        helloTimeout: Duration = .seconds(10), pingInterval: Duration = .seconds(10),
        deadAfter: Duration = .seconds(30), answerDeadline: Duration = .milliseconds(2_500),
        drainTimeout: Duration = .seconds(25)
    ) {
        self.name = name
        self.appToken = appToken
        self.signingSecret = signingSecret
        self.connections = connections
        self.expectedConnections = expectedConnections ?? connections
        self.startJitter = startJitter
        self.waitForBackends = waitForBackends
        self.apiURL = apiURL
        self.proxy = proxy
        self.caFile = caFile
        self.backoff = backoff
        self.helloTimeout = helloTimeout
        self.pingInterval = pingInterval
        self.deadAfter = deadAfter
        self.answerDeadline = answerDeadline
        self.drainTimeout = drainTimeout
    }

    /// Whether connections that were made with the other settings are to be replaced.
    package func connectsOtherwise(than other: SlackConfiguration) -> Bool {
        appToken != other.appToken || apiURL != other.apiURL || proxy != other.proxy || caFile != other.caFile
            || helloTimeout != other.helloTimeout || pingInterval != other.pingInterval
            || deadAfter != other.deadAfter
    }

    /// Whether the connections are made and kept in another way: what a connector is to be told. Secrets that sign and
    /// deadlines are not its business.
    package func connectsOrKeepsOtherwise(than other: SlackConfiguration) -> Bool {
        connectsOtherwise(than: other) || connections != other.connections
            || expectedConnections != other.expectedConnections || startJitter != other.startJitter
            || backoff != other.backoff
    }

    enum Key: String, ConfigurationKey {
        /// In `apps` only.
        case name
        case appToken = "app_token"
        case signingSecret = "signing_secret"
        case connections
        case expectedConnections = "expected_connections"
        case startJitter = "start_jitter"
        case waitForBackends = "wait_for_backends"
        case apiURL = "api_url"
        case proxy, ca, backoff
        case helloTimeout = "hello_timeout"
        case pingInterval = "ping_interval"
        case deadAfter = "dead_after"
        case answerDeadline = "answer_deadline"
        case drainTimeout = "drain_timeout"
    }
}

/// The growing wait between dials that fail.
package struct BackoffConfiguration: Sendable, Equatable {
    /// Upper bound of the first wait, 1 ms to 1 h; each further one is twice as long.
    package var initial: Duration
    /// Upper bound of every wait, `initial` to 1 h.
    package var max: Duration
    /// How long a connection must have been connected for the backoff to start anew. 0 s to 1 h.
    package var stable: Duration

    package init(initial: Duration = .seconds(1), max: Duration = .seconds(60), stable: Duration = .seconds(120)) {
        self.initial = initial
        self.max = max
        self.stable = stable
    }

    enum Key: String, ConfigurationKey { case initial, max, stable }
}
