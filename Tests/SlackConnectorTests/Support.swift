// What stands around a connector in these tests: a source of URLs, a receiver, a clock.

import Foundation
import Logging
import MetricsTestKit
import NIOPosix
import RelayCore
import SlackConnector
import SocketMode
import Synchronization
import Testing

/// A value that can be waited on.
final class Watched<Value: Sendable>: Sendable {
    private let state: Mutex<(value: Value, watchers: [AsyncStream<Void>.Continuation])>

    init(_ value: Value) { state = Mutex((value, [])) }

    var value: Value { state.withLock { $0.value } }

    @discardableResult func update<Result: Sendable>(_ change: @Sendable (inout Value) -> Result) -> Result {
        state.withLock { state in
            defer { for watcher in state.watchers { watcher.yield() } }
            return change(&state.value)
        }
    }

    /// Returns when it holds, or the task is canceled.
    func wait(until holds: @Sendable (Value) -> Bool) async {
        let (changes, watcher) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        state.withLock { $0.watchers.append(watcher) }
        watcher.yield()
        for await _ in changes where holds(value) { return }
    }
}

/// Keeps log lines: the message, then the metadata.
struct LogLines: LogHandler {
    let lines: Watched<[String]>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    init(_ lines: Watched<[String]>) { self.lines = lines }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
        let line = "\(event.message) \(all.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })"
        lines.update { $0.append(line) }
    }
}

/// A new URL for each attempt, and how many were asked for.
final class URLs: ConnectionURLSource {
    private let make: @Sendable (Int) -> String
    private let comesTooLate: Bool
    private let asked = Watched(0)

    /// - Parameter comesTooLate: when whoever asked has given up.
    init(comesTooLate: Bool = false, _ make: @escaping @Sendable (Int) -> String) {
        self.comesTooLate = comesTooLate
        self.make = make
    }

    convenience init(_ slack: ScriptedSlack, host: String = "127.0.0.1") {
        let (scheme, port) = (slack.scheme, slack.port)
        self.init { "\(scheme)://\(host):\(port)/link/?ticket=\($0)&app_id=abc" }
    }

    var count: Int { asked.value }

    func asked(_ count: Int) async { await asked.wait { $0 >= count } }

    func open() async -> Result<Secret, ConnectFailure> {
        let number = asked.update { count in
            count += 1
            return count
        }
        // One of its own: a stream whose reader was canceled has ended for all.
        if comesTooLate { await Signal().wait() }
        return .success(Secret(make(number)))
    }
}

/// Tells of each batch, and acknowledges at once or when told.
final class Receiver: EnvelopeReceiver {
    struct Batch: Sendable {
        var envelopes: [Envelope]
        var connection: ConnectionID
        var acknowledger: any Acknowledger
        var ids: [String] { envelopes.map(\.id) }
        func acknowledge() { acknowledger.acknowledge(ids, on: connection) }
    }

    let batches: AsyncStream<Batch>
    private let seen: AsyncStream<Batch>.Continuation
    private let isPrompt: Bool
    /// When not prompt: `receive` returns once this stream has an element, or ends.
    let releases: AsyncStream<Void>
    let release: AsyncStream<Void>.Continuation

    init(isPrompt: Bool = true) {
        self.isPrompt = isPrompt
        (batches, seen) = AsyncStream.makeStream()
        (releases, release) = AsyncStream.makeStream()
    }

    func receive(
        _ envelopes: [Envelope], on connection: ConnectionID, acknowledgeThrough acknowledger: any Acknowledger
    ) async {
        let batch = Batch(envelopes: envelopes, connection: connection, acknowledger: acknowledger)
        seen.yield(batch)
        if isPrompt { return batch.acknowledge() }
        for await _ in releases { break }
    }

    func next() async -> Batch? {
        for await batch in batches { return batch }
        return nil
    }
}

struct WallClock: RelayClock {
    var now: Timestamp { Timestamp(millisecondsSinceEpoch: Int64(Date().timeIntervalSince1970 * 1000)) }
    var minimumResolution: Duration { .milliseconds(1) }
    func sleep(until deadline: Timestamp, tolerance: Duration?) async throws {
        try await Task.sleep(for: now.duration(to: deadline))
    }
}

/// A connector with impatient settings, and what it counted.
struct Bench: Sendable {
    let configuration: SlackConnectorConfiguration
    let connector: SlackConnector
    let urls: URLs
    let receiver: Receiver
    let metrics = TestMetrics()
    let log = Watched<[String]>([])

    init(
        urls: URLs, receiver: Receiver = Receiver(), connections: Int = 1, timing: ConnectionTiming = .init(),
        proxy: String? = nil, caFile: String? = nil, plaintext: Bool = true, environment: [String: String] = [:]
    ) {
        self.urls = urls
        self.receiver = receiver
        let pool = PoolConfiguration(
            connections: connections, startJitter: .zero, backoffInitial: .milliseconds(1),
            backoffMaximum: .milliseconds(5))
        configuration = .init(
            apiURL: plaintext ? "http://localhost" : "https://localhost", proxy: proxy, caFile: caFile, pool: pool,
            timing: timing)
        connector = SlackConnector(
            configuration: configuration, receiver: receiver, urls: urls, clock: WallClock(),
            logger: Logger(label: "test") { [log] _ in LogLines(log) }, metrics: metrics,
            group: MultiThreadedEventLoopGroup.singleton, environment: environment)
    }

    /// Runs the connector while the body lasts, then drains it.
    func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await connector.run() }
            do { try await body() } catch {
                group.cancelAll()
                throw error
            }
            await connector.drain(timeout: .seconds(5))
            try await group.waitForAll()
        }
        #expect(!log.value.contains { $0.contains("ticket=") || $0.contains("event_callback") }, "a secret in the log")
    }

    /// Until so many connections had their hello.
    func connected(_ count: Int = 1) async { await log.wait { $0.count { $0.hasPrefix("connected ") } >= count } }

    func connects(_ outcome: ConnectOutcome) -> Int64 {
        counter("relay_connects_total", ("outcome", outcome.rawValue))
    }
    func disconnects(_ reason: EndReason) -> Int64 { counter("relay_disconnects_total", ("reason", reason.rawValue)) }
    func acknowledgements(via: String) -> Int64 { counter("relay_acknowledgements_sent_total", ("via", via)) }

    /// -1 when it was never set.
    func gauge(_ label: String, _ dimensions: (String, String)...) -> Double {
        (try? metrics.expectGauge(label, [("app", "default")] + dimensions).lastValue) ?? -1
    }

    private func counter(_ label: String, _ dimension: (String, String)) -> Int64 {
        (try? metrics.expectCounter(label, [("app", "default"), dimension]).totalValue) ?? -1
    }
}

/// Something that happens once, to be waited for.
struct Signal: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream() }

    func fire() { continuation.yield() }
    /// Each wait takes one firing.
    func wait() async { for await _ in stream { return } }
}
