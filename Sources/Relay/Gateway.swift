// One envelope's way in: route it, store it, acknowledge it, hand it on.

package import Logging
package import RelayCore

/// Takes envelopes from the sockets. Acknowledges each one when its deliveries are durable, never before; where somebody
/// waits for an answer, the `Answerer` acknowledges it.
///
/// Does no I/O of its own: the queue, the sockets and the dispatchers are ports or actors handed in.
package actor Gateway: EnvelopeReceiver {
    package struct Configuration: Sendable {
        package var router: Router
        package var unrouted: UnroutedPolicy
        /// Of the backends that have one.
        package var orderBy: [BackendName: OrderBy]
        /// Payload bytes that may wait for the store at the same time. What comes beyond that is not acknowledged, so
        /// that Slack sends it again: memory stays bounded whatever the disk does.
        package var maxPendingBytes: Int

        package init(
            router: Router, unrouted: UnroutedPolicy = .init(), backends: [Backend] = [],
            maxPendingBytes: Int = 64 << 20
        ) {
            self.router = router
            self.unrouted = unrouted
            self.orderBy = backends.reduce(into: [:]) { $0[$1.name] = $1.orderBy == .none ? nil : $1.orderBy }
            self.maxPendingBytes = maxPendingBytes
        }
    }

    private var configuration: Configuration
    private let intake: Intake
    private let answerer: Answerer
    private let clock: any RelayClock
    private var metrics: GatewayMetrics
    private var account: AnswerAccount
    private let logger: Logger
    private var pendingBytes = 0
    private var unroutedNames = UnroutedNames()

    package init(
        _ configuration: Configuration, intake: Intake, answerer: Answerer, clock: any RelayClock,
        metrics: GatewayMetrics, account: AnswerAccount, logger: Logger
    ) {
        self.configuration = configuration
        self.intake = intake
        self.answerer = answerer
        self.clock = clock
        self.metrics = metrics
        self.account = account
        self.logger = logger
    }

    /// For envelopes that come from now on: none is routed half by the old configuration and half by the new one.
    func reconfigure(_ configuration: Configuration, metrics: GatewayMetrics, account: AnswerAccount) {
        self.configuration = configuration
        self.metrics = metrics
        self.account = account
        unroutedNames = UnroutedNames()
    }

    package func receive(
        _ envelopes: [Envelope], on connection: ConnectionID, acknowledgeThrough acknowledger: any Acknowledger
    ) async {
        let sorted = sort(envelopes)
        acknowledge(sorted.unwanted, on: connection, through: acknowledger)
        guard !sorted.asked.isEmpty else {
            return await store(sorted.stored, on: connection, through: acknowledger)
        }
        await withDiscardingTaskGroup { group in
            for (envelope, asked, queued) in sorted.asked {
                group.addTaskNow {
                    await self.answerer.answer(
                        envelope, asked, queued: envelope.kind == .event ? queued : [], on: connection,
                        through: acknowledger)
                }
                // People's copies for the further backends wait for nobody, and nobody waits for them.
                guard envelope.kind != .event, !queued.isEmpty else { continue }
                group.addTask { await self.fanOut(EnqueueRequest(envelope: envelope, targets: queued)) }
            }
            // Here and now, so that batches are stored in the order read.
            await store(sorted.stored, on: connection, through: acknowledger)
        }
    }

    /// Stores and acknowledges: what is not durable is not acknowledged.
    private func store(
        _ requests: [EnqueueRequest], on connection: ConnectionID, through acknowledger: any Acknowledger
    ) async {
        guard !requests.isEmpty else { return }
        let envelopes = requests.map(\.envelope)
        guard reserve(envelopes) else {
            metrics.withheld(envelopes, because: "overloaded")
            logger.warning(
                "too much waits to be stored: envelopes not acknowledged",
                metadata: [LogKey.envelopeCount: "\(requests.count)"])
            return
        }
        defer { pendingBytes -= envelopes.payloadBytes }
        do {
            let results = try await intake.store(requests)
            // From here on the envelopes are durable, or were before.
            acknowledge(envelopes, on: connection, through: acknowledger)
            for (envelope, result) in zip(envelopes, results) where result == .duplicate { metrics.duplicate(envelope) }
            await intake.handOn(requests, results)
        } catch {
            metrics.withheld(envelopes, because: "queue_\(error.code.rawValue)")
        }
    }

    /// Whether the answer comes in time does not depend on it.
    private func fanOut(_ request: EnqueueRequest) async {
        guard reserve([request.envelope]) else {
            return account.unstored(request.envelope, because: QueueError(.unavailable, "too much waits to be stored"))
        }
        defer { pendingBytes -= [request.envelope].payloadBytes }
        do {
            await intake.handOn([request], try await intake.store([request]))
        } catch {
            account.unstored(request.envelope, because: error)
        }
    }

    // MARK: -

    private struct Sorted {
        var stored: [EnqueueRequest] = []
        var asked: [(envelope: Envelope, asked: RoutingPlan.Asked, queued: [EnqueueRequest.Target])] = []
        /// Unrouted, and to be acknowledged all the same.
        var unwanted: [Envelope] = []
    }

    private func sort(_ envelopes: [Envelope]) -> Sorted {
        var sorted = Sorted()
        sorted.stored.reserveCapacity(envelopes.count)
        for envelope in envelopes {
            metrics.received(envelope)
            var plan = configuration.router.plan(for: envelope)
            for index in plan.queued.indices where !configuration.orderBy.isEmpty {
                let orderBy = configuration.orderBy[plan.queued[index].backend]
                plan.queued[index].orderKey = orderBy?.key(of: envelope.attributes)
            }
            if let asked = plan.asked {
                sorted.asked.append((envelope, asked, plan.queued))
            } else if !plan.queued.isEmpty {
                sorted.stored.append(EnqueueRequest(envelope: envelope, targets: plan.queued))
            } else {
                noteUnrouted(envelope)
                if configuration.unrouted.action(for: envelope.kind) == .acknowledge {
                    sorted.unwanted.append(envelope)
                }
            }
        }
        return sorted
    }

    /// Whether the payloads may wait for the store; then they are counted until they are stored.
    private func reserve(_ envelopes: [Envelope]) -> Bool {
        let bytes = envelopes.payloadBytes
        guard pendingBytes == 0 || pendingBytes + bytes <= configuration.maxPendingBytes else { return false }
        pendingBytes += bytes
        return true
    }

    private func acknowledge(
        _ envelopes: [Envelope], on connection: ConnectionID, through acknowledger: any Acknowledger
    ) {
        guard !envelopes.isEmpty else { return }
        acknowledger.acknowledge(envelopes.map(\.id), on: connection)
        let now = clock.now
        for envelope in envelopes { metrics.acknowledged(envelope, at: now) }
    }

    private func noteUnrouted(_ envelope: Envelope) {
        let action = configuration.unrouted.action(for: envelope.kind)
        metrics.unrouted(envelope, action)
        switch unroutedNames.cameUnrouted(envelope) {
        case .log(let names):
            logger.warning(
                "no route takes this envelope; further ones of its kind and name are counted, not logged",
                metadata: Self.metadata(envelope, names, action))
        case .logLast(let names):
            logger.warning(
                "no route takes this envelope; further ones are counted, not logged, because they have many names",
                metadata: Self.metadata(envelope, names, action))
        case .count: break
        }
    }

    private static func metadata(
        _ envelope: Envelope, _ names: [MatchKey: String], _ action: UnroutedPolicy.Action
    ) -> Logger.Metadata {
        var metadata: Logger.Metadata = [
            LogKey.app: "\(envelope.app)", LogKey.envelopeID: "\(envelope.id)",
            LogKey.envelopeKind: "\(envelope.kind.rawValue)", LogKey.action: "\(action.rawValue)",
        ]
        for (key, name) in names { metadata[LogKey.envelopeName(key)] = "\(name)" }
        return metadata
    }
}

extension [Envelope] {
    fileprivate var payloadBytes: Int { reduce(0) { $0 + $1.payload.bytes.count } }
}
