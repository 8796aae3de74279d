// Each check, shown to see what it is there for: something is broken on purpose, and a run must say so.

import RelayCore
import Testing

@Suite struct SabotageTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let sabotage: Sabotage
        /// How the violation begins: the number of the guarantee, or a word.
        let violation: String
        /// What it says.
        let words: String
        var change: @Sendable (inout Plan) -> Void = { _ in }

        init(
            _ sabotage: Sabotage, _ violation: String, _ words: String = "",
            _ change: @escaping @Sendable (inout Plan) -> Void = { _ in }
        ) {
            self.sabotage = sabotage
            self.violation = violation
            self.words = words
            self.change = change
        }

        var testDescription: String { "\(sabotage) breaks \(violation)" }

        func isSeen(in violation: String) -> Bool {
            violation.hasPrefix(self.violation) && (words.isEmpty || violation.contains(words))
        }
    }

    private static let manyReplays: @Sendable (inout Plan) -> Void = { plan in
        (plan.events, plan.backendTroubles, plan.replays) = (30, 10, 6)
    }

    /// Nobody asks, and no gateway begins anew.
    private static func plain(_ plan: inout Plan) {
        (plan.people, plan.kills, plan.restarts, plan.personActs, plan.diskTroubles) = (0, 0, 0, 0, 0)
        for index in plan.routes.indices { plan.routes[index].acknowledge = .stored }
    }

    static let cases: [Case] = [
        Case(.queueLies, "1:"),
        Case(.acknowledgesEarly, "1:", "before it was durable"),
        Case(.queueForgetsKeys, "2:", "stored twice") { $0.repeats = 0.5 },
        Case(.queueForgetsSettlements, "2:", "after it was settled"),
        Case(.attemptsTwice, "2:", "twice at a time"),
        Case(.emptiesDeliveries, "2:", "not what happened"),
        Case(.forgetsAttempts, "2:", "is another one") { $0.backendTroubles = 8 },
        Case(.misunderstands, "pause:", "is gone") { ($0.backendTroubles, $0.events) = (12, 40) },
        Case(.misunderstands, "7:", "in a row") { ($0.backendTroubles, $0.events) = (12, 40) },
        Case(.misunderstands, "2:", "Retry-After") { ($0.backendTroubles, $0.events) = (12, 40) },
        Case(.skipsAttempts, "2:", "never was"),
        Case(.takesFailuresForRejections, "2:", "given up as rejected") { $0.backendTroubles = 8 },
        Case(.sendsAgain, "2:", "nothing went wrong") { $0 = .planned(connections: 1, replicas: 1, restarts: 0) },
        Case(.expiresEvents, "2:", "events do not") { $0.backendTroubles = 8 },
        Case(.retriesAtOnce, "2:", "waits 0") { $0.backendTroubles = 8 },
        Case(.retriesForEver, "2:", "once more than its schedule") { $0.poison = 2 },
        Case(.givesUpEarly, "2:", "given up after") { $0.backendTroubles = 8 },
        Case(.queueIgnoresOrder, "3:", "overtakes") { $0.channels = 1 },
        Case(.queueIgnoresOrder, "3:", "at a time") { $0.channels = 1 },
        Case(.blocksForEver, "3:", "for longer than") { plan in
            plain(&plan)
            (plan.channels, plan.poison) = (1, 2)
            for index in plan.backends.indices {
                (plan.backends[index].orderBlockMax, plan.backends[index].circuitBreaker.consecutive) = (
                    .seconds(20), 100
                )
            }
        },
        Case(.reversesBatches, "3:", "another order than they were read"),
        Case(.forgetsOrder, "3:", "another order key"),
        Case(.givesUpOrderEarly, "3:", "before its time") { ($0.channels, $0.backendTroubles) = (1, 10) },
        Case(.losesAnswers, "4:", "Slack was not told") { $0.people = 10 },
        Case(.acknowledgesTwice, "4:", "acknowledged twice") { $0.people = 10 },
        Case(.emptiesAnswers, "4:") { $0.people = 10 },
        Case(.forgetsLateAnswers, "4:", "silent success") { $0.people = 20 },
        Case(.ignoresDeadline, "4:", "in time (") { ($0.people, $0.backendTroubles, $0.diskTroubles) = (30, 12, 0) },
        Case(.asksTwice, "4:", "done twice") { plan in
            (plan.people, plan.kills, plan.restarts, plan.personActs, plan.replicas) = (20, 0, 0, 0, 1)
        },
        Case(.postsNonsense, "4:", "nobody said") { ($0.people, $0.backendTroubles) = (30, 12) },
        Case(.postsFailures, "4:", "there was none") { plan in
            (plan.people, plan.backendTroubles, plan.kills, plan.restarts, plan.personActs) = (30, 12, 0, 0, 0)
        },
        Case(.postsTwice, "4:", "after it had arrived") { $0 = Plan.people(Plan(Dice(seed: 3))) },
        Case(.asksNobody, "4:", "nobody was let through") { $0.poison = 3 },
        Case(.closesFirst, "5:", "only connection") { $0 = .planned(connections: 1, replicas: 1, restarts: 0) },
        Case(.losesAcknowledgements, "5:", "times, and there were planned") { plan in
            plan = .planned(connections: 1, replicas: 1, restarts: 0)
        },
        Case(.redialsAtOnce, "6:", "within a minute") { $0.slackTroubles = 3 },
        Case(.redialsAtOnce, "6:", "before it may") { $0.slackTroubles = 6 },
        Case(.dialsTwice, "6:", "two attempts"),
        Case(.reusesURLs, "6:", "dialed twice"),
        Case(.ignoresMaxInFlight, "7:", "max_in_flight"),
        Case(.ignoresMaxInFlight, "7:", "and no probe") { plain(&$0) },
        Case(.ignoresRate, "7:", "within 10 s") { plan in
            (plan.events, plan.length) = (300, .seconds(20))
            for index in plan.backends.indices { plan.backends[index].rateLimit = RateLimit(perSecond: 2, burst: 2) }
        },
        Case(.queueIgnoresBounds, "7:", "held in memory") { $0 = .flood },
        Case(.ignoresPendingBytes, "7:", "wait for the store") { plan in
            plan = .flood
            (plan.events, plan.diskTroubles, plan.maxPendingBytes) = (400, 8, 0)
        },
        Case(.queueIgnoresSize, "7:", "on disk") { $0.maxBytes = 3_000 },
        Case(.dropsTooMuch, "7:", "and there was room") { ($0.maxBytes, $0.whenFull) = (9_000, .dropOldest) },
        Case(.forgetsPauses, "pause:") { ($0.personActs, $0.kills) = (20, 3) },
        Case(.reloadForgetsPauses, "pause:") { ($0.personActs, $0.kills) = (60, 0) },
        Case(.replaysTwice, "replay:", "twice", manyReplays),
        Case(.ignoresReplayRate, "replay:", "at", manyReplays),
        Case(.ignoresCancel, "replay:", "canceled", manyReplays),
        Case(.passesOver, "replay:", "passed over", manyReplays),
        Case(.losesReplays, "rest:", "replays run", manyReplays),
        Case(.startsNoDispatcher, "rest:", "deliveries") { ($0.personActs, $0.kills) = (20, 0) },
        Case(.queueKeepsLeases, "rest:", "leases") { $0.backendTroubles = 8 },
        Case(.neverAnswers, "rest:", "questions") { $0.people = 5 },
        Case(.keepsAnswers, "rest:", "answers are waited for") { $0.people = 5 },
        Case(.keepsSlots, "rest:", "sockets"),
        Case(.keepsBatches, "rest:"),
    ]

    @Test("what is broken on purpose is seen", arguments: cases)
    func isSeen(_ broken: Case) {
        var seen: [String] = []
        for seed in UInt64(1)...100 {
            let plan = Plan.drawn(seed, broken.change)
            seen += SimulatedWorld(seed: seed, plan: plan, sabotage: broken.sabotage).run()
            if seen.contains(where: broken.isSeen) { return }
        }
        Issue.record("not seen in 100 runs; seen was \(Set(seen))")
    }
}
