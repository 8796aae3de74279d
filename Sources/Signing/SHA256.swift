// SHA-256 by libcrypto.

internal import COpenSSL

/// FIPS 180-4.
package enum SHA256 {
    /// 32 bytes.
    package static func digest(_ bytes: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        requireSuccess(EVP_Digest(bytes, bytes.count, &digest, nil, EVP_sha256(), nil), of: "EVP_Digest")
        return digest
    }
}
