// Log lines on standard error: JSON for machines, text for people.

import Foundation
import Logging
import Relay
import RelayConfiguration
import RelayCore
import Synchronization

/// Makes every logger of the program.
enum ConsoleLog {
    /// - Parameter format: nil: text when standard error is a terminal, else JSON.
    static func makeLogger(_ label: String, level: Logger.Level, format: LogConfiguration.Format?) -> Logger {
        let format = format ?? (isatty(STDERR_FILENO) == 1 ? .text : .json)
        var logger = Logger(label: label) { label in
            switch format {
            case .json: JSONLogHandler(label: label)
            case .text: TextLogHandler()
            }
        }
        logger.logLevel = level
        return logger
    }

    private static let lock = Mutex<Void>(())

    /// Writes a line to standard error: one write, so that lines of different threads do not mix. A standard error that
    /// is gone loses the line, nothing else.
    static func write(_ line: String) {
        write(line + "\n", to: STDERR_FILENO)
    }

    /// A part of a line, on standard error.
    static func writeText(_ text: String) { write(text, to: STDERR_FILENO) }

    /// A line on standard output that is seen at once, also through a pipe.
    static func writeOutput(_ line: String) { write(line + "\n", to: STDOUT_FILENO) }

    private static func write(_ text: String, to descriptor: Int32) {
        lock.withLock { _ in
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
                guard written > 0 || errno == EINTR else { return }
                rest = rest.dropFirst(max(0, written))
            }
        }
    }
}

/// One JSON object per line: time, level, message, and the metadata under their own keys.
struct JSONLogHandler: LogHandler {
    let label: String
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info

    init(label: String) { self.label = label }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var line =
            "{\"time\":\"\(LogTime.now())\",\"level\":\"\(event.level)\",\"message\":\(quoted("\(event.message)"))"
        let metadata = metadata.merging(event.metadata ?? [:]) { _, new in new }
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            line += ",\(quoted(key)):\(quoted("\(value)"))"
        }
        ConsoleLog.write(line + "}")
    }

    private func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case _ where scalar.value < 0x20: quoted += String(format: "\\u%04x", scalar.value)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

/// One line for people: time of day, level, message, metadata.
struct TextLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let metadata = metadata.merging(event.metadata ?? [:]) { _, new in new }
            .sorted { $0.key < $1.key }
            .map { " \($0.key)=\(printable("\($0.value)"))" }
        let level = "\(event.level)".uppercased().padding(toLength: 8, withPad: " ", startingAt: 0)
        let time = LogTime.now().dropFirst(11).prefix(12)
        ConsoleLog.write("\(time) \(level) \(event.message)\(metadata.joined())")
    }

    /// Quoted where blanks would make it unclear; control characters, which could steer a terminal, are escaped.
    private func printable(_ value: String) -> String {
        let isPlain = value.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F && $0 != "\"" }
        return isPlain ? value : value.debugDescription
    }
}

enum LogTime {
    /// The present time in UTC, to the millisecond: `2026-11-23T09:11:47.123Z`.
    static func now() -> String { format(SystemClock().now) }

    static func format(_ time: Timestamp) -> String { time.rfc3339Milliseconds }
}
