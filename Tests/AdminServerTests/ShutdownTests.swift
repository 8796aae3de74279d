// What is under way when the server ends.

import Foundation
import Logging
import RelayCore
import ServiceLifecycle
import Testing

@testable import AdminServer

@Suite("The end of the admin API", .timeLimit(.minutes(1)))
struct ShutdownTests {
    @Test("a request that is being answered is canceled")
    func canceled() async throws {
        let (arrivals, arrived) = AsyncStream<Void>.makeStream()
        let gateway = TestGateway()
        await gateway.set {
            arrived.yield()
            // Never comes, so this returns when its task is canceled.
            for await _ in AsyncStream<Void>.makeStream().stream {}
        }
        try await serve(gateway) { port, group in
            try await RawConnection.with(port: port) { connection in
                try await connection.send(head("/backends/orders/test", length: 0))
                for await _ in arrivals { break }
                await group.triggerGracefulShutdown()
                _ = await connection.rest()
            }
        }
    }

    @Test("a body that does not come whole is not waited for")
    func halfBody() async throws {
        try await serve(TestGateway()) { port, group in
            try await RawConnection.with(port: port) { connection in
                // Read together: the answer to the first says that the second has begun.
                try await connection.send(head("/drain", length: 0) + head("/replays", length: 10) + "{")
                _ = await connection.text(until: #""draining""#)
                await group.triggerGracefulShutdown()
                _ = await connection.rest()
            }
        }
    }

    @Test("a deletion goes no further")
    func deletion() async throws {
        let archive = TestArchive()
        await archive.fill([.dead, .dead])
        let handlers = AdminHandlers(archive: archive, control: TestGateway(), feed: DeliveryFeed())
        await #expect(throws: QueueError(.closed, "Relay ends")) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.cancelAll()
                group.addTask {
                    var request = AdminRequest(
                        path: [], query: try Query("count=2"), body: Data(), now: AdminStage.now)
                    _ = try await handlers.deleteDeliveries(&request)
                }
                try await group.waitForAll()
            }
        }
        #expect(await archive.count(DeliveryFilter(), limit: 9) == 2)
    }

    private func head(_ path: String, length: Int) -> String {
        "POST /api/v1\(path) HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(length)\r\n\r\n"
    }

    /// Serves, with much patience for peers, until the body has shut the group down.
    private func serve(
        _ gateway: TestGateway, _ body: @escaping @Sendable (_ port: Int, ServiceGroup) async throws -> Void
    ) async throws {
        var limits = ConnectionLimits()
        limits.bodyTimeout = .seconds(3_600)
        limits.shutdownTimeout = .zero
        let (ports, listening) = AsyncStream<Int>.makeStream()
        let logger = TestLog().logger
        let server = AdminServer(
            .init(.init(host: "127.0.0.1", port: 0), token: nil), archive: TestArchive(), control: gateway,
            feed: DeliveryFeed(), limits: limits, now: { AdminStage.now }, onListening: { listening.yield($0) },
            logger: logger)
        let group = ServiceGroup(services: [server], logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            for await port in ports {
                try await body(port, group)
                break
            }
            try await tasks.waitForAll()
        }
    }
}
