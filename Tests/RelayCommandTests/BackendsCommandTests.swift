// What is said of backends.

import AdminServer
import Testing

@testable import relay

@Suite("Backends")
struct BackendsCommandTests {
    @Test(
        "a backend's word says how its attempts end, not how its breaker stands",
        arguments: [
            ("closed", false, "working"), ("closed", true, "failing"), ("open", true, "failing"),
            ("half_open", true, "probing"), ("paused", false, "paused"), ("paused", true, "paused"),
        ])
    func backend(state: String, isFailing: Bool, word: String) {
        let backend = API.Backend(
            name: "orders", url: "", state: state, isHeld: false,
            waiting: .init(pending: 0, scheduled: 0, inFlight: 0, held: 0), dead: 0,
            failing: isFailing ? .init(since: "", attempts: 1, reason: "timeout") : nil)
        #expect(backend.word == word)
    }
}
