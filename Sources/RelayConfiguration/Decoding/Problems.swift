// Collects the mistakes of one file, so that a person sees all of them at once.

import YAML

/// The mistakes found so far. Lives for one parse, on one thread.
final class Problems {
    private let file: String
    private(set) var errors: [ConfigurationError] = []

    init(file: String) { self.file = file }

    func note(_ message: String, at position: YAMLPosition) {
        errors.append(
            ConfigurationError(file: file, line: position.line, column: position.column, message: message))
    }

    /// In the order of the file.
    var sorted: ConfigurationErrors {
        ConfigurationErrors(errors.sorted { ($0.line, $0.column) < ($1.line, $1.column) })
    }
}

/// Why one value is not taken. `Section` adds its key and notes it.
struct Refusal: Error {
    /// Continues a sentence that begins with the key: `must be 1 to 10, is 12`.
    var message: String

    init(_ message: String) { self.message = message }
}
