// A Slack app of Tests/RelayProgramTests/Python behind the gateway.

import Foundation
import SlackSimulator
import Testing

/// An app that listens, and the record of what it handled. Killed with its last reference.
final class PythonApp: Sendable {
    /// Without a path.
    let root: String
    private let process: ChildProcess

    var url: String { root + "/slack/events" }

    private init(root: String, process: ChildProcess) {
        self.root = root
        self.process = process
    }

    /// Whether `scripts/test` prepared an interpreter.
    static var isAvailable: Bool { ProcessInfo.processInfo.environment["RELAY_PYTHON"] != nil }

    /// The app checks signatures with the secret that `RelayHome` signs with.
    static func start(_ script: String) async throws -> PythonApp {
        // The record goes where it can be waited for.
        let process = try ChildProcess.python(
            script, ["--record", "/dev/stdout"], environment: ["SLACK_SIGNING_SECRET": RelayHome.signingSecret])
        let line = await process.output.first { $0.hasPrefix("ready ") }
        let port = line.flatMap { Int($0.dropFirst("ready ".count)) }
        return PythonApp(
            root: "http://127.0.0.1:\(try #require(port, "\(script) did not start: \(process.errors.text)"))",
            process: process)
    }

    /// What it has handled until now: one entry per request, values as text.
    var record: [[String: String]] { Self.record(process.output.lines) }

    private static func record(_ lines: [String]) -> [[String: String]] {
        lines.compactMap { line in
            let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            return object?.mapValues { "\($0)" }
        }
    }

    /// Sends something, and waits until so many requests have been handled since the start. Returns the last of them.
    func handled<Sent>(_ count: Int, sending send: () async throws -> Sent) async throws -> [String: String] {
        _ = try await send()
        while true {
            let lines = process.output.lines
            let record = Self.record(lines)
            if record.count >= count { return record[count - 1] }
            // Each line is unlike the others: it names the delivery and the attempt.
            let seen = Set(lines)
            _ = try #require(await process.output.first { !seen.contains($0) }, "the app ended: \(process.errors.text)")
        }
    }
}

/// The app of bolt_app.py in Socket Mode, run by slack_bolt's own adapter. Killed with its last reference.
final class SocketModeApp: Sendable {
    private let process: ChildProcess

    private init(process: ChildProcess) { self.process = process }

    /// Returns when it is connected.
    static func start(_ slack: SlackSimulator) async throws -> SocketModeApp {
        let process = try ChildProcess.python(
            "bolt_socket_app.py", [slack.apiURL], environment: ["SLACK_APP_TOKEN": RelayHome.appToken])
        try #require(
            await process.output.first { $0 == "ready" } != nil,
            "bolt_socket_app.py did not start: \(process.errors.text)")
        return SocketModeApp(process: process)
    }
}
