// The shapes of deliveries and replays.

import RelayCore

extension API {
    package struct Delivery: Codable, Sendable, Equatable {
        package var id: String
        /// The id that it was sent with, where that is another one: answers.
        package var sentId: String?
        package var backend: String
        package var route: String
        package var app: String
        package var kind: String
        /// `DeliveryState`; `held` for what waits for a backend that is left alone.
        package var state: String
        package var orderKey: String?
        package var envelopeId: String
        package var receivedAt: String
        package var due: String?
        package var settledAt: String?
        package var attemptsMade: Int
        package var replays: Int
        /// Of the last attempt.
        package var outcome: String?
        package var reason: String?
        /// Why it was given up.
        package var deadReason: String?
        /// Whose matter that is: `DeadLetterClass`; of dead and expired ones.
        package var `class`: String?
        package var payloadBytes: Int?
        /// The first and the last nine, probes among them; absent in lists.
        package var attempts: [Attempt]?
        /// The last one that was not a success; only where one delivery is asked for, because that is logged.
        package var response: Response?
        /// Only where it was asked for.
        package var payload: Content?
    }

    package struct Attempt: Codable, Sendable, Equatable {
        /// Which replay made it; 0: none.
        package var replay: Int
        /// From 1, anew with each replay.
        package var number: Int
        /// It found out that the backend still fails, and burned none of the attempts that the delivery has: the next
        /// attempt has the same number.
        package var isProbe: Bool
        package var startedAt: String
        package var durationMs: Int
        package var outcome: String
        package var reason: String?
        package var detail: String?
    }

    package struct Response: Codable, Sendable, Equatable {
        package var status: Int
        package var headers: [Header]
        package var body: Content
        /// The body was longer than what is kept.
        package var isTruncated: Bool

        package struct Header: Codable, Sendable, Equatable {
            package var name: String
            package var value: String
        }
    }

    /// Bytes as text where they are UTF-8, else in base64.
    package struct Content: Codable, Sendable, Equatable {
        package var bytes: Int
        package var text: String?
        package var base64: String?
    }

    /// Which deliveries; an absent key takes all.
    package struct Filter: Codable, Sendable, Equatable {
        package var envelopeId: [String]?
        package var state: [String]?
        package var backend: [String]?
        package var route: [String]?
        package var app: [String]?
        package var kind: [String]?
        package var reason: [String]?
        package var `class`: [String]?
        package var since: String?
        package var until: String?

        package init() {}
    }

    /// The body of `POST /replays`: either `ids` or `filter`.
    package struct ReplayOrder: Codable, Sendable, Equatable {
        /// What `perSecond` can be.
        package static let rates = 0.001...100_000

        package var ids: [String]?
        package var filter: Filter?
        package var perSecond: Double?
        package var dryRun: Bool?

        package init(ids: [String]? = nil, filter: Filter? = nil, perSecond: Double? = nil, dryRun: Bool? = nil) {
            self.ids = ids
            self.filter = filter
            self.perSecond = perSecond
            self.dryRun = dryRun
        }
    }

    package struct Replay: Codable, Sendable, Equatable {
        package var id: Int64
        /// `running`, `done` or `canceled`.
        package var state: String
        /// Neither `ids` nor `filter`: it cannot be read, and does not go on.
        package var ids: [String]?
        package var filter: Filter?
        package var perSecond: Double?
        package var createdAt: String
        package var endedAt: String?
        /// How many deliveries it covered when it was created.
        package var matched: Int
        package var replayed: Int
        /// Passed over, because their payload was removed.
        package var withoutPayload: Int
    }

    /// What a dry run found.
    package struct Matched: Codable, Sendable, Equatable {
        package var matched: Int
        /// Counting ended at `matched`.
        package var isAtLeast: Bool
        /// Of a deletion: what is settled from then on was not counted.
        package var countedAt: String?
    }

    package struct Deleted: Codable, Sendable, Equatable {
        package var deleted: Int
    }
}

// MARK: Of the archive's records

extension API.Delivery {
    /// - Parameter held: the backends that are left alone.
    init(_ summary: DeliverySummary, held: Set<BackendName>) {
        let waits = summary.state == .pending || summary.state == .scheduled
        id = "\(summary.id)"
        sentId = summary.sentID.map { "\($0)" }
        backend = summary.backend.text
        route = summary.route.text
        app = summary.app.text
        kind = summary.kind.rawValue
        state = (waits && held.contains(summary.backend) ? .held : summary.state).rawValue
        orderKey = summary.orderKey
        envelopeId = summary.envelopeID
        receivedAt = summary.receivedAt.rfc3339Milliseconds
        due = summary.due?.rfc3339Milliseconds
        settledAt = summary.settledAt?.rfc3339Milliseconds
        attemptsMade = summary.attemptsMade
        replays = summary.replays
        outcome = summary.outcome
        reason = summary.reason
        deadReason = summary.deadReason
        `class` =
            summary.state == .expired
            ? DeadLetterClass.expiry.rawValue
            : summary.deadReason.map { DeadLetterClass(deadReason: $0).rawValue }
        payloadBytes = summary.payloadBytes
    }

    init(_ record: DeliveryRecord, held: Set<BackendName>, withPayload: Bool) {
        self.init(record.summary, held: held)
        attempts = record.attempts.map(API.Attempt.init)
        response = record.response.map(API.Response.init)
        payload = withPayload ? record.payload.map { API.Content($0.bytes) } : nil
    }
}

extension API.Attempt {
    init(_ attempt: RecordedAttempt) {
        replay = attempt.replay
        number = attempt.number
        isProbe = attempt.isProbe
        startedAt = attempt.startedAt.rfc3339Milliseconds
        durationMs = Int(max(0, attempt.startedAt.duration(to: attempt.finishedAt).milliseconds))
        outcome = attempt.outcome
        reason = attempt.reason
        detail = attempt.detail.isEmpty ? nil : attempt.detail
    }
}

extension API.Response {
    init(_ response: RecordedResponse) {
        status = response.status
        headers = response.headers.map { Header(name: $0.name, value: $0.value) }
        body = API.Content(response.body)
        isTruncated = response.isTruncated
    }
}

extension API.Replay {
    init(_ replay: RelayCore.Replay) {
        let chosen = replay.request.filter
        id = replay.id
        state = replay.state.rawValue
        ids = chosen.flatMap { $0.ids.isEmpty ? nil : $0.ids.map { "\($0)" }.sorted() }
        filter = chosen.flatMap { $0.ids.isEmpty ? API.Filter($0) : nil }
        perSecond = replay.request.perSecond
        createdAt = replay.createdAt.rfc3339Milliseconds
        endedAt = replay.endedAt?.rfc3339Milliseconds
        matched = replay.matched
        replayed = replay.replayed
        withoutPayload = replay.withoutPayload
    }
}
