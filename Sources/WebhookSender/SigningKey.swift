// A secret in the form that its scheme asks for.

package import RelayCore
package import Signing
package import SlackHTTP

/// What signs with one secret.
package enum SigningKey {
    case slack(Secret)
    case standardWebhooks(StandardWebhooks.SecretKey)
    case ed25519(StandardWebhooks.PrivateKey)
    case github(Secret)

    /// Throws what the secret should look like, never the secret.
    package init(_ scheme: SigningScheme, _ secret: Secret) throws(KeyFormatError) {
        switch scheme {
        case .slack: self = .slack(secret)
        case .standardWebhooks: self = .standardWebhooks(try StandardWebhooks.SecretKey(secret.bytes))
        case .ed25519: self = .ed25519(try StandardWebhooks.PrivateKey(secret.bytes))
        case .github: self = .github(secret)
        }
    }

    /// Reads the secret that a reference names.
    init(
        _ scheme: SigningScheme, _ reference: SecretReference, from secrets: any SecretReader
    ) throws(SecretError) {
        let secret = try secrets.secret(reference)
        do throws(KeyFormatError) {
            self = try SigningKey(scheme, secret)
        } catch {
            throw SecretError(reference, reason: error.description)
        }
    }

    /// - Parameters:
    ///   - id: of the delivery; for the schemes that sign one.
    ///   - timestamp: of the attempt, Unix seconds; likewise.
    package func sign(id: String, timestamp: Int64, body: [UInt8]) -> RequestSignatures.Signature {
        switch self {
        case .slack(let secret):
            .init(.slack, SlackSignature.sign(secret: secret.bytes, timestamp: timestamp, body: body))
        case .standardWebhooks(let key):
            .init(.standardWebhooks, key.sign(id: id, timestamp: timestamp, body: body))
        case .ed25519(let key): .init(.ed25519, key.sign(id: id, timestamp: timestamp, body: body))
        case .github(let secret): .init(.github, GitHubSignature.sign(secret: secret.bytes, body: body))
        }
    }
}
