// Slack's request signature, version 0.

/// The value of `X-Slack-Signature`: `v0=` and the HMAC-SHA-256 of `v0:TIMESTAMP:BODY` in lower-case hexadecimal digits
/// (docs.slack.dev, "Verifying requests from Slack").
package enum SlackSignature {
    /// - Parameters:
    ///   - secret: the signing secret, as its UTF-8 bytes.
    ///   - timestamp: of the attempt, Unix seconds; the same as in `X-Slack-Request-Timestamp`.
    ///   - body: the bytes as they are sent.
    package static func sign(secret: [UInt8], timestamp: Int64, body: [UInt8]) -> String {
        let prefix = Array("v0:\(timestamp):".utf8)
        return "v0=" + hexadecimal(HMACSHA256.authenticationCode(key: secret, pieces: [prefix, body]))
    }

    /// Whether a signature is the right one; takes the same time wherever it differs. The age of the timestamp is the
    /// caller's to check.
    package static func verify(_ signature: String, secret: [UInt8], timestamp: Int64, body: [UInt8]) -> Bool {
        constantTimeEqual(Array(signature.utf8), Array(sign(secret: secret, timestamp: timestamp, body: body).utf8))
    }
}
