// Tables on a terminal, and how times look in them.

import Foundation
import Glibc
import Relay
import RelayCore

/// Columns as wide as they must be; on a terminal cut off at its edge.
struct Table {
    private let header: [String]
    private var rows: [[Cell]] = []

    struct Cell {
        var text: String
        var paint: (String) -> String

        init(_ text: String, _ paint: @escaping (String) -> String = { $0 }) {
            self.text = text.printable
            self.paint = paint
        }
    }

    init(_ header: String...) { self.header = header }

    mutating func add(_ cells: Cell...) { rows.append(cells) }

    /// Lines without their ends.
    func lines(width: Int? = Terminal.width) -> [String] {
        let widths = header.indices.map { column in
            rows.reduce(header[column].count) { max($0, $1[column].text.count) }
        }
        return [line(header.map { Cell($0, Paint.dim) }, widths, width)] + rows.map { line($0, widths, width) }
    }

    func print() { for line in lines() { Swift.print(line) } }

    private func line(_ cells: [Cell], _ widths: [Int], _ limit: Int?) -> String {
        var (line, column) = ("", 0)
        for (index, cell) in cells.enumerated() {
            let isLast = index == cells.count - 1
            var text = cell.text
            if let limit, column + text.count > limit { text = String(text.prefix(max(0, limit - column - 1))) + "…" }
            line += cell.paint(text)
            guard !isLast else { break }
            line += String(repeating: " ", count: max(0, widths[index] - text.count) + 2)
            column += widths[index] + 2
            if let limit, column >= limit { break }
        }
        return String(line.reversed().drop { $0 == " " }.reversed())
    }
}

/// One thing, a line per field.
enum Fields {
    /// Lines without their ends.
    static func lines(_ fields: [(name: String, value: String)]) -> [String] {
        let width = fields.reduce(0) { max($0, $1.name.count) } + 2
        return fields.map { name, value in
            Paint.dim((name + ":").padding(toLength: width, withPad: " ", startingAt: 0)) + value.printable
        }
    }

    static func print(_ fields: [(name: String, value: String)]) {
        for line in lines(fields) { Swift.print(line) }
    }
}

enum Terminal {
    static var isOutput: Bool { isatty(STDOUT_FILENO) == 1 }
    static var isInput: Bool { isatty(STDIN_FILENO) == 1 }
    static var isErrors: Bool { isatty(STDERR_FILENO) == 1 }

    /// Of standard output; nil when it is no terminal.
    static var width: Int? {
        guard isOutput else { return nil }
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }

    /// What to do next: for people only.
    static func hint(_ lines: String...) { hint(lines) }

    static func hint(_ lines: [String]) {
        guard isOutput else { return }
        print("")
        for line in lines { print(Paint.dim(line)) }
    }

    /// Asks on the terminal. Without one only `--yes` says yes.
    static func confirm(_ question: String, isConfirmed: Bool) throws {
        guard !isConfirmed else { return }
        guard isInput, isErrors else {
            throw CommandFailure(.usage, "\(question) Nobody can be asked without a terminal: say it with --yes")
        }
        ConsoleLog.writeText("\(question) [y/N] ")
        guard ["y", "yes"].contains(readLine()?.lowercased()) else { throw CommandFailure(.failed, "nothing was done") }
    }
}

/// Times of the API as people read them.
enum Age {
    /// `3m ago`, `in 5s`; a dash for none.
    static func relative(_ time: String?, now: Timestamp = SystemClock().now) -> String {
        guard let time else { return "-" }
        guard let moment = Timestamp(rfc3339: time) else { return time }
        let elapsed = moment.duration(to: now)
        return elapsed >= .zero ? "\(text(elapsed)) ago" : "in \(text(.zero - elapsed))"
    }

    /// `2026-11-23T09:30:00.000Z (3m ago)`
    static func moment(_ time: String) -> String { "\(time) (\(relative(time)))" }

    /// How long since: `3m`; a dash for none.
    static func since(_ time: String?, now: Timestamp = SystemClock().now) -> String {
        guard let moment = time.flatMap({ Timestamp(rfc3339: $0) }) else { return "-" }
        return text(max(.zero, moment.duration(to: now)))
    }

    /// In its largest unit, rounded down: `12s`, `3m`, `5h`, `2d`.
    static func text(_ duration: Duration) -> String {
        let seconds = duration.milliseconds / 1000
        switch seconds {
        case ..<120: return "\(seconds)s"
        case ..<7_200: return "\(seconds / 60)m"
        case ..<172_800: return "\(seconds / 3600)h"
        default: return "\(seconds / 86_400)d"
        }
    }
}

/// Prints a response of the admin API as it is; on a terminal with nothing raw in it that could steer that.
func printJSON(_ body: [UInt8]) { _ = writeJSON(body) }

/// The same; false: nobody reads any more.
func writeJSON(_ body: [UInt8]) -> Bool {
    let text = String(decoding: body, as: UTF8.self)
    return ConsoleLog.writeOutput(Terminal.isOutput ? text.printableJSON : text)
}
