// The stream of what happens to deliveries.

import Foundation
import HTTPTypes
import NIOCore
import RelayCore
import Testing

@testable import AdminServer

@Suite("Admin API: the stream of deliveries", .timeLimit(.minutes(1)))
struct AdminStreamTests {
    private static let request = "GET /api/v1/deliveries/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
    private static let beginning = "from now on"

    private static func settlement(_ number: Int, backend: BackendName = "orders") -> FeedEvent {
        FeedEvent(
            .settled, backend: backend,
            API.FeedSettlement(
                id: "000000ab-\(number)", backend: backend.text, state: "dead", deadReason: "rejected_http_400",
                due: nil,
                at: "2026-11-23T09:30:00.000Z"))
    }

    /// Eight of them are more than two sockets hold.
    private static let large = FeedEvent(
        .settled, backend: "orders",
        API.FeedSettlement(
            id: String(repeating: "x", count: 512 << 10), backend: "orders", state: "dead", deadReason: nil, due: nil,
            at: ""))

    @Test("what happens is sent as an event, ids and outcome only")
    func event() async throws {
        try await AdminStage.with { stage in
            try await RawConnection.with(port: stage.port) { connection in
                try await connection.send(Self.request)
                let head = await connection.text(until: Self.beginning)
                #expect(head.contains("text/event-stream"))
                stage.feed.publish(Self.settlement(1))
                let text = await connection.text(until: "\n\n")
                #expect(
                    text.contains(
                        """
                        event: settled
                        data: {"at":"2026-11-23T09:30:00.000Z","backend":"orders","dead_reason":"rejected_http_400",\
                        "id":"000000ab-1","state":"dead"}


                        """))
            }
        }
    }

    @Test("only the backends asked for are sent")
    func backends() async throws {
        try await AdminStage.with { stage in
            try await RawConnection.with(port: stage.port) { connection in
                try await connection.send(Self.request.replacing("stream", with: "stream?backend=audit"))
                _ = await connection.text(until: Self.beginning)
                stage.feed.publish(Self.settlement(1))
                stage.feed.publish(Self.settlement(2, backend: "audit"))
                let text = await connection.text(until: "audit")
                #expect(text.contains("ab-2") && !text.contains("ab-1"))
            }
        }
    }

    @Test("a stream in which nothing happens is kept open by comments")
    func heartbeat() async throws {
        try await AdminStage.with(heartbeat: .milliseconds(20)) { stage in
            try await RawConnection.with(port: stage.port) { connection in
                try await connection.send(Self.request)
                _ = await connection.text(until: Self.beginning)
                #expect(await connection.text(until: "\n:\n\n").contains(":\n\n"))
            }
        }
    }

    @Test("what a reader has no room for is counted, and nothing grows")
    func lost() throws {
        let feed = DeliveryFeed(maxWaiting: 10)
        let subscription = try #require(feed.subscribe(to: []))
        for number in 1...15 { feed.publish(Self.settlement(number)) }
        let text = String(buffer: try subscription.takeAll())
        #expect(text.ranges(of: "event: settled").count == 10)
        #expect(text.hasSuffix("event: lost\ndata: {\"count\":5}\n\n"))
        let nothing = String(buffer: try subscription.takeAll())
        #expect(nothing == ":\n\n")
        feed.publish(Self.settlement(1))
        let more = String(buffer: try subscription.takeAll())
        #expect(more.contains("000000ab-1"))
    }

    @Test("a reader that stops reading is told how much it missed when it reads again")
    func slowReader() async throws {
        try await AdminStage.with(feed: DeliveryFeed(maxWaiting: 8)) { stage in
            try await RawConnection.with(port: stage.port) { connection in
                try await connection.send(Self.request)
                _ = await connection.text(until: Self.beginning)
                try await connection.reads(false)
                // More than the sockets and the server hold for it.
                for _ in 1...6 {
                    for _ in 1...8 { stage.feed.publish(Self.large) }
                    try await stage.letServerWrite()
                }
                try await connection.reads(true)
                let text = Data(await connection.text(until: "event: lost").utf8)
                #expect(text.range(of: Data("event: lost".utf8)) != nil)
            }
        }
    }

    @Test("a reader that reads nothing at all is cut off in the end")
    func deadReader() async throws {
        var limits = ConnectionLimits()
        limits.writeTimeout = .milliseconds(200)
        try await AdminStage.with(limits: limits, feed: DeliveryFeed(maxWaiting: 8)) { stage in
            try await RawConnection.with(port: stage.port) { connection in
                try await connection.send(Self.request)
                _ = await connection.text(until: Self.beginning)
                try await connection.reads(false)
                while stage.feed.isWatched {
                    for _ in 1...8 { stage.feed.publish(Self.large) }
                    try await stage.letServerWrite()
                }
            }
        }
    }

    @Test("so many streams are open at a time, and one that is left makes room")
    func streams() async throws {
        try await AdminStage.with { stage in
            let others = try (1..<DeliveryFeed.maxSubscriptions).map { _ in try #require(stage.feed.subscribe(to: [])) }
            try await RawConnection.with(port: stage.port) { connection in
                try await connection.send(Self.request)
                _ = await connection.text(until: Self.beginning)
                let reply = try await stage.get("/deliveries/stream")
                #expect(reply.status == 503)
                #expect(try reply.problem.code == "too_many_streams")
            }
            for other in others { stage.feed.unsubscribe(other) }
            // The one whose connection is gone goes, too.
            while stage.feed.isWatched { try await stage.letServerWrite() }
        }
    }

    @Test(
        "a stream takes no body: it would have to be read for as long as the stream lives",
        arguments: [
            "Transfer-Encoding: chunked\r\n\r\n" + String(repeating: "1\r\nx\r\n", count: 5) + "0\r\n\r\n",
            "Content-Length: 5\r\n\r\nxxxxx",
        ])
    func body(rest: String) async throws {
        try await AdminStage.with { stage in
            let reply = try await stage.exchange(
                "GET /api/v1/deliveries/stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + rest)
            #expect(reply.hasPrefix("HTTP/1.1 422 "), "\(reply)")
            #expect(reply.contains("the body must be empty"))
            #expect(!stage.feed.isWatched)
            // None at all, in as many words, is none.
            try await RawConnection.with(port: stage.port) { connection in
                try await connection.send(Self.request.replacing("\r\n\r\n", with: "\r\nContent-Length: 0\r\n\r\n"))
                #expect(await connection.text(until: Self.beginning).contains("200 OK"))
            }
        }
    }

    @Test("a stream whose response is never written leaves no subscription behind")
    func neverWritten() async throws {
        let feed = DeliveryFeed()
        let handlers = AdminHandlers(archive: TestArchive(), control: TestGateway(), feed: feed)
        var request = AdminRequest(path: [], query: try Query(""), body: Data(), now: AdminStage.now)
        var reply: AdminReply? = try await handlers.streamDeliveries(&request)
        #expect(reply?.status == .ok && feed.isWatched)
        reply = nil
        #expect(!feed.isWatched)
    }

    @Test("as many backends can be named as the document says")
    func manyBackends() async throws {
        try await AdminStage.with { stage in
            let reply = try await stage.get(
                "/deliveries/stream?" + (0...100).map { "backend=b\($0)" }.joined(separator: "&"))
            #expect(reply.status == 422)
            #expect(try reply.problem.detail == "backend is given 101 times; at most 100")
        }
    }

    @Test("a stream ends when the feed does")
    func close() async throws {
        try await AdminStage.with { stage in
            try await RawConnection.with(port: stage.port) { connection in
                try await connection.send(Self.request)
                _ = await connection.text(until: Self.beginning)
                stage.feed.close()
                #expect(await connection.text(until: "0\r\n\r\n").contains("0\r\n\r\n"))
            }
        }
    }
}

extension AdminStage {
    /// Asks something else, and has the answer: the server has had its turn meanwhile.
    fileprivate func letServerWrite() async throws { _ = try await get("/status") }
}
