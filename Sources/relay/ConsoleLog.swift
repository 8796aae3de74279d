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
        makeLogger(label, level: LogLevel(level), format: format)
    }

    /// - Parameter level: of this logger and of all copies of it, whenever it changes.
    static func makeLogger(_ label: String, level: LogLevel, format: LogConfiguration.Format?) -> Logger {
        let format = format ?? (isatty(STDERR_FILENO) == 1 ? .text : .json)
        return Logger(label: label) { label in
            switch format {
            case .json: JSONLogHandler(label: label, level: level)
            case .text: TextLogHandler(level: level)
            }
        }
    }

    private static let lock = Mutex<Void>(())

    /// Writes a line to standard error: one write, so that lines of different threads do not mix. A standard error that
    /// is gone loses the line, nothing else.
    static func write(_ line: String) {
        write(line + "\n", to: STDERR_FILENO)
    }

    /// A part of a line, on standard error.
    static func writeText(_ text: String) { write(text, to: STDERR_FILENO) }

    /// A line on standard output that is seen at once, also through a pipe; false: nobody reads any more. Where it cannot
    /// be written for another reason (a full disk), the command has failed, and ends.
    static func writeOutput(_ line: String) -> Bool {
        guard let error = write(line + "\n", to: STDOUT_FILENO) else { return true }
        guard error != EPIPE else { return false }
        write("relay: standard output: \(String(cString: strerror(error)))")
        exit(CommandFailure.Code.failed.rawValue)
    }

    /// Whether nobody reads standard output any more (poll(2): POLLERR of a pipe), as far as that can be known without
    /// writing.
    static var isOutputGone: Bool {
        var descriptor = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
        return poll(&descriptor, 1, 0) == 1 && descriptor.revents & Int16(POLLERR) != 0
    }

    /// - Returns: why it could not be written; nil: it was.
    @discardableResult
    private static func write(_ text: String, to descriptor: Int32) -> Int32? {
        lock.withLock { _ in
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
                if written < 0, errno == EAGAIN {
                    var writable = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&writable, 1, -1)
                } else if written < 0, errno != EINTR {
                    return errno
                }
                rest = rest.dropFirst(max(0, written))
            }
            return nil
        }
    }
}

/// The level that is logged from on, which a reload can change.
final class LogLevel: Sendable {
    /// Its place in `Logger.Level.allCases`: read for each line that might be logged.
    private let place: Atomic<Int>

    init(_ level: Logger.Level) { place = Atomic(Self.place(of: level)) }

    var value: Logger.Level { Logger.Level.allCases[place.load(ordering: .relaxed)] }

    func set(_ level: Logger.Level) { place.store(Self.place(of: level), ordering: .relaxed) }

    private static func place(of level: Logger.Level) -> Int { Logger.Level.allCases.firstIndex(of: level) ?? 0 }
}

/// One JSON object per line: time, level, message, and the metadata under their own keys.
struct JSONLogHandler: LogHandler {
    let label: String
    var metadata: Logger.Metadata = [:]
    private let level: LogLevel
    /// Of a logger that was given one of its own.
    private var ownLevel: Logger.Level?

    init(label: String, level: LogLevel) {
        self.label = label
        self.level = level
    }

    var logLevel: Logger.Level {
        get { ownLevel ?? level.value }
        set { ownLevel = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var line =
            "{\"time\":\"\(LogTime.now())\",\"level\":\"\(event.level)\",\"message\":\("\(event.message)".quoted)"
        let metadata = metadata.merging(event.metadata ?? [:]) { _, new in new }
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            line += ",\(key.quoted):\("\(value)".quoted)"
        }
        ConsoleLog.write(line + "}")
    }
}

/// One line for people: time of day, level, message, metadata.
struct TextLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    private let level: LogLevel
    /// Of a logger that was given one of its own.
    private var ownLevel: Logger.Level?

    init(level: LogLevel) { self.level = level }

    var logLevel: Logger.Level {
        get { ownLevel ?? level.value }
        set { ownLevel = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let metadata = metadata.merging(event.metadata ?? [:]) { _, new in new }
            .sorted { $0.key < $1.key }
            .map { " \($0.key)=\("\($0.value)".quotedWhereUnclear)" }
        let level = "\(event.level)".uppercased().padding(toLength: 8, withPad: " ", startingAt: 0)
        let time = LogTime.now().dropFirst(11).prefix(12)
        ConsoleLog.write("\(time) \(level) \(event.message)\(metadata.joined())")
    }
}

enum LogTime {
    /// The present time in UTC, to the millisecond: `2026-11-23T09:11:47.123Z`.
    static func now() -> String { format(SystemClock().now) }

    static func format(_ time: Timestamp) -> String { time.rfc3339Milliseconds }
}
