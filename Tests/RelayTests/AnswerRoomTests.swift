// Whose turn it is, when limits change.

import RelayCore
import Testing

@testable import Relay

@Suite struct AnswerRoomTests {
    private static func backend(maxInFlight: Int) -> Backend {
        Backend(name: "app", url: "http://127.0.0.1", maxInFlight: maxInFlight)
    }

    @Test("a raised limit gives turns to those who still stand in line; one that has left takes none with it")
    func raised() {
        var room = AnswerRoom([Self.backend(maxInFlight: 1)], maxWaiting: 10, maxBytes: 100)
        for _ in 1...3 { _ = room.enter("app", isEvent: true, bytes: 1) }
        #expect(room.takeTurn("app", 1) == true)
        #expect(room.takeTurn("app", 2) == false)
        #expect(room.takeTurn("app", 3) == false)
        #expect(room.reconfigure([Self.backend(maxInFlight: 3)], maxWaiting: 10) { $0 != 2 } == [3])
        #expect(room.takeTurn("app", 4) == true)
        #expect(room.takeTurn("app", 5) == false)
    }
}
