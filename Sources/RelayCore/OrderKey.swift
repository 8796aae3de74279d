// Which deliveries of a backend must not overtake each other.

/// `order_by` of a backend: deliveries that share the key are made one at a time, in the order received.
package enum OrderBy: String, Sendable, CaseIterable {
    case none
    case channel
    case thread
    case user
    case team
}

extension OrderBy {
    /// The key that an envelope's deliveries share; nil when nothing has to wait: an envelope that lacks the field is
    /// unordered. The word keeps keys apart that were stored before `order_by` was changed.
    package func key(of attributes: EnvelopeAttributes) -> String? {
        let value: String? =
            switch self {
            case .none: nil
            case .channel: attributes.channel
            // A thread's timestamp is unique within its channel only.
            case .thread: attributes.thread.map { "\(attributes.channel ?? "")/\($0)" }
            case .user: attributes.user
            case .team: attributes.team ?? attributes.enterprise
            }
        return value.map { "\(rawValue):\($0)" }
    }
}
