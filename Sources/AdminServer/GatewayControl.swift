// The port to the running gateway: what the admin API shows of it, and what it can ask it to do.

package import RelayCore

/// Connections, backends, configuration and life of one gateway. Deliveries are not here: they are the archive's.
package protocol GatewayControl: Sendable {
    func status() async -> API.Status

    func connections() async -> [API.Connection]
    /// Replaces connections, make before break; of one app, or (nil) of all.
    /// - Returns: how many are connected now; nil: there is no such app.
    func refreshConnections(of app: AppName?) async -> Int?

    /// In the order of the configuration.
    func backends() async -> [API.Backend]
    /// nil: there is none of this name.
    func backend(_ name: BackendName) async -> API.Backend?
    /// Leaves a backend alone until it is resumed, over restarts, too. Pausing twice changes nothing.
    /// - Returns: false: there is none of this name.
    func pause(_ backend: BackendName) async throws(QueueError) -> Bool
    /// Attempts its deliveries again, or makes a probe where its breaker is open, at once; paused or not.
    /// - Returns: false: there is none of this name.
    func resume(_ backend: BackendName) async throws(QueueError) -> Bool
    /// Sends a signed `url_verification`, paused or not. nil: there is none of this name.
    func test(_ backend: BackendName) async -> API.BackendTest?
    /// The backends that are left alone: what waits for them is held.
    func heldBackends() async -> Set<BackendName>
    /// Deliveries of these backends were made due.
    func deliveriesBecameDue(for backends: Set<BackendName>) async
    /// A replay was created, or canceled.
    func replaysChanged() async

    func configuration() async -> API.Configuration
    /// Reads the configuration file again.
    func reload() async throws(ReloadRefused) -> API.Reloaded
    /// Ends the process as SIGTERM does. Returns at once.
    func drain() async
}

/// The new configuration is not used: the old one holds.
package struct ReloadRefused: Error, Equatable {
    /// For people, one per mistake, with file, line and column where it has them; no secret.
    package var mistakes: [String]

    package init(mistakes: [String]) { self.mistakes = mistakes }
}
