// What every adapter of the port DeliveryArchive must do, one fact for each sentence of its docs.

package import RelayCore
import Testing

/// The conformance suite: run `facts` against each adapter, and `durableFacts` against those that keep what is settled.
package enum DeliveryArchiveConformance {
    package typealias Queue = any DeliveryQueue & DeliveryArchive
    /// Opens a new, empty queue; for `durableFacts` the same one again, when it was closed.
    package typealias MakeQueue = @Sendable (QueueLimits) async throws -> Queue

    /// One rule, and the check that an adapter keeps it. The check records an issue where it does not.
    package struct Fact: Sendable, CustomStringConvertible {
        package let rule: String
        package let check: @Sendable (MakeQueue) async throws -> Void

        init(_ rule: String, _ check: @escaping @Sendable (MakeQueue) async throws -> Void) {
            self.rule = rule
            self.check = check
        }

        package var description: String { rule }
    }

    package static let facts: [Fact] = listFacts + recordFacts + changeFacts + replayFacts
}

// MARK: - What the facts are told with

extension DeliveryFilter {
    /// Changed from one that takes all.
    init(_ change: (inout DeliveryFilter) -> Void) {
        self.init()
        change(&self)
    }

    static func states(_ states: DeliveryState...) -> DeliveryFilter { .init { $0.states = Set(states) } }
}

extension Attempt {
    /// A 500 that took a second, unless said otherwise.
    static func failing(
        _ number: Int, at second: Int64, _ outcome: AttemptOutcome = .failed(.http(status: 500)), detail: String = "",
        response: RecordedResponse? = nil
    ) -> Attempt {
        Attempt(
            number: number, startedAt: .second(second), finishedAt: .second(second + 1), outcome: outcome,
            detail: detail, response: response)
    }

    /// A probe in the place of an attempt, that failed with a timeout after a second.
    static func probe(_ number: Int, at second: Int64, response: RecordedResponse? = nil) -> Attempt {
        Attempt(
            number: number, isProbe: true, startedAt: .second(second), finishedAt: .second(second + 1),
            outcome: .failed(.timeout), response: response)
    }
}

extension Settlement {
    init(_ id: DeliveryID, _ attempt: Attempt, _ verb: Verb) {
        self.init(id: id, attempt: attempt, verb: verb, at: attempt.finishedAt)
    }

    static let exhausted = Verb.deadLetter(.attemptsExhausted(.http(status: 500)))
}

extension RecordedResponse {
    static func page(_ text: String, status: Int = 500) -> RecordedResponse {
        RecordedResponse(
            status: status, headers: [("Content-Type", "text/html"), ("X-\"Quoted\"", "a: b, ü")],
            body: Array(text.utf8))
    }
}

extension DeliveryQueue where Self: DeliveryArchive {
    /// Stores one request and gives up its deliveries, in an attempt at its second.
    @discardableResult
    func storeDead(_ request: EnqueueRequest) async throws -> [DeliveryID] {
        let ids = try await store(request).map(\.id)
        try await settle(ids.map { .deadLetter($0, at: request.envelope.receivedAt.inSeconds) })
        return ids
    }

    /// The sequences that a filter takes, in the order listed.
    func listed(_ filter: DeliveryFilter = .init()) async throws -> [Int64] {
        try await deliveries(filter, PageRequest(limit: 1_000)).items.map(\.id.sequence)
    }

    /// Advances a job until it is over.
    /// - Returns: how often.
    @discardableResult
    func finish(_ id: Replay.ID, limit: Int = 100, at second: Int64 = 100) async throws -> Int {
        var steps = 0
        while try await advanceReplay(id, limit: limit, now: .second(second)).replay?.state == .running, steps < 1_000 {
            steps += 1
        }
        return steps
    }
}

extension Timestamp {
    /// What `second(_:)` was given.
    var inSeconds: Int64 { secondsSinceEpoch - Timestamp.second(0).secondsSinceEpoch }
}
