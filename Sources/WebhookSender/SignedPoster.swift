// A signed POST that is no delivery: how alarms leave.

package import Curl
package import RelayCore
internal import SlackHTTP

/// Posts JSON to one URL, signed as Standard Webhooks v1 asks for (`webhook-id`, `webhook-timestamp`,
/// `webhook-signature`).
package struct SignedPoster: Sendable {
    private let url: String
    private let secret: SecretReference
    private let secrets: any SecretReader
    private let client: CurlClient
    private let now: @Sendable () -> Timestamp

    private static let timeout = Duration.seconds(10)

    /// - Parameters:
    ///   - url: absolute, http or https. A proxy is taken from the environment, as for Slack.
    ///   - secret: `whsec_…` or its base64 alone; read for each post, so that a rotated one is used from then on.
    package init(
        url: String, secret: SecretReference, secrets: any SecretReader, client: CurlClient,
        now: @escaping @Sendable () -> Timestamp
    ) {
        self.url = url
        self.secret = secret
        self.secrets = secrets
        self.client = client
        self.now = now
    }

    /// Makes one attempt.
    /// - Parameter id: the same over all attempts at one body, without a full stop.
    /// - Returns: nil when it was accepted (2xx), else why not, for people; holds no secret.
    package func post(id: String, _ body: [UInt8]) async -> String? {
        let timestamp = now().secondsSinceEpoch
        let key: SigningKey
        do { key = try SigningKey(.standardWebhooks, secret, from: secrets) } catch { return "\(error)" }
        let signatures = RequestSignatures(
            id: id, timestamp: timestamp, signatures: [key.sign(id: id, timestamp: timestamp, body: body)])
        let headers = signatures.headers.map { ($0.name, $0.value) }
        do {
            let response = try await client.perform(
                CurlRequest(
                    url: url, method: .post, headers: [("Content-Type", "application/json")] + headers, body: body,
                    timeout: Self.timeout, connectTimeout: .seconds(5), proxy: .environment,
                    maxResponseBytes: WebhookSender.maxResponseBytes))
            return 200..<300 ~= response.status ? nil : "HTTP \(response.status)"
        } catch {
            return error.message
        }
    }
}
