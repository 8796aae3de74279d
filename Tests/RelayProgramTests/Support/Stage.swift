// A simulated Slack, a relay and a backend, and the load between them.

import Foundation
import Logging
import RelayCore
import RelayTestKit
import SlackSimulator

/// What a program test plays on.
struct Stage: Sendable {
    let slack: SlackSimulator
    let relay: RunningRelay
    let backend: RecordingBackend

    /// Starts all three, and stops them however the body ends.
    /// - Parameter prepare: done to Slack before relay starts.
    static func with<Result>(
        slack configuration: SlackSimulatorConfiguration = .init(), relay settings: RelaySettings = .init(),
        backend script: @escaping RecordingBackend.Script = { _ in .ok },
        prepare: (SlackSimulator) async throws -> Void = { _ in }, body: (Stage) async throws -> Result
    ) async throws -> Result {
        let backend = try await RecordingBackend(answer: script)
        let slack = try await makeSlack(configuration)
        do {
            try await prepare(slack)
            let stage = Stage(
                slack: slack, relay: try RunningRelay(settings, apiURL: slack.apiURL, backendURL: backend.url),
                backend: backend)
            let result = try await body(stage)
            await stage.end()
            return result
        } catch {
            await slack.stop()
            await backend.shutDown()
            throw error
        }
    }

    private func end() async {
        relay.process.send(signal: SIGKILL)
        await relay.process.waitForExit()
        await slack.stop()
        await backend.shutDown()
    }

    /// A simulator that logs nothing, and knows the app token of `RelayHome` only.
    static func makeSlack(_ configuration: SlackSimulatorConfiguration = .init()) async throws -> SlackSimulator {
        var configuration = configuration
        configuration.appToken = Secret(RelayHome.appToken)
        return try await SlackSimulator.start(
            configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }
}

// MARK: Load

extension Stage {
    /// Sends message events, always with some that are not acknowledged yet, until this has happened to connections so
    /// often; then waits until each is acknowledged or lost.
    /// - Returns: how many events were sent, each with an id of its own.
    func sendEvents(until what: ConnectionEvent.What, times: Int, outstanding: Int = 40) async throws -> Int {
        var sent = 0
        while try await slack.history().count(where: { $0.what == what }) < times {
            sent += try await slack.send(.message, count: outstanding / 2).count
            try await slack.wait { $0.waiting <= outstanding / 2 }
        }
        try await slack.waitUntilSettled()
        return sent
    }

    /// Waits until the backend has got as many requests as events were sent, and returns the ids of the events they
    /// carry.
    func deliveredEvents(atLeast count: Int) async -> [String] {
        await backend.requests(atLeast: count).compactMap(\.eventID)
    }
}

extension RecordingBackend.Request {
    /// Of an event's payload.
    var eventID: String? {
        struct Payload: Decodable {
            var eventID: String

            enum CodingKeys: String, CodingKey { case eventID = "event_id" }
        }
        return try? JSONDecoder().decode(Payload.self, from: Data(body)).eventID
    }
}
