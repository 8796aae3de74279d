// What the queue does of what it is asked for.

import Logging
import Relay
import RelayCore
import Testing

@Suite("QueueHealth")
struct QueueHealthTests {
    @Test("each thing that fails is told until it works again, storing first")
    func problems() {
        let health = QueueHealth(logger: .silent)
        #expect(health.problems.isEmpty)
        health.failed(.prune, QueueError(.unavailable, "disk I/O error"))
        #expect(health.problems.map(\.operation) == [.prune])
        health.failed(.store, QueueError(.full, "no room"))
        #expect(health.problems.map(\.operation) == [.store, .prune])
        #expect(health.problem?.code == .full)
        health.worked(.store)
        #expect(health.problems.map(\.error.code) == [.unavailable])
        health.worked(.prune)
        #expect(health.problem == nil)
    }
}
