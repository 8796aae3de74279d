// Guarantee 1: what was acknowledged is delivered, whatever happens to the process, the backend or the disk.

import Foundation
import RelayTestKit
import SlackSimulator
import Synchronization
import Testing

@Suite("Durability", .timeLimit(.minutes(2)))
struct DurabilityTests {
    @Test(
        "kill -9 twice under load, with a backend that hangs: every acknowledged event is delivered, none is stored twice"
    )
    func crash() async throws {
        let slack = try await Stage.makeSlack(.init(redelivery: .patient))
        let gate = Gate()
        // Answers a few and then hangs, so that at each kill much is stored, something is in flight, and more comes in.
        let answered = Answers(20)
        let backend = try await RecordingBackend { _ in
            if !answered.takeOne() { await gate.pass() }
            return .ok
        }
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": "url: \(backend.url)/slack/events"])
        let load = EventLoad(slack)

        try await load.during(limit: 3000) {
            for kills in 1...2 {
                let relay = try await home.serve()
                try await slack.wait { $0.acknowledged >= kills * 400 }
                await relay.kill()
            }
        }
        gate.open()
        let relay = try await home.serve()
        try await slack.waitUntilSettled()
        let acknowledged = try await load.acknowledged()
        let requests = await backend.events(acknowledged)

        #expect(acknowledged.count >= 800)
        #expect(requests.deliveriesByEvent.values.allSatisfy { $0.count == 1 }, "an event was stored twice")
        #expect(requests.countByEvent.values.allSatisfy { $0 <= 3 }, "sent again without a crash")
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test(
        "SIGTERM under load: exit 0; what is in flight is finished, the next process delivers the rest, nothing comes twice"
    )
    func drain() async throws {
        let slack = try await Stage.makeSlack(.init(redelivery: .patient))
        let gate = Gate()
        let answered = Answers(20)
        let backend = try await RecordingBackend { _ in
            if !answered.takeOne() { await gate.pass() }
            return .ok
        }
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": "url: \(backend.url)/slack/events"])
        let load = EventLoad(slack)

        try await load.during(limit: 3000) {
            let relay = try await home.serve()
            try await slack.wait { $0.acknowledged >= 400 }
            _ = await backend.requests(atLeast: 36)
            relay.process.send(signal: SIGTERM)
            try await relay.logged("draining")
            gate.open()
            await relay.ended()
            #expect(relay.log.contains { $0.message == "stopped" })
        }
        let relay = try await home.serve()
        try await slack.waitUntilSettled()
        let acknowledged = try await load.acknowledged()
        let requests = await backend.events(acknowledged)

        #expect(requests.countByEvent.values.allSatisfy { $0 == 1 }, "an event came twice")
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test(
        "a backend that hangs does not hold up the end beyond drain_timeout, and gets the same delivery again afterwards"
    )
    func drainTimeout() async throws {
        let slack = try await Stage.makeSlack()
        let hanging = Answers(1)
        let backend = try await RecordingBackend { _ in hanging.takeOne() ? .silence : .ok }
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["app": "url: \(backend.url)/slack/events"], slack: ["drain_timeout: 200ms"]
        )
        let load = EventLoad(slack)

        let first = try await home.serve()
        try await load.send(1)
        _ = await backend.requests(atLeast: 1)
        await first.stop()
        let second = try await home.serve()
        let requests = await backend.requests(atLeast: 2)

        #expect(requests.map(\.eventID) == ["Ev1", "Ev1"])
        #expect(Set(requests.map(\.deliveryID)).count == 1)
        await second.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test(
        "a backend that is down and comes back gets everything, the attempts before are counted, and nothing is given up"
    )
    func backendDown() async throws {
        let slack = try await Stage.makeSlack()
        let closed = try await RecordingBackend()
        let port = closed.port
        await closed.shutDown()
        let schedule = Array(repeating: "200ms", count: 100).joined(separator: ", ")
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: [
                "app": "url: http://127.0.0.1:\(port)/slack/events, retry: { schedule: [\(schedule)] }, "
                    + "circuit_breaker: { consecutive: 10000 }"
            ])
        let load = EventLoad(slack)

        let relay = try await home.serve()
        try await load.send(50)
        try await slack.waitUntilSettled()
        try await relay.logged("attempt failed; the delivery is tried again") {
            $0["attempt.reason"] == "connection_refused" && $0["attempt.number"] == "2"
        }
        #expect(try await relay.metric("relay_queue_depth", #"backend="app""#) == 50)

        let backend = try await RecordingBackend(port: port)
        let events = Set((1...50).map { "Ev\($0)" })
        let requests = await backend.events(events)

        #expect(try await load.acknowledged() == events)
        #expect(requests.countByEvent.values.allSatisfy { $0 == 1 })
        #expect(requests.allSatisfy { $0.attempt ?? 0 >= 2 }, "an attempt that failed was not counted")
        #expect(
            try await relay.metric("relay_attempts_total", #"outcome="failed""#, #"reason="connection_refused""#) >= 50)
        #expect(try await relay.metric("relay_dead_letters_total") == 0)
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test("an event that Slack sends again, because it did not see the acknowledgement, is not delivered again")
    func redelivery() async throws {
        // Too short for anybody: every event is sent again until an acknowledgement happens to be quick enough, or
        // never is.
        let slack = try await Stage.makeSlack(
            .init(acknowledgementDeadline: .zero, redelivery: SlackSimulatorConfiguration.fastRedelivery))
        let backend = try await RecordingBackend()
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": "url: \(backend.url)/slack/events"])
        let load = EventLoad(slack)

        let relay = try await home.serve()
        try await slack.waitForConnections(atLeast: 2)
        try await load.send(20)
        try await slack.waitUntilSettled()
        try await slack.wait { $0.lateAcknowledgements + $0.acknowledged == 80 }
        let requests = await backend.events(Set((1...20).map { "Ev\($0)" }))

        #expect(try await slack.statistics().redeliveries >= 20)
        #expect(requests.countByEvent.values.allSatisfy { $0 == 1 })
        #expect(try await relay.metric("relay_duplicates_total") >= 20)
        await relay.stop()
        #expect(backend.requests.count == 20)
        await backend.shutDown()
        await slack.stop()
    }
}

extension [Duration] {
    /// Copies of an event for as long as a test may take, so that one that was not acknowledged is never lost.
    static var patient: [Duration] { Array(repeating: .milliseconds(300), count: 400) }
}

/// So many, handed out one by one.
final class Answers: Sendable {
    private let left: Mutex<Int>

    init(_ count: Int) { left = Mutex(count) }

    func takeOne() -> Bool {
        left.withLock { left in
            left -= 1
            return left >= 0
        }
    }
}
