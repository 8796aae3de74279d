// What is wrong with a configuration, and where it stands.

/// One mistake. The message names the key, the value and the limit; it never holds a secret.
package struct ConfigurationError: Error, Hashable, CustomStringConvertible {
    /// As the caller named it; empty when the value stands in no file.
    package var file: String
    /// From 1; 0 when the value stands in no file.
    package var line: Int
    /// From 1, in Unicode scalars; 0 when the value stands in no file.
    package var column: Int
    package var message: String

    package init(file: String, line: Int, column: Int, message: String) {
        self.file = file
        self.line = line
        self.column = column
        self.message = message
    }

    /// `relay.yaml:12:7: slack.connections must be 1 to 10, is 12`; the message alone when there is no file.
    package var description: String { line == 0 ? message : "\(file):\(line):\(column): \(message)" }
}

/// Every mistake of one configuration, in the order of the file. Never empty.
package struct ConfigurationErrors: Error, Hashable, CustomStringConvertible {
    package var errors: [ConfigurationError]

    package init(_ errors: [ConfigurationError]) { self.errors = errors }

    /// One line per mistake.
    package var description: String { errors.map(\.description).joined(separator: "\n") }
}
