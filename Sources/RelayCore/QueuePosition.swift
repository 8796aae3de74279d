// The order in which a backend's waiting deliveries are leased.

/// Where a waiting delivery stands in line for its backend: the earliest due first, the first stored first among
/// equals.
package struct QueuePosition: Hashable, Comparable, Sendable {
    package var due: Timestamp
    /// `DeliveryID.sequence`
    package var sequence: Int64

    package init(due: Timestamp, sequence: Int64) {
        self.due = due
        self.sequence = sequence
    }

    /// Before every delivery.
    package static let first = QueuePosition(due: Timestamp(nanosecondsSinceEpoch: .min), sequence: .min)
    /// After every delivery.
    package static let last = QueuePosition(due: Timestamp(nanosecondsSinceEpoch: .max), sequence: .max)

    package static func < (lhs: Self, rhs: Self) -> Bool {
        (lhs.due, lhs.sequence) < (rhs.due, rhs.sequence)
    }
}
