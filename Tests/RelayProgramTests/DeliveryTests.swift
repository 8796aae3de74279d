// What a backend says and what becomes of the delivery; where each request goes, and what it carries.

import Foundation
import RelayTestKit
import SlackSimulator
import Synchronization
import Testing

@Suite("Delivery", .timeLimit(.minutes(2)))
struct DeliveryTests {
    @Test(
        "a final answer makes a dead letter at once: logged, counted, never tried again",
        arguments: [400, 413, 414, 415, 422])
    func rejected(status: Int) async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend { $0.eventID == "Ev1" ? .status(status) : .ok }
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": "url: \(backend.url), max_in_flight: 1"])
        let load = EventLoad(slack)

        let relay = try await home.serve()
        try await load.send(1)
        let line = try await relay.logged("delivery given up: dead letter")
        // The marker comes after anything that was to be tried again at once.
        try await load.send(1)
        let requests = await backend.requests(atLeast: 2)

        #expect(line.level == "error")
        #expect(line["attempt.status"] == "\(status)")
        #expect(line["attempt.reason"] == "http_\(status)")
        #expect(line["delivery.id"] == requests.first?.deliveryID)
        #expect(try await relay.metric("relay_dead_letters_total", #"backend="app""#) == 1)
        #expect(
            try await relay.metric(
                "relay_attempts_total", #"outcome="rejected""#, "reason=\"http_\(status)\"") == 1)
        await relay.stop()
        #expect(requests.map(\.eventID) == ["Ev1", "Ev2"])
        await backend.shutDown()
        await slack.stop()
    }

    @Test("a 410 pauses the backend, over a restart, too: what comes is stored and held, and an alarm would go out")
    func gone() async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend { $0.eventID == "Ev1" ? .status(410) : .ok }
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": "url: \(backend.url)"])
        let load = EventLoad(slack)

        let first = try await home.serve()
        try await load.send(1)
        try await first.logged("backend is gone (410): its deliveries are held until somebody resumes it")
        try await load.send(2)
        try await slack.waitUntilSettled()
        _ = try await first.metrics { $0.value("relay_queue_depth", #"state="held""#) == 2 }
        await first.stop()

        let second = try await home.serve()
        _ = try await second.metrics { $0.value("relay_backend_state", #"state="paused""#) == 1 }
        #expect(try await second.metric("relay_queue_depth", #"state="held""#) == 2)
        #expect(try await load.acknowledged().count == 3)
        #expect(backend.requests.map(\.eventID) == ["Ev1"])
        await second.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test("of 50 backends 10 hang: the others get everything meanwhile")
    func fairness() async throws {
        let slack = try await Stage.makeSlack()
        let gate = Gate()
        let backend = try await RecordingBackend { request in
            if request.target.hasPrefix("/hangs") { await gate.pass() }
            return .ok
        }
        let names = (0..<50).map { $0 < 10 ? "hangs\($0)" : "works\($0)" }
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: Dictionary(
                uniqueKeysWithValues: names.map { ($0, "url: \(backend.url)/\($0), timeout: 5m, max_in_flight: 2") }),
            routes: ["name: all, to: [\(names.joined(separator: ", "))]"])
        let load = EventLoad(slack)
        let relay = try await home.serve()
        try await load.send(20)
        try await slack.waitUntilSettled()

        var delivered: [String: Int] = [:]
        var seen = 0
        while delivered.values.reduce(0, +) < 40 * 20 {
            let requests = await backend.requests(atLeast: seen + 1)
            for request in requests[seen...] where request.target.hasPrefix("/works") {
                delivered[request.target, default: 0] += 1
            }
            seen = requests.count
        }
        #expect(delivered.count == 40)
        #expect(delivered.values.allSatisfy { $0 == 20 })
        // Those that hang were given no more than they may have at a time.
        #expect(backend.requests.count { $0.target.hasPrefix("/hangs") } <= 10 * 2)
        gate.open()
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test("X-Slack-No-Retry: 1 makes a dead letter of what would have been tried again")
    func noRetry() async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend { _ in .status(500, ("X-Slack-No-Retry", "1")) }
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": "url: \(backend.url)"])

        let relay = try await home.serve()
        _ = try await slack.send(.message)
        try await relay.logged("delivery given up: dead letter")

        #expect(try await relay.metric("relay_dead_letters_total") == 1)
        await relay.stop()
        #expect(backend.requests.count == 1)
        await backend.shutDown()
        await slack.stop()
    }

    @Test("a backend that dies under load is held, probed and released: nothing is dead, and few attempts are burnt")
    func breaker() async throws {
        let slack = try await Stage.makeSlack()
        let isWell = Mutex(false)
        let backend = try await RecordingBackend { _ in isWell.withLock { $0 } ? .ok : .status(503) }
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: [
                "app": "url: \(backend.url), max_in_flight: 4, retry: { schedule: [1ms, 1ms, 1ms] }, "
                    + "circuit_breaker: { consecutive: 3, probe_after: 50ms, probe_max: 200ms }"
            ])
        let load = EventLoad(slack)
        let relay = try await home.serve()
        try await load.send(50)
        try await relay.logged("backend fails: its deliveries are held until a probe succeeds")
        // Longer than the schedule lasts: if probes burnt attempts, some would be dead by now.
        _ = await backend.requests(atLeast: 16)
        isWell.withLock { $0 = true }
        try await relay.logged("backend works again: its deliveries are released, slowly at first")

        let requests = await backend.events(try await load.acknowledged())
        #expect(Set(requests.compactMap(\.eventID)).count == 50)
        #expect(try await relay.metric("relay_dead_letters_total") == 0)
        _ = try await relay.metrics { $0.value("relay_backend_state", #"state="closed""#) == 1 }
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test("what waits for a backend that is left alone is told as held, and people are not made to wait")
    func held() async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend { _ in .status(500) }
        let breaker = "circuit_breaker: { consecutive: 1, probe_after: 1h, probe_max: 1h }"
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": "url: \(backend.url), \(breaker)"])
        let relay = try await home.serve()
        try await slack.waitForConnections(atLeast: 2)
        _ = try await slack.send(.command)
        try await relay.logged("no answer: the backend failed")
        _ = try await slack.send(.command)
        try await relay.logged("no answer: the backend is paused, or fails, and is left alone")
        _ = try await slack.send(.message, count: 3)
        _ = try await relay.metrics { $0.value("relay_queue_depth", #"state="held""#) == 3 }
        #expect(backend.requests.count == 1)
        #expect(try await relay.metric("relay_answers_total", #"outcome="held""#) == 1)
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test("a person who resumes a backend that fails has it tried at once, and sees its probes that failed")
    func resumeProbes() async throws {
        let slack = try await Stage.makeSlack()
        let isWell = Mutex(false)
        let backend = try await RecordingBackend { _ in isWell.withLock { $0 } ? .ok : .status(500) }
        let breaker = "circuit_breaker: { consecutive: 1, probe_after: 1h, probe_max: 1h }"
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["app": "url: \(backend.url), retry: { schedule: [1ms] }, \(breaker)"])
        let relay = try await home.serve()
        try await slack.waitForConnections(atLeast: 2)
        _ = try await slack.send(.message)
        let failing = try await relay.logged("backend fails: its deliveries are held until a probe succeeds")
        #expect(failing["attempt.reason"] == "http_500" && failing["attempt.status"] == "500")
        #expect(failing["backend.name"] == "app" && failing["wait_ms"] != nil)
        for probe in 2...3 {
            let resumed = try await relay.command("backends", "resume", "app")
            #expect(resumed.output.contains(/app (fails: it is tried now|was tried, and still fails: .*last http_500)/))
            #expect(
                await backend.requests(atLeast: probe).map(\.attempt) == [1] + Array(repeating: 2, count: probe - 1))
            _ = try await relay.metrics {
                $0.value("relay_backend_state", #"state="open""#) == 1
                    && $0.value("relay_attempts_total", #"outcome="failed""#) == Double(probe)
                    && $0.value("relay_queue_depth", #"state="held""#) == 1
            }
        }
        let id = try #require(backend.requests.first?.deliveryID)
        let shown = try await relay.command("deliveries", "show", id)
        #expect(shown.output.contains(/1 +[0-9]+s ago .*http_500/))
        #expect(shown.output.split(separator: "\n").count { $0.contains(/^2 \(probe\) .*http_500/) } == 2)
        isWell.withLock { $0 = true }
        #expect(try await relay.command("backends", "resume", "app").code == 0)
        try await relay.logged("backend works again: its deliveries are released, slowly at first")
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test("Retry-After of a 503 holds the whole backend back, more than the schedule asks for")
    func retryAfter() async throws {
        let slack = try await Stage.makeSlack()
        let arrivals = Mutex<[ContinuousClock.Instant]>([])
        let backend = try await RecordingBackend { _ in
            let isFirst = arrivals.withLock { arrivals in
                arrivals.append(.now)
                return arrivals.count == 1
            }
            return isFirst ? .status(503, ("Retry-After", "1")) : .ok
        }
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["app": "url: \(backend.url), retry: { schedule: [1ms, 1ms], jitter: 0 }"])
        let load = EventLoad(slack)

        let relay = try await home.serve()
        try await load.send(1)
        let line = try await relay.logged("attempt failed; the delivery is tried again")
        try await load.send(1)
        let requests = await backend.requests(atLeast: 3)
        let waits = arrivals.withLock { arrivals in arrivals.map { arrivals[0].duration(to: $0) } }

        #expect(line["attempt.status"] == "503")
        #expect(requests.prefix(1).map(\.eventID) == ["Ev1"])
        #expect(waits[1...].allSatisfy { $0 >= .seconds(1) }, "attempted within Retry-After: \(waits)")
        #expect(Set(requests[1...].compactMap(\.eventID)) == ["Ev1", "Ev2"])
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test("a backend that does not answer within timeout has failed, and is tried again with the same delivery id")
    func timeout() async throws {
        let slack = try await Stage.makeSlack()
        let hanging = Answers(1)
        let backend = try await RecordingBackend { _ in hanging.takeOne() ? .silence : .ok }
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: [
                "app":
                    "url: \(backend.url), timeout: 300ms, connect_timeout: 300ms, retry: { schedule: [10ms, 10ms, 10ms] }"
            ])

        let relay = try await home.serve()
        _ = try await slack.send(.message)
        let line = try await relay.logged("attempt failed; the delivery is tried again")
        let requests = await backend.requests(atLeast: 2)

        #expect(line["attempt.reason"] == "timeout")
        #expect(requests.prefix(2).map(\.attempt) == [1, 2])
        #expect(requests[0].deliveryID == requests[1].deliveryID)
        #expect(requests[0].body == requests[1].body)
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test("when the schedule is over the delivery is a dead letter, with the last reason")
    func exhausted() async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend { _ in .status(500) }
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: ["app": "url: \(backend.url), retry: { schedule: [10ms, 10ms] }, retry_headers: relay"])

        let relay = try await home.serve()
        _ = try await slack.send(.message)
        let line = try await relay.logged("delivery given up: dead letter")

        #expect(line["attempt.number"] == "3")
        #expect(backend.requests.map(\.attempt) == [1, 2, 3])
        #expect(backend.requests.map { $0.header("X-Slack-Retry-Num") } == [nil, "1", "2"])
        #expect(backend.requests.map { $0.header("X-Slack-Retry-Reason") } == [nil, "http_error", "http_error"])
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test("a command older than max_age expires instead of being delivered late; an event of the same age is delivered")
    func maxAge() async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend()
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: ["app": "url: \(backend.url), max_in_flight: 1, max_age: { command: 1ms }"],
            routes: ["name: all, to: app, mode: queue"])

        // Both wait in the queue until a process comes that has a backend to bring them to.
        let gone = try RelayHome(
            apiURL: slack.apiURL,
            backends: [
                "app": "url: http://127.0.0.1:9/, circuit_breaker: { consecutive: 10000 }, "
                    + "retry: { schedule: [\(Array(repeating: "500ms", count: 60).joined(separator: ", "))], jitter: 0 }"
            ],
            routes: ["name: all, to: app, mode: queue"], queue: "path: \(home.path("relay.db"))")
        let first = try await gone.serve()
        try await slack.waitForConnections(atLeast: 1)
        let ids = try await slack.send(.command) + slack.send(.message)
        for id in ids { _ = try await slack.waitForAcknowledgement(of: id) }
        await first.kill()
        let second = try await home.serve()
        try await second.logged("delivery expired before it could be made")
        let requests = await backend.requests(atLeast: 1)

        #expect(requests.count == 1)
        #expect(requests.first?.eventID != nil)
        #expect(try await second.metric("relay_expired_total") == 1)
        #expect(try await second.metric("relay_dead_letters_total") == 0)
        await second.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test("`urls` have a path for each kind, `path` of a route replaces it")
    func paths() async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend()
        let url = backend.url
        let urls =
            "url: \(url)/rest, urls: { events: \(url)/events?tenant=1, interactions: \(url)/interactions, options: \(url)/options }"
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["app": urls],
            routes: [
                "name: deploy, match: { command: /deploy }, to: app, path: /slash/deploy, mode: queue",
                "name: rest, to: app, mode: queue",
            ])

        let relay = try await home.serve()
        let expected: [(SimulatedSample, SampleValues, String, String)] = [
            (.message, .init(), "/events?tenant=1", "application/json"),
            (.blockActions, .init(), "/interactions", "application/x-www-form-urlencoded"),
            (.blockSuggestion, .init(), "/options", "application/x-www-form-urlencoded"),
            (.command, .init(command: "/deploy"), "/slash/deploy", "application/x-www-form-urlencoded"),
            (.command, .init(command: "/help"), "/rest", "application/x-www-form-urlencoded"),
        ]
        for (index, (sample, values, target, type)) in expected.enumerated() {
            _ = try await slack.send(sample, values)
            let request = try #require(await backend.requests(atLeast: index + 1).last)
            #expect(request.method == "POST")
            #expect(request.target == target)
            #expect(request.header("Content-Type") == type)
        }
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test("two backends of a route both get the event, and one that fails holds the other up in nothing")
    func twoBackends() async throws {
        let slack = try await Stage.makeSlack()
        let good = try await RecordingBackend()
        let bad = try await RecordingBackend { _ in .status(500) }
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: [
                "good": "url: \(good.url)",
                "bad": "url: \(bad.url), retry: { schedule: [1h] }, circuit_breaker: { consecutive: 10000 }",
            ],
            routes: ["name: both, to: [bad, good]"])
        let load = EventLoad(slack)

        let relay = try await home.serve()
        try await load.send(30)
        let ids = Set((1...30).map { "Ev\($0)" })
        let delivered = await good.events(ids)
        let refused = await bad.events(ids)

        #expect(delivered.countByEvent.values.allSatisfy { $0 == 1 })
        #expect(refused.countByEvent.values.allSatisfy { $0 == 1 })
        #expect(Set(delivered.map(\.deliveryID)).isDisjoint(with: refused.map(\.deliveryID)))
        #expect(delivered.allSatisfy { $0.header("X-Relay-Route") == "both" })
        await relay.stop()
        await good.shutDown()
        await bad.shutDown()
        await slack.stop()
    }

    @Test("over a Unix domain socket: the URL gives path and Host")
    func unixSocket() async throws {
        let slack = try await Stage.makeSlack()
        let socket = temporarySocketPath()
        let backend = try await RecordingBackend(unixSocket: socket)
        let home = try RelayHome(
            apiURL: slack.apiURL, backends: ["app": "url: http://orders.test/slack/events, unix_socket: \(socket)"])

        let relay = try await home.serve()
        _ = try await slack.send(.message)
        let request = try #require(await backend.requests(atLeast: 1).first)

        #expect(request.target == "/slack/events")
        #expect(request.header("Host") == "orders.test")
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }

    @Test("headers, user_agent and Relay's own headers as configured and promised; without them Slack's defaults")
    func headers() async throws {
        let slack = try await Stage.makeSlack()
        let plain = try await RecordingBackend()
        let dressed = try await RecordingBackend()
        let home = try RelayHome(
            apiURL: slack.apiURL,
            backends: [
                "plain": "url: \(plain.url)",
                "dressed":
                    "url: \(dressed.url), user_agent: relay-test/1, headers: { X-Tenant: blue, X-Other: \"a, b\" }",
            ],
            routes: ["name: both, to: [plain, dressed]"])

        let relay = try await home.serve()
        _ = try await slack.send(.message)
        let first = try #require(await plain.requests(atLeast: 1).first)
        let second = try #require(await dressed.requests(atLeast: 1).first)

        #expect(first.header("User-Agent") == "Slackbot 1.0 (+https://api.slack.com/robots)")
        #expect(first.header("X-Tenant") == nil)
        #expect(first.header("X-Slack-Retry-Num") == nil)
        #expect(first.header("Expect") == nil)
        #expect(second.header("User-Agent") == "relay-test/1")
        #expect(second.header("X-Tenant") == "blue")
        #expect(second.header("X-Other") == "a, b")
        for request in [first, second] {
            #expect(request.attempt == 1)
            #expect(request.header("X-Relay-Route") == "both")
            #expect(request.header("X-Relay-Received-At").flatMap { Int64($0) } != nil)
            #expect(request.header("X-Slack-Signature")?.hasPrefix("v0=") == true)
            #expect(request.header("traceparent") != nil)
        }
        await relay.stop()
        await plain.shutDown()
        await dressed.shutDown()
        await slack.stop()
    }

    @Test("retry_headers: slack tells Slack's own retries, and only those")
    func slackRetryHeaders() async throws {
        let slack = try await Stage.makeSlack()
        let backend = try await RecordingBackend()
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": "url: \(backend.url), retry_headers: slack"])

        let relay = try await home.serve()
        try await slack.waitForConnections(atLeast: 2)
        try await slack.send(
            frame: #"""
                {"envelope_id":"e1","type":"events_api","accepts_response_payload":false,"retry_attempt":2,"retry_reason":"timeout","payload":{"type":"event_callback","event_id":"Ev77","event":{"type":"message"}}}
                """#)
        let request = try #require(await backend.requests(atLeast: 1).first)

        #expect(request.header("X-Slack-Retry-Num") == "2")
        #expect(request.header("X-Slack-Retry-Reason") == "http_timeout")
        await relay.stop()
        await backend.shutDown()
        await slack.stop()
    }
}
