// One line of relay's JSON log.

import Foundation

struct LogRecord: Sendable, CustomStringConvertible {
    let line: String
    let time: Date
    let level: String
    let message: String
    private let fields: [String: String]

    /// nil for a line that is not one of the log.
    init?(_ line: String) {
        guard let fields = try? JSONDecoder().decode([String: String].self, from: Data(line.utf8)),
            let message = fields["message"], let level = fields["level"],
            let time = fields["time"].flatMap({
                try? Date($0, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
            })
        else { return nil }
        self.line = line
        self.time = time
        self.level = level
        self.message = message
        self.fields = fields
    }

    /// Metadata, by its whole key.
    subscript(key: String) -> String? { fields[key] }

    var description: String { line }
}
