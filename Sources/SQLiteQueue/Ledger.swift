// What the queue holds, counted: kept in memory beside the database, so that nobody has to count rows.

import RelayCore

/// Counts as of a committed transaction. A transaction works on a copy, which takes the place of the original once it
/// is durable.
struct Ledger: Sendable, Equatable {
    /// The sequence of the next delivery: all below it were stored.
    var nextSequence: Int64 = 1
    /// What counts against `max_bytes`.
    var bytes: Int64 = 0
    /// What counts against `QueueLimits.maxHistoryBytes`.
    var historyBytes: Int64 = 0
    var backends: [BackendName: Count] = [:]

    /// Deliveries of one backend.
    struct Count: Sendable, Equatable {
        var pending = 0
        var scheduled = 0
        var dead = 0
        /// Since the queue was opened.
        var dropped = 0

        var unfinished: Int { pending + scheduled }

        /// How many are in a stored state; states that are not counted read as 0 and cannot be changed.
        subscript(state: DeliveryState) -> Int {
            get {
                switch state {
                case .pending: pending
                case .scheduled: scheduled
                case .dead: dead
                case .inFlight, .held, .delivered, .canceled, .expired: 0
                }
            }
            set {
                switch state {
                case .pending: pending = newValue
                case .scheduled: scheduled = newValue
                case .dead: dead = newValue
                case .inFlight, .held, .delivered, .canceled, .expired: break
                }
            }
        }
    }

    mutating func count(_ state: DeliveryState, of backend: BackendName, by difference: Int) {
        backends[backend, default: Count()][state] += difference
    }
}
