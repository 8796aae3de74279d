// Guarantees 1 and 2 under seeded schedules of sends, crashes, failures and retries.

import Testing

@Suite struct GuaranteeTests {
    @Test("nothing acknowledged is lost and nothing is stored twice, whatever happens", arguments: UInt64(1)...100)
    func guarantees(seed: UInt64) {
        let world = SimulatedWorld(seed: seed)
        world.run(events: 20, crashes: 3)
        #expect(world.slack.violations == [], "\(world.slack.history.joined(separator: "\n"))")
    }

    @Test("one seed is one run")
    func deterministic() {
        let histories = (0..<2).map { _ in
            let world = SimulatedWorld(seed: 7)
            world.run(events: 20, crashes: 3)
            return world.slack.history
        }
        #expect(histories[0] == histories[1])
        #expect(histories[0].count > 100)
    }

    @Test("a queue that says stored and has not is caught")
    func catchesLies() {
        let world = SimulatedWorld(seed: 1, lies: true)
        world.run(events: 20, crashes: 3)
        #expect(world.slack.violations.contains { $0.contains("never accepted") })
    }
}
