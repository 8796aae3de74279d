// Guarantee 3: deliveries of one key come one at a time, in the order received, whatever fails meanwhile.

import Foundation
import RelayTestKit
import SlackSimulator
import Synchronization
import Testing

@Suite("Order", .timeLimit(.minutes(2)))
struct OrderTests {
    /// Messages 1 to `count`, spread over channels C0, C1, …
    private static func messages(_ count: Int, channels: Int) -> [SimulatedPayload] {
        (1...count).map { SimulatedSample.message.payload(number: $0, channel: "C\($0 % channels)") }
    }

    /// What a backend saw, in the order in which requests began and ended.
    private struct Record {
        /// Per channel the messages, in the order of their first attempts.
        var firstAttempts: [String: [Int]] = [:]
        var isBusy: Set<String> = []
        var overlaps = 0
        var attempts = 0
    }

    private static func channel(of request: RecordingBackend.Request) -> String {
        request.text.firstMatch(of: /"channel":"(C[0-9]+)"/).map { String($0.1) } ?? ""
    }

    private static func number(of request: RecordingBackend.Request) -> Int {
        request.eventID.flatMap { Int($0.dropFirst(2)) } ?? 0
    }

    @Test("over failures, retries and kill -9: each channel in order and one at a time, nothing lost")
    func order() async throws {
        let (count, channels) = (400, 7)
        let slack = try await Stage.makeSlack(.init(redelivery: .patient))
        let record = Mutex(Record())
        let backend = try await RecordingBackend { request in
            let channel = Self.channel(of: request)
            let number = Self.number(of: request)
            let fails = record.withLock { record in
                record.attempts += 1
                if !record.isBusy.insert(channel).inserted { record.overlaps += 1 }
                if record.firstAttempts[channel]?.last != number {
                    record.firstAttempts[channel, default: []].append(number)
                }
                return record.attempts.isMultiple(of: 9)
            }
            await Task.yield()
            record.withLock { _ = $0.isBusy.remove(channel) }
            return fails ? .status(500) : .ok
        }
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: [
                "app": "url: \(backend.url), order_by: channel, retry: { schedule: [1ms, 1ms, 1ms, 1ms], jitter: 0 }, "
                    + "circuit_breaker: { consecutive: 10000 }"
            ], slack: ["connections: 1"])

        let first = try await home.serve()
        try await slack.waitForConnections(atLeast: 1)
        // On one connection, so that the order received is the order sent.
        _ = try await slack.send(Self.messages(count, channels: channels))
        try await slack.waitUntilSettled()
        _ = await backend.requests(atLeast: count / 2)
        await first.kill()
        let second = try await home.serve()
        _ = await backend.events(Set((1...count).map { "Ev\($0)" }))
        _ = try await second.metrics { page in
            page.samples.allSatisfy { $0.name != "relay_queue_depth" || $0.value == 0 }
        }

        let seen = record.withLock { $0 }
        #expect(seen.overlaps == 0)
        #expect(seen.firstAttempts.count == channels)
        for (channel, numbers) in seen.firstAttempts {
            #expect(numbers == numbers.sorted(), "channel \(channel)")
            #expect(numbers.sorted() == (1...count).filter { channel == "C\($0 % channels)" })
        }
        #expect(try await second.metric("relay_dead_letters") == 0)
        await second.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test("a channel whose first message fails waits for it; others go on; after order_block_max it is a dead letter")
    func blocked() async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend { $0.eventID == "Ev1" ? .status(500) : .ok }
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: [
                "app": "url: \(backend.url), order_by: channel, order_block_max: 1s, "
                    + "retry: { schedule: [100ms, 100ms, 1h], jitter: 0 }"
            ], slack: ["connections: 1"])
        let relay = try await home.serve()
        try await slack.waitForConnections(atLeast: 1)
        _ = try await slack.send(Self.messages(4, channels: 2))

        let requests = await backend.events(["Ev1", "Ev2", "Ev3", "Ev4"])
        let line = try await relay.logged("delivery given up: dead letter")
        #expect(line["attempt.reason"] == "http_500")
        let order = requests.compactMap(\.eventID)
        #expect(order.filter { ["Ev2", "Ev4"].contains($0) } == ["Ev2", "Ev4"])
        // Ev3 came when Ev1, which was tried several times, had been given up: well before the hour of the schedule.
        #expect(order.last == "Ev3")
        #expect(order.count { $0 == "Ev1" } >= 3)
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }
}
