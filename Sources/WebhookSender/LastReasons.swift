// Why the last attempt at a delivery failed, for backends with `retry_headers: relay`.

internal import RelayCore
internal import Synchronization

/// Kept in memory only: after a restart, or when very many deliveries fail, the reason of the next attempt is unknown.
final class LastReasons: Sendable {
    private static let capacity = 10_000

    private let reasons = Mutex<[DeliveryID: AttemptReason]>([:])

    func reason(of id: DeliveryID) -> AttemptReason? {
        reasons.withLock { $0[id] }
    }

    func attemptFinished(_ id: DeliveryID, _ outcome: AttemptOutcome) {
        reasons.withLock { reasons in
            guard case .failed(let reason) = outcome else {
                reasons[id] = nil
                return
            }
            if reasons.count >= Self.capacity, reasons[id] == nil { reasons.removeAll() }
            reasons[id] = reason
        }
    }
}
