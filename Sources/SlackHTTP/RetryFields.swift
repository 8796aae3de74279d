// What `X-Slack-Retry-Num` and `X-Slack-Retry-Reason` say (slack-protocol.md §4.2).

internal import RelayCore

/// Why Slack sends an event again, in its words (docs.slack.dev, "The Events API").
enum SlackRetryReason: String {
    case timeout = "http_timeout"
    case redirects = "too_many_redirects"
    case connection = "connection_failed"
    case tls = "ssl_error"
    case status = "http_error"
    case unknown = "unknown_error"
}

/// The two fields of a request that is not the first of its kind.
struct RetryFields: Sendable, Equatable {
    var number: Int
    var reason: SlackRetryReason

    /// nil when the backend wants none, or this is no retry. Slack retries events only.
    init?(_ policy: Backend.RetryHeaders, _ delivery: Delivery, attempt: Int, lastReason: AttemptReason?) {
        switch policy {
        case .slack:
            guard delivery.kind == .event, let retry = delivery.slackRetry else { return nil }
            number = retry.attempt
            reason = SlackRetryReason(socketWord: retry.reason)
        case .relay:
            guard attempt > 1 else { return nil }
            number = attempt - 1
            reason = lastReason.map(SlackRetryReason.init) ?? .unknown
        case .none:
            return nil
        }
    }
}

extension SlackRetryReason {
    /// The socket says `timeout` where HTTP says `http_timeout`, and shares the other words. A word that Slack does not
    /// document is not let into a header.
    init(socketWord: String) {
        self = socketWord == "timeout" ? .timeout : SlackRetryReason(rawValue: socketWord) ?? .unknown
    }

    init(_ reason: AttemptReason) {
        self =
            switch reason {
            case .timeout, .connectTimeout: .timeout
            case .redirect: .redirects
            case .dnsError, .connectionRefused, .connectionReset, .blockedAddress: .connection
            case .tlsError: .tls
            case .http: .status
            case .responseTooLarge, .requestError: .unknown
            }
    }
}
