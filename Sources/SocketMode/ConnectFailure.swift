// What an attempt to connect came to.

/// How an attempt to connect ended. The raw value is used in metrics and logs; the set is closed.
package enum ConnectOutcome: String, Sendable, CaseIterable {
    /// `hello` came.
    case connected
    /// apps.connections.open could not be reached, or its answer could not be read.
    case apiUnreachable = "api_unreachable"
    /// apps.connections.open answered with an error that may pass.
    case apiError = "api_error"
    /// apps.connections.open answered with an error that waiting does not help against, or the token could not be read.
    case apiFatal = "api_fatal"
    /// HTTP 429, of the API or of the upgrade.
    case rateLimited = "rate_limited"
    case dnsError = "dns_error"
    /// TCP: refused, unreachable, timed out.
    case connectError = "connect_error"
    case proxyError = "proxy_error"
    case tlsError = "tls_error"
    /// Any answer to the upgrade but a 101 that RFC 6455 accepts.
    case upgradeRejected = "upgrade_rejected"
    /// TCP ended before the upgrade was answered.
    case reset
    /// The upgrade was not answered in time.
    case timeout
    case helloTimeout = "hello_timeout"
    /// Slack sent `disconnect`, or closed, in place of `hello`.
    case refused
    case tooManyWebSockets = "too_many_websockets"
    case linkDisabled = "link_disabled"
    /// Given up: the gateway shuts down, or has other settings.
    case canceled

    /// - Parameter reason: why a connection ended that had no `hello` yet.
    package init(endedBeforeHello reason: EndReason) {
        switch reason {
        case .tooManyWebSockets: self = .tooManyWebSockets
        case .linkDisabled: self = .linkDisabled
        case .helloTimeout: self = .helloTimeout
        case .refreshed, .drained: self = .canceled
        case .reset, .dead: self = .reset
        case .refused, .closedBySlack, .protocolError, .messageTooLarge: self = .refused
        }
    }
}

/// Why an attempt to connect failed: one value per attempt, wherever it failed.
package struct ConnectFailure: Error, Equatable, Sendable, CustomStringConvertible {
    package var outcome: ConnectOutcome
    /// For people; holds no URL of a WebSocket and no token.
    package var detail: String
    /// Of the HTTP answer, if there was one.
    package var status: Int?
    /// The `via` and `server` headers of a refused upgrade: they tell Slack's edge from a proxy or a wrong front end
    /// (F39).
    package var via: String?
    package var server: String?
    /// As the peer asked; `PoolStateMachine` caps it.
    package var retryAfter: Duration?

    package init(
        _ outcome: ConnectOutcome, _ detail: String, status: Int? = nil, via: String? = nil, server: String? = nil,
        retryAfter: Duration? = nil
    ) {
        self.outcome = outcome
        self.detail = detail
        self.status = status
        self.via = via
        self.server = server
        self.retryAfter = retryAfter
    }

    package var description: String { "\(outcome.rawValue): \(detail)" }
}
