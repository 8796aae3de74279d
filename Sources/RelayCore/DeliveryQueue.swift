// The port to the durable queue: what Gateway and Dispatcher need of it, and what they may rely on.

/// Holds deliveries from the moment an envelope is stored until they are settled. One conformance suite
/// (`DeliveryQueueConformance` in RelayTestKit) says what each adapter must do.
///
/// The verbs fit a database file and a replicated log alike: a log publishes on `enqueue` and leases nothing back,
/// fetches on `lease`, acknowledges, delays or terminates a message on `settle`, and redelivers when a lease is lost.
/// Times are arguments: an adapter reads no clock. A call that has begun is finished although its task is canceled:
/// what was asked to be stored may be stored.
package protocol DeliveryQueue: Sendable {
    /// Stores each envelope with a delivery to each of its targets, all of them or none, in the order given.
    ///
    /// Durable when it returns. An envelope whose `deduplicationKey` was stored for the same app within the
    /// deduplication window (counted from the `receivedAt` of the first, its end excluded) is not stored again, and
    /// takes no room; that holds for two copies in one call, too. A copy that comes while the first one is being stored
    /// waits for it. When it throws, nothing was stored and no key is remembered. What is a record only survives as
    /// `settle` says.
    /// - Returns: one result per request, in order.
    func enqueue(_ requests: [EnqueueRequest]) async throws(QueueError) -> [EnqueueResult]

    /// Whether the envelope's `deduplicationKey` was stored within the deduplication window, so that `enqueue` would
    /// call it a duplicate. False without a key.
    func remembers(_ envelope: Envelope) async throws(QueueError) -> Bool

    /// Takes waiting deliveries of a backend whose time has come, the earliest due first, first stored first among
    /// equals, as many as `bounds` allow. A new delivery is due when it was received. A delivery is leased to one
    /// holder at a time, until settled, released, or the process ends (then it waits again). With a `count` of 0 it
    /// only tells when the next one is due.
    ///
    /// Of the unsettled deliveries of a backend that share an order key, all but the first stored wait for it: they are
    /// not leased, neither here nor by `enqueue`, and not counted in `nextDue`. When the first is settled for good, the
    /// next one is due at once. A replayed delivery takes the place that it was stored at, but waits for one that is
    /// leased or was next already.
    func lease(_ backend: BackendName, _ bounds: LeaseBounds, now: Timestamp) async throws(QueueError) -> LeaseResult

    /// Gives leases back without an attempt: the deliveries wait again as they did before. Cannot fail; an unknown id
    /// is ignored.
    func release(_ ids: [DeliveryID]) async

    /// Records what became of leased deliveries and ends their leases. Survives the process when it returns, and
    /// the machine from the next durable call on: what a power failure takes is attempted again. When it throws, the
    /// leases stand and the same call can be made again; settling twice changes nothing the second time, and neither
    /// does settling a delivery that is not leased. Never refused for lack of room by `max_bytes`.
    ///
    /// A payload is kept while a delivery of its envelope is not settled, or dead (to be replayed), or delivered to a
    /// backend that records payloads and within its retention.
    func settle(_ settlements: [Settlement]) async throws(QueueError)

    /// Proves that an envelope could be stored now: writes durably, and throws `full` while the next `enqueue` would be
    /// refused for size. What readiness and recovery after a full disk are built on.
    func probe() async throws(QueueError)

    /// One small step of retention: removes settled deliveries and deduplication keys that are past their time, and
    /// delivered ones while the queue is over its size. Short enough not to be felt by `enqueue`. Returns whether more
    /// is waiting to be removed.
    func prune(now: Timestamp) async throws(QueueError) -> Bool

    /// What waits and what was given up, per backend, for metrics. Backends without any delivery may be absent.
    func statistics() async throws(QueueError) -> [BackendName: QueueStatistics]

    /// The backends that have deliveries to lease, now or later, sorted: the configured and the forgotten ones.
    func backendsWithWaitingDeliveries() async throws(QueueError) -> [BackendName]

    /// The apps of unsettled deliveries, sorted: the configured and the forgotten ones. Looks at the first 100,000
    /// deliveries at most.
    func appsWithWaitingDeliveries() async throws(QueueError) -> [AppName]

    /// Finishes what was called before, ends all leases and lets go of files. Later calls throw
    /// `QueueError.Code.closed`; closing twice is harmless.
    func close() async
}

/// One envelope to store, and to whom it goes.
package struct EnqueueRequest: Sendable, Equatable {
    package var envelope: Envelope
    /// No backend twice; at least one, unless there is one that had its delivery already.
    package var targets: [Target]
    /// A backend that was asked before anything was stored, with what became of that: kept as a record, like any
    /// delivery that is settled.
    package var settled: SettledTarget?

    package struct SettledTarget: Sendable, Equatable {
        package var target: Target
        /// Its id is not one of the queue's own: the queue keeps it beside the one that it gives. Its verb is final.
        package var settlement: Settlement

        package init(target: Target, settlement: Settlement) {
            precondition(settlement.verb.state.isFinal, "a settled target waits: \(settlement.verb)")
            self.target = target
            self.settlement = settlement
        }
    }

    package struct Target: Sendable, Hashable {
        package var backend: BackendName
        package var route: RouteName
        package var path: String?
        /// See `Delivery.orderKey`.
        package var orderKey: String?

        package init(backend: BackendName, route: RouteName, path: String? = nil, orderKey: String? = nil) {
            self.backend = backend
            self.route = route
            self.path = path
            self.orderKey = orderKey
        }
    }

    package init(envelope: Envelope, targets: [Target], settled: SettledTarget? = nil) {
        self.envelope = envelope
        self.targets = targets
        self.settled = settled
    }

    /// Whether it only tells of what is over: nothing of it is to be delivered, and no copy to be known by it.
    package var isRecordOnly: Bool { targets.isEmpty && envelope.deduplicationKey == nil }
}

package enum EnqueueResult: Sendable, Equatable {
    /// Stored. `leased` holds the deliveries that the queue leased to the caller at once, so that they need not be read
    /// again: all of them (SQLite, memory) or none (a replicated log), but for those that wait for their order key.
    ///
    /// `becameDue` are the backends of which a delivery that waited for its order key goes on, because `drop_oldest`
    /// removed the one before it to make room; with the first envelope of a call that was stored.
    case stored(leased: [Delivery], becameDue: Set<BackendName> = [])
    /// Stored before, within the deduplication window. To be acknowledged all the same.
    case duplicate
}

/// How much one call may lease.
package struct LeaseBounds: Sendable, Hashable {
    /// Deliveries; not negative.
    package var count: Int
    /// Payload bytes together; the first delivery is leased whatever its size.
    package var bytes: Int

    package init(count: Int, bytes: Int) {
        self.count = count
        self.bytes = bytes
    }
}

package struct LeaseResult: Sendable, Equatable {
    package var deliveries: [Delivery]
    /// When the next delivery that was not leased is due: at or before `now` when the bounds cut the list; nil when
    /// none waits.
    package var nextDue: Timestamp?

    package init(deliveries: [Delivery], nextDue: Timestamp?) {
        self.deliveries = deliveries
        self.nextDue = nextDue
    }
}

/// What became of a leased delivery.
package struct Settlement: Sendable, Equatable {
    package var id: DeliveryID
    /// nil when no attempt was made (expired, or its backend is gone). A probe that failed is kept in the history, and
    /// is otherwise as if no attempt had been made.
    package var attempt: Attempt?
    package var verb: Verb
    /// When it was decided.
    package var at: Timestamp

    package enum Verb: Sendable, Equatable {
        /// Delivered.
        case complete
        /// Waits for its next attempt at this time.
        case reschedule(at: Timestamp)
        /// Given up, kept with its reason.
        case deadLetter(DeadLetterReason)
        /// Past its `max_age`.
        case expire

        /// Where the delivery stands from then on.
        package var state: DeliveryState {
            switch self {
            case .complete: .delivered
            case .reschedule: .scheduled
            case .deadLetter: .dead
            case .expire: .expired
            }
        }
    }

    package init(id: DeliveryID, attempt: Attempt?, verb: Verb, at: Timestamp) {
        self.id = id
        self.attempt = attempt
        self.verb = verb
        self.at = at
    }
}

package struct QueueStatistics: Sendable, Equatable {
    /// Deliveries in each state that is not final; leased ones count as `inFlight`. A state without deliveries is
    /// absent.
    package var waiting: [DeliveryState: Int]
    /// All deliveries that are not settled.
    package var waitingCount: Int { waiting.values.reduce(0, +) }
    /// When the oldest delivery that is not settled was received.
    package var oldestReceivedAt: Timestamp?
    /// Dead letters kept.
    package var dead: Int
    /// Waiting deliveries removed by `drop_oldest` since the queue was opened.
    package var dropped: Int

    package init(
        waiting: [DeliveryState: Int] = [:], oldestReceivedAt: Timestamp? = nil, dead: Int = 0, dropped: Int = 0
    ) {
        self.waiting = waiting
        self.oldestReceivedAt = oldestReceivedAt
        self.dead = dead
        self.dropped = dropped
    }
}

extension EnqueueRequest {
    /// How many deliveries are recorded with its envelope.
    package var deliveryCount: Int { targets.count + (settled == nil ? 0 : 1) }

    /// What the request counts against `QueueLimits.maxBytes` until the last record of its envelope is removed: the
    /// payload, and what a row for the envelope and one for each delivery take with their indexes, rounded up.
    package var storedBytes: Int64 {
        Int64(envelope.payload.bytes.count) + Self.bytesPerEnvelope
            + Self.bytesPerDelivery * Int64(deliveryCount)
    }

    package static let bytesPerEnvelope: Int64 = 256
    package static let bytesPerDelivery: Int64 = 256
}

/// Bounds of a queue; the same for each adapter.
package struct QueueLimits: Sendable, Equatable {
    /// Payloads and their records together, as `EnqueueRequest.storedBytes` counts them: a file can be somewhat larger,
    /// by what `maxHistoryBytes` allows, too.
    package var maxBytes: Int64
    package var whenFull: WhenFull
    package var deduplicationWindow: Duration
    package var deliveredRetention: Duration
    /// Of dead, expired and canceled deliveries.
    package var deadRetention: Duration
    /// Backends whose payloads are removed once delivered (`record_payloads: false`): the payload of an envelope goes
    /// when its last delivery is settled, none is dead and all its backends are among these.
    package var backendsWithoutRecords: Set<BackendName>

    /// The room that a probe asks for: that of a usual envelope, less in a tiny queue.
    package var probedBytes: Int64 {
        EnqueueRequest.bytesPerEnvelope + EnqueueRequest.bytesPerDelivery + min(16 << 10, maxBytes / 16)
    }

    package enum WhenFull: String, Sendable, CaseIterable {
        // Both first remove what was delivered, expired or canceled, the longest settled first. Dead letters stay for
        // their retention.

        /// Throw `QueueError.Code.full`: nothing is acknowledged, Slack sends again.
        case refuse
        /// Remove the oldest deliveries that wait (leased ones stay), counting them; throw `full` when that is not
        /// enough.
        case dropOldest = "drop_oldest"
    }

    package init(
        maxBytes: Int64 = 4 << 30, whenFull: WhenFull = .refuse, deduplicationWindow: Duration = .seconds(24 * 3600),
        deliveredRetention: Duration = .seconds(24 * 3600), deadRetention: Duration = .seconds(30 * 24 * 3600),
        backendsWithoutRecords: Set<BackendName> = []
    ) {
        self.maxBytes = maxBytes
        self.whenFull = whenFull
        self.deduplicationWindow = deduplicationWindow
        self.deliveredRetention = deliveredRetention
        self.deadRetention = deadRetention
        self.backendsWithoutRecords = backendsWithoutRecords
    }
}

/// The queue could not do what it was asked. Nothing was changed.
package struct QueueError: Error, Sendable, Equatable, CustomStringConvertible {
    package var code: Code
    /// For people: names the thing, the value, the limit; no payload.
    package var message: String

    package enum Code: String, Sendable {
        /// Over `max_bytes`, and `when_full` is `refuse`.
        case full
        /// The store cannot be written or read now (disk full, read-only, I/O error); may pass.
        case unavailable
        /// The store's content is damaged; a person must act.
        case corrupt
        /// The queue was closed.
        case closed
        /// Opening: another process holds it (exit code 73).
        case locked
        /// Opening: it was written by a newer Relay, lies on a network file system, or is not a Relay queue (exit code
        /// 73).
        case unusable
    }

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "queue \(code.rawValue): \(message)" }
}
