// What a run is made of.

import RelayCore

/// How much happens in one run, and how the gateway is configured. Drawn from the run's seed, or written out by a test.
struct Plan: Sendable {
    /// Gateways of the same app, each with a disk of its own.
    var replicas = 1
    /// Slots per gateway.
    var connections = 2
    var backends: [Backend] = []
    var routes: [Route] = []
    var events = 14
    var people = 7
    var channels = 3
    /// Troubles of each part, and what a person does with the gateway; spread over `length`.
    var backendTroubles = 4
    var diskTroubles = 2
    var slackTroubles = 2
    var connectionTroubles = 4
    var personActs = 3
    /// Jobs that make dead letters again.
    var replays = 0
    /// kill -9 between two steps.
    var kills = 1
    /// Drained and started again.
    var restarts = 0
    /// Refreshes that Slack announces.
    var refreshes = 0
    /// Share of acknowledgements that Slack never sees.
    var lostAcknowledgements = 0.0
    /// Share of events that Slack sends again although they were acknowledged.
    var repeats = 0.0
    /// Slack sends on for hours what was not acknowledged ("Delayed Events").
    var hasDelayedEvents = false
    /// Whether a late acknowledgement counts.
    var takesLateAcknowledgements = true
    /// Each so-many-th event is one that no backend ever takes, whatever its mood; 0: none is.
    var poison = 0
    /// Payloads are this large in place of a few bytes.
    var payloadBytes: Int?
    /// Of all payloads that wait for the store.
    var maxPendingBytes = 64 << 20
    /// Of the queue.
    var maxBytes: Int64 = 4 << 30
    /// `refuse`: nothing is acknowledged then.
    var whenFull = QueueLimits.WhenFull.refuse
    /// When troubles end. Everything must come to rest afterwards.
    var length = Duration.seconds(90)
    /// Nothing but planned refreshes and rolling restarts happens: there must be a connection all the time.
    var isPlannedOnly = false

    /// A few dead letters fill the queue.
    var isTight: Bool { maxBytes < 10_000 }
    var configuration: SimulatedConfiguration { .init(backends: backends, routes: routes) }
    var pingInterval: Duration { hasDelayedEvents ? .seconds(600) : .seconds(10) }

    init() {}

    /// As the seed has it.
    init(_ dice: Dice) {
        replicas = dice.chance(0.15) ? 2 : 1
        connections = dice.weigh([(1, 2), (2, 5), (3, 1)])
        backends = ["orders", "audit", "ops"].prefix(dice.int(1...3)).map { Plan.backend($0, dice) }
        routes = Plan.routes(backends.map(\.name), dice)
        events = dice.int(4...20)
        people = dice.int(0...10)
        channels = dice.int(1...4)
        backendTroubles = dice.int(0...6)
        diskTroubles = dice.chance(0.5) ? dice.int(1...4) : 0
        slackTroubles = dice.chance(0.5) ? dice.int(1...3) : 0
        connectionTroubles = dice.int(0...5)
        personActs = dice.chance(0.5) ? dice.int(1...5) : 0
        replays = dice.chance(0.3) ? dice.int(1...3) : 0
        kills = dice.weigh([(0, 4), (1, 4), (2, 2), (3, 1)])
        restarts = dice.weigh([(0, 3), (1, 1)])
        refreshes = dice.int(0...2)
        lostAcknowledgements = dice.chance(0.3) ? 0.2 : 0
        repeats = dice.chance(0.3) ? 0.2 : 0
        hasDelayedEvents = dice.chance(0.03)
        takesLateAcknowledgements = dice.chance(0.7)
        length = dice.seconds(20...120)
        if dice.chance(0.05) { maxPendingBytes = 40 }
        if dice.chance(0.1) {
            maxBytes = Int64(dice.int(2_000...8_000))
            if dice.chance(0.4) { whenFull = .dropOldest }
        }
        let added = dice.aside()
        if added.chance(0.1) { poison = added.int(2...7) }
    }

    /// Two replicas that are restarted one after the other, and connections that Slack refreshes: no other trouble.
    static func planned(connections: Int, replicas: Int, restarts: Int) -> Plan {
        var plan = Plan(Dice(seed: 1))
        (plan.connections, plan.replicas, plan.restarts, plan.refreshes) = (connections, replicas, restarts, 6)
        (plan.backendTroubles, plan.diskTroubles, plan.slackTroubles, plan.connectionTroubles) = (0, 0, 0, 0)
        (plan.personActs, plan.replays, plan.kills) = (0, 0, 0)
        (plan.lostAcknowledgements, plan.repeats, plan.maxBytes) = (0, 0, 4 << 30)
        (plan.events, plan.people, plan.hasDelayedEvents, plan.maxPendingBytes) = (40, 0, false, 64 << 20)
        plan.backends = [Backend(name: "orders")]
        plan.routes = [Route(name: "events", to: ["orders"])]
        plan.length = .seconds(120)
        plan.isPlannedOnly = true
        return plan
    }

    /// Large payloads, and backends that fail: more waits than memory may hold.
    static var flood: Plan {
        var plan = Plan.planned(connections: 1, replicas: 1, restarts: 0)
        (plan.events, plan.backendTroubles, plan.diskTroubles, plan.kills) = (80, 12, 2, 1)
        (plan.isPlannedOnly, plan.payloadBytes, plan.maxPendingBytes) = (false, 300_000, 2_000_000)
        return plan
    }

    /// Many who wait, and backends that fail; nothing else goes wrong.
    static func people(_ plan: Plan) -> Plan {
        var plan = plan
        (plan.people, plan.backendTroubles, plan.replicas) = (40, 12, 1)
        (plan.diskTroubles, plan.slackTroubles, plan.connectionTroubles) = (0, 0, 0)
        (plan.personActs, plan.replays, plan.kills, plan.restarts) = (0, 0, 0, 0)
        return plan
    }

    /// As the seed has it, with much of what a test is about.
    static func drawn(_ seed: UInt64, _ change: (inout Plan) -> Void) -> Plan {
        var plan = Plan(Dice(seed: seed))
        change(&plan)
        return plan
    }

    private static func backend(_ name: BackendName, _ dice: Dice) -> Backend {
        let schedules: [[Duration]] = [
            [.seconds(1), .seconds(5), .seconds(30), .seconds(120)], Array(repeating: .seconds(5), count: 40),
            [.seconds(2)],
            Array(repeating: .seconds(20), count: 12),
        ]
        return Backend(
            name: name, maxInFlight: dice.int(1...4), maxWaiting: dice.weigh([(1_000, 9), (1, 1)]),
            rateLimit: dice.chance(0.15) ? RateLimit(perSecond: 2, burst: 2) : nil,
            orderBy: dice.weigh([(.none, 3), (.channel, 3), (.user, 1)]),
            orderBlockMax: dice.seconds(20...600),
            circuitBreaker: .init(consecutive: dice.int(2...10), probeAfter: .seconds(5), probeMax: .seconds(60)),
            retry: RetryPolicy(
                schedule: dice.pick(schedules) ?? [], jitter: 0.2, retryAfterMax: dice.seconds(5...120)))
    }

    private static func routes(_ backends: [BackendName], _ dice: Dice) -> [Route] {
        let failure = Route.FailurePolicy(onFailure: dice.chance(0.3) ? .message : .withhold)
        let people = Route(
            name: "people",
            match: Match([.init(.kind, ["command", "interaction", "options"])]),
            to: dice.chance(0.3) ? backends : [backends[0]], failure: failure)
        let events = Route(
            name: "events", to: backends, acknowledge: dice.chance(0.2) ? .delivered : .stored)
        return [people, events]
    }
}

/// What a test breaks on purpose, to show that a check sees it. Each is done in a simulated part, or in what wraps a port.
enum Sabotage: Sendable {
    /// The queue says that it has stored, and has not.
    case queueLies
    case queueForgetsKeys
    case queueIgnoresOrder
    case queueForgetsSettlements
    case queueIgnoresBounds
    /// The queue grows beyond `max_bytes`.
    case queueIgnoresSize
    /// The queue drops the newest, and has room.
    case dropsTooMuch
    /// A lease that was given back is not free again.
    case queueKeepsLeases
    case forgetsLateAnswers
    /// Envelopes are acknowledged when they are read.
    case acknowledgesEarly
    /// Each attempt is made twice.
    case attemptsTwice
    case ignoresMaxInFlight
    /// What is sent has no payload; each attempt is the first.
    case emptiesDeliveries, forgetsAttempts
    /// Each answer is taken for a failure of the gateway's own; each failure for the backend's last word.
    case misunderstands, takesFailuresForRejections
    /// Each delivery is sent a second time, after the first.
    case sendsAgain
    /// Dispatchers have other settings than their backends.
    case expiresEvents, retriesAtOnce, retriesForEver, ignoresRate, blocksForEver
    /// The gateway knows of no `order_by`; what was read together comes in another order.
    case forgetsOrder, reversesBatches
    /// Somebody who waits is kept waiting for longer than Slack waits.
    case ignoresDeadline
    case asksTwice
    /// Late answers say something else; or that there was none.
    case postsNonsense, postsFailures, postsTwice
    /// Acknowledgements of what Slack sends for the first time never reach the socket.
    case losesAcknowledgements
    /// Backends are not asked, and said to have accepted.
    case skipsAttempts
    /// Deliveries are given up after one attempt, or after a second at the head of their order key.
    case givesUpEarly, givesUpOrderEarly
    /// More payloads wait for the store than may.
    case ignoresPendingBytes
    case acknowledgesTwice
    /// Acknowledgements of people never reach the socket.
    case losesAnswers
    /// The payload of an answer is left out.
    case emptiesAnswers
    /// A backend is asked, and the sender never comes back.
    case neverAnswers
    /// No backend is asked, and each said to have failed.
    case asksNobody
    /// The same, and only the answerer knows.
    case keepsAnswers
    /// A refreshed connection is closed before the new one is there.
    case closesFirst
    case redialsAtOnce
    case dialsTwice
    /// The URL of a connection is used for a second one.
    case reusesURLs
    /// A connection that has ended keeps its slot.
    case keepsSlots
    case forgetsPauses
    /// What a replay made again, and what was given up again, it makes again.
    case replaysTwice
    case ignoresReplayRate
    /// A canceled replay goes on.
    case ignoresCancel
    /// One of the dead letters is not replayed.
    case passesOver
    /// The dispatcher that takes the place of one that is paused is not.
    case reloadForgetsPauses
    /// The dispatcher that takes another one's place never runs.
    case startsNoDispatcher
    /// Replays are stored, and nobody makes them go on.
    case losesReplays
    /// A batch of envelopes is never reported as finished.
    case keepsBatches
}
