// Why a text is not a document that we read.

/// The text is not YAML, or is YAML that is refused here. The message may name a key, never a value.
package struct YAMLError: Error, Hashable, CustomStringConvertible {
    package var code: Code
    package var position: YAMLPosition
    /// For people; begins in lower case, without position.
    package var message: String

    package enum Code: Sendable {
        /// Larger than `YAMLLimits.maxBytes`.
        case tooLarge
        /// Nested deeper than `YAMLLimits.maxDepth`.
        case tooDeep
        /// Not UTF-8, or holds a character that YAML does not allow.
        case encoding
        /// Not YAML.
        case syntax
        case duplicateKey
        /// An anchor, alias, tag, collection as key, or second document: YAML, but not read here.
        case unsupported
        /// The parser had no memory.
        case outOfMemory
    }

    package init(_ code: Code, at position: YAMLPosition, _ message: String) {
        self.code = code
        self.position = position
        self.message = message
    }

    /// `12:7: mapping values are not allowed in this context`
    package var description: String { "\(position): \(message)" }
}
