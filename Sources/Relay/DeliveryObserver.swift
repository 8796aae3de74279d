// A look at deliveries as they happen, for the commands that show them.

package import RelayCore

/// Told of attempts and of what became of deliveries. Called on the dispatchers: must return at once.
package protocol DeliveryObserver: Sendable {
    func attemptFinished(_ delivery: Delivery, _ result: AttemptResult, number: Int, duration: Duration)
    /// These outcomes are durable now.
    func settled(_ settlements: [Settlement])
}
