// A replay job and a kill -9: it goes on at its cursor, and replays each delivery once.

import Foundation
import RelayTestKit
import SlackSimulator
import Synchronization
import Testing

@Suite("Replay", .timeLimit(.minutes(3)))
struct ReplayTests {
    @Test("kill -9 in the middle of a replay of 10,000: it goes on at the next start, and each is replayed once")
    func crash() async throws {
        let count = 10_000
        let slack = try await Stage.makeSlack()
        let isWell = Mutex(false)
        /// What was replayed, by event.
        let replays = Mutex<[String: Set<String>]>([:])
        let third = Gate()
        let backend = try await RecordingBackend { request in
            guard isWell.withLock({ $0 }) else { return .status(400) }
            let replayed = replays.withLock { replays in
                replays[request.eventID ?? "", default: []].insert(request.header("X-Relay-Replay") ?? "none")
                return replays.count
            }
            if replayed == count / 3 { third.open() }
            return .ok
        }
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["orders": "url: \(backend.url), max_in_flight: 64"], logLevel: "notice")
        let load = EventLoad(slack)

        let first = try await home.serve()
        try await load.run(window: 1_000, limit: count)
        _ = try await first.metrics { $0.value("relay_dead_letters") == Double(count) }
        isWell.withLock { $0 = true }
        #expect(try await first.command("dead", "replay", "--all", "--no-wait").code == 0)
        await third.pass()
        await first.kill()
        let before = replays.withLock { $0.count }

        let second = try await home.serve()
        _ = try await second.metrics { page in
            page.value("relay_dead_letters") == 0
                && page.samples.allSatisfy { $0.name != "relay_queue_depth" || $0.value == 0 }
        }
        let seen = replays.withLock { $0 }
        #expect(before < count, "the replay was over before the kill")
        #expect(seen.count == count)
        #expect(seen.values.allSatisfy { $0 == ["1"] }, "replayed twice, or not as a replay")
        let list = try await second.command("replays", "list", "--output", "json").output
        #expect(list.contains(#""state":"done""#) && list.contains(#""replayed":\#(count)"#), "\(list)")
        await second.stop()
        await backend.shutDown()
        await slack.stop()
    }
}
