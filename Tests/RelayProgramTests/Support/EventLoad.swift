// Load: message events without a pause, and the record of which is which.

import RelayTestKit
import SlackSimulator
import Synchronization

/// Sends events that can be told apart, and knows which of them were acknowledged.
final class EventLoad: Sendable {
    private let slack: SlackSimulator
    /// event_id by the envelope_id of the first copy.
    private let eventIDs = Mutex<[String: String]>([:])

    init(_ slack: SlackSimulator) { self.slack = slack }

    /// Sends so many at once.
    func send(_ count: Int) async throws {
        let first = eventIDs.withLock { $0.count } + 1
        let numbers = Array(first..<first + count)
        let envelopes = try await slack.send(
            numbers.map { SimulatedSample.message.payload(number: $0, text: "message \($0)") })
        eventIDs.withLock { for (envelope, number) in zip(envelopes, numbers) { $0[envelope] = "Ev\(number)" } }
    }

    /// Sends on and on, never more than `window` ahead of the acknowledgements, until canceled or `limit` events are
    /// out.
    func run(window: Int = 200, limit: Int) async throws {
        var sent = 0
        while sent < limit {
            try await send(20)
            sent += 20
            try await slack.wait { [sent] in $0.acknowledged + $0.lost + window >= sent }
        }
    }

    /// The `event_id`s of all events that Slack was told we have.
    func acknowledged() async throws -> Set<String> {
        let records = try await slack.records(state: .acknowledged)
        return eventIDs.withLock { eventIDs in Set(records.compactMap { eventIDs[$0.id] }) }
    }

    /// Runs `body` while events are sent, until it returns.
    func during<Value: Sendable>(limit: Int, _ body: @Sendable () async throws -> Value) async throws -> Value {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                // Canceled at the end, when the wait for more acknowledgements is over.
                do { try await self.run(limit: limit) } catch is CancellationError {}
            }
            let value = try await body()
            group.cancelAll()
            return value
        }
    }
}

extension RecordingBackend {
    /// Waits until all these events have come; returns every request until then. A test that is out of time gets what
    /// there is.
    func events(_ ids: Set<String>) async -> [Request] {
        var missing = ids
        var seen = 0
        var requests = self.requests
        while true {
            for request in requests[seen...] { if let id = request.eventID { missing.remove(id) } }
            seen = requests.count
            guard !missing.isEmpty, !Task.isCancelled else { return requests }
            requests = await self.requests(atLeast: seen + 1)
        }
    }
}

extension RecordingBackend.Request {
    var deliveryID: String? { header("X-Relay-Delivery-Id") }
    var attempt: Int? { header("X-Relay-Attempt").flatMap { Int($0) } }
}

extension [RecordingBackend.Request] {
    /// How often each event came.
    var countByEvent: [String: Int] { Dictionary(compactMap(\.eventID).map { ($0, 1) }, uniquingKeysWith: +) }

    /// Under which delivery ids each event came: more than one says that it was stored twice.
    var deliveriesByEvent: [String: Set<String>] {
        Dictionary(
            compactMap { request in request.eventID.map { ($0, Set([request.deliveryID ?? ""])) } },
            uniquingKeysWith: { $0.union($1) })
    }
}
