// The two ports between the sockets and the gateway: envelopes go up, acknowledgements go down.

/// One WebSocket to Slack, numbered over the life of the process: a late callback or acknowledgement of an old
/// connection cannot be taken for one of a new connection.
package struct ConnectionID: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var number: UInt64

    package init(_ number: UInt64) { self.number = number }

    package var description: String { String(number) }
    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.number < rhs.number }
}

/// Takes what the sockets read. The adapter is `Gateway`.
package protocol EnvelopeReceiver: Sendable {
    /// Takes envelopes that were read together, in order, and sends their acknowledgements through `acknowledger` when
    /// they may be sent. Returns when it is done with all of them, acknowledged or not. The reader does not wait for
    /// it.
    func receive(
        _ envelopes: [Envelope], on connection: ConnectionID, acknowledgeThrough acknowledger: any Acknowledger)
        async
}

/// Sends acknowledgements to Slack. The adapter is `SlackConnector`.
package protocol Acknowledger: Sendable {
    /// Sends a bare acknowledgement for each envelope, together, on the connection it came from, or where that one
    /// is gone on another open connection of the same app. Does not wait for the socket; does not fail: an
    /// acknowledgement that cannot be sent is counted, and Slack sends the envelope again.
    func acknowledge(_ envelopeIDs: [String], on connection: ConnectionID)

    /// Sends one acknowledgement, with the payload (a JSON object) or bare, on the connection the envelope came from, or
    /// where that one is gone on another open connection of the same app. Returns when it is on its way, and says on
    /// which.
    func acknowledge(_ envelopeID: String, with payload: Payload?, on connection: ConnectionID) async
        -> AcknowledgementWay
}

/// How an acknowledgement left. The raw value is used in metrics.
package enum AcknowledgementWay: String, Sendable, CaseIterable {
    /// On the connection that its envelope came from.
    case same
    /// That one was gone. Whether Slack honours it is not known (slack-protocol.md §3.5).
    case other
    /// None was open: an event will come again, a person sees Slack's error.
    case lost
}
