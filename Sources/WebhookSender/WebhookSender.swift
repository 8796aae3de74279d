// One attempt at a delivery over HTTP: render, sign, POST, classify.

package import Curl
package import RelayCore
internal import SlackHTTP

/// Sends deliveries to the backends of a configuration, each as the signed POST that Slack would have sent; and asks for
/// answers in the same way.
///
/// Keeps no state about backends: how many attempts run at a time, when the next one is made and what an outcome leads
/// to is the dispatcher's business.
package final class WebhookSender: AttemptSender, AnswerSender {
    /// Longer response bodies are not read to their end; the status counts all the same.
    package static let maxResponseBytes = 1 << 20

    private let backends: [BackendName: Backend]
    private let signer: RequestSigner
    private let secrets: any SecretReader
    private let client: CurlClient
    let now: @Sendable () -> Timestamp
    private let lastReasons: LastReasons

    /// - Parameters:
    ///   - signingSecrets: of each Slack app; they sign for the backends that have no `signing` of their own.
    ///   - secrets: asked for each attempt, so that a rotated secret is used from then on.
    ///   - now: what requests are stamped with, and what the windows of secrets are held against.
    package convenience init(
        backends: [Backend], signingSecrets: [AppName: SecretReference], secrets: any SecretReader, client: CurlClient,
        now: @escaping @Sendable () -> Timestamp
    ) {
        self.init(
            backends: backends, signingSecrets: signingSecrets, secrets: secrets, client: client, now: now,
            lastReasons: LastReasons())
    }

    /// The sender of another configuration. It has in mind what this one has of deliveries that are tried again.
    package func reconfigured(
        backends: [Backend], signingSecrets: [AppName: SecretReference]
    ) -> WebhookSender {
        WebhookSender(
            backends: backends, signingSecrets: signingSecrets, secrets: secrets, client: client, now: now,
            lastReasons: lastReasons)
    }

    private init(
        backends: [Backend], signingSecrets: [AppName: SecretReference], secrets: any SecretReader, client: CurlClient,
        now: @escaping @Sendable () -> Timestamp, lastReasons: LastReasons
    ) {
        self.secrets = secrets
        self.lastReasons = lastReasons
        self.backends = Dictionary(backends.map { ($0.name, $0) }) { first, _ in first }
        self.signer = RequestSigner(secrets: secrets, appSecrets: signingSecrets)
        self.client = client
        self.now = now
    }

    package func send(_ delivery: Delivery, attempt number: Int) async -> AttemptResult {
        let result =
            switch await perform(delivery, attempt: number) {
            case .response(let response): AttemptResult(response, now: now())
            case .noResponse(let error): AttemptResult(error, now: now())
            case .noRequest(let result): result
            }
        attemptFinished(delivery, result)
        return result
    }

    package func ask(_ delivery: Delivery, attempt number: Int, deadline: Timestamp) async -> AskResult {
        // All of it on the client's thread, while the caller's sees to the next ones. A task, which is under way at once: a
        // group or a preference would begin only after all that waits for the caller's thread, and with a preference the
        // caller would go on on this one.
        let asked = Task(executorPreference: client.executor) {
            let result =
                switch await self.perform(delivery, attempt: number, deadline: deadline) {
                case .response(let response): AskResult(response, to: delivery.kind, now: self.now())
                case .noResponse(let error): AskResult(error, to: delivery.kind, now: self.now())
                case .noRequest(let result): AskResult(result)
                }
            self.attemptFinished(delivery, result.attempt)
            return result
        }
        return await withTaskCancellationHandler {
            await asked.value
        } onCancel: {
            asked.cancel()
        }
    }

    private func attemptFinished(_ delivery: Delivery, _ result: AttemptResult) {
        guard backends[delivery.backend]?.retryHeaders == .relay else { return }
        lastReasons.attemptFinished(delivery.id, result.outcome)
    }

    /// Whether each of a backend's servers can be connected to, in the way that its requests are: through the proxy,
    /// with TLS, at an address that `egress` allows. Nothing is sent.
    package func connects(to backend: Backend) async -> Bool {
        for url in Set(Kind.allCases.compactMap { backend.url(for: $0) }) {
            do throws(CurlError) {
                try await client.connect(CurlRequest(url: url, for: backend))
            } catch {
                return false
            }
        }
        return true
    }

    /// The URL that a backend gets a kind at; nil when it has none, or is unknown.
    func url(of backend: BackendName, for kind: Kind) -> String? { backends[backend]?.url(for: kind) }

    enum Exchange {
        case response(CurlResponse)
        case noResponse(CurlError)
        case noRequest(AttemptResult)
    }

    func perform(_ delivery: Delivery, attempt number: Int, deadline: Timestamp? = nil) async -> Exchange {
        guard let backend = backends[delivery.backend] else {
            return .noRequest(.requestError("backend \(delivery.backend) is not in the configuration"))
        }
        do {
            let timeLeft = deadline.map { now().duration(to: $0) }
            let request = try makeRequest(delivery, attempt: number, for: backend, timeLeft: timeLeft)
            return .response(try await client.perform(request))
        } catch let error as CurlError {
            return .noResponse(error)
        } catch let error as SlackRequest.RenderError {
            // The payload will be no better next time.
            return .noRequest(AttemptResult(.rejected(.requestError), detail: error.description))
        } catch {
            return .noRequest(.requestError("\(error)"))
        }
    }

    /// The request with signatures of this moment.
    private func makeRequest(
        _ delivery: Delivery, attempt: Int, for backend: Backend, timeLeft: Duration?
    ) throws -> CurlRequest {
        guard let url = backend.targetURL(for: delivery.kind, path: delivery.path) else {
            throw ConfigurationGap("backend \(backend.name) has no url for kind \(delivery.kind.rawValue)")
        }
        let request = try SlackRequest.render(
            delivery, attempt: attempt, for: backend, lastReason: lastReasons.reason(of: delivery.id),
            timeLeft: timeLeft)
        let signatures = try signer.sign(request.body, of: delivery, for: backend, at: now())
        return CurlRequest(
            url: url, headers: request.headers(signatures).map { ($0.name, $0.value) }, body: request.body,
            for: backend)
    }
}

/// The configuration lacks what a request needs. A new one may have it, so the delivery is kept for another attempt.
struct ConfigurationGap: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

extension CurlRequest {
    /// A POST in the way that a backend is reached.
    fileprivate init(
        url: String, headers: [(name: String, value: String)] = [], body: [UInt8] = [], for backend: Backend
    ) {
        self.init(
            url: url,
            method: .post,
            headers: headers,
            body: body,
            timeout: backend.timeout,
            connectTimeout: backend.connectTimeout,
            unixSocketPath: backend.unixSocket,
            proxy: backend.proxy.map { .url($0) } ?? .none,
            caFile: backend.tls.caFile,
            clientCertificateFile: backend.tls.clientCertificateFile,
            clientKeyFile: backend.tls.clientKeyFile,
            allowsHTTP2: true,
            addressObjection: backend.egress.objection(toBytes:),
            maxResponseBytes: WebhookSender.maxResponseBytes,
            acceptEncoding: SlackRequest.acceptEncoding)
    }
}

extension EgressPolicy {
    /// An address that is none of the Internet's cannot be judged, and is not connected to.
    fileprivate func objection(toBytes bytes: [UInt8]) -> String? {
        guard let address = IPAddress(bytes: bytes) else { return "egress allows IP addresses only" }
        return objection(to: address)
    }
}

extension AttemptResult {
    fileprivate static func requestError(_ detail: String) -> AttemptResult {
        AttemptResult(.failed(.requestError), detail: detail)
    }
}
