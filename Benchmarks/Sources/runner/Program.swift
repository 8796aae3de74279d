// What is measured: a row here is a program more.

import Foundation

/// A program that takes envelopes from Slack (or makes them itself) and posts them to the backend.
struct Program: Sendable {
    let name: String
    let summary: String
    let role: Role
    /// In a closed loop it gets the envelopes divided by this.
    var slowness = 1
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
        let setting: Case.Setting
        /// With the secrets, and with the preload that counts.
        let environment: [String: String]

        /// What a program that is not relay says on standard error.
        var log: URL { directory.appendingPathComponent("program.log") }
        var backend: String { "http://127.0.0.1:\(backendPort)/slack/events" }

        /// Posts at the same time: as many as relay makes by default, or as many as wait for an answer.
        var inFlight: Int {
            switch load {
            case .answers(let waiting, _): waiting
            case .closed(let unacknowledged): min(unacknowledged, 16)
            case .open, .backlog, .idle: 16
            }
        }
    }

    static let all = [
        Program(name: "relay-sqlite", summary: "relay, SQLite with synchronous=FULL", role: .gateway) {
            let size = $0.setting.queueBytes.map { ", max_bytes: \($0)" } ?? ""
            return try startRelay($0, queue: "{ driver: sqlite, path: \($0.directory.path)/relay.db\(size) }")
        },
        Program(name: "relay-memory", summary: "relay, memory queue", role: .gateway) {
            try startRelay($0, queue: "{ driver: memory }")
        },
        Program(
            name: "slack-go", summary: "a bridge in Go with slack-go: acknowledges, then posts; stores nothing",
            role: .gateway, slowness: 2
        ) {
            try startBridge($0.bench.peer("slack-go"), [], $0, optionPrefix: "-")
        },
        Program(
            name: "slack-sdk", summary: "a bridge in Python with slack_sdk and aiohttp: the same", role: .gateway,
            slowness: 4
        ) {
            let script = try $0.bench.peer("bridge.py")
            return try startBridge($0.bench.peer("python/bin/python"), [script.path], $0, optionPrefix: "--")
        },
        Program(
            name: "bare-libcurl", summary: "libcurl multi in C, 16 in flight or as many as wait: the limit",
            role: .poster
        ) {
            let kind = $0.load.backendTime == nil ? "events" : "commands"
            return try ChildProcess(
                $0.bench.tool("bare-poster"), ["\($0.backendPort)", "\($0.inFlight)", kind],
                environment: $0.environment, speaks: true)
        },
        Program(name: "null-client", summary: "only acknowledges: the generator's limit", role: .acknowledger) {
            try ChildProcess(
                $0.bench.tool("null-client"), ["\($0.slackPort)", "\(Case.connections)"],
                environment: $0.environment, speaks: true)
        },
    ]

    /// What people run today in relay's place.
    static let peers: Set = ["slack-go", "slack-sdk"]
}

/// Starts a program of Benchmarks/Peers.
private func startBridge(
    _ executable: URL, _ arguments: [String], _ launch: Program.Launch, optionPrefix: String
) throws -> ChildProcess {
    var options = [
        ("api", "http://127.0.0.1:\(launch.slackPort)/api/"), ("backend", launch.backend),
        ("connections", "\(Case.connections)"), ("in-flight", "\(launch.inFlight)"),
    ].flatMap { [optionPrefix + $0.0, $0.1] }
    if launch.load.backendTime != nil { options.append("\(optionPrefix)answer") }
    return try ChildProcess(
        executable, arguments + options, environment: launch.environment, speaks: false, log: launch.log)
}

/// Relay with its defaults, but for what a benchmark must fix.
private func startRelay(_ launch: Program.Launch, queue: String) throws -> ChildProcess {
    let configuration = """
        version: 1
        slack:
          app_token: env:SLACK_APP_TOKEN
          signing_secret: env:SLACK_SIGNING_SECRET
          api_url: http://127.0.0.1:\(launch.slackPort)/api
          connections: \(Case.connections)
          start_jitter: 0s
        queue: \(queue)
        \(backends(launch))
        health: { listen: 127.0.0.1:0 }
        admin: { listen: none }
        log: { level: warning, format: json }

        """
    let file = launch.directory.appendingPathComponent("relay.yaml")
    try configuration.write(to: file, atomically: false, encoding: .utf8)
    return try ChildProcess(
        launch.bench.relay, ["serve", "--config", file.path], environment: launch.environment, speaks: false,
        log: launch.log)
}

/// The sections `backends` and, where there are several, `routes`: by the last digit of the channel.
private func backends(_ launch: Program.Launch) -> String {
    let count = launch.setting.backends
    var options = ["url: \(launch.backend)", "max_waiting: 2000"]
    if launch.setting.retriesEachSecond {
        let schedule = Array(repeating: "1s", count: 20).joined(separator: ", ")
        options += ["retry: { schedule: [\(schedule)] }", "circuit_breaker: { probe_after: 1s, probe_max: 1s }"]
    }
    let lines = ["backends:"] + (0..<count).map { "  bench\($0): { \(options.joined(separator: ", ")) }" }
    let routes = (0..<count).map { "  - { name: r\($0), match: { channel: \"*\($0)\" }, to: bench\($0) }" }
    return (lines + (count > 1 ? ["routes:"] + routes : [])).joined(separator: "\n")
}
