// The signature of GitHub's webhooks.

/// The value of `X-Hub-Signature-256`: `sha256=` and the HMAC-SHA-256 of the body in lower-case hexadecimal digits
/// (docs.github.com, "Validating webhook deliveries"). Nothing else is signed: no time, no id.
package enum GitHubSignature {
    /// - Parameters:
    ///   - secret: the webhook's secret, as its UTF-8 bytes.
    ///   - body: the bytes as they are sent.
    package static func sign(secret: [UInt8], body: [UInt8]) -> String {
        "sha256=" + hexadecimal(HMACSHA256.authenticationCode(key: secret, pieces: [body]))
    }

    /// Whether a signature is the right one; takes the same time wherever it differs.
    package static func verify(_ signature: String, secret: [UInt8], body: [UInt8]) -> Bool {
        constantTimeEqual(Array(signature.utf8), Array(sign(secret: secret, body: body).utf8))
    }
}
