// What may keep a gateway from working, looked for from end to end.

package import Curl
package import RelayConfiguration
package import RelayCore
import SQLiteQueue
import SlackConnector
import SlackHTTP
import SocketMode
import WebhookSender

/// One thing that was looked at.
package struct Finding: Sendable, Equatable {
    /// `slack.app_token`, `backends.orders`: the key where there is one.
    package var subject: String
    package var verdict: Verdict
    /// What was found. Holds no secret.
    package var detail: String
    /// What to do about it; nil when all is well.
    package var advice: String?
    /// Slack refuses the token.
    package var isRefusal: Bool

    package enum Verdict: String, Sendable, CaseIterable {
        case ok
        case warning
        case failed
    }

    package init(
        _ subject: String, _ verdict: Verdict, _ detail: String, advice: String? = nil, isRefusal: Bool = false
    ) {
        self.subject = subject
        self.verdict = verdict
        self.detail = detail
        self.advice = advice
        self.isRefusal = isRefusal
    }
}

/// Looks at Slack, its token, the clock, each backend and the place of the queue. Sends Slack one apps.connections.open,
/// whose connection is not made, and each backend a `url_verification`; changes nothing else.
package struct Doctor: Sendable {
    private let configuration: Configuration
    private let secrets: any SecretReader
    private let client: CurlClient
    private let sender: WebhookSender
    private let now: @Sendable () -> Timestamp

    package init(
        configuration: Configuration, secrets: any SecretReader, client: CurlClient,
        now: @escaping @Sendable () -> Timestamp = { SystemClock().now }
    ) {
        self.configuration = configuration
        self.secrets = secrets
        self.client = client
        self.now = now
        sender = WebhookSender(
            backends: configuration.backends, signingSecrets: configuration.signingSecrets, secrets: secrets,
            client: client, now: now)
    }

    /// Tells each finding as it comes: Slack first, then backends, then the queue.
    package func examine(_ tell: (Finding) -> Void) async {
        for app in configuration.apps { await examineSlack(app, tell) }
        for backend in configuration.backends { tell(await examine(backend)) }
        tell(queueFinding)
    }

    // MARK: - Slack

    private func examineSlack(_ slack: SlackConfiguration, _ tell: (Finding) -> Void) async {
        let connector = SlackConnectorConfiguration(slack)
        let section = configuration.key(of: slack)
        guard await examineWay(to: connector, section, tell) else { return }
        let source = ConnectionsOpen(http: client, configuration: connector) { [secrets] in
            try secrets.secret(slack.appToken)
        }
        switch await source.open() {
        case .failure(let failure): tell(Self.tokenFinding(failure, section))
        case .success(let url):
            tell(Finding("\(section).app_token", .ok, "Slack takes it, and Socket Mode is on"))
            tell(await examineSocket(url, connector, section))
        }
    }

    /// DNS, proxy, TLS and the clock. Returns whether Slack's API can be reached.
    private func examineWay(
        to connector: SlackConnectorConfiguration, _ section: String, _ tell: (Finding) -> Void
    ) async -> Bool {
        let host = connector.apiURL
        do {
            let response = try await client.perform(
                CurlRequest(
                    url: host + "/api.test", method: .post, timeout: .seconds(10), connectTimeout: .seconds(5),
                    proxy: connector.proxy.map { .url($0) } ?? .environment, caFile: connector.caFile,
                    maxResponseBytes: 1 << 20))
            tell(Finding("\(section).api_url", .ok, "\(host) answers (HTTP \(response.status))"))
            if let finding = clockFinding(response.header("Date")) { tell(finding) }
            return true
        } catch {
            tell(Finding("\(section).api_url", .failed, error.message, advice: Self.advice(error.code)))
            return false
        }
    }

    /// nil when the answer does not say what time it is.
    private func clockFinding(_ date: String?) -> Finding? {
        guard let date, let there = HTTPDate.timestamp(date, now: now()) else { return nil }
        let skew = there.duration(to: now()).components.seconds
        let detail = "\(abs(skew)) s \(skew < 0 ? "behind" : "ahead of") Slack's"
        guard abs(skew) > 60 else { return Finding("clock", .ok, detail) }
        return Finding(
            "clock", abs(skew) > 240 ? .failed : .warning, detail,
            advice: "set it, with NTP: a backend refuses signatures that are more than 5 minutes off")
    }

    private static func tokenFinding(_ failure: ConnectFailure, _ section: String) -> Finding {
        let isRefusal = failure.outcome == .apiFatal
        let advice =
            switch failure.detail {
            case let detail where detail.contains("link_disabled") || detail.contains("socket_mode_disabled"):
                "switch Socket Mode on: api.slack.com/apps, the app, Socket Mode"
            case let detail where detail.contains("missing_scope") || detail.contains("not_allowed_token_type"):
                "use an app-level token (xapp-…) with the scope connections:write: Basic Information, App-Level Tokens"
            case _ where isRefusal:
                "make a new app-level token with the scope connections:write: Basic Information, App-Level Tokens"
            case _ where failure.outcome == .rateLimited: "wait, and ask less often"
            default: "try again; see status.slack.com"
            }
        return Finding("\(section).app_token", .failed, failure.detail, advice: advice, isRefusal: isRefusal)
    }

    /// Whether the host of a socket URL, which holds a ticket and is shown to nobody, can be connected to.
    private func examineSocket(
        _ url: Secret, _ connector: SlackConnectorConfiguration, _ section: String
    ) async -> Finding {
        let text = String(decoding: url.bytes, as: UTF8.self)
        let scheme = text.hasPrefix("wss:") ? "https" : "http"
        let authority = text.drop { $0 != "/" }.dropFirst(2).prefix { $0 != "/" && $0 != "?" }
        do {
            try await client.connect(
                CurlRequest(
                    url: "\(scheme)://\(authority)/", method: .get, timeout: .seconds(10), connectTimeout: .seconds(5),
                    proxy: connector.proxy.map { .url($0) } ?? .environment, caFile: connector.caFile))
            return Finding("\(section) sockets", .ok, "\(authority) can be connected to")
        } catch {
            return Finding("\(section) sockets", .failed, error.message, advice: Self.advice(error.code))
        }
    }

    // MARK: - Backends

    private func examine(_ backend: Backend) async -> Finding {
        let subject = "backends.\(backend.name)"
        guard let verification = await sender.verifyURL(of: backend, apps: configuration.apps.map(\.name)) else {
            let connects = await sender.connects(to: backend)
            return connects
                ? Finding(subject, .ok, "can be connected to; it has no url for events to verify")
                : Finding(
                    subject, .failed, "cannot be connected to",
                    advice: "is it running, and is its \(backend.placeKey) right? `relay config show` prints it")
        }
        return Self.finding(subject, verification, placeKey: backend.placeKey)
    }

    private static func finding(_ subject: String, _ verification: URLVerification, placeKey: String) -> Finding {
        let result = verification.result
        switch result.outcome {
        case .accepted where verification.isChallengeReturned:
            return Finding(subject, .ok, "returns the challenge")
        case .accepted:
            return Finding(
                subject, .warning, "answers HTTP \(result.status ?? 200) without the challenge",
                advice: "fine for an app that was never a Slack request URL; else look at its url")
        case .rejected(let reason), .failed(let reason):
            return Finding(subject, .failed, "\(reason): \(result.detail)", advice: advice(reason, placeKey: placeKey))
        }
    }

    private static func advice(_ reason: AttemptReason, placeKey: String) -> String {
        switch reason {
        case .dnsError: "mend the host name in its url, or DNS"
        case .connectionRefused: "start it: nothing listens at its \(placeKey)"
        case .connectionReset: "look into its log: it ended the connection"
        case .connectTimeout, .timeout: "look into its log, or raise timeout: it does not answer in time"
        case .tlsError: "name its authority in tls.ca, or mend its certificate"
        case .blockedAddress: "look at its DNS; then allow the network in egress.allow"
        case .redirect: "use the url that it redirects to: redirects are not followed"
        case .responseTooLarge: "look at what it answers: more than 1 MiB"
        case .requestError: "mend the secret in its `signing`, or in slack.signing_secret"
        case .http(status: 401), .http(status: 403): "give both the same signing secret, and set both clocks"
        case .http(status: 404), .http(status: 405): "look at the path of its url"
        case .http: "look into its log"
        }
    }

    private static func advice(_ code: CurlError.Code) -> String {
        switch code {
        case .dnsError: "mend DNS, or the name; behind a proxy set HTTPS_PROXY or slack.proxy"
        case .connectionRefused:
            "start it, where slack.api_url is a simulator's; else open the way out to port 443, or set "
                + "HTTPS_PROXY or slack.proxy"
        case .connectTimeout, .timeout: "open the way out to port 443, or set HTTPS_PROXY or slack.proxy"
        case .proxyError: "mend the proxy, its name or its credentials (slack.proxy, HTTPS_PROXY)"
        case .tlsError: "name the authority of a proxy that opens TLS in slack.ca"
        case .connectionReset, .blockedAddress, .responseTooLarge, .canceled, .invalidRequest, .other:
            "look at slack.api_url and slack.proxy"
        }
    }

    // MARK: - The queue

    private var queueFinding: Finding {
        guard configuration.queue.driver == .sqlite else {
            return Finding("queue", .warning, "driver memory: what waits is lost when the process ends")
        }
        let path = configuration.queue.path
        let found = QueueInspection.inspect(path)
        if let problem = found.problem {
            return problem.code == .locked
                ? Finding("queue.path", .ok, "in use: \(problem.message)")
                : Finding(
                    "queue.path", .failed, problem.message,
                    advice:
                        "name a file of Relay's own, there or not, in a directory that belongs to the user that Relay runs as"
                )
        }
        let place = "\(path), \(found.fileSystem ?? "unknown file system")"
        if found.isShared {
            return Finding(
                "queue.path", .warning, "\(place): may be another machine's disk", advice: "use a local disk")
        }
        let limit = configuration.queue.limits.maxBytes
        if let free = found.freeBytes, free + found.usedBytes < limit {
            return Finding(
                "queue.path", .warning, "\(place): \(free >> 20) MiB free, max_bytes is \(limit >> 20) MiB",
                advice: "make room, or lower queue.max_bytes")
        }
        return Finding("queue.path", .ok, "\(place), \((found.freeBytes ?? 0) >> 20) MiB free")
    }
}

extension Backend {
    /// The key that says where it is connected to.
    fileprivate var placeKey: String { unixSocket == nil ? "url" : "unix_socket" }
}
