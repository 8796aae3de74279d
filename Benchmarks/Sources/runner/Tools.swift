// The generator and the backend as the runner speaks with them; each command is described in the tool's main.c.

import Foundation

/// Latencies in microseconds, exact percentiles.
struct Latencies: Codable {
    let p50: Double
    let p99: Double
    let max: Double
}

private struct Port: Decodable { let port: UInt16 }

/// Sources/slack-generator
struct SlackGenerator {
    let process: ChildProcess
    let port: UInt16

    init(in bench: Bench) throws {
        process = try ChildProcess(bench.tool("slack-generator"), speaks: true)
        port = try process.reply(Port.self).port
    }

    struct Connected: Decodable {
        let connections: Int
        /// When `apps.connections.open` was first called.
        let firstOpenNs: UInt64
    }

    /// Waits until `count` connections are up.
    func awaitConnections(_ count: Int, whileWaiting: () throws -> Void) throws -> Connected {
        try process.send("connected \(count)")
        return try process.reply(whileWaiting: whileWaiting)
    }

    struct Sent: Decodable {
        let sent: Int
        /// With the answer, where one is wanted.
        let acknowledged: Int
        /// Acknowledged without the answer that was wanted.
        let bare: Int
        /// Answered through the response_url.
        let late: Int
        /// Sent again, as Slack does.
        let redelivered: Int
        let refreshes: Int
        /// For how long there was no connection to send over.
        let unconnectedUs: Double
        let startedNs: UInt64
        /// The last acknowledgement.
        let finishedNs: UInt64
        /// Of answers: without the time of the backend.
        let acknowledgementUs: Latencies
    }

    /// Sends `count` envelopes with the sequences from `first`; returns when all are acknowledged or none is any more.
    func send(_ load: Case.Load, first: Int, count: Int, whileWaiting: () throws -> Void) throws -> Sent {
        switch load {
        case .closed(let unacknowledged), .backlog(let unacknowledged):
            try process.send("closed \(first) \(count) \(unacknowledged)")
        case .open(let perSecond, let refresh):
            try process.send("open \(first) \(count) \(perSecond) \(refresh?.wholeMicroseconds ?? 0)")
        case .idle: throw RunnerError("an idle case sends nothing")
        case .answers(let waiting, let backendTime):
            try process.send("answers \(first) \(count) \(waiting) \(backendTime.wholeMicroseconds)")
        }
        return try process.reply(within: .seconds(600), whileWaiting: whileWaiting)
    }
}

/// Sources/http-backend
struct HTTPBackend {
    let process: ChildProcess
    let port: UInt16

    init(in bench: Bench) throws {
        process = try ChildProcess(bench.tool("http-backend"), environment: bench.secrets, speaks: true)
        port = try process.reply(Port.self).port
    }

    /// From now on a command is answered after this time.
    func setDelay(_ delay: Duration) throws {
        try process.send("delay \(delay.wholeMicroseconds)")
        _ = try process.reply(Done.self)
    }

    /// Whether it refuses all with 503.
    func setDown(_ isDown: Bool) throws {
        try process.send(isDown ? "down" : "up")
        _ = try process.reply(Done.self)
    }

    /// Counts the deliveries of these sequences from now on.
    func count(first: Int, count: Int) throws {
        try process.send("count \(first) \(count)")
        _ = try process.reply(Done.self)
    }

    struct Progress: Decodable {
        let delivered: Int
        /// The first of all deliveries, and the last first one of an envelope; 0: none.
        let firstNs: UInt64
        let lastNs: UInt64
    }

    /// Waits until each was delivered, or none has been for 5 s.
    func awaitDeliveries(whileWaiting: () throws -> Void) throws -> Progress {
        try process.send("wait 5000")
        return try process.reply(within: .seconds(600), whileWaiting: whileWaiting)
    }

    struct Report: Decodable {
        let delivered: Int
        let lost: Int
        let doubled: Int
        /// Requests that no envelope of the run explains.
        let strange: Int
        /// Wrong signatures among those that were checked, one in 64.
        let forged: Int
        let lastNs: UInt64
        let endToEndUs: Latencies
    }

    func report() throws -> Report {
        try process.send("report")
        return try process.reply()
    }
}

extension Duration {
    /// As the tools take times.
    var wholeMicroseconds: Int { Int(self / .microseconds(1)) }
}
