// A `relay serve` under test, with a relay.yaml and a database in a folder of its own.

import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing

/// What stands in the relay.yaml of a test, beside what every one of them has: short waits, no jitter, health on a free port.
struct RelaySettings {
    /// More keys of the section `slack`, each `key: value`.
    var slack: [String] = []
    var backoff = "{ initial: 50ms, max: 400ms, stable: 1s }"
    var environment: [String: String] = [:]

    fileprivate func yaml(apiURL: String, backendURL: String, folder: URL) -> String {
        """
        version: 1
        slack:
          app_token: env:SLACK_APP_TOKEN
          signing_secret: env:SLACK_SIGNING_SECRET
          api_url: \(apiURL)
          start_jitter: 0s
          backoff: \(backoff)
        \(slack.map { "  \($0)\n" }.joined())
        queue: { path: \(folder.appending(path: "relay.db").path) }
        backends: { app: { url: \(backendURL)/slack/events } }
        health: { listen: 127.0.0.1:0 }
        log: { level: info, format: json }
        """
    }
}

/// Killed, and its folder removed, at the latest when its last reference goes.
final class RunningRelay: Sendable {
    let process: ChildProcess
    private let folder: URL

    /// For every relay under test: made-up secrets, and no proxy that the developer's own environment names.
    static let environment = [
        "SLACK_APP_TOKEN": "xapp-1-A0SIMULATED-1-test", "SLACK_SIGNING_SECRET": "8f742231b10e8888abcd99yyyzzz85a5",
        "http_proxy": "", "https_proxy": "", "HTTPS_PROXY": "", "all_proxy": "", "ALL_PROXY": "", "no_proxy": "",
        "NO_PROXY": "",
    ]

    init(_ settings: RelaySettings = .init(), apiURL: String, backendURL: String) throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "relay-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let file = folder.appending(path: "relay.yaml")
        try settings.yaml(apiURL: apiURL, backendURL: backendURL, folder: folder)
            .write(to: file, atomically: false, encoding: .utf8)
        process = try .relay(
            ["serve", "--config", file.path],
            environment: Self.environment.merging(settings.environment) { _, new in new })
    }

    deinit {
        try? FileManager.default.removeItem(at: folder)
    }

    /// SIGTERM, and the exit code that follows.
    @discardableResult
    func terminate() async -> Int32 {
        process.send(signal: SIGTERM)
        return await process.waitForExit()
    }
}

// MARK: Its log

extension RunningRelay {
    var log: [LogRecord] { process.errors.lines.compactMap(LogRecord.init) }

    /// The first line with this message that matches, waited for. Throws, with the whole log, when relay ends without it.
    @discardableResult
    func logged(
        _ message: String, where matches: @escaping @Sendable (LogRecord) -> Bool = { _ in true },
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> LogRecord {
        let line = await process.errors.first { line in
            line.contains(message) && LogRecord(line).map { $0.message == message && matches($0) } ?? false
        }
        return try #require(
            line.flatMap(LogRecord.init), "no such line \"\(message)\" in the log:\n\(process.errors.text)",
            sourceLocation: sourceLocation)
    }
}

// MARK: Its health

extension RunningRelay {
    /// GET from the health listener.
    func health(_ path: String) async throws -> (status: Int, body: String) {
        let listen = try await logged("health is served")["listen"]
        let port = try #require(listen?.split(separator: ":").last.flatMap { Int($0) })
        let client = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    return try NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>(
                        wrappingChannelSynchronously: channel)
                }
            }
        return try await client.executeThenClose { inbound, outbound in
            let headers: HTTPHeaders = ["host": "127.0.0.1:\(port)"]
            try await outbound.write(.head(.init(version: .http1_1, method: .GET, uri: path, headers: headers)))
            try await outbound.write(.end(nil))
            var status = 0
            var body = ByteBuffer()
            for try await part in inbound {
                switch part {
                case .head(let head): status = Int(head.status.code)
                case .body(var bytes): body.writeBuffer(&bytes)
                case .end: return (status, String(buffer: body))
                }
            }
            return (status, String(buffer: body))
        }
    }

    /// The metrics, asked for again and again until they are as wanted, or the task is canceled.
    func metrics(until isWanted: (MetricsPage) -> Bool = { _ in true }) async throws -> MetricsPage {
        while true {
            let page = MetricsPage(text: try await health("/metrics").body)
            if isWanted(page) { return page }
            try Task.checkCancellation()
        }
    }
}
