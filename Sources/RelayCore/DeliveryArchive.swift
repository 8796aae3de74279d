// The port to what the queue keeps: what people look at, take back, and replay.

/// Deliveries as records. Adapters of `DeliveryQueue` have this face, too; `DeliveryArchiveConformance` in RelayTestKit
/// says what each must do. Nothing here holds up `enqueue`, `lease` or `settle` for longer than a few milliseconds.
///
/// What was delivered, expired or canceled is kept for its retention, or not at all (memory): then it is unknown.
package protocol DeliveryArchive: Sendable {
    /// Deliveries that a filter takes, the newest (the highest sequence) first.
    func deliveries(_ filter: DeliveryFilter, _ page: PageRequest) async throws(QueueError) -> Page<DeliverySummary>

    /// How many deliveries a filter takes; counting ends at `limit`.
    func count(_ filter: DeliveryFilter, limit: Int) async throws(QueueError) -> Int

    /// All that is kept of the delivery that has this id, or was sent with it before it was stored
    /// (`DeliverySummary.sentID`, for which many rows may be looked at); nil when there is none.
    func record(_ id: DeliveryID) async throws(QueueError) -> DeliveryRecord?

    /// Those of the ids that deliveries were sent with before they were stored, each with the id that its delivery has.
    /// Many rows may be looked at, once for all of them.
    func ids(sentAs ids: Set<DeliveryID>) async throws(QueueError) -> [DeliveryID: DeliveryID]

    /// Makes a delivery due now: one that waits is brought forward, a settled one is replayed (fresh attempt budget,
    /// `Delivery.replays` counted up, its history kept). One that waits for its order key is refused with its state: it
    /// would overtake the others. Durable when it returns; the dispatcher is to be told (`othersWait`).
    func retry(_ id: DeliveryID, now: Timestamp) async throws(QueueError) -> DeliveryChange

    /// Takes a waiting delivery back: it becomes `canceled`, and the next of its order key goes on (the dispatcher is to
    /// be told). Durable when it returns.
    func cancel(_ id: DeliveryID, now: Timestamp) async throws(QueueError) -> DeliveryChange

    /// Removes a dead, expired or canceled delivery with its payload for good. Durable when it returns.
    func delete(_ id: DeliveryID) async throws(QueueError) -> DeliveryChange

    /// Removes at most `limit` of the dead, expired and canceled deliveries that a filter takes, the oldest (the lowest
    /// sequence) first: one short step. Returns how many were removed; less than `limit`: no more are left.
    func delete(_ filter: DeliveryFilter, limit: Int) async throws(QueueError) -> Int

    // MARK: Replays

    /// Stores a replay job. It covers the deliveries that the filter takes and that were stored before now; those that
    /// are settled when its cursor comes to them are replayed, each once. What was deleted before that is passed over.
    func createReplay(_ request: ReplayRequest, now: Timestamp) async throws(QueueError) -> Replay

    /// All, the newest first; finished ones are kept for the retention of dead letters.
    func replays() async throws(QueueError) -> [Replay]

    /// The same, a part of them.
    func replays(_ page: PageRequest) async throws(QueueError) -> Page<Replay>

    func replay(_ id: Replay.ID) async throws(QueueError) -> Replay?

    /// Replays the next deliveries of a running job, at most `limit`, and moves its cursor behind them, in one
    /// transaction: after a crash each is replayed once. Looks at a bounded number of rows, so that it may replay fewer
    /// although more are left: the job's state says when it is over.
    /// - Returns: the job as it stands, and the backends that deliveries became due for.
    func advanceReplay(_ id: Replay.ID, limit: Int, now: Timestamp) async throws(QueueError) -> (
        replay: Replay?, backends: Set<BackendName>
    )

    /// Ends a running job, one that cannot be read, too; what it replayed stays replayed. Returns the job as it stands.
    func cancelReplay(_ id: Replay.ID, now: Timestamp) async throws(QueueError) -> Replay?
}

/// Which backends are left alone until a person says otherwise; over restarts. The queues are its adapters.
package protocol PauseStore: Sendable {
    func pauses() async throws(QueueError) -> [BackendName: Pause]
    /// Durable when it returns; takes the place of the pause that there is. nil: not paused any more.
    func setPause(_ pause: Pause?, of backend: BackendName) async throws(QueueError)
}

package struct Pause: Sendable, Hashable {
    package var since: Timestamp
    package var cause: Cause

    package enum Cause: String, Sendable, CaseIterable {
        /// Asked for by a person.
        case person
        /// The backend answered 410: it is gone, and only a person can say that it is back.
        case gone
    }

    package init(since: Timestamp, cause: Cause) {
        self.since = since
        self.cause = cause
    }
}

/// Which deliveries are meant. An empty set and nil take all.
package struct DeliveryFilter: Sendable, Hashable {
    package var ids: Set<DeliveryID> = []
    /// The envelope_id that Slack gave the first copy.
    package var envelopeIDs: Set<String> = []
    /// As stored, and `in_flight`. `held` is told by who knows the backends: stored are `pending` and `scheduled`.
    package var states: Set<DeliveryState> = []
    package var backends: Set<BackendName> = []
    package var routes: Set<RouteName> = []
    package var apps: Set<AppName> = []
    package var kinds: Set<Kind> = []
    /// Reasons of dead letters, or of the last attempt: `http_500`, `rejected_http_400`.
    package var reasons: Set<String> = []
    /// Received at or after.
    package var since: Timestamp?
    /// Received before.
    package var until: Timestamp?
    /// Settled before: nothing that waits. Not of replays.
    package var settledBefore: Timestamp?

    package init() {}
}

/// A part of a list.
package struct PageRequest: Sendable, Hashable {
    /// 1 to 1,000.
    package var limit: Int
    /// `Page.next` of the page before; nil: from the beginning.
    package var cursor: Int64?

    package init(limit: Int = 50, cursor: Int64? = nil) {
        self.limit = limit
        self.cursor = cursor
    }
}

package struct Page<Element: Sendable>: Sendable {
    package var items: [Element]
    /// Where the next page begins; nil when this is the last one.
    package var next: Int64?

    package init(items: [Element], next: Int64?) {
        self.items = items
        self.next = next
    }
}

extension Page: Equatable where Element: Equatable {}

/// One delivery in a list.
package struct DeliverySummary: Sendable, Equatable, Identifiable {
    package var id: DeliveryID
    /// The id that it was sent with, where that is not `id`: answers.
    package var sentID: DeliveryID?
    package var backend: BackendName
    package var route: RouteName
    package var app: AppName
    package var kind: Kind
    /// As stored, or `in_flight` while leased.
    package var state: DeliveryState
    package var orderKey: String?
    /// Slack's `envelope_id`, of the first copy.
    package var envelopeID: String
    package var receivedAt: Timestamp
    /// When the next attempt is due; nil when settled, and while it waits for its order key.
    package var due: Timestamp?
    package var settledAt: Timestamp?
    /// Since it was received, or since its last replay; without probes that failed.
    package var attemptsMade: Int
    package var replays: Int
    /// Of the last of these; nil when none was made.
    package var outcome: String?
    package var reason: String?
    /// Why it was given up; nil unless dead.
    package var deadReason: String?
    /// Of the payload; nil when it is removed.
    package var payloadBytes: Int?

    package init(
        id: DeliveryID, sentID: DeliveryID? = nil, backend: BackendName, route: RouteName, app: AppName, kind: Kind,
        state: DeliveryState, orderKey: String? = nil, envelopeID: String, receivedAt: Timestamp,
        due: Timestamp? = nil, settledAt: Timestamp? = nil, attemptsMade: Int = 0, replays: Int = 0,
        outcome: String? = nil, reason: String? = nil, deadReason: String? = nil, payloadBytes: Int? = nil
    ) {
        self.id = id
        self.sentID = sentID
        self.backend = backend
        self.route = route
        self.app = app
        self.kind = kind
        self.state = state
        self.orderKey = orderKey
        self.envelopeID = envelopeID
        self.receivedAt = receivedAt
        self.due = due
        self.settledAt = settledAt
        self.attemptsMade = attemptsMade
        self.replays = replays
        self.outcome = outcome
        self.reason = reason
        self.deadReason = deadReason
        self.payloadBytes = payloadBytes
    }
}

/// One delivery with its history.
package struct DeliveryRecord: Sendable, Equatable {
    package var summary: DeliverySummary
    /// The first one and the last nine, oldest first, probes that failed among them.
    package var attempts: [RecordedAttempt]
    /// Of the last attempt that had one and was not accepted.
    package var response: RecordedResponse?
    /// nil when removed. Never part of a list.
    package var payload: Payload?

    /// Attempts kept: the first, and the last `maxAttempts - 1`.
    package static let maxAttempts = 10

    package init(
        summary: DeliverySummary, attempts: [RecordedAttempt], response: RecordedResponse? = nil,
        payload: Payload? = nil
    ) {
        self.summary = summary
        self.attempts = attempts
        self.response = response
        self.payload = payload
    }
}

/// An attempt as it is read back.
package struct RecordedAttempt: Sendable, Equatable {
    /// Which replay made it; 0: none.
    package var replay: Int
    /// From 1, anew with each replay.
    package var number: Int
    /// `Attempt.isProbe`: the attempt that burned the number stands behind it.
    package var isProbe: Bool
    package var startedAt: Timestamp
    package var finishedAt: Timestamp
    /// `AttemptOutcome.word`
    package var outcome: String
    package var reason: String?
    /// For people; without payloads and secrets.
    package var detail: String

    package init(
        replay: Int = 0, number: Int, isProbe: Bool = false, startedAt: Timestamp, finishedAt: Timestamp,
        outcome: String, reason: String?, detail: String = ""
    ) {
        self.replay = replay
        self.number = number
        self.isProbe = isProbe
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.outcome = outcome
        self.reason = reason
        self.detail = detail
    }
}

/// What became of a wish about one delivery.
package enum DeliveryChange: Sendable, Equatable {
    case done(BackendName)
    /// There is no such delivery.
    case unknown
    /// Not possible in the state that it is in: it is being attempted, settled already, or waits for its order key.
    case refused(DeliveryState)
    /// Its payload was removed, so it cannot be sent again.
    case noPayload
}

/// Which deliveries to replay, and how fast.
package struct ReplayRequest: Sendable, Hashable {
    /// `states` within dead, expired, canceled and delivered; empty: dead. nil: of a stored replay whose filter cannot be
    /// read; it covers nothing, and does not go on.
    package var filter: DeliveryFilter?
    /// Deliveries per second; nil: as fast as the backend takes them.
    package var perSecond: Double?

    package init(filter: DeliveryFilter, perSecond: Double? = nil) {
        self.filter = filter
        self.perSecond = perSecond
    }
}

/// A replay job.
package struct Replay: Sendable, Equatable, Identifiable {
    /// Counts up from 1 within the queue.
    package typealias ID = Int64

    package var id: ID
    package var request: ReplayRequest
    package var state: State
    package var createdAt: Timestamp
    package var endedAt: Timestamp?
    /// How many deliveries the filter took when it was created.
    package var matched: Int
    package var replayed: Int
    /// Passed over because their payload was removed.
    package var withoutPayload: Int

    package enum State: String, Sendable, CaseIterable {
        case running
        case done
        case canceled
    }

    package init(
        id: ID, request: ReplayRequest, state: State, createdAt: Timestamp, endedAt: Timestamp? = nil, matched: Int,
        replayed: Int = 0, withoutPayload: Int = 0
    ) {
        self.id = id
        self.request = request
        self.state = state
        self.createdAt = createdAt
        self.endedAt = endedAt
        self.matched = matched
        self.replayed = replayed
        self.withoutPayload = withoutPayload
    }
}
