// A new configuration for a running gateway: what takes effect, what stays, what is refused.

import Foundation
import RelayTestKit
import SlackSimulator
import Testing

@Suite("Reload", .timeLimit(.minutes(2)))
struct ReloadTests {
    /// A gateway with the backends `one` and `two`; all events go to `one`.
    private struct Scene {
        let home: RelayHome
        let relay: RunningRelay
        let slack: SlackSimulator
        let one: RecordingBackend
        let two: RecordingBackend

        /// Changes the file and waits until it is taken over.
        @discardableResult
        func change(_ edit: (inout String) -> Void) async throws -> LogRecord {
            let before = try await generation()
            try home.edit(edit)
            relay.process.send(signal: SIGHUP)
            return try await relay.logged("the configuration has changed") {
                $0["configuration.generation"] == "\(before + 1)"
            }
        }

        /// What `/healthz` says.
        func generation() async throws -> Int {
            let body = try await relay.health("/healthz").body
            let line = body.split(separator: "\n").first { $0.hasPrefix("generation: ") }
            return try #require(line.flatMap { Int($0.dropFirst("generation: ".count)) }, "\(body)")
        }
    }

    private func with(
        logLevel: String = "info", prepare: (RelayHome) throws -> Void = { _ in },
        _ body: (Scene) async throws -> Void
    ) async throws {
        let slack = try await Stage.makeSlack()
        let one = try await RecordingBackend()
        let two = try await RecordingBackend()
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: ["one": "url: \(one.url)/slack/events", "two": "url: \(two.url)/slack/events"],
            routes: ["name: all, to: one"], logLevel: logLevel)
        try prepare(home)
        let relay = try await home.serve()
        try await slack.waitForConnections(atLeast: 2)
        try await body(Scene(home: home, relay: relay, slack: slack, one: one, two: two))
        await relay.stop()
        await slack.stop()
        await one.shutDown()
        await two.shutDown()
    }

    @Test("a route that changes takes effect at SIGHUP, the keys are named, and the connections stay")
    func route() async throws {
        try await with { scene in
            _ = try await scene.slack.send(.message)
            _ = await scene.one.requests(atLeast: 1)
            let fingerprint = try await scene.relay.health("/healthz").body
            let record = try await scene.change { $0 = $0.replacing("to: one", with: "to: two") }
            _ = try await scene.slack.send(.message)
            #expect(await scene.two.requests(atLeast: 1).count == 1)

            #expect(record["configuration.changes"] == "routes.all.to")
            #expect(scene.one.requests.count == 1)
            #expect(try await scene.slack.statistics().upgrades == 2)
            let page = try await scene.relay.metrics()
            #expect(page.value("relay_configuration_generation") == 2)
            #expect(page.samples.count { $0.name == "relay_configuration_info" } == 1)
            #expect(try await scene.relay.health("/healthz").body != fingerprint)
        }
    }

    @Test(
        "the command says what changed, or every mistake, and the status shows a file that was refused until it is right"
    )
    func command() async throws {
        try await with { scene in
            #expect(
                try await scene.relay.command("reload").output == "the file says what holds already: generation 1")
            let good = try String(contentsOfFile: scene.home.configurationPath, encoding: .utf8)
            try scene.home.edit { $0 = good.replacing("to: one", with: "to: nowhere") }
            let refused = try await scene.relay.command("reload")
            #expect(refused.code == 1)
            #expect(refused.errors.contains("names no backend: \"nowhere\""))
            let status = try await scene.relay.command("status")
            #expect(status.code == 0)
            #expect(status.output.contains(/configuration: refused [0-9]+s ago, so generation 1 holds/))
            #expect(try await scene.relay.metric("relay_configuration_refused") == 1)
            #expect(status.output.contains("names no backend: \"nowhere\""))

            try scene.home.edit { $0 = good.replacing("to: one", with: "to: two") }
            let reloaded = try await scene.relay.command("reload", "--output", "json")
            // The file is looked at each second, too: one of both took it over.
            #expect(
                reloaded.output.contains(#""changed":["routes.all.to"]"#) || reloaded.output.contains(#""changed":[]"#))
            #expect(reloaded.output.contains(#""generation":2"#))
            #expect(try await !scene.relay.command("status").output.contains("refused"))
            #expect(try await scene.relay.metric("relay_configuration_refused") == 0)
        }
    }

    @Test("under load a broken file changes nothing, and a good one loses nothing; nobody reconnects")
    func underLoad() async throws {
        try await with { scene in
            let load = EventLoad(scene.slack)
            try await load.during(limit: 20_000) {
                _ = await scene.one.requests(atLeast: 200)
                let good = try String(contentsOfFile: scene.home.configurationPath, encoding: .utf8)
                try scene.home.edit { $0 = $0.replacing("to: one", with: "to: nowhere") }
                scene.relay.process.send(signal: SIGHUP)
                let error = try await scene.relay.logged(
                    "the configuration cannot be taken over: the old one goes on")
                #expect(error["error"]?.contains("relay.yaml:") == true)
                #expect(error["error"]?.contains("names no backend: \"nowhere\"") == true)
                #expect(error["error"]?.firstMatch(of: #/relay\.yaml:\d+:\d+: /#) != nil)
                // A backend that is another in everything but its address, and a second one for the same events.
                try scene.home.edit {
                    $0 = good.replacing(
                        "\(scene.one.url)/slack/events", with: "\(scene.one.url)/slack/events, timeout: 7s"
                    )
                    .replacing("to: one", with: "to: [one, two]")
                }
                scene.relay.process.send(signal: SIGHUP)
                try await scene.relay.logged("the configuration has changed")
                _ = await scene.two.requests(atLeast: 200)
            }
            try await scene.slack.waitUntilSettled()
            let acknowledged = try await load.acknowledged()
            let requests = await scene.one.events(acknowledged)

            #expect(acknowledged.subtracting(requests.compactMap(\.eventID)) == [])
            #expect(requests.countByEvent.values.allSatisfy { $0 == 1 }, "a delivery was attempted twice")
            #expect(try await scene.slack.statistics().upgrades == 2)
            #expect(try await scene.slack.statistics().lost == 0)
            #expect(try await scene.relay.metric("relay_configuration_reload_failures_total") == 1)
        }
    }

    @Test("a backend that is added gets events; one that is taken away disappears from the metrics")
    func backends() async throws {
        try await with { scene in
            let three = try await RecordingBackend()
            try await scene.change {
                $0 = $0.replacing("  two: {", with: "  three: { url: \(three.url)/ }\n  two: {")
                    .replacing("to: one", with: "to: three")
            }
            _ = try await scene.slack.send(.message)
            #expect(await three.requests(atLeast: 1).count == 1)
            #expect(try await scene.relay.metrics().value("relay_backend_state", "backend=\"three\"") != nil)

            try await scene.change {
                let lines = $0.split(separator: "\n", omittingEmptySubsequences: false)
                $0 = lines.filter { !$0.hasPrefix("  three:") }.joined(separator: "\n")
                    .replacing("to: three", with: "to: two")
            }
            _ = try await scene.slack.send(.message)
            #expect(await scene.two.requests(atLeast: 1).count == 1)
            #expect(try await scene.relay.metrics().value("relay_backend_state", "backend=\"three\"") == nil)
            await three.shutDown()
        }
    }

    @Test("a file that is written is taken over without a signal")
    func fileChange() async throws {
        try await with { scene in
            try scene.home.edit { $0 = $0.replacing("to: one", with: "to: two") }
            try await scene.relay.logged("the configuration has changed")
            _ = try await scene.slack.send(.message)
            #expect(await scene.two.requests(atLeast: 1).count == 1)
        }
    }

    @Test("a mounted ConfigMap is taken over when its symbolic link moves")
    func symbolicLink() async throws {
        let files = FileManager.default
        /// As kubelet does it: a folder per version, `..data` leads to the present one, and is replaced by a rename.
        func publish(_ text: String, version: String, in home: RelayHome) throws {
            try files.createDirectory(atPath: home.path(version), withIntermediateDirectories: false)
            try text.write(toFile: home.path("\(version)/relay.yaml"), atomically: false, encoding: .utf8)
            try files.createSymbolicLink(atPath: home.path("..data_tmp"), withDestinationPath: version)
            #expect(rename(home.path("..data_tmp"), home.path("..data")) == 0)
        }
        try await with(
            prepare: { home in
                let text = try String(contentsOfFile: home.configurationPath, encoding: .utf8)
                try publish(text, version: "..1", in: home)
                try files.removeItem(atPath: home.configurationPath)
                try files.createSymbolicLink(
                    atPath: home.configurationPath, withDestinationPath: "..data/relay.yaml")
            },
            { scene in
                let text = try String(contentsOfFile: scene.home.configurationPath, encoding: .utf8)
                try publish(text.replacing("to: one", with: "to: two"), version: "..2", in: scene.home)
                let record = try await scene.relay.logged("the configuration has changed")
                #expect(record["configuration.changes"] == "routes.all.to")
            })
    }

    @Test("what needs a restart is refused with its key, and nothing else of the file is taken over")
    func refused() async throws {
        try await with { scene in
            try scene.home.edit {
                $0 = $0.replacing("relay.db", with: "other.db").replacing("to: one", with: "to: two")
            }
            scene.relay.process.send(signal: SIGHUP)
            let error = try await scene.relay.logged("the configuration cannot be taken over: the old one goes on")
            #expect(error["error"]?.hasSuffix("queue.path cannot change while Relay runs: it needs a restart") == true)
            _ = try await scene.slack.send(.message)
            #expect(await scene.one.requests(atLeast: 1).count == 1)
            #expect(try await scene.generation() == 1)
            #expect(scene.two.requests.isEmpty)
        }
    }

    @Test(
        "a refusal is told to whoever asks, and logged once for a file; at SIGHUP, which has no other answer, each time"
    )
    func refusedOnce() async throws {
        try await with { scene in
            func logged() -> Int {
                scene.relay.log.count { $0.message == "the configuration cannot be taken over: the old one goes on" }
            }
            func waitForRefusals(_ count: Double) async throws {
                _ = try await scene.relay.metrics {
                    $0.value("relay_configuration_reload_failures_total") == count
                }
            }
            try scene.home.edit { $0 = $0.replacing("to: one", with: "to: nowhere") }
            let answer = try await scene.relay.command("reload")
            #expect(answer.code == 1 && answer.errors.contains("names no backend: \"nowhere\""))
            // The watch over the file finds the same.
            try await waitForRefusals(2)
            #expect(logged() == 1)
            scene.relay.process.send(signal: SIGHUP)
            try await waitForRefusals(3)
            #expect(logged() == 2)
            // Another file is another refusal.
            try scene.home.edit { $0 = "# a comment\n" + $0 }
            try await waitForRefusals(4)
            #expect(logged() == 3)
        }
    }

    @Test("a secret that is not there is refused")
    func missingSecret() async throws {
        try await with { scene in
            try scene.home.edit { $0 = $0.replacing("env:SLACK_SIGNING_SECRET", with: "env:NOWHERE") }
            scene.relay.process.send(signal: SIGHUP)
            let error = try await scene.relay.logged("the configuration cannot be taken over: the old one goes on")
            #expect(error["error"]?.contains("slack.signing_secret") == true)
            #expect(error["error"]?.contains("NOWHERE") == true)
            #expect(try await scene.generation() == 1)
        }
    }

    @Test("a file that says the same in other words changes nothing")
    func sameMeaning() async throws {
        try await with { scene in
            try scene.home.edit { $0 = "# a comment\n" + $0.replacing("start_jitter: 0s", with: "start_jitter: 0ms") }
            scene.relay.process.send(signal: SIGHUP)
            try await scene.relay.logged("the configuration is as it was")
            #expect(try await scene.generation() == 1)
        }
    }

    @Test("a SIGHUP that comes while the gateway starts ends nothing")
    func early() async throws {
        let slack = try await Stage.makeSlack()
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": "url: http://127.0.0.1:9/"])
        let relay = try await RunningRelay.starting(in: home)
        relay.process.send(signal: SIGHUP)
        try await relay.logged("health is served")
        await relay.stop()
        await slack.stop()
    }

    @Test("log.level holds from the reload on")
    func logLevel() async throws {
        try await with { scene in
            _ = try await scene.slack.send(.message)
            _ = await scene.one.requests(atLeast: 1)
            #expect(!scene.relay.log.contains { $0.level == "debug" })
            try await scene.change { $0 = $0.replacing("level: info", with: "level: debug") }
            _ = try await scene.slack.send(.message)
            try await scene.relay.logged("delivered")
        }
    }

    @Test("connections are replaced when their settings change, make before break; more and fewer without a reconnect")
    func connections() async throws {
        try await with { scene in
            try await scene.change { $0 = $0.replacing("slack:", with: "slack:\n  connections: 3") }
            try await scene.slack.waitForConnections(atLeast: 3)
            #expect(try await scene.slack.statistics().upgrades == 3)

            try await scene.change { $0 = $0.replacing("  connections: 3", with: "  connections: 1") }
            try await scene.slack.wait(for: .ended, times: 2)
            #expect(try await scene.slack.statistics().upgrades == 3)

            try await scene.change {
                $0 = $0.replacing("  connections: 1", with: "  connections: 1\n  ping_interval: 9s")
            }
            try await scene.slack.wait(for: .ended, times: 3)
            #expect(try await scene.slack.statistics().upgrades == 4)
            let history = try await scene.slack.history()
            let first = try #require(history.firstIndex { $0.connected > 0 })
            #expect(history[first...].allSatisfy { $0.connected > 0 }, "a moment without a connection")
            #expect(!scene.relay.log.contains { $0.message.hasPrefix("connected again after") })
        }
    }
}
