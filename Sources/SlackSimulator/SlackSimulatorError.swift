// What the simulator cannot do.

package struct SlackSimulatorError: Error, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// The address cannot be listened on.
        case bind
        /// The certificate or the key cannot be used.
        case tls
        /// No envelope with this id was sent, or it was forgotten.
        case unknownEnvelope
        /// A control request that makes no sense.
        case request
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
