// How the connections of one Slack app are made and kept.

package import RelayCore
package import SocketMode

/// Defaults are those of relay.yaml.example, `slack`.
package struct SlackConnectorConfiguration: Sendable {
    package var app: AppName
    /// Without a slash at its end. `http` is for simulators: only then a WebSocket URL without TLS is accepted.
    package var apiURL: String
    /// For the API and the WebSocket alike; nil: as the environment says (`HTTPS_PROXY`, `NO_PROXY`). With user
    /// information it authenticates (Basic).
    package var proxy: String?
    /// A PEM file of certificate authorities, trusted beside those of the system. Read again for each dial.
    package var caFile: String?
    package var pool: PoolConfiguration
    package var timing: ConnectionTiming
    package var limits: ConnectionLimits
    /// For one call of apps.connections.open; there are no retries below the pool (F37).
    package var openTimeout: Duration
    /// From resolving the name to the answer to the upgrade.
    package var dialTimeout: Duration
    /// Returns when the first attempt may be made. Canceled at a drain.
    package var waitForBackends: @Sendable () async -> Void

    package init(
        app: AppName = App.defaultName, apiURL: String = "https://slack.com/api", proxy: String? = nil,
        caFile: String? = nil, pool: PoolConfiguration = .init(), timing: ConnectionTiming = .init(),
        limits: ConnectionLimits = .init(), openTimeout: Duration = .seconds(15),
        dialTimeout: Duration = .seconds(15), waitForBackends: @escaping @Sendable () async -> Void = {}
    ) {
        self.app = app
        self.apiURL = apiURL
        self.proxy = proxy
        self.caFile = caFile
        self.pool = pool
        self.timing = timing
        self.limits = limits
        self.openTimeout = openTimeout
        self.dialTimeout = dialTimeout
        self.waitForBackends = waitForBackends
    }

    /// The longest message that is read, fragments together (slack-protocol.md §2.10).
    static let maximumMessageBytes = 16 << 20
}
