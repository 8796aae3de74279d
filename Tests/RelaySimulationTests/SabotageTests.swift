// Each check, shown to see what it is there for: something is broken on purpose, and a run must say so.

import RelayCore
import Testing

@Suite struct SabotageTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let sabotage: Sabotage
        /// How the violation begins: the number of the guarantee, or `rest`.
        let violation: String
        var change: @Sendable (inout Plan) -> Void = { _ in }

        var testDescription: String { "\(sabotage) breaks \(violation)" }
    }

    private static let manyReplays: @Sendable (inout Plan) -> Void = { plan in
        (plan.events, plan.backendTroubles, plan.replays) = (30, 10, 6)
    }

    static let cases: [Case] = [
        Case(sabotage: .queueLies, violation: "1:"),
        Case(sabotage: .acknowledgesEarly, violation: "1:"),
        Case(sabotage: .queueForgetsKeys, violation: "2:") { $0.repeats = 0.5 },
        Case(sabotage: .queueForgetsSettlements, violation: "2:"),
        Case(sabotage: .attemptsTwice, violation: "2:"),
        Case(sabotage: .queueIgnoresOrder, violation: "3:") { $0.channels = 1 },
        Case(sabotage: .losesAnswers, violation: "4:") { $0.people = 10 },
        Case(sabotage: .emptiesAnswers, violation: "4:") { $0.people = 10 },
        Case(sabotage: .forgetsLateAnswers, violation: "4:") { $0.people = 20 },
        Case(sabotage: .closesFirst, violation: "5:") { $0 = .planned(connections: 1, replicas: 1, restarts: 0) },
        Case(sabotage: .redialsAtOnce, violation: "6:") { $0.slackTroubles = 3 },
        Case(sabotage: .dialsTwice, violation: "6:"),
        Case(sabotage: .ignoresMaxInFlight, violation: "7:"),
        Case(sabotage: .queueIgnoresBounds, violation: "7:") { $0 = .flood },
        Case(sabotage: .queueIgnoresSize, violation: "7:") { $0.maxBytes = 3_000 },
        Case(sabotage: .queueKeepsLeases, violation: "rest:") { $0.backendTroubles = 8 },
        Case(sabotage: .keepsAnswers, violation: "rest: answers") { $0.people = 5 },
        Case(sabotage: .neverAnswers, violation: "rest:") { $0.people = 5 },
        Case(sabotage: .forgetsPauses, violation: "pause:") { ($0.personActs, $0.kills) = (20, 3) },
        Case(sabotage: .reloadForgetsPauses, violation: "pause:") { ($0.personActs, $0.kills) = (60, 0) },
        Case(sabotage: .startsNoDispatcher, violation: "rest:") { ($0.personActs, $0.kills) = (20, 0) },
        Case(sabotage: .replaysTwice, violation: "replay:", change: manyReplays),
        Case(sabotage: .ignoresReplayRate, violation: "replay:", change: manyReplays),
        Case(sabotage: .ignoresCancel, violation: "replay:", change: manyReplays),
        Case(sabotage: .passesOver, violation: "replay:", change: manyReplays),
        Case(sabotage: .losesReplays, violation: "rest:", change: manyReplays),
        Case(sabotage: .keepsBatches, violation: "rest:"),
    ]

    @Test("what is broken on purpose is seen", arguments: cases)
    func isSeen(_ broken: Case) {
        var seen: [String] = []
        for seed in UInt64(1)...100 {
            let plan = Plan.drawn(seed, broken.change)
            seen += SimulatedWorld(seed: seed, plan: plan, sabotage: broken.sabotage).run()
            if seen.contains(where: { $0.hasPrefix(broken.violation) }) { return }
        }
        Issue.record("not seen in 100 runs; seen was \(Set(seen))")
    }
}
