// Alarms out: what a person hears without having looked.

import Foundation
import RelayTestKit
import SlackSimulator
import Synchronization
import Testing

@Suite("Alarms", .timeLimit(.minutes(2)))
struct AlarmTests {
    private static let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    private static func type(of request: RecordingBackend.Request) -> String? {
        request.text.firstMatch(of: /"type":"relay\.([a-z_.]+)"/).map { String($0.1) }
    }

    @Test("a backend that fails and recovers, and dead letters: each told once, signed, in words")
    func told() async throws {
        let slack = try await Stage.makeSlack()
        let isWell = Mutex(false)
        let backend = try await RecordingBackend { request in
            if request.eventID == "Ev1" { return .status(400) }
            return isWell.withLock { $0 } ? .ok : .status(500)
        }
        // The first post fails: it is made again.
        let isFirst = Mutex(true)
        let receiver = try await RecordingBackend { _ in
            isFirst.withLock { isFirst in
                defer { isFirst = false }
                return isFirst ? .status(503) : .ok
            }
        }
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: [
                "app": "url: \(backend.url), max_in_flight: 1, "
                    + "circuit_breaker: { consecutive: 2, probe_after: 50ms, probe_max: 50ms }"
            ], environment: ["ALARM_SECRET": Self.secret])
        try home.edit { $0 += "\nalarms: { url: \(receiver.url)/alarms, secret: env:ALARM_SECRET }\n" }
        let load = EventLoad(slack)
        let relay = try await home.serve()
        try await load.send(1)
        _ = await receiver.requests(atLeast: 2)
        try await load.send(3)
        _ = await receiver.requests(atLeast: 3)
        isWell.withLock { $0 = true }
        let requests = await receiver.requests(atLeast: 4)

        #expect(
            requests.map(Self.type) == [
                "dead_letter.firing", "dead_letter.firing", "backend_failing.firing", "backend_failing.resolved",
            ])
        // The second is the first, tried again.
        #expect(requests[0].header("webhook-id") == requests[1].header("webhook-id"))
        #expect(requests[1].body == requests[0].body)
        #expect(Set(requests[1...].compactMap { $0.header("webhook-id") }).count == 3)
        #expect(requests[2].text.contains(#""text":"Backend app has been failing since "#))
        for request in requests {
            let body = home.path("alarm.json")
            try request.text.write(toFile: body, atomically: true, encoding: .utf8)
            let headers = request.headers.filter { $0.name.hasPrefix("webhook-") }
                .flatMap { ["--header", "\($0.name): \($0.value)"] }
            let end = try await ChildProcess.relay(
                ["verify", "--scheme", "standard_webhooks", "--secret", "env:ALARM_SECRET"] + headers + [body],
                environment: ["ALARM_SECRET": Self.secret]
            ).finish()
            #expect(end.code == 0, "\(end.output)\(end.errors)")
        }
        #expect(try await relay.metric("relay_alarms_total", #"cause="dead_letter""#, #"outcome="sent""#) == 1)
        await relay.stop()
        await receiver.shutDown()
        await backend.shutDown()
        await slack.stop()
    }

    @Test("a backend that fails is not said to work because a reload changes it, or takes it away")
    func reload() async throws {
        let slack = try await Stage.makeSlack()
        let failing = try await RecordingBackend { _ in .status(500) }
        let refusing = try await RecordingBackend { _ in .status(400) }
        let receiver = try await RecordingBackend()
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: [
                "failing": "url: \(failing.url), circuit_breaker: { consecutive: 1 }",
                "refusing": "url: \(refusing.url)",
            ], routes: ["name: all, to: failing"], environment: ["ALARM_SECRET": Self.secret])
        try home.edit { $0 += "\nalarms: { url: \(receiver.url)/alarms, secret: env:ALARM_SECRET }\n" }
        let load = EventLoad(slack)
        let relay = try await home.serve()
        try await load.send(1)
        _ = await receiver.requests(atLeast: 1)
        try home.edit { $0 = $0.replacing("consecutive: 1", with: "consecutive: 2") }
        relay.process.send(signal: SIGHUP)
        try await relay.logged("the configuration has changed") { $0["configuration.generation"] == "2" }
        try home.edit { text in
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            text = lines.filter { !$0.hasPrefix("  failing:") }.joined(separator: "\n")
                .replacing("to: failing", with: "to: refusing")
        }
        relay.process.send(signal: SIGHUP)
        try await relay.logged("the configuration has changed") { $0["configuration.generation"] == "3" }
        try await load.send(1)

        let requests = await receiver.requests(atLeast: 2)
        #expect(requests.map(Self.type) == ["backend_failing.firing", "dead_letter.firing"])
        await relay.stop()
        await receiver.shutDown()
        await failing.shutDown()
        await refusing.shutDown()
        await slack.stop()
    }
}
