// HMAC with SHA-256 over pieces that lie apart, by libcrypto.

internal import COpenSSL

/// HMAC-SHA-256 (RFC 2104, FIPS 180-4).
package enum HMACSHA256 {
    /// 32 bytes.
    package static let byteCount = 32

    /// The code over the pieces as if they were one, without joining them. Any key length is allowed, zero included.
    package static func authenticationCode(key: [UInt8], pieces: [[UInt8]]) -> [UInt8] {
        withTemplate { template in
            // Copying a context that knows its digest costs a fraction of making one: no parameters, no look-up.
            let context = EVP_MAC_CTX_dup(template)
            defer { EVP_MAC_CTX_free(context) }
            // A nil key would mean "the key of last time": an empty one is passed as an address with length zero.
            let keyed = key.withUnsafeBufferPointer { key in
                withUnsafePointer(to: 0 as UInt8) { EVP_MAC_init(context, key.baseAddress ?? $0, key.count, nil) }
            }
            requireSuccess(keyed, of: "EVP_MAC_init")
            for piece in pieces {
                requireSuccess(EVP_MAC_update(context, piece, piece.count), of: "EVP_MAC_update")
            }
            return [UInt8](unsafeUninitializedCapacity: byteCount) { code, count in
                requireSuccess(EVP_MAC_final(context, code.baseAddress, &count, byteCount), of: "EVP_MAC_final")
            }
        }
    }

    private static func withTemplate<Result>(_ body: (OpaquePointer) -> Result) -> Result { body(template.context) }

    private static let template = Template()

    /// A context with the digest chosen and no key, made once for the process.
    ///
    /// `@unchecked Sendable`: never changed after `init`, only copied from; libcrypto's reference counts are atomic.
    private final class Template: @unchecked Sendable {
        let context: OpaquePointer

        init() {
            let algorithm = EVP_MAC_fetch(nil, "HMAC", nil)
            defer { EVP_MAC_free(algorithm) }
            guard let context = EVP_MAC_CTX_new(algorithm) else {
                preconditionFailure("libcrypto offers no HMAC; is its default provider switched off?")
            }
            self.context = context
            // A parameter holds the addresses of its name and its value: both live until it has been read.
            let chosen = "digest".withCString { name in
                "SHA256".withCString { digest in
                    let parameters = [
                        OSSL_PARAM_construct_utf8_string(name, UnsafeMutablePointer(mutating: digest), 0),
                        OSSL_PARAM_construct_end(),
                    ]
                    return EVP_MAC_CTX_set_params(context, parameters)
                }
            }
            requireSuccess(chosen, of: "EVP_MAC_CTX_set_params(SHA256)")
        }
    }
}

/// Stops the process when libcrypto cannot do what every build of it can: memory is exhausted or the installation is
/// broken. No input from outside leads here.
func requireSuccess(_ result: Int32, of call: StaticString) {
    precondition(result == 1, "libcrypto: \(call) failed")
}
