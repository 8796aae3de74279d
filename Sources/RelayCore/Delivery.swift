// The duty to hand one payload to one backend, and what became of each attempt at it.

/// Names a delivery for ever: the same over retries, restarts and replays. Sent to the backend as
/// `X-Relay-Delivery-Id`.
package struct DeliveryID: Hashable, Sendable, CustomStringConvertible {
    /// Random, drawn once when a queue is created, and once per process for answers, which are not in a queue when they
    /// are sent: keeps the ids of several gateways apart.
    package var queue: UInt32
    /// Counts up from 1 within the queue.
    package var sequence: Int64

    package init(queue: UInt32, sequence: Int64) {
        self.queue = queue
        self.sequence = sequence
    }

    /// Eight hexadecimal digits, a dash, the sequence: `3f9c2a1b-1234`.
    package var description: String {
        let digits = String(queue, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits + "-" + String(sequence)
    }

    /// Reads what `description` wrote, in letters of either case; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let queue = UInt32(parts[0], radix: 16), let sequence = Int64(parts[1]), sequence > 0
        else { return nil }
        self.init(queue: queue, sequence: sequence)
        guard description == text.lowercased() else { return nil }
    }
}

/// A delivery as it is leased: all that an attempt needs to know.
package struct Delivery: Sendable, Equatable, Identifiable {
    package var id: DeliveryID
    package var backend: BackendName
    package var route: RouteName
    /// Replaces the path of the backend's URL; nil keeps it.
    package var path: String?
    package var app: AppName
    package var kind: Kind
    package var payload: Payload
    /// Slack's own retry fields, for backends that ask for them.
    package var slackRetry: SlackRetry?
    package var receivedAt: Timestamp
    /// Deliveries of its backend that have the same key are made one at a time; nil: unordered.
    package var orderKey: String?
    /// Attempts already finished, since it was received or last replayed; the next one has the number
    /// `attemptsMade + 1`.
    package var attemptsMade: Int
    /// When the first of those began; nil when there is none.
    package var firstAttemptAt: Timestamp?
    /// How often a person had it made again.
    package var replays: Int

    package init(
        id: DeliveryID, backend: BackendName, route: RouteName, path: String? = nil, app: AppName = App.defaultName,
        kind: Kind, payload: Payload, slackRetry: SlackRetry? = nil, receivedAt: Timestamp, orderKey: String? = nil,
        attemptsMade: Int = 0, firstAttemptAt: Timestamp? = nil, replays: Int = 0
    ) {
        self.id = id
        self.backend = backend
        self.route = route
        self.path = path
        self.app = app
        self.kind = kind
        self.payload = payload
        self.slackRetry = slackRetry
        self.receivedAt = receivedAt
        self.orderKey = orderKey
        self.attemptsMade = attemptsMade
        self.firstAttemptAt = firstAttemptAt
        self.replays = replays
    }
}

/// Where a delivery stands. The raw value is used in the store, metrics, the API and docs.
package enum DeliveryState: String, Sendable, CaseIterable {
    /// Waits for its first attempt.
    case pending
    /// Waits for its next attempt at a stored time.
    case scheduled
    /// Leased and being attempted now.
    case inFlight = "in_flight"
    /// Waits for its backend to come back: pending or scheduled, while the backend's circuit breaker is open. Told of all
    /// of them, stored of none.
    case held
    /// The backend accepted it.
    case delivered
    /// Given up; kept with its reason.
    case dead
    /// Taken back by a person.
    case canceled
    /// Past its backend's `max_age`, nobody's fault; or an answer that failed, for which nobody waits any more (to
    /// replay it would run a person's command a second time).
    case expired

    /// Whether nothing more will be attempted.
    package var isFinal: Bool {
        switch self {
        case .pending, .scheduled, .inFlight, .held: false
        case .delivered, .dead, .canceled, .expired: true
        }
    }
}

/// Why an attempt was not accepted. The text is used in logs, metrics and the store; the set is closed but for the
/// status.
package enum AttemptReason: Hashable, Sendable, CustomStringConvertible {
    case dnsError
    case connectionRefused
    case connectionReset
    case connectTimeout
    case timeout
    case tlsError
    /// The egress policy forbids the address.
    case blockedAddress
    case redirect
    case responseTooLarge
    /// The request could not be made: a payload that cannot be rendered, a secret that cannot be read.
    case requestError
    case http(status: Int)

    package var description: String {
        switch self {
        case .dnsError: "dns_error"
        case .connectionRefused: "connection_refused"
        case .connectionReset: "connection_reset"
        case .connectTimeout: "connect_timeout"
        case .timeout: "timeout"
        case .tlsError: "tls_error"
        case .blockedAddress: "blocked_address"
        case .redirect: "redirect"
        case .responseTooLarge: "response_too_large"
        case .requestError: "request_error"
        case .http(let status): "http_\(status)"
        }
    }
}

extension AttemptReason {
    /// Whether the backend may have looked at the delivery before it failed: otherwise it fails for others, too.
    package var mayBeOfDelivery: Bool {
        switch self {
        case .dnsError, .connectionRefused, .connectTimeout, .tlsError, .blockedAddress: false
        case .http(let status): ![429, 502, 503, 504].contains(status)
        case .connectionReset, .timeout, .redirect, .responseTooLarge, .requestError: true
        }
    }
}

/// What one attempt came to.
package enum AttemptOutcome: Hashable, Sendable {
    /// A 2xx.
    case accepted
    /// Final: trying again cannot help.
    case rejected(AttemptReason)
    /// May pass.
    case failed(AttemptReason)

    /// `accepted`, `rejected` or `failed`.
    package var word: String {
        switch self {
        case .accepted: "accepted"
        case .rejected: "rejected"
        case .failed: "failed"
        }
    }

    package var reason: AttemptReason? {
        switch self {
        case .accepted: nil
        case .rejected(let reason), .failed(let reason): reason
        }
    }
}

/// What a sender reports of one attempt.
package struct AttemptResult: Sendable, Equatable {
    package var outcome: AttemptOutcome
    /// The response's status; nil when none came.
    package var status: Int?
    /// `Retry-After` of a 429 or 503, as sent (not yet capped).
    package var retryAfter: Duration?
    /// For people: what went wrong in detail ("connect to 127.0.0.1 port 3000: refused"). Holds no secret and no
    /// payload.
    package var detail: String
    /// To be kept; nil when there was none, or nothing to explain.
    package var response: RecordedResponse?

    package init(
        _ outcome: AttemptOutcome, status: Int? = nil, retryAfter: Duration? = nil, detail: String = "",
        response: RecordedResponse? = nil
    ) {
        self.outcome = outcome
        self.status = status
        self.retryAfter = retryAfter
        self.detail = detail
        self.response = response
    }
}

/// One finished attempt, as it is recorded.
package struct Attempt: Sendable, Equatable {
    /// From 1.
    package var number: Int
    /// It was a probe that failed, and burned none of the delivery's attempts: `number` is the one that it would have
    /// been, and that the next attempt has.
    package var isProbe: Bool
    package var startedAt: Timestamp
    package var finishedAt: Timestamp
    package var outcome: AttemptOutcome
    /// `AttemptResult.detail` and `AttemptResult.response`.
    package var detail: String
    package var response: RecordedResponse?

    package init(
        number: Int, isProbe: Bool = false, startedAt: Timestamp, finishedAt: Timestamp, outcome: AttemptOutcome,
        detail: String = "", response: RecordedResponse? = nil
    ) {
        self.number = number
        self.isProbe = isProbe
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.outcome = outcome
        self.detail = detail
        self.response = response
    }

    /// As an attempt's result is recorded.
    package init(
        number: Int, isProbe: Bool = false, startedAt: Timestamp, finishedAt: Timestamp, result: AttemptResult
    ) {
        self.init(
            number: number, isProbe: isProbe, startedAt: startedAt, finishedAt: finishedAt, outcome: result.outcome,
            detail: result.detail, response: result.response)
    }
}

/// Makes one attempt at a delivery. The adapter is `WebhookSender`; tests and the simulation have their own.
package protocol AttemptSender: Sendable {
    /// Renders, signs, sends and classifies. Never throws: whatever goes wrong is an outcome.
    /// Returns early with a `failed` outcome when the task is canceled.
    func send(_ delivery: Delivery, attempt number: Int) async -> AttemptResult
}
