// Which servers close connections under our requests, and are better given a new one for each.

/// Some servers promise to keep a connection alive and close it right after the response (uWSGI with `--http-socket`
/// does). A POST that crosses such a close is lost with `connectionReset`. Where that has happened once, connections
/// are not reused for a while.
struct HastyServers {
    /// How long a server is not trusted; long against the wait for a lost request, short against the price of new
    /// connections.
    static let distrust = Duration.seconds(30)

    private var distrustedUntil: [String: ContinuousClock.Instant] = [:]

    /// Whether requests for a server must have a connection of their own.
    func contains(_ server: @autoclosure () -> String, now: @autoclosure () -> ContinuousClock.Instant) -> Bool {
        guard !distrustedUntil.isEmpty, let end = distrustedUntil[server()] else { return false }
        return now() < end
    }

    /// A reused connection closed before the response began.
    mutating func reusedConnectionClosed(_ server: String, now: ContinuousClock.Instant) {
        distrustedUntil = distrustedUntil.filter { now < $0.value }
        distrustedUntil[server] = now + Self.distrust
    }
}

extension CurlRequest {
    /// What connections are made to: the Unix domain socket, or scheme, host and port.
    var server: String {
        if let unixSocketPath { return unixSocketPath }
        guard let scheme = url.firstRange(of: "://") else { return url }
        let authority = url[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        return String(url[..<authority.endIndex])
    }
}
