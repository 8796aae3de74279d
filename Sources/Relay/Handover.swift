// What carries envelopes goes on with another configuration, while it runs.

package import RelayCore

/// Gives the gateway, the answerer and the dispatchers what they go on with. Nothing here can fail.
///
/// Backends are there before anything is routed to them, and go after the last that was. A dispatcher stays unless its
/// backend is another; then the new one starts at once, and the old one finishes what it has begun. One call at a time.
package struct Handover: Sendable {
    private let gateway: Gateway
    private let answerer: Answerer
    private let dispatchers: Dispatchers
    private let start: @Sendable (Dispatcher) -> Void

    /// What follows from one configuration, and how it differs from the one before.
    package struct Terms: Sendable {
        package var gateway: Gateway.Configuration
        /// With all backends.
        package var answerer: Answerer.Configuration
        package var sender: any AttemptSender & AnswerSender
        package var metrics: GatewayMetrics
        package var account: AnswerAccount
        /// Backends that were there before, and are configured otherwise.
        package var changed: Set<BackendName>
        /// Backends that are there no more, as they were. Each is to be let go afterwards.
        package var removed: [Backend]
        /// As stored.
        package var pauses: [BackendName: Pause]
        package var makeDispatcher: @Sendable (Backend, Pause?) -> Dispatcher

        package init(
            gateway: Gateway.Configuration, answerer: Answerer.Configuration, sender: any AttemptSender & AnswerSender,
            metrics: GatewayMetrics, account: AnswerAccount, changed: Set<BackendName>, removed: [Backend],
            pauses: [BackendName: Pause], makeDispatcher: @escaping @Sendable (Backend, Pause?) -> Dispatcher
        ) {
            self.gateway = gateway
            self.answerer = answerer
            self.sender = sender
            self.metrics = metrics
            self.account = account
            self.changed = changed
            self.removed = removed
            self.pauses = pauses
            self.makeDispatcher = makeDispatcher
        }
    }

    /// - Parameter start: has a new dispatcher run.
    package init(
        gateway: Gateway, answerer: Answerer, dispatchers: Dispatchers, start: @escaping @Sendable (Dispatcher) -> Void
    ) {
        self.gateway = gateway
        self.answerer = answerer
        self.dispatchers = dispatchers
        self.start = start
    }

    /// From its return on nothing is routed to what was removed.
    package func goOn(with terms: Terms) async {
        for backend in terms.answerer.backends {
            if let dispatcher = dispatchers[backend.name], !terms.changed.contains(backend.name) {
                await dispatcher.use(terms.sender)
            } else {
                await replace(dispatchers[backend.name], backend, terms)
            }
        }
        // What was sorted by the old routes may still ask a backend that goes.
        var both = terms.answerer
        both.backends += terms.removed
        await answerer.reconfigure(both, sender: terms.sender, account: terms.account)
        await gateway.reconfigure(terms.gateway, metrics: terms.metrics, account: terms.account)
        await answerer.reconfigure(terms.answerer, sender: terms.sender, account: terms.account)
    }

    /// A backend that was removed: its dispatcher finishes what it has begun, and the rest waits in the queue.
    package func letGo(_ backend: BackendName) async {
        // It may be added again while that one still has something.
        await dispatchers.set(nil, for: backend)?.drain(handOn: handOn(backend))
    }

    /// The new dispatcher starts when it knows whether the backend is paused: as the old one says, or, for a backend
    /// that was added again after it was paused, as stored.
    private func replace(_ old: Dispatcher?, _ backend: Backend, _ terms: Terms) async {
        let pause = if let old { await old.pause } else { terms.pauses[backend.name] }
        let dispatcher = terms.makeDispatcher(backend, pause)
        dispatchers.set(dispatcher, for: backend.name)
        if let old {
            // Who paused or resumed it meanwhile told the old one alone, or both.
            let last = await old.drain(handOn: handOn(backend.name))
            if last != pause { await dispatcher.takeOver(last) }
        }
        start(dispatcher)
    }

    /// What a dispatcher that goes tells the one that serves then, if there is one.
    private func handOn(_ backend: BackendName) -> @Sendable () async -> Void {
        { [dispatchers] in await dispatchers[backend]?.deliveriesStored([], othersWait: true) }
    }
}
