// Secrets that cannot be printed, and the references that the configuration holds instead of them.

/// The bytes of a secret. Prints, interpolates and reflects as `***`.
package struct Secret: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The secret itself: pass it to what signs or authenticates, never to a log, a metric or an error.
    package let bytes: [UInt8]

    package init(bytes: [UInt8]) { self.bytes = bytes }
    package init(_ text: String) { self.bytes = Array(text.utf8) }

    package var description: String { "***" }
    package var debugDescription: String { "***" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// Where a secret is found: `env:NAME` or `file:/path`. The configuration never holds the secret itself.
package enum SecretReference: Hashable, Sendable, CustomStringConvertible {
    case environment(String)
    case file(String)

    /// The reference as it is written in `relay.yaml`; names the place, not the secret.
    package var description: String {
        switch self {
        case .environment(let name): "env:\(name)"
        case .file(let path): "file:\(path)"
        }
    }
}

/// Gives the present value of a secret. A file is read again when it has changed, so that a rotated secret needs no
/// restart.
package protocol SecretReader: Sendable {
    /// Throws `SecretError` when the variable is not set, or the file cannot be read or is empty.
    func secret(_ reference: SecretReference) throws(SecretError) -> Secret
}

/// A secret could not be had. The message names the reference and the reason, never the secret.
package struct SecretError: Error, Equatable, CustomStringConvertible {
    package let reference: SecretReference
    package let reason: String

    package init(_ reference: SecretReference, reason: String) {
        self.reference = reference
        self.reason = reason
    }

    package var description: String { "secret \(reference): \(reason)" }
}
