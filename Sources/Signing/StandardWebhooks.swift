// The signatures of the Standard Webhooks specification 1.0.0.

/// Signatures of Standard Webhooks (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md): over
/// `ID.TIMESTAMP.BODY`, base64 with padding after a version and a comma. `webhook-signature` is a list of them,
/// separated by spaces, one for each key that is valid.
///
/// The id must not contain a full stop: with one, other ids and timestamps would sign the same bytes.
package enum StandardWebhooks {
    /// A secret that both sides have, for signatures of version `v1`: HMAC-SHA-256.
    package struct SecretKey: Sendable, CustomReflectable {
        package static let version = "v1"
        /// The specification asks for 24 to 64 bytes. A longer one does no harm: HMAC takes any length.
        package static let minimumByteCount = 24

        private let bytes: [UInt8]

        /// - Parameter text: base64, with or without `whsec_` before it.
        package init(_ text: [UInt8]) throws(KeyFormatError) {
            bytes = try KeyText.decode(text, as: .secret)
            guard bytes.count >= Self.minimumByteCount else {
                throw KeyFormatError(
                    .wrongLength,
                    "holds \(bytes.count) bytes; Standard Webhooks asks for at least 24, as of 32 random ones")
            }
        }

        /// - Parameters:
        ///   - timestamp: of the attempt, Unix seconds.
        ///   - body: the bytes as they are sent.
        package func sign(id: String, timestamp: Int64, body: [UInt8]) -> String {
            let pieces = [prefix(id: id, timestamp: timestamp), body]
            return "\(Self.version)," + Base64.encode(HMACSHA256.authenticationCode(key: bytes, pieces: pieces))
        }

        /// Whether one of a list of signatures is the right one. Takes the same time wherever a signature differs.
        package func verify(_ signatures: String, id: String, timestamp: Int64, body: [UInt8]) -> Bool {
            let right = Array(sign(id: id, timestamp: timestamp, body: body).utf8)
            return signatures.split(separator: " ").count { constantTimeEqual(Array($0.utf8), right) } > 0
        }

        package var customMirror: Mirror { Mirror(self, children: []) }
    }

    /// The key that signs with version `v1a`, Ed25519.
    package struct PrivateKey {
        package static let version = PublicKey.version
        private let key: Ed25519PrivateKey

        /// - Parameter text: base64, with or without `whsk_` before it, of the 32 bytes of a private key (as in the
        ///   specification's Go library), or of these and the 32 of its public key (as in Svix's server).
        package init(_ text: [UInt8]) throws(KeyFormatError) {
            let bytes = try KeyText.decode(text, as: .privateKey)
            guard [Ed25519.keyByteCount, 2 * Ed25519.keyByteCount].contains(bytes.count) else {
                throw KeyFormatError(
                    .wrongLength,
                    "holds \(bytes.count) bytes; an Ed25519 private key has 32, or 64 together with its public key")
            }
            guard let key = Ed25519PrivateKey(seed: Array(bytes.prefix(Ed25519.keyByteCount))) else {
                throw KeyFormatError(.unavailable, "cannot be used: this machine's libcrypto offers no Ed25519")
            }
            guard bytes.count == Ed25519.keyByteCount || Array(bytes.suffix(Ed25519.keyByteCount)) == key.publicKey
            else {
                throw KeyFormatError(.keysDiffer, "ends in a public key that does not belong to its private key")
            }
            self.key = key
        }

        /// What verifies this key's signatures, as it is given to a backend: `whpk_…`.
        package var publicKeyText: String { KeyText.Kind.publicKey.prefix + Base64.encode(key.publicKey) }

        /// - Parameters:
        ///   - timestamp: of the attempt, Unix seconds.
        ///   - body: the bytes as they are sent.
        package func sign(id: String, timestamp: Int64, body: [UInt8]) -> String {
            "\(Self.version)," + Base64.encode(key.sign(prefix(id: id, timestamp: timestamp) + body))
        }
    }

    /// The key that verifies signatures of version `v1a`, Ed25519. No secret.
    package struct PublicKey: Sendable {
        package static let version = "v1a"
        private let bytes: [UInt8]

        /// - Parameter text: base64, with or without `whpk_` before it.
        package init(_ text: [UInt8]) throws(KeyFormatError) {
            bytes = try KeyText.decode(text, as: .publicKey)
            guard bytes.count == Ed25519.keyByteCount else {
                throw KeyFormatError(.wrongLength, "holds \(bytes.count) bytes; an Ed25519 public key has 32")
            }
        }

        /// Whether one of a list of signatures is right.
        package func verify(_ signatures: String, id: String, timestamp: Int64, body: [UInt8]) -> Bool {
            let message = prefix(id: id, timestamp: timestamp) + body
            return signatures.split(separator: " ").contains { entry in
                guard entry.hasPrefix("\(Self.version),"),
                    let signature = Base64.decode(Array(entry.dropFirst(Self.version.count + 1).utf8))
                else { return false }
                return Ed25519.verify(signature, of: message, publicKey: bytes)
            }
        }
    }

    /// What is signed before the body.
    private static func prefix(id: String, timestamp: Int64) -> [UInt8] { Array("\(id).\(timestamp).".utf8) }
}

/// Keys as they are written down: a prefix that tells what they are, and base64.
private enum KeyText {
    enum Kind: CaseIterable {
        case secret, privateKey, publicKey

        var prefix: String {
            switch self {
            case .secret: "whsec_"
            case .privateKey: "whsk_"
            case .publicKey: "whpk_"
            }
        }

        var name: String {
            switch self {
            case .secret: "secret"
            case .privateKey: "private key"
            case .publicKey: "public key"
            }
        }
    }

    /// The bytes of a key. `_` is no digit of base64, so no key begins like a prefix by chance.
    static func decode(_ text: [UInt8], as kind: Kind) throws(KeyFormatError) -> [UInt8] {
        let given = Kind.allCases.first { text.starts(with: $0.prefix.utf8) }
        if let given, given != kind {
            throw KeyFormatError(
                .wrongKind, "is a \(given.name) (\(given.prefix)…); a \(kind.name) is wanted (\(kind.prefix)…)")
        }
        guard let bytes = Base64.decode(Array(text.dropFirst(given?.prefix.utf8.count ?? 0))) else {
            throw KeyFormatError(
                .notBase64, "is not base64 with its padding, with or without \(kind.prefix) before it")
        }
        return bytes
    }
}
