// Ed25519 (RFC 8032), by libcrypto.

internal import COpenSSL

enum Ed25519 {
    /// Of a private key (RFC 8032 calls it the seed) and of a public key alike.
    static let keyByteCount = 32
    static let signatureByteCount = 64

    /// Whether the signature is right; false also for a public key that is no point of the curve.
    static func verify(_ signature: [UInt8], of message: [UInt8], publicKey: [UInt8]) -> Bool {
        guard signature.count == signatureByteCount, publicKey.count == keyByteCount else { return false }
        // A refused signature leaves errors in the thread's queue, where a TLS call would take them for its own
        // (SSL_get_error(3)).
        ERR_set_mark()
        defer { ERR_pop_to_mark() }
        guard let key = EVP_PKEY_new_raw_public_key_ex(nil, "ED25519", nil, publicKey, publicKey.count) else {
            return false
        }
        defer { EVP_PKEY_free(key) }
        let context = EVP_MD_CTX_new()
        defer { EVP_MD_CTX_free(context) }
        // Ed25519 hashes by itself: no digest is named (EVP_SIGNATURE-ED25519(7)).
        return EVP_DigestVerifyInit(context, nil, nil, nil, key) == 1
            && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
    }
}

/// A private key, freed with its last reference.
final class Ed25519PrivateKey {
    private let key: OpaquePointer

    /// - Parameter seed: 32 bytes.
    /// - Returns: nil when libcrypto offers no Ed25519, as when it is confined to a FIPS provider without it.
    init?(seed: [UInt8]) {
        ERR_set_mark()
        defer { ERR_pop_to_mark() }
        guard let key = EVP_PKEY_new_raw_private_key_ex(nil, "ED25519", nil, seed, seed.count) else { return nil }
        self.key = key
    }

    deinit { EVP_PKEY_free(key) }

    var publicKey: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Ed25519.keyByteCount) { bytes, count in
            count = Ed25519.keyByteCount
            requireSuccess(
                EVP_PKEY_get_raw_public_key(key, bytes.baseAddress, &count), of: "EVP_PKEY_get_raw_public_key")
        }
    }

    func sign(_ message: [UInt8]) -> [UInt8] {
        let context = EVP_MD_CTX_new()
        defer { EVP_MD_CTX_free(context) }
        requireSuccess(EVP_DigestSignInit(context, nil, nil, nil, key), of: "EVP_DigestSignInit(ED25519)")
        return [UInt8](unsafeUninitializedCapacity: Ed25519.signatureByteCount) { signature, count in
            count = Ed25519.signatureByteCount
            requireSuccess(
                EVP_DigestSign(context, signature.baseAddress, &count, message, message.count),
                of: "EVP_DigestSign(ED25519)")
        }
    }
}
