// One thing asked of several.

import Testing

@testable import relay

@Suite("AdminClient")
struct AdminClientTests {
    @Test("one that is refused keeps none of the others from it, and is told at the end")
    func refusals() async throws {
        var done: [String] = []
        let failure = await #expect(throws: CommandFailure.self) {
            try await AdminClient.forEach(["a", "b", "c", "d"]) { subject in
                guard ["a", "c"].contains(subject) else { throw CommandFailure(.failed, "no \(subject)") }
                done.append(subject)
            }
        }
        #expect(done == ["a", "c"])
        #expect(failure?.code == .failed)
        #expect(failure?.message == "no b\nno d")
    }

    @Test("without a relay, or a token, the rest is not tried, and that is said")
    func noRelay() async throws {
        var asked: [String] = []
        let failure = await #expect(throws: CommandFailure.self) {
            try await AdminClient.forEach(["a", "b", "c", "d"]) { subject in
                asked.append(subject)
                throw CommandFailure(subject == "a" ? .failed : .unreachable, "no \(subject)")
            }
        }
        #expect(asked == ["a", "b"])
        #expect(failure?.code == .unreachable)
        #expect(failure?.message == "no a\nno b\nnot tried: c, d")
    }

    @Test("all done is no failure")
    func allDone() async throws {
        try await AdminClient.forEach(["a", "b"]) { _ in }
    }
}
