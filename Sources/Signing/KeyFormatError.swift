// Why a secret is none that a scheme can use.

/// A secret does not have the form that its scheme asks for. The description continues a sentence that names the
/// secret, and tells nothing of its content but a length: `is not base64 …`.
package struct KeyFormatError: Error, Equatable, CustomStringConvertible {
    package enum Code: Equatable, Sendable {
        /// It begins like a key of another kind.
        case wrongKind
        case notBase64
        case wrongLength
        /// The public key that is written after the private one belongs to another.
        case keysDiffer
        /// libcrypto does not offer the algorithm on this machine.
        case unavailable
    }

    package let code: Code
    package let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
