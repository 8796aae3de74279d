// A directory of its own for each test, and what the tests say to the queue.

import Foundation
import GRDB
import Logging
import RelayCore
import RelayTestKit

@testable import SQLiteQueue

/// A directory that is removed with this value.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("relay-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var database: String { path + "/relay.db" }

    func open(
        _ limits: QueueLimits = .init(), patience: Duration = .milliseconds(5)
    ) async throws -> SQLiteQueue {
        try await SQLiteQueue(path: database, limits: limits, patience: patience, logger: .silent)
    }
}

// What the files say, without the queue.
extension TemporaryDirectory {
    /// Of the database, or of what stands beside it.
    func fileBytes(_ suffix: String = "") throws -> Int64 {
        let size = try FileManager.default.attributesOfItem(atPath: database + suffix)[.size]
        return (size as? NSNumber)?.int64Value ?? -1
    }

    /// The first number that a statement returns; -1 where there is none.
    func number(_ sql: String) async throws -> Int {
        try await DatabaseQueue(path: database).writeWithoutTransaction {
            try Int.fetchOne($0, sql: sql) ?? -1
        }
    }
}

extension Logger {
    static var silent: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}

extension Timestamp {
    static func second(_ seconds: Int64) -> Timestamp { Timestamp(millisecondsSinceEpoch: seconds * 1000) }
}

extension EnqueueRequest {
    static func event(
        _ key: String? = nil, at second: Int64 = 0, to backends: [BackendName] = ["a"], bytes: Int = 20
    ) -> EnqueueRequest {
        let envelope = Envelope(
            id: key ?? "none", kind: .event, payload: Payload(bytes: Array(repeating: UInt8(ascii: "x"), count: bytes)),
            deduplicationKey: key, receivedAt: .second(second))
        return EnqueueRequest(envelope: envelope, targets: backends.map { .init(backend: $0, route: "main") })
    }
}

extension EnqueueRequest {
    /// The same, its deliveries made in order with those that have the same key.
    func ordered(_ key: String) -> EnqueueRequest {
        var request = self
        for index in request.targets.indices { request.targets[index].orderKey = key }
        return request
    }
}

extension LateAnswer {
    /// What is secret of it, and in no error.
    static let secrets = ["hooks.slack.com", "reply-text", "failure-text"]

    static func late(_ envelopeID: String, bytes: Int = 10) -> LateAnswer {
        LateAnswer(
            id: ID(app: "app", envelopeID: envelopeID),
            responseURL: ResponseURL("https://hooks.slack.com/commands/\(envelopeID)"), expiresAt: .second(1_800),
            reply: Payload("reply-text" + String(repeating: "x", count: bytes)), failure: Payload("failure-text"))
    }
}

extension DeliveryQueue {
    func store(_ request: EnqueueRequest) async throws -> [DeliveryID] {
        guard case .stored(let leased, _) = try await enqueue([request])[0] else { return [] }
        return leased.map(\.id)
    }

    func complete(_ ids: [DeliveryID], at second: Int64 = 0) async throws {
        try await settle(ids.map { Settlement(id: $0, attempt: nil, verb: .complete, at: .second(second)) })
    }

    func waitingIDs(_ backend: BackendName = "a") async throws -> [DeliveryID] {
        try await lease(backend, limit: 1_000, now: .second(1_000_000)).deliveries.map(\.id)
    }
}

extension SQLiteQueue {
    /// Makes calls that all come while the writer is busy, as with a slow disk.
    func together<T: Sendable>(_ count: Int, _ call: @escaping @Sendable (Int) async -> T) async -> [T] {
        let (entered, continuation) = AsyncStream.makeStream(of: Void.self)
        let gate = DispatchSemaphore(value: 0)
        async let occupied: Void = writer.occupy {
            continuation.finish()
            gate.wait()
        }
        for await _ in entered {}
        let results = await withTaskGroup { group in
            for index in 0..<count { group.addTask { await call(index) } }
            while writer.waitingCalls < count { await Task.yield() }
            gate.signal()
            return await group.reduce(into: []) { $0.append($1) }
        }
        await occupied
        return results
    }
}

extension QueueWriter {
    func occupy(_ body: @Sendable () -> Void) { body() }
}

/// The error that a call throws; nil when it throws none.
func queueError(_ body: () async throws -> Void) async -> QueueError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? QueueError
    }
}
