// A backend as configured: where it is, how to speak to it, how patient to be with it.

/// An HTTP app that payloads go to. Defaults are those of relay.yaml.example.
package struct Backend: Sendable, Equatable {
    package var name: BackendName
    /// For each kind that has no URL of its own; an absolute http or https URL.
    package var url: String?
    /// A URL of its own for some kinds.
    package var urls: [Kind: String]
    /// POST over this Unix domain socket; the URL then gives path and Host only.
    package var unixSocket: String?
    /// What signs each request. Empty: the signing secret of the Slack app that the envelope came from, with scheme
    /// `slack`. Otherwise only what is listed: without an entry of scheme `slack`, no signature of Slack's is sent.
    package var signing: [SigningEntry]
    /// For the whole attempt, connecting included.
    package var timeout: Duration
    package var connectTimeout: Duration
    /// Deliveries attempted at the same time, 1 to 1,000.
    package var maxInFlight: Int
    /// Requests whose answer somebody waits for, counted apart from deliveries, 1 to 100,000. More are not asked for.
    package var maxWaiting: Int
    /// nil: as fast as `maxInFlight` allows. Deliveries only: who waits for an answer is not made to wait.
    package var rateLimit: RateLimit?
    /// What deliveries share that must not overtake each other.
    package var orderBy: OrderBy
    /// How long a failing delivery may hold up those behind it, from its first attempt on, or from when the backend was
    /// resumed, its breaker closed or the process started after it; then it is a dead letter.
    package var orderBlockMax: Duration
    package var circuitBreaker: CircuitBreaker.Configuration
    package var retry: RetryPolicy
    /// Older deliveries are `expired` instead of attempted; a kind without an entry never expires.
    package var maxAge: [Kind: Duration]
    package var tls: TLS
    /// Which addresses it may be reached at; a Unix domain socket has none.
    package var egress: EgressPolicy
    /// An HTTP proxy on the way to it, `http://[user:password@]host:port`; none is taken from the environment.
    package var proxy: String?
    /// Added to each request, in order.
    package var headers: [Header]
    package var retryHeaders: RetryHeaders
    package var userAgent: String
    /// false: the payload is removed from the store once delivered.
    package var recordsPayloads: Bool

    /// For https URLs. PEM files, read anew for each connection; the backend's certificate is always verified.
    package struct TLS: Sendable, Hashable {
        /// Authorities to trust beside the system's.
        package var caFile: String?
        /// What Relay shows of itself: its certificate, with those between it and its authority, and its private key.
        /// Both or none.
        package var clientCertificateFile: String?
        package var clientKeyFile: String?

        package init(caFile: String? = nil, clientCertificateFile: String? = nil, clientKeyFile: String? = nil) {
            self.caFile = caFile
            self.clientCertificateFile = clientCertificateFile
            self.clientKeyFile = clientKeyFile
        }
    }

    package struct Header: Sendable, Hashable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// Whether `X-Slack-Retry-Num` and `X-Slack-Retry-Reason` are sent.
    package enum RetryHeaders: String, Sendable, CaseIterable {
        case none
        /// Slack's own retries, as the envelope tells them.
        case slack
        /// Relay's attempts after the first, with the true reason.
        case relay
    }

    package static let defaultUserAgent = "Slackbot 1.0 (+https://api.slack.com/robots)"
    package static let defaultMaxAge: [Kind: Duration] = [
        .command: .seconds(30 * 60), .interaction: .seconds(30 * 60), .options: .seconds(3),
    ]

    package init(
        name: BackendName, url: String? = nil, urls: [Kind: String] = [:], unixSocket: String? = nil,
        signing: [SigningEntry] = [], timeout: Duration = .seconds(10),
        connectTimeout: Duration = .seconds(3), maxInFlight: Int = 16, maxWaiting: Int = 1_000,
        rateLimit: RateLimit? = nil, orderBy: OrderBy = .none, orderBlockMax: Duration = .seconds(600),
        circuitBreaker: CircuitBreaker.Configuration = .init(), retry: RetryPolicy = .init(),
        maxAge: [Kind: Duration] = Backend.defaultMaxAge, tls: TLS = .init(), egress: EgressPolicy = .init(),
        proxy: String? = nil, headers: [Header] = [], retryHeaders: RetryHeaders = .none,
        userAgent: String = Backend.defaultUserAgent, recordsPayloads: Bool = true
    ) {
        self.name = name
        self.url = url
        self.urls = urls
        self.unixSocket = unixSocket
        self.signing = signing
        self.timeout = timeout
        self.connectTimeout = connectTimeout
        self.maxInFlight = maxInFlight
        self.maxWaiting = maxWaiting
        self.rateLimit = rateLimit
        self.orderBy = orderBy
        self.orderBlockMax = orderBlockMax
        self.circuitBreaker = circuitBreaker
        self.retry = retry
        self.maxAge = maxAge
        self.tls = tls
        self.egress = egress
        self.proxy = proxy
        self.headers = headers
        self.retryHeaders = retryHeaders
        self.userAgent = userAgent
        self.recordsPayloads = recordsPayloads
    }

    /// The URL for a kind; nil when neither `urls` nor `url` has one.
    package func url(for kind: Kind) -> String? { urls[kind] ?? url }
}
