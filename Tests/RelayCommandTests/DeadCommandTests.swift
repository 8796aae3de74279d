// What is said of replays.

import ArgumentParser
import Testing

@testable import relay

@Suite("Dead letters")
struct DeadCommandTests {
    @Test("an id that cannot be replayed is missed; one that is named twice is one")
    func missing() throws {
        try DeadCommand.Replay.requireAll([], matched: 0)
        try DeadCommand.Replay.requireAll(["3f9c2a1b-1", "3F9C2A1B-1"], matched: 1)
        let failure = #expect(throws: CommandFailure.self) {
            try DeadCommand.Replay.requireAll(["3f9c2a1b-1", "3f9c2a1b-2"], matched: 1)
        }
        #expect(failure?.code == .failed)
        #expect(failure?.message.hasPrefix("1 of 2 ids can be replayed") == true)
    }

    @Test(
        "a rate that no replay can have is refused with the option, the range and the value",
        arguments: ["inf", "nan", "0.0", "-1.0", "100001.0"])
    func rate(rate: String) {
        let error = #expect(throws: (any Error).self) {
            try DeadCommand.Replay.parse(["--all", "--per-second=\(rate)"])
        }
        #expect(error.map(DeadCommand.Replay.message) == "--per-second must be 0.001 to 100000, is \(rate)")
    }
}
