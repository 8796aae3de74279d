// The admin API and its commands, beside a running relay: a backend that fails is found, left alone, mended, and gets
// what it missed.

import Foundation
import RelayTestKit
import SlackSimulator
import Synchronization
import Testing

@Suite("Admin API and commands", .timeLimit(.minutes(3)))
struct AdminTests {
    static let token = "token-of-the-program-tests"

    @Test("at 3 a.m.: what died is found, its backend paused, mended and resumed, and what it missed replayed")
    func story() async throws {
        let isMended = Mutex(false)
        try await AdminScene.with(backend: { request in
            guard isMended.withLock({ $0 }) else {
                return .respond(
                    status: 400, headers: [("Content-Type", "text/plain")], body: Array("orders table is locked".utf8))
            }
            return .respond(body: Array(request.text.utf8))
        }) { scene in
            for _ in 1...3 { _ = try await scene.slack.send(.message) }
            _ = await scene.backend.requests(atLeast: 3)

            // What died, and why.
            let dead = try await scene.json("dead", "list", until: { $0.count == 3 })
            #expect(Set(dead.map { $0["class"] as? String }) == ["backend"])
            #expect(Set(dead.map { $0["dead_reason"] as? String }) == ["rejected_http_400"])
            let id = try #require(dead.first?["id"] as? String)
            let shown = try await scene.relay("dead", "show", id)
            #expect(shown.output.contains("orders table is locked"))
            #expect(!shown.output.contains("event_callback"))
            let listed = try await scene.relay("dead", "list")
            #expect(listed.output.contains(/ID +BACKEND +KIND +RECEIVED +ENDED +CLASS +REASON/))
            let backends = try await scene.relay("backends", "list")
            #expect(backends.output.contains(/orders +failing +0 +- +3 +- +3 not accepted for [0-9]+s, last http_400/))
            let orders = try await scene.relay("backends", "show", "orders").output
            #expect(orders.contains(/why: +3 not accepted for [0-9]+s, last http_400/) && orders.contains(/dead: +3/))
            #expect(try await scene.relay("backends", "test", "orders").code == 1)

            // Left alone: what comes is held.
            #expect(
                try await scene.relay("backends", "pause", "orders").output
                    == "orders is paused: what comes for it is held")
            _ = try await scene.slack.send(.message)
            let held = try await scene.json("deliveries", "list", "--state", "held", until: { $0.count == 1 })
            #expect(held.first?["backend"] as? String == "orders")
            #expect(try await scene.relay("backends", "list").output.contains(#/orders +paused +1 /#))
            #expect(try await scene.relay("status").output.contains("backend orders: paused"))

            // Mended.
            isMended.withLock { $0 = true }
            #expect(try await scene.relay("backends", "test", "orders").code == 0)
            let tail = try scene.start("deliveries", "tail")
            _ = try #require(await tail.errors.first(containing: "watching"))
            #expect(try await scene.relay("backends", "resume", "orders").code == 0)
            _ = try #require(await tail.output.first { $0.contains("settled") && $0.contains("delivered") })

            // Replayed, with the same ids.
            for option in ["--dry-run", "--no-wait"] {
                let unknown = try await scene.relay("dead", "replay", "3f9c2a1b-1", option)
                #expect(unknown.code == 1)
                #expect(unknown.errors.contains("0 of 1 ids can be replayed"))
            }
            #expect(try await scene.relay("dead", "replay", "--all", "--dry-run").output == "3 would be replayed")
            #expect(
                try await scene.relay("dead", "replay", "--all", "--per-second", "50").output
                    == "replay 2 is done: 3 of 3 replayed")
            for letter in dead {
                let id = try #require(letter["id"] as? String)
                _ = try #require(await tail.output.first { $0.contains("settled") && $0.contains(id) })
            }
            let replayed = scene.backend.requests.filter { $0.header("X-Relay-Replay") != nil }
            #expect(Set(replayed.map { $0.header("X-Relay-Delivery-Id") }) == Set(dead.map { $0["id"] as? String }))
            #expect(try await scene.relay("dead", "list").output == "none")
            #expect(try await scene.relay("replays", "list").output.contains(/2 +done +3 +3 +50/))
            let ended = try await scene.relay("replays", "show", "2").output
            #expect(
                ended.contains(/state: +done/) && ended.contains(/ended: +20/) && ended.contains(/which: +state dead/))
            let canceled = try await scene.relay("replays", "cancel", "2")
            #expect(canceled.code == 1 && canceled.output == "")
            #expect(canceled.errors.contains("nothing is left to cancel: replay 2 is done: 3 of 3 replayed"))
            #expect(
                try await scene.relay("dead", "replay", "--all").output
                    == "replay 3 is done: there was nothing to replay")

            // What was delivered is made again when that is said, and not without a question.
            let unasked = try await scene.relay("dead", "replay", "--state", "delivered")
            #expect(unasked.code == 2)
            #expect(unasked.errors.contains("Make 4 again, and what was delivered a second time?"))
            #expect(
                try await scene.relay("dead", "replay", "--state", "delivered", "--dry-run").output
                    == "4 would be replayed")
            #expect(
                try await scene.relay("dead", "replay", "--state", "delivered", "--yes").output.contains(" 4 of 4 "))

            // A slow one says at once who it is, and goes on until it is canceled.
            let slow = try scene.start(
                "dead", "replay", "--state", "delivered", "--yes", "--per-second", "0.01")
            _ = try #require(await slow.errors.first(containing: "replay 5 goes on without this command"))
            #expect(try await scene.relay("replays", "cancel", "5").output.hasPrefix("replay 5 was canceled after "))
            #expect(await slow.finish().code == 1)
            tail.send(signal: SIGINT)
            await tail.waitForExit()

            // Each change was logged, with who made it.
            let changes = scene.running.log.filter { $0.message == "admin change" }
            #expect(
                changes.compactMap { $0["action"] } == [
                    "response.read", "backend.test", "backend.pause", "backend.test", "backend.resume", "replay.create",
                    "replay.create", "replay.cancel", "replay.create", "replay.create",
                    "replay.create", "replay.cancel",
                ])
            #expect(Set(changes.map { $0["admin.remote"] }) == ["127.0.0.1"])
            #expect(!scene.running.process.errors.text.contains(Self.token))
        }
    }

    @Test("a pause holds over a restart")
    func pauseOverRestart() async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend()
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["orders": "url: \(backend.url)/slack/events"])
        let first = try await home.serve()
        let paused = try await first.command("backends", "pause", "order", "orders")
        #expect(paused.code == 1 && paused.output == "orders is paused: what comes for it is held")
        #expect(paused.errors.contains(#"there is no backend "order""#))
        await first.stop()
        let second = try await home.serve()
        try await slack.waitForConnections(atLeast: 1)
        _ = try await slack.send(.message)
        #expect(try await second.command("status").output.contains("backend orders: paused"))
        #expect(backend.requests.isEmpty)
        #expect(try await second.command("backends", "resume", "orders").code == 0)
        _ = await backend.requests(atLeast: 1)
        await second.stop()
        await slack.stop()
        await backend.shutDown()
    }

    @Test("a waiting delivery is canceled or made now; a dead one is deleted only when it is said so")
    func singles() async throws {
        try await AdminScene.with(retry: "{ schedule: [1h] }", backend: { _ in .status(500) }) { scene in
            for _ in 1...2 { _ = try await scene.slack.send(.message) }
            let waiting = try await scene.json("deliveries", "list", "--state", "scheduled", until: { $0.count == 2 })
            let ids = waiting.compactMap { $0["id"] as? String }
            #expect(try await scene.relay("deliveries", "cancel", ids[0]).output == "\(ids[0]) is canceled")
            let again = try await scene.relay("deliveries", "cancel", ids[0])
            #expect(again.code == 1 && again.errors.contains("delivery \(ids[0]) is already canceled"))
            // A name that is misspelled is said so.
            let other = try await scene.relay("deliveries", "list", "--backend", "order")
            #expect(other.output == "none")
            #expect(other.errors.contains("no backend order is configured; known: orders"))
            // One more attempt, and then it is dead.
            #expect(try await scene.relay("deliveries", "retry", ids[1]).output == "\(ids[1]) is due now")
            _ = try await scene.json("dead", "list", until: { $0.count == 1 })
            let replayed = try await scene.relay("deliveries", "retry", ids[1]).output
            #expect(replayed == "\(ids[1]) is due now, as replay 1")
            _ = try await scene.json("deliveries", "list", "--state", "scheduled", until: { $0.count == 1 })
            #expect(try await scene.relay("deliveries", "retry", ids[1]).output == "\(ids[1]) is due now, as replay 1")
            _ = try await scene.json("dead", "list", until: { $0.count == 1 })

            let refused = try await scene.relay("dead", "delete", "--all")
            #expect(refused.code == 2)
            #expect(refused.errors.contains("Delete 1 for good? Nobody can be asked without a terminal"))
            let some = try await scene.relay("dead", "delete", ids[0], "3f9c2a1b-1", ids[1], "--yes")
            #expect(some.code == 1 && some.output == "deleted 2")
            #expect(some.errors.contains("there is no delivery 3f9c2a1b-1"))
            #expect(try await scene.relay("dead", "delete", "--all", "--yes").output == "deleted 0")
            #expect(try await scene.relay("dead", "list", "--output", "json").output == #"{"items":[]}"#)
        }
    }

    @Test("a backend that is resumed is tried at once, although all that waits for it is for later")
    func resumedWithLaterOnes() async throws {
        let isMended = Mutex(false)
        let settings = "{ schedule: [1h] }, circuit_breaker: { consecutive: 1, probe_after: 1h, probe_max: 1h }"
        try await AdminScene.with(
            retry: settings, backend: { _ in isMended.withLock { $0 } ? .ok : .status(503) }
        ) { scene in
            _ = try await scene.slack.send(.message)
            _ = try await scene.json("deliveries", "list", until: { $0.first?["attempts_made"] as? Int == 1 })
            isMended.withLock { $0 = true }
            #expect(try await scene.relay("backends", "resume", "orders").code == 0)
            _ = try await scene.json("deliveries", "list", "--state", "delivered", until: { $0.count == 1 })
        }
    }

    @Test("a delivery that is made now, and held all the same, says what it waits for and what releases it")
    func heldRetry() async throws {
        let settings = "{ schedule: [1h] }, circuit_breaker: { consecutive: 1, probe_after: 1h, probe_max: 1h }"
        try await AdminScene.with(retry: settings, backend: { _ in .status(500) }) { scene in
            _ = try await scene.slack.send(.message)
            let held = try await scene.json("deliveries", "list", "--state", "held", until: { $0.count == 1 })
            let id = try #require(held.first?["id"] as? String)
            let failing = try await scene.relay("deliveries", "retry", id).output
            #expect(failing.hasPrefix("\(id) waits, because orders fails (1 not accepted for "))
            #expect(failing.hasSuffix("; relay backends resume orders makes one now"))
            #expect(try await scene.relay("backends", "pause", "orders").code == 0)
            let paused = try await scene.relay("deliveries", "retry", id).output
            #expect(paused.hasPrefix("\(id) waits, because orders is paused (by a person "))
            #expect(paused.hasSuffix("): relay backends resume orders releases it"))
            #expect(scene.backend.requests.count == 1)
        }
    }

    @Test(
        "drain finishes what is in flight, and the process stays, silent towards Slack, until a signal ends it with 0")
    func drain() async throws {
        let isHanging = Gate()
        try await AdminScene.with(backend: { _ in
            await isHanging.pass()
            return .ok
        }) { scene in
            _ = try await scene.slack.send(.message)
            _ = await isHanging.waitForArrival()
            // Somebody who watches holds nothing up, and is told of the end.
            let tail = try scene.start("deliveries", "tail")
            _ = try #require(await tail.errors.first(containing: "watching"))
            let drain = try scene.start("drain")
            try await scene.running.logged("draining: it was asked for")
            isHanging.open()
            #expect(await drain.finish().code == 0)
            #expect(try await scene.relay("status").output.contains(", drained, started "))
            #expect(try await scene.running.health("/readyz").status == 503)
            #expect(try await scene.running.health("/healthz").status == 200)
            await scene.running.stop()
            let watched = await tail.finish()
            #expect(watched.code == 1 && watched.errors.contains("ended the stream"))
            #expect(watched.output.contains("delivered"))
            #expect(scene.backend.requests.count == 1)
        }
    }

    @Test("connections are listed and refreshed")
    func connections() async throws {
        try await AdminScene.with { scene in
            try await scene.slack.waitForConnections(atLeast: 2)
            let connections = try await scene.json(
                "connections", "list",
                until: { list in
                    list.allSatisfy { $0["state"] as? String == "connected" }
                })
            #expect(connections.count == 2)
            #expect(try await scene.relay("connections", "refresh").output == "2 connection(s) are being replaced")
            try await scene.slack.waitForConnections(atLeast: 2)
            #expect(try await scene.relay("connections", "refresh", "--app", "other").code == 1)
        }
    }

    @Test("without the token, with another one, and without a relay: 77 and 69, with what to do")
    func refused() async throws {
        try await AdminScene.with { scene in
            let url = try await scene.running.adminURL
            func status(_ token: String) async throws -> (code: Int32, output: String, errors: String) {
                try await ChildProcess.relay(
                    ["status"], environment: ["RELAY_ADMIN_URL": url, "RELAY_ADMIN_TOKEN": token]
                )
                .finish()
            }
            let none = try await status("")
            #expect(none.code == 77)
            #expect(none.errors.contains("put it into RELAY_ADMIN_TOKEN"))
            let other = try await status("another-token-than-that")
            #expect(other.code == 77)
            #expect(!other.errors.contains("another-token"))
        }
        let nobody = try await ChildProcess.relay(["status", "--admin-url", "http://127.0.0.1:1"]).finish()
        #expect(nobody.code == 69)
        #expect(nobody.errors.contains("no admin API at http://127.0.0.1:1"))
    }

    @Test("off loopback without a token serve does not start: 78, and the line")
    func noToken() async throws {
        let home = try RelayHome(
            apiURL: "http://127.0.0.1:9/api", backends: ["app": "url: http://127.0.0.1:9/"], admin: "0.0.0.0:0")
        let end = try await home.start().finish()
        #expect(end.code == 78)
        #expect(end.errors.contains("admin.token is missing; off loopback (admin.listen is 0.0.0.0:0)"))
    }

    @Test(
        "a token that cannot be had, or is no token, is found at the start",
        arguments: ["", "short", "with a blank in it"])
    func badToken(token: String) async throws {
        let home = try RelayHome(
            apiURL: "http://127.0.0.1:9/api", backends: ["app": "url: http://127.0.0.1:9/"],
            admin: "127.0.0.1:0, token: env:RELAY_ADMIN_TOKEN", environment: ["RELAY_ADMIN_TOKEN": token])
        let end = try await home.start().finish()
        #expect(end.code == 78)
        #expect(end.errors.contains("admin.token: "))
        #expect(end.errors.contains("env:RELAY_ADMIN_TOKEN"))
        #expect(token.isEmpty || !end.errors.contains(token))
    }
}

/// A relay with one backend, `orders`, and an admin token.
struct AdminScene: Sendable {
    let slack: SlackSimulator
    let running: RunningRelay
    let backend: RecordingBackend

    static func with(
        retry: String = "{ schedule: [] }", backend script: @escaping RecordingBackend.Script = { _ in .ok },
        body: (AdminScene) async throws -> Void
    ) async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend(answer: script)
        do {
            let home = try RelayHome(
                apiURL: slack.apiURL, backends: ["orders": "url: \(backend.url)/slack/events, retry: \(retry)"],
                admin: "127.0.0.1:0, token: env:RELAY_ADMIN_TOKEN", environment: ["RELAY_ADMIN_TOKEN": AdminTests.token]
            )
            let running = try await home.serve()
            try await slack.waitForConnections(atLeast: 1)
            try await body(AdminScene(slack: slack, running: running, backend: backend))
            await running.kill()
        } catch {
            await slack.stop()
            await backend.shutDown()
            throw error
        }
        await slack.stop()
        await backend.shutDown()
    }

    func start(_ arguments: String...) throws -> ChildProcess { try start(arguments) }

    private func start(_ arguments: [String]) throws -> ChildProcess {
        let line = running.process.errors.lines.first { $0.contains("the admin API is served") }
        let listen = try #require(line.flatMap(LogRecord.init)?["listen"])
        return try ChildProcess.relay(
            arguments,
            environment: ["RELAY_ADMIN_URL": "http://\(listen)", "RELAY_ADMIN_TOKEN": AdminTests.token])
    }

    /// Runs a command to its end.
    func relay(_ arguments: String...) async throws -> (code: Int32, output: String, errors: String) {
        try await start(arguments).finish()
    }

    /// The items that a command lists, asked for again and again until they are as wanted, or the task is canceled.
    func json(_ arguments: String..., until isWanted: ([[String: Any]]) -> Bool) async throws -> [[String: Any]] {
        while true {
            let output = try await start(arguments + ["--output", "json"]).finish().output
            let object = try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any]
            let items = try #require(object?["items"] as? [[String: Any]])
            if isWanted(items) { return items }
            try Task.checkCancellation()
        }
    }
}

extension RunningRelay {
    /// Where its admin API is.
    var adminURL: String {
        get async throws { "http://" + (try #require(try await logged("the admin API is served")["listen"])) }
    }

    /// Runs a command against it, without a token.
    func command(_ arguments: String...) async throws -> (code: Int32, output: String, errors: String) {
        try await ChildProcess.relay(arguments, environment: ["RELAY_ADMIN_URL": adminURL]).finish()
    }
}
