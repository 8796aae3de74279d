// A `relay serve` under test: its log, its health, its end.

import Foundation
import Testing

/// What stands in the relay.yaml of a test about connections.
struct RelaySettings {
    /// More keys of the section `slack`, each `key: value`.
    var slack: [String] = []
    /// More keys of the backend, as `RelayHome` takes them; nil: none.
    var backend: String?
    var backoff = "{ initial: 50ms, max: 400ms, stable: 1s }"
    var logLevel = "info"
    var environment: [String: String] = [:]
}

/// Killed at the latest when its last reference goes.
final class RunningRelay: Sendable {
    let process: ChildProcess
    private let home: RelayHome

    /// Does not wait for anything.
    init(in home: RelayHome) throws {
        self.home = home
        process = try home.start()
    }

    /// One that is about to open its queue.
    static func starting(in home: RelayHome) async throws -> RunningRelay {
        let relay = try RunningRelay(in: home)
        while !FileManager.default.fileExists(atPath: home.path("relay.db.lock")) {
            try Task.checkCancellation()
            await Task.yield()
        }
        return relay
    }

    /// In a home of its own, with one backend.
    convenience init(_ settings: RelaySettings = .init(), apiURL: String, backendURL: String) throws {
        try self.init(
            in: RelayHome(
                apiURL: apiURL,
                backends: [
                    "app": (["url: \(backendURL)/slack/events"] + [settings.backend].compactMap { $0 }).joined(
                        separator: ", ")
                ],
                slack: ["backoff: \(settings.backoff)"] + settings.slack, logLevel: settings.logLevel,
                environment: settings.environment))
    }

    /// SIGTERM, and the exit code that follows.
    @discardableResult
    func terminate() async -> Int32 {
        process.send(signal: SIGTERM)
        return await process.waitForExit()
    }

    /// SIGTERM, at which it must end with 0.
    func stop(sourceLocation: SourceLocation = #_sourceLocation) async {
        process.send(signal: SIGTERM)
        await ended(sourceLocation: sourceLocation)
    }

    /// Waits for the end, which must be with 0.
    func ended(sourceLocation: SourceLocation = #_sourceLocation) async {
        let end = await process.finish()
        let lastLines = process.errors.lines.suffix(20).joined(separator: "\n")
        #expect(end.code == 0, "relay ended otherwise: \(lastLines)", sourceLocation: sourceLocation)
    }

    /// Ends it as a crash does: nothing of its own runs any more.
    func kill() async {
        process.send(signal: SIGKILL)
        await process.waitForExit()
    }
}

// MARK: Its log

extension RunningRelay {
    var log: [LogRecord] { process.errors.lines.compactMap(LogRecord.init) }

    /// The first line with this message that matches, waited for. Throws, with the whole log, when relay ends without
    /// it.
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

    /// The line that says that an envelope gets no answer, waited for.
    @discardableResult
    func withheld(_ envelopeID: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> LogRecord {
        let line = await process.errors.first { line in
            guard line.contains(envelopeID), let record = LogRecord(line) else { return false }
            return record.message.hasPrefix("no answer") && record["envelope.id"] == envelopeID
        }
        return try #require(
            line.flatMap(LogRecord.init), "no line about \(envelopeID) in the log:\n\(process.errors.text)",
            sourceLocation: sourceLocation)
    }
}

// MARK: Its health

extension RunningRelay {
    /// GET from the health listener.
    func health(_ path: String) async throws -> LoopbackHTTP.Reply {
        let listen = try #require(try await logged("health is served")["listen"])
        return try await LoopbackHTTP.get("http://\(listen)\(path)")
    }

    /// The sum over all series of a metric whose labels contain all these; 0 when there is none.
    func metric(_ name: String, _ labels: String...) async throws -> Double {
        MetricsPage(text: try await health("/metrics").body).samples
            .filter { sample in sample.name == name && labels.allSatisfy(sample.labels.contains) }
            .reduce(0) { $0 + $1.value }
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
