// What the admin API answers.

import Curl
import RelayCore
import Testing

@testable import AdminServer

@Suite("Admin API", .timeLimit(.minutes(1)))
struct AdminServerTests {
    // MARK: Gateway

    @Test("status, connections and configuration are told")
    func gateway() async throws {
        try await AdminStage.with { stage in
            let status = try await stage.get("/status")
            #expect(status.status == 200 && status.type == "application/json")
            #expect(try status.decoded(API.Status.self).state == .running)
            let connections: API.Page<API.Connection> = try await stage.get("/connections").decoded()
            #expect(connections.items.map(\.id) == ["7"] && connections.next == nil)
            #expect(try await stage.get("/configuration").decoded(API.Configuration.self).yaml == "version: 1\n")
            #expect(stage.log.changes.isEmpty)
        }
    }

    @Test("keys are in snake_case, and what is nil is absent")
    func wire() async throws {
        try await AdminStage.with { stage in
            let text = try await stage.get("/connections").text
            #expect(
                text == """
                    {"items":[{"app":"default","host":"applink-1","id":"7","reported":2,\
                    "since":"2026-11-23T09:00:01.000Z","slot":0,"state":"connected"}]}
                    """)
            #expect(try await stage.get("/status").text.contains(#""is_writable":true"#))
        }
    }

    @Test("connections are refreshed, of one app or of all")
    func refresh() async throws {
        try await AdminStage.with { stage in
            let reply = try await stage.post("/connections/refresh")
            #expect(reply.status == 202)
            #expect(try reply.decoded(API.Refreshing.self).refreshing == 2)
            #expect(try await stage.post("/connections/refresh?app=default").status == 202)
            let unknown = try await stage.post("/connections/refresh?app=other")
            #expect(unknown.status == 404)
            #expect(try unknown.problem.code == "unknown_app")
            #expect(stage.log.changes.map { $0["outcome"] } == ["done", "done", "unknown_app"])
        }
    }

    @Test("a backend is paused and resumed, and each is logged with who did it")
    func pause() async throws {
        try await AdminStage.with { stage in
            let paused: API.Backend = try await stage.post("/backends/orders/pause").decoded()
            #expect(paused.state == "paused" && paused.isHeld)
            #expect(try await stage.get("/backends/orders").decoded(API.Backend.self) == paused)
            #expect(try await stage.post("/backends/orders/resume").decoded(API.Backend.self).state == "closed")
            #expect(
                stage.log.changes == [
                    ["action": "backend.pause", "admin.subject": "orders", "outcome": "done"],
                    ["action": "backend.resume", "admin.subject": "orders", "outcome": "done"],
                ])
            #expect(stage.log.lines.allSatisfy { $0.metadata["admin.remote"] ?? "127.0.0.1" == "127.0.0.1" })
        }
    }

    @Test(
        "a backend that is not in the configuration is unknown",
        arguments: [(CurlRequest.Method.get, ""), (.post, "/pause"), (.post, "/resume"), (.post, "/test")])
    func unknownBackend(method: CurlRequest.Method, path: String) async throws {
        try await AdminStage.with { stage in
            let reply = try await stage.send(method, "/api/v1/backends/nobody%20here\(path)")
            #expect(reply.status == 404)
            #expect(try reply.problem.code == "unknown_backend")
            #expect(try reply.problem.detail.contains(#""nobody here""#))
        }
    }

    @Test("the log says what came of a test")
    func testIsAudited() async throws {
        try await AdminStage.with { stage in
            _ = try await stage.post("/backends/orders/test")
            #expect(try await stage.post("/backends/audit/test").status == 200)
            #expect(
                stage.log.changes == [
                    [
                        "action": "backend.test", "admin.subject": "orders", "outcome": "done", "attempt.status": "200",
                    ],
                    [
                        "action": "backend.test", "admin.subject": "audit", "outcome": "failed",
                        "attempt.status": "500", "attempt.reason": "http_500",
                        "attempt.detail": "Internal Server Error",
                    ],
                ])
        }
    }

    @Test("a backend is tested")
    func test() async throws {
        try await AdminStage.with { stage in
            let test: API.BackendTest = try await stage.post("/backends/orders/test").decoded()
            #expect(test.isOk && test.challengeReturned && test.durationMs == 3)
        }
    }

    @Test("a queue that cannot do it is 503 with its reason")
    func queueFails() async throws {
        try await AdminStage.with { stage in
            await stage.gateway.set(failure: QueueError(.unavailable, "no space left"))
            let reply = try await stage.post("/backends/orders/pause")
            #expect(reply.status == 503)
            #expect(try reply.problem.code == "queue_unavailable")
            #expect(try reply.problem.detail == "queue unavailable: no space left")
            #expect(stage.log.changes.first?["outcome"] == "queue_unavailable")
        }
    }

    @Test("a reload that is refused has every mistake, and one that is not says what holds")
    func reload() async throws {
        try await AdminStage.with { stage in
            #expect(try await stage.post("/reload").decoded(API.Reloaded.self).changed == ["routes"])
            await stage.gateway.set(mistakes: ["relay.yaml:1:1: one", "relay.yaml:2:1: two"])
            let reply = try await stage.post("/reload")
            #expect(reply.status == 422)
            let problem = try reply.problem
            #expect(problem.code == "reload_refused" && problem.type == "urn:relay:problem:reload_refused")
            #expect(problem.errors?.map(\.message) == ["relay.yaml:1:1: one", "relay.yaml:2:1: two"])
        }
    }

    @Test("drain is asked for, and the status says so")
    func drain() async throws {
        try await AdminStage.with { stage in
            let reply = try await stage.post("/drain")
            #expect(reply.status == 202)
            #expect(try reply.decoded(API.Status.self).state == .draining)
            #expect(await stage.gateway.done == ["drain"])
        }
    }

    // MARK: Deliveries

    @Test("deliveries come in pages, the newest first")
    func pages() async throws {
        try await AdminStage.with { stage in
            await stage.archive.fill([.dead, .delivered, .pending, .scheduled, .expired])
            var ids: [String] = []
            var path = "/deliveries?limit=2"
            while true {
                let page: API.Page<API.Delivery> = try await stage.get(path).decoded()
                ids += page.items.map(\.id)
                guard let next = page.next else { break }
                path = "/deliveries?limit=2&cursor=\(next)"
            }
            #expect(ids == (1...5).reversed().map { "000000ab-\($0)" })
        }
    }

    @Test("what waits for a backend that is left alone is held, and found as such")
    func held() async throws {
        try await AdminStage.with { stage in
            await stage.archive.fill([.pending, .scheduled, .inFlight, .dead])
            let none = try await stage.states("state=held")
            #expect(none == [])
            await stage.gateway.set(held: ["orders"])
            #expect(try await stage.states("") == ["dead", "in_flight", "held", "held"])
            #expect(try await stage.states("state=held") == ["held", "held"])
            #expect(try await stage.states("state=held&backend=audit") == [])
            #expect(try await stage.states("state=held&state=pending&state=scheduled") == ["held", "held"])
            #expect(try await stage.states("state=held&state=dead") == ["dead", "held", "held"])
            #expect(try await stage.states("state=pending") == [])
        }
    }

    @Test("each word of a filter reaches the archive")
    func filter() async throws {
        try await AdminStage.with { stage in
            let reply = try await stage.get(
                "/deliveries?state=dead&state=expired&backend=orders&route=r&app=a&kind=event&reason=http_500"
                    + "&envelope_id=e&envelope_id=f&since=2h&until=2026-11-23T10:00:00%2B01:00")
            #expect(reply.status == 200)
            var filter = DeliveryFilter()
            filter.states = [.dead, .expired]
            filter.backends = ["orders"]
            filter.routes = ["r"]
            filter.apps = ["a"]
            filter.kinds = [.event]
            filter.reasons = ["http_500"]
            filter.envelopeIDs = ["e", "f"]
            filter.since = Timestamp(rfc3339: "2026-11-23T07:30:00Z")
            filter.until = Timestamp(rfc3339: "2026-11-23T09:00:00Z")
            #expect(await stage.archive.asked == [filter])
        }
    }

    @Test(
        "a time before or after all that there is takes all or nothing",
        arguments: ["0160-02-29T00:00:00Z", "9999-12-31T23:59:59Z"])
    func remoteTimes(time: String) async throws {
        try await AdminStage.with { stage in
            await stage.archive.fill([.dead])
            let isEarly = time.hasPrefix("0")
            let since = try await stage.states("since=\(time)")
            #expect(since == (isEarly ? ["dead"] : []))
            #expect(try await stage.states("until=\(time)") == (isEarly ? [] : ["dead"]))
        }
    }

    @Test(
        "a class is told, and finds its dead letters",
        arguments: [
            ("attempts_exhausted_http_500", "backend"), ("rejected_http_400", "backend"),
            ("rejected_request_error", "relay"), ("attempts_exhausted_blocked_address", "policy"),
            ("order_blocked_timeout", "policy"),
        ])
    func classes(reason: String, expected: String) async throws {
        try await AdminStage.with { stage in
            await stage.archive.fill([.dead, .expired, .delivered], deadReason: reason)
            for word in DeadLetterClass.allCases.map(\.rawValue) {
                let page: API.Page<API.Delivery> = try await stage.get("/deliveries?class=\(word)").decoded()
                let isFound = word == expected || word == "expiry"
                #expect(page.items.map(\.class) == (isFound ? [word] : []))
            }
        }
    }

    @Test(
        "a class and a reason go together, be it the dead letter's or the last attempt's",
        arguments: [
            ("class=backend&reason=http_500", 1), ("class=backend&reason=attempts_exhausted_http_500", 1),
            ("class=backend&reason=http_500&reason=http_400", 1), ("class=backend&reason=rejected_http_500", 0),
            ("class=policy&reason=http_500", 0), ("class=expiry&state=dead", 0), ("class=relay&reason=http_500", 0),
            ("class=expiry&reason=http_500", 1),
        ])
    func classAndReason(query: String, count: Int) async throws {
        try await AdminStage.with { stage in
            await stage.archive.fill([.dead, .expired, .delivered])
            let states = try await stage.states(query)
            #expect(states.count == count)
        }
    }

    @Test(
        "a delivery has its attempts and its response, and its payload only where it is asked for; who reads is logged")
    func delivery() async throws {
        try await AdminStage.with { stage in
            await stage.archive.fill([.dead, .expired])
            let delivery: API.Delivery = try await stage.get("/deliveries/000000ab-1").decoded()
            #expect(delivery.attempts?.map(\.number) == [11])
            #expect(delivery.attempts?.first?.durationMs == 40)
            #expect(delivery.response?.status == 500)
            #expect(delivery.response?.body == API.Content(Array("no".utf8)))
            #expect(delivery.response?.headers.map(\.value) == ["text/plain", "***"])
            #expect(delivery.payload == nil && delivery.payloadBytes == 7)
            #expect(stage.log.changes.map { $0["action"] } == ["response.read"])

            let other: API.Delivery = try await stage.get("/deliveries/000000ab-2?payload=true").decoded()
            #expect(other.payload?.text == #"{"a":1}"#)
            #expect(other.response?.body == API.Content([0x6E, 0x6F, 0xFF]))
            #expect(other.response?.body.base64 == "bm//" && other.response?.body.text == nil)
            #expect(stage.log.changes.map { $0["action"] } == ["response.read", "payload.read"])
            #expect(stage.log.changes.map { $0["admin.subject"] } == ["000000ab-1", "000000ab-2"])
        }
    }

    @Test("what was sent before it was stored is found by the id that it was sent with, too")
    func sentID() async throws {
        try await AdminStage.with { stage in
            await stage.archive.fill([.delivered])
            await stage.archive.fill([.dead], sentID: DeliveryID(queue: 0xCD, sequence: 7))
            let delivery: API.Delivery = try await stage.get("/deliveries/000000cd-7").decoded()
            #expect(delivery.id == "000000ab-2" && delivery.sentId == "000000cd-7" && delivery.attempts?.count == 1)
            #expect(try await stage.get("/deliveries/000000cd-8").problem.code == "unknown_delivery")
            let ids = #"{"ids":["000000cd-7","000000ab-2","000000ab-1"]}"#
            let replay: API.Replay = try await stage.post("/replays", ids).decoded()
            #expect(replay.ids == ["000000ab-1", "000000ab-2"] && replay.matched == 2)
            let retried: API.Delivery = try await stage.post("/deliveries/000000cd-7/retry").decoded()
            #expect(retried.id == "000000ab-2" && retried.state == "pending")
            let canceled: API.Delivery = try await stage.post("/deliveries/000000cd-7/cancel").decoded()
            #expect(canceled.id == "000000ab-2" && canceled.state == "canceled")
            #expect(try await stage.delete("/deliveries/000000cd-7").status == 204)
            #expect(try await stage.get("/deliveries/000000ab-2").status == 404)
        }
    }

    @Test("a delivery is made again, and its dispatcher is told")
    func retry() async throws {
        try await AdminStage.with { stage in
            await stage.archive.fill([.dead, .inFlight, .delivered])
            #expect(try await stage.post("/deliveries/000000ab-1/retry").decoded(API.Delivery.self).state == "pending")
            #expect(await stage.gateway.done == ["due orders"])
            let busy = try await stage.post("/deliveries/000000ab-2/retry")
            #expect(busy.status == 409)
            #expect(try busy.problem.code == "wrong_state")
            #expect(try busy.problem.detail.contains("in_flight"))
            await stage.archive.forgetPayload(of: DeliveryID(queue: 0xAB, sequence: 3))
            #expect(try await stage.post("/deliveries/000000ab-3/retry").problem.code == "payload_removed")
            #expect(try await stage.post("/deliveries/000000ab-99/retry").problem.code == "unknown_delivery")
            #expect(try await stage.post("/deliveries/nonsense/retry").status == 404)
        }
    }

    @Test("what a backend said is in no reply but the one whose reading is logged")
    func responseIsPrivate() async throws {
        try await AdminStage.with { stage in
            await stage.archive.fill([.dead])
            #expect(try await stage.get("/deliveries/000000ab-1").decoded(API.Delivery.self).response?.status == 500)
            for verb in ["retry", "cancel"] {
                let delivery: API.Delivery = try await stage.post("/deliveries/000000ab-1/\(verb)").decoded()
                #expect(delivery.response == nil && delivery.attempts?.count == 1)
            }
            #expect(
                stage.log.changes.compactMap { $0["action"] } == ["response.read", "delivery.retry", "delivery.cancel"])
        }
    }

    @Test("a waiting delivery is canceled, a settled one is not; a dead one is deleted, a waiting one is not")
    func cancelAndDelete() async throws {
        try await AdminStage.with { stage in
            await stage.archive.fill([.scheduled, .delivered, .dead])
            #expect(
                try await stage.post("/deliveries/000000ab-1/cancel").decoded(API.Delivery.self).state == "canceled")
            let delivered = try await stage.post("/deliveries/000000ab-2/cancel").problem
            #expect(delivered.code == "wrong_state")
            #expect(delivered.detail == "delivery 000000ab-2 is already delivered: there is nothing to cancel")
            #expect(
                try await stage.post("/deliveries/000000ab-1/cancel").problem.detail
                    == "delivery 000000ab-1 is already canceled")
            let deleted = try await stage.delete("/deliveries/000000ab-3")
            #expect(deleted.status == 204 && deleted.body.isEmpty)
            #expect(try await stage.get("/deliveries/000000ab-3").status == 404)
            #expect(try await stage.delete("/deliveries/000000ab-2").status == 409)
        }
    }

    @Test("what came after the count stays, and the log has how many were deleted")
    func deleteCounted() async throws {
        try await AdminStage.with { stage in
            await stage.archive.fill([.dead, .dead, .delivered])
            #expect(try await stage.delete("/deliveries?dry_run=true").decoded(API.Matched.self).matched == 2)
            await stage.archive.fill([.dead])
            #expect(try await stage.delete("/deliveries?count=2").decoded(API.Deleted.self).deleted == 2)
            let left: API.Page<API.Delivery> = try await stage.get("/deliveries").decoded()
            #expect(left.items.map(\.id) == ["000000ab-4", "000000ab-3"])
            #expect(stage.log.changes.map { $0["admin.count"] } == ["2"])
        }
    }

    @Test("what died after the count is not deleted in place of what was counted")
    func deleteBefore() async throws {
        try await AdminStage.with { stage in
            await stage.archive.fill([.dead, .dead])
            let counted: API.Matched = try await stage.delete("/deliveries?dry_run=true").decoded()
            let time = try #require(counted.countedAt)
            #expect(
                try await stage.delete("/deliveries?count=2&settled_before=\(time)").decoded(API.Deleted.self).deleted
                    == 2)
            await stage.archive.fill([.dead])
            #expect(try await stage.delete("/deliveries?count=1&settled_before=1h").status == 409)
            #expect(try await stage.delete("/deliveries?count=1&settled_before=soon").status == 422)
        }
    }

    @Test("a deletion that breaks off says how far it came")
    func deleteBreaksOff() async throws {
        try await AdminStage.with { stage in
            let all = AdminHandlers.deleteStep + 1
            await stage.archive.fill(Array(repeating: .dead, count: all))
            await stage.archive.fail(afterDeletions: 1)
            let reply = try await stage.delete("/deliveries?count=\(all)")
            #expect(reply.status == 503)
            #expect(try reply.problem.detail == "500 of 501 were deleted, and then: queue unavailable: no space left")
            #expect(
                stage.log.changes.map { [$0["admin.count"], $0["outcome"]] } == [["500", "queue_unavailable"]])
            let nothing = try await stage.delete("/deliveries?count=1")
            #expect(try nothing.problem.detail == "queue unavailable: no space left")
        }
    }

    @Test("many are deleted only when the caller says how many there are")
    func deleteMany() async throws {
        try await AdminStage.with { stage in
            await stage.archive.fill([.dead, .dead, .expired, .canceled, .delivered, .pending])
            #expect(try await stage.delete("/deliveries").status == 428)
            let dry: API.Matched = try await stage.delete("/deliveries?dry_run=true").decoded()
            #expect(dry.matched == 4 && !dry.isAtLeast)
            #expect(stage.log.changes.map { $0["outcome"] } == ["confirmation_required"])
            let differs = try await stage.delete("/deliveries?state=dead&count=3")
            #expect(differs.status == 409)
            #expect(try differs.problem.detail == "only 2 deliveries match, not 3: nothing was deleted")
            #expect(try await stage.delete("/deliveries?state=dead&count=2").decoded(API.Deleted.self).deleted == 2)
            #expect(try await stage.delete("/deliveries?state=delivered&count=1").status == 422)
            #expect(try await stage.delete("/deliveries?state=dead&class=expiry&count=1").status == 409)
            #expect(try await stage.delete("/deliveries?state=dead&class=expiry&count=0").status == 200)
            let left: API.Page<API.Delivery> = try await stage.get("/deliveries").decoded()
            #expect(left.items.map(\.state) == ["pending", "delivered", "canceled", "expired"])
        }
    }

    // MARK: Replays

    @Test("a replay is created, looked at, and canceled")
    func replays() async throws {
        try await AdminStage.with { stage in
            await stage.archive.fill([.dead, .dead, .delivered])
            let created = try await stage.post("/replays", #"{"filter":{"backend":["orders"]},"per_second":10}"#)
            #expect(created.status == 201)
            #expect(created.response.header("Location") == "/api/v1/replays/1")
            let replay: API.Replay = try created.decoded()
            #expect(replay.matched == 2 && replay.state == "running" && replay.perSecond == 10)
            #expect(replay.filter?.state == ["dead"] && replay.filter?.backend == ["orders"] && replay.ids == nil)
            #expect(try await stage.get("/replays/1").decoded(API.Replay.self) == replay)
            #expect(try await stage.post("/replays/1/cancel").decoded(API.Replay.self).state == "canceled")
            #expect(
                try await stage.get("/replays").decoded(API.Page<API.Replay>.self).items.map(\.state) == ["canceled"])
            #expect(await stage.gateway.done == ["replays", "replays"])
            #expect(
                stage.log.changes.first == [
                    "action": "replay.create", "admin.count": "2", "replay.id": "1", "outcome": "done",
                ])
            #expect(try await stage.get("/replays/2").problem.code == "unknown_replay")
            #expect(try await stage.get("/replays/x").status == 404)
        }
    }

    @Test("replays come in pages, the newest first")
    func replayPages() async throws {
        try await AdminStage.with { stage in
            for _ in 1...3 { #expect(try await stage.post("/replays", #"{"filter":{}}"#).status == 201) }
            let first: API.Page<API.Replay> = try await stage.get("/replays?limit=2").decoded()
            #expect(first.items.map(\.id) == [3, 2] && first.next == "2")
            let last: API.Page<API.Replay> = try await stage.get("/replays?limit=2&cursor=2").decoded()
            #expect(last.items.map(\.id) == [1] && last.next == nil)
            #expect(try await stage.get("/replays?limit=0").status == 422)
        }
    }

    @Test("a dry run counts and changes nothing")
    func dryRun() async throws {
        try await AdminStage.with { stage in
            await stage.archive.fill([.dead, .expired, .delivered])
            let dead = try await stage.matched(#"{"filter":{},"dry_run":true}"#)
            #expect(dead == 1)
            #expect(try await stage.matched(#"{"filter":{"state":["expired","delivered"]},"dry_run":true}"#) == 2)
            #expect(try await stage.matched(#"{"ids":["000000ab-1","000000ab-3"],"dry_run":true}"#) == 2)
            #expect(try await stage.matched(#"{"filter":{"class":["relay"]},"dry_run":true}"#) == 0)
            #expect(await stage.archive.replays().isEmpty)
            #expect(stage.log.changes.isEmpty)
        }
    }

    @Test("a replay by class says so")
    func replayByClass() async throws {
        try await AdminStage.with { stage in
            await stage.archive.fill([.dead])
            let replay: API.Replay = try await stage.post("/replays", #"{"filter":{"class":["backend"]}}"#).decoded()
            #expect(replay.filter?.class == ["backend"] && replay.filter?.reason == nil && replay.matched == 1)
        }
    }

    @Test(
        "a body that is not as it must be is refused by name",
        arguments: [
            ("", 400, "the body is missing"), ("{", 400, "not JSON"),
            ("[]", 422, "the body must be an object, is a list"),
            ("{}", 422, "must have ids or filter"),
            (#"{"ids":[],"filter":{}}"#, 422, "ids and filter do not go together"),
            (#"{"ids":[]}"#, 422, "ids must have at least one"),
            (#"{"ids":["x"]}"#, 422, #"ids must be delivery ids; "x" is none"#),
            (#"{"ids":[1]}"#, 422, "ids must be a list of strings, has a number"),
            (#"{"filter":{"colour":["red"]}}"#, 422, "filter.colour is not a key"),
            (#"{"filter":{},"colour":1}"#, 422, "colour is not a key"),
            (#"{"filter":{},"per_second":0}"#, 422, "per_second must be 0.001 to 100000.0, is 0.0"),
            (#"{"filter":{},"per_second":"1"}"#, 422, "per_second must be a number, is a string"),
            (#"{"filter":{},"dry_run":1}"#, 422, "dry_run must be true or false, is a number"),
            (#"{"filter":{"state":["pending"]}}"#, 422, "state must be one of dead, expired, canceled, delivered"),
            (#"{"filter":{"envelope_id":[]}}"#, 422, "filter.envelope_id must have at least one; without it all are"),
            (#"{"filter":{"since":"yesterday"}}"#, 422, "since must be a time"),
            (#"{"filter":null}"#, 422, "filter must be an object, is null"),
            (#"{"filter":{"class":["expiry"],"state":["dead"]}}"#, 422, "filter takes nothing: its class goes"),
            (#"{"filter":{"class":["relay"],"reason":["http_500"]}}"#, 422, "filter takes nothing"),
        ])
    func wrongBody(body: String, status: Int, detail: String) async throws {
        try await AdminStage.with { stage in
            let reply = try await stage.post("/replays", body)
            #expect(reply.status == status)
            #expect(try reply.problem.detail.contains(detail))
        }
    }

    @Test(
        "a parameter that is not as it must be is refused by name",
        arguments: [
            ("limit=0", "limit must be a whole number from 1 to 1000"), ("limit=1001", "limit must be"),
            ("limit=1&limit=2", "limit is given 2 times"), ("limit=01", "limit must be"),
            ("cursor=x", "cursor must be"),
            ("state=gone", #"state must be one of pending"#), ("kind=Event", "kind must be one of event"),
            ("since=2", "since must be a time"), ("since=2026-02-30T00:00:00Z", "since must be a time"),
            ("until=2025-02-29T00:00:00Z", "until must be a time"),
            ("until=9999-02-29T00:00:00Z", "until must be a time"),
            ("since=-001-01-01T00:00:00Z", "since must be a time"),
            ("colour=red", "colour is not a parameter"), ("%00=1", "is not a parameter"),
            ("class=backend&class=relay", "class is given with several values"),
        ])
    func wrongParameter(query: String, detail: String) async throws {
        try await AdminStage.with { stage in
            let reply = try await stage.get("/deliveries?\(query)")
            #expect(reply.status == 422)
            let problem = try reply.problem
            #expect(problem.code == "invalid" && problem.errors?.count == 1)
            #expect(problem.detail.contains(detail))
        }
    }
}

extension AdminStage {
    /// Of the deliveries that a query finds.
    fileprivate func states(_ query: String) async throws -> [String] {
        try await get("/deliveries?\(query)").decoded(API.Page<API.Delivery>.self).items.map(\.state)
    }

    /// What a dry run counts.
    fileprivate func matched(_ body: String) async throws -> Int {
        try await post("/replays", body).decoded(API.Matched.self).matched
    }
}
