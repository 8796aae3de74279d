// The guarantees under seeded schedules of everything that can go wrong.

import Foundation
import RelayCore
import RelayTestKit
import SocketMode
import Testing

@Suite struct SimulationTests {
    /// Seeds 1 to 1,000, by the hundred.
    @Test("the guarantees hold whatever happens, and everything comes to rest", arguments: 0..<10 as Range<UInt64>)
    func guarantees(hundred: UInt64) {
        for seed in hundred * 100 + 1...hundred * 100 + 100 { Simulation.check(seed) }
    }

    /// Seeds that failed once, with what they found. A run changes when the simulation changes: then a seed finds it no
    /// more, and its story stays.
    @Test(
        "what failed once holds",
        arguments: [
            (1204, "asked again after connection_refused, although a person had paused the backend meanwhile"),
            (1959, "the same, of a modal"),
            (512_492, "told that a 410 backend is paused, before that was durable; then a kill"),
            (531_436, "a step of a replay was durable, reported as failed, and made again: above the rate by one step"),
            (532_441, "given up before a replay began, durable after it: none that the replay has passed over"),
            (517_777, "the next of an order key, leased while the one before was being settled, does not overtake it"),
            (702_690, "an attempt that is given up in the instant in which its URL comes has one outcome"),
            (12_313, "a promise whose write was reported as failed, and was durable, waits for the next start"),
        ] as [(UInt64, String)])
    func failedOnce(seed: UInt64, story: String) { Simulation.check(seed) }

    @Test("attempts to connect and to deliver end in each way that there is")
    func endsOfAttempts() {
        var missing = Set(ConnectOutcome.allCases.map { "attempt \($0.rawValue)" })
        let reasons: [AttemptReason] = [
            .dnsError, .connectionRefused, .connectionReset, .connectTimeout, .timeout, .tlsError, .blockedAddress,
            .redirect, .responseTooLarge, .requestError,
        ]
        missing.formUnion(reasons.map(\.description) + ["accepted", "http_410", "http_500", "http_422", "http_429"])
        for seed in UInt64(1)...1_000 where !missing.isEmpty {
            let world = SimulatedWorld(seed: seed)
            world.run()
            missing.subtract(world.ends)
        }
        #expect(missing.isEmpty)
    }

    @Test("planned refreshes lose nothing, repeat nothing, and leave no moment without a connection", arguments: 1...2)
    func plannedRefreshes(connections: Int) {
        let plan = Plan.planned(connections: connections, replicas: 1, restarts: 0)
        for seed in UInt64(1)...25 { Simulation.check(seed, plan: plan) }
    }

    @Test("a rolling restart of two replicas loses nothing, and leaves no moment without a connection")
    func rollingRestart() {
        let plan = Plan.planned(connections: 2, replicas: 2, restarts: 4)
        for seed in UInt64(1)...25 { Simulation.check(seed, plan: plan) }
    }

    @Test("memory is bounded while a backlog of large payloads grows and is worked off")
    func flood() {
        for seed in UInt64(1)...10 { Simulation.check(seed, plan: .flood) }
    }

    @Test("many wait for backends that fail, and nothing else goes wrong")
    func people() {
        for seed in UInt64(1)...50 { Simulation.check(seed, plan: .people(Plan(Dice(seed: seed)))) }
    }

    @Test("one seed is one run", arguments: [7, 42, 99] as [UInt64])
    func deterministic(seed: UInt64) {
        let histories = (0..<2).map { _ in
            let world = SimulatedWorld(seed: seed, isRecording: true)
            world.run()
            return world.history
        }
        #expect(histories[0] == histories[1])
        #expect(histories[0].count > 30)
    }

    /// What `scripts/simulate` runs: each case takes its share of the seeds.
    @Test(.enabled(if: Simulation.longRun != nil), arguments: 0..<UInt64(ProcessInfo.processInfo.activeProcessorCount))
    func longRun(share: UInt64) {
        guard let seeds = Simulation.longRun else { return }
        let shares = UInt64(ProcessInfo.processInfo.activeProcessorCount)
        let start = ContinuousClock.now
        var (runs, steps) = (0, 0)
        for seed in seeds where seed % shares == share {
            steps += Simulation.check(seed)
            runs += 1
            guard runs % 5_000 == 0 || seed + shares > seeds.upperBound else { continue }
            let seconds = start.duration(to: .now).inSeconds
            print("\(runs) runs of this share, \(steps) steps, \(Int(Double(steps) / seconds)) steps/s; seed \(seed)")
        }
    }
}

enum Simulation {
    /// `RELAY_SIMULATION_SEEDS`, as in `1001-2000`.
    static var longRun: ClosedRange<UInt64>? {
        let ends = ProcessInfo.processInfo.environment["RELAY_SIMULATION_SEEDS"]?.split(separator: "-")
            .compactMap { UInt64($0) }
        guard let ends, ends.count == 2, ends[0] <= ends[1] else { return nil }
        return ends[0]...ends[1]
    }

    /// Runs a seed; when it fails, runs it again and says how it came to that. Returns how many steps it took: jobs of
    /// tasks and actors, and moments.
    @discardableResult
    static func check(_ seed: UInt64, plan: Plan? = nil) -> Int {
        let world = SimulatedWorld(seed: seed, plan: plan)
        guard !world.run().isEmpty else { return world.steps }
        Issue.record("seed \(seed): \(describe(seed, plan: plan))")
        return world.steps
    }

    private static func describe(_ seed: UInt64, plan: Plan?) -> String {
        let world = SimulatedWorld(seed: seed, plan: plan, isRecording: true)
        let violations = world.run()
        return (violations + ["", "\(world.plan)", ""] + world.history).joined(separator: "\n")
    }
}
