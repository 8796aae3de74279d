// The headers that carry signatures.

package import RelayCore

extension SigningScheme {
    /// The header that the signature is in.
    ///
    /// Slack: docs.slack.dev, "Verifying requests from Slack". Standard Webhooks: spec/standard-webhooks.md, "Webhook
    /// headers". GitHub: docs.github.com, "Webhook events and payloads", delivery headers.
    package var signatureHeader: String {
        switch self {
        case .slack: "X-Slack-Signature"
        case .standardWebhooks, .ed25519: "webhook-signature"
        case .github: "X-Hub-Signature-256"
        }
    }

    /// The header with the time that is signed, in Unix seconds; nil where none is.
    package var timestampHeader: String? {
        switch self {
        case .slack: "X-Slack-Request-Timestamp"
        case .standardWebhooks, .ed25519: "webhook-timestamp"
        case .github: nil
        }
    }

    /// The header with the id that is signed; nil where none is.
    package var idHeader: String? { signsID ? "webhook-id" : nil }
}

/// The signatures of one request, with what was signed beside the body.
package struct RequestSignatures: Sendable, Equatable {
    package struct Signature: Sendable, Equatable {
        package var scheme: SigningScheme
        /// As the scheme's header has it: `v0=…`, `v1,…`, `v1a,…`, `sha256=…`.
        package var value: String

        package init(_ scheme: SigningScheme, _ value: String) {
            self.scheme = scheme
            self.value = value
        }
    }

    /// The same over all attempts at a delivery.
    package var id: String
    /// Of this attempt, Unix seconds.
    package var timestamp: Int64
    /// At most one of each scheme whose header has room for one.
    package var signatures: [Signature]

    package init(id: String, timestamp: Int64, signatures: [Signature]) {
        self.id = id
        self.timestamp = timestamp
        self.signatures = signatures
    }

    /// The headers of all schemes that signed, Slack's first.
    package var headers: [Backend.Header] { slackHeaders + otherHeaders }

    /// Slack's two, in its order; none where another scheme signs alone.
    var slackHeaders: [Backend.Header] { headers(of: [.slack]) }

    /// Those of Standard Webhooks, both versions in one list, and GitHub's.
    var otherHeaders: [Backend.Header] { headers(of: [.standardWebhooks, .ed25519]) + headers(of: [.github]) }

    /// Id, timestamp and signatures of schemes that share their headers.
    private func headers(of schemes: [SigningScheme]) -> [Backend.Header] {
        let own = signatures.filter { schemes.contains($0.scheme) }
        guard let scheme = own.first?.scheme else { return [] }
        return [
            scheme.idHeader.map { Backend.Header(name: $0, value: id) },
            scheme.timestampHeader.map { Backend.Header(name: $0, value: String(timestamp)) },
            Backend.Header(name: scheme.signatureHeader, value: own.map(\.value).joined(separator: " ")),
        ].compactMap { $0 }
    }
}
