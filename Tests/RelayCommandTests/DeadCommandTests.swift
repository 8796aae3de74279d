// What is said of replays.

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
}
