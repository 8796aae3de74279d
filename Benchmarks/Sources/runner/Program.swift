// What is measured: a row here is a program more.

import Foundation

/// A program that takes envelopes from Slack (or makes them itself) and posts them to the backend.
struct Program: Sendable {
    let name: String
    let summary: String
    let role: Role
    /// Starts it in a directory of its own.
    let start: @Sendable (Launch) throws -> ChildProcess

    enum Role: Sendable {
        /// Takes envelopes over Socket Mode and delivers them.
        case gateway
        /// Takes and acknowledges them, delivers nothing: shows the generator's limit.
        case acknowledger
        /// Has no Slack; posts on command: the limit of delivering, and the backend's.
        case poster
    }

    /// What a program is told at its start.
    struct Launch {
        let bench: Bench
        let directory: URL
        let slackPort: UInt16
        let backendPort: UInt16
        /// What it will be measured under.
        let load: Case.Load
        /// With the secrets, and with the preload that counts.
        let environment: [String: String]
    }

    static let all = [
        Program(name: "relay-sqlite", summary: "relay, SQLite with synchronous=FULL", role: .gateway) {
            try startRelay($0, queue: "{ driver: sqlite, path: \($0.directory.path)/relay.db }")
        },
        Program(name: "relay-memory", summary: "relay, memory queue", role: .gateway) {
            try startRelay($0, queue: "{ driver: memory }")
        },
        Program(
            name: "bare-libcurl", summary: "libcurl multi in C, 16 in flight or as many as wait: the limit",
            role: .poster
        ) {
            try startPoster($0)
        },
        Program(name: "null-client", summary: "only acknowledges: the generator's limit", role: .acknowledger) {
            try ChildProcess(
                $0.bench.tool("null-client"), ["\($0.slackPort)", "\(Case.connections)"],
                environment: $0.environment, speaks: true)
        },
    ]
}

private func startPoster(_ launch: Program.Launch) throws -> ChildProcess {
    let (inFlight, kind) =
        switch launch.load {
        case .closed: (16, "events")
        case .answers(let waiting, _): (waiting, "commands")
        }
    return try ChildProcess(
        launch.bench.tool("bare-poster"), ["\(launch.backendPort)", "\(inFlight)", kind],
        environment: launch.environment, speaks: true)
}

/// Relay with its defaults, but for what a benchmark must fix.
func startRelay(_ launch: Program.Launch, queue: String) throws -> ChildProcess {
    let configuration = """
        version: 1
        slack:
          app_token: env:SLACK_APP_TOKEN
          signing_secret: env:SLACK_SIGNING_SECRET
          api_url: http://127.0.0.1:\(launch.slackPort)/api
          connections: \(Case.connections)
          start_jitter: 0s
        queue: \(queue)
        backends:
          bench: { url: http://127.0.0.1:\(launch.backendPort)/slack/events, max_waiting: 2000 }
        health: { listen: 127.0.0.1:0 }
        admin: { listen: none }
        log: { level: warning, format: json }

        """
    let file = launch.directory.appendingPathComponent("relay.yaml")
    try configuration.write(to: file, atomically: false, encoding: .utf8)
    return try ChildProcess(
        launch.bench.relay, ["serve", "--config", file.path], environment: launch.environment, speaks: false,
        log: launch.directory.appendingPathComponent("relay.log"))
}
