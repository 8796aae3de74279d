// An admin server on a free port, with an archive and a gateway that tests can look into.

import Curl
import Foundation
import Logging
import NIOCore
import NIOPosix
import RelayCore
import Synchronization
import Testing

@testable import AdminServer

/// What a test of the admin API plays on.
struct AdminStage: Sendable {
    let port: Int
    let archive: TestArchive
    let gateway: TestGateway
    let feed: DeliveryFeed
    let log: TestLog
    let client: CurlClient

    static let now = Timestamp(rfc3339: "2026-11-23T09:30:00Z") ?? Timestamp(nanosecondsSinceEpoch: 0)

    /// Serves while the body runs.
    static func with(
        token: String? = nil, tokenReader: (@Sendable () throws(SecretError) -> Secret)? = nil,
        host: String = "127.0.0.1",
        limits: ConnectionLimits = .init(), heartbeat: Duration = .seconds(15), feed: DeliveryFeed = .init(),
        body: (AdminStage) async throws -> Void
    ) async throws {
        let (ports, listening) = AsyncStream<Int>.makeStream()
        let log = TestLog()
        let (archive, gateway) = (TestArchive(), TestGateway())
        let reader = tokenReader ?? token.map(Self.reader)
        let server = AdminServer(
            .init(.init(host: host, port: 0), token: reader), archive: archive, control: gateway, feed: feed,
            limits: limits, heartbeat: heartbeat, now: { now }, onListening: { listening.yield($0) }, logger: log.logger
        )
        let client = CurlClient()
        defer { client.shutdown() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            for await port in ports {
                try await body(
                    AdminStage(port: port, archive: archive, gateway: gateway, feed: feed, log: log, client: client))
                break
            }
            group.cancelAll()
        }
    }

    private static func reader(_ token: String) -> @Sendable () throws(SecretError) -> Secret { { Secret(token) } }

    struct Reply {
        var status: Int
        var body: Data
        var type: String?
        var response: CurlResponse

        var problem: API.Problem { get throws { try AdminJSON.decode(from: body) } }
        func decoded<Value: Decodable>(_: Value.Type = Value.self) throws -> Value { try AdminJSON.decode(from: body) }
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    func send(
        _ method: CurlRequest.Method, _ path: String, json: String? = nil, headers: [(name: String, value: String)] = []
    ) async throws -> Reply {
        var headers = headers
        if json != nil, !headers.contains(where: { $0.name == "Content-Type" }) {
            headers.append(("Content-Type", "application/json"))
        }
        let response = try await client.perform(
            CurlRequest(
                url: "http://127.0.0.1:\(port)\(path)", method: method, headers: headers,
                body: Array((json ?? "").utf8), timeout: .seconds(20), proxy: .none))
        return Reply(
            status: response.status, body: Data(response.body), type: response.header("Content-Type"),
            response: response)
    }

    func get(_ path: String, headers: [(name: String, value: String)] = []) async throws -> Reply {
        try await send(.get, "/api/v1" + path, headers: headers)
    }

    func post(_ path: String, _ json: String? = nil) async throws -> Reply {
        try await send(.post, "/api/v1" + path, json: json)
    }

    func delete(_ path: String) async throws -> Reply { try await send(.delete, "/api/v1" + path) }

    /// Sends bytes as they are, and reads until the other side ends the connection.
    func exchange(_ text: String) async throws -> String {
        try await RawConnection.with(port: port) { connection in
            try await connection.send(text)
            return await connection.rest()
        }
    }
}

/// A TCP connection that a test writes bytes to.
struct RawConnection: Sendable {
    private let channel: any Channel
    private let received: AsyncStream<Data>
    private let sink: Sink

    /// Bytes that came until now.
    var receivedBytes: Int { sink.count.load(ordering: .relaxed) }

    static func with<Result>(port: Int, body: (RawConnection) async throws -> Result) async throws -> Result {
        let (received, continuation) = AsyncStream<Data>.makeStream()
        let sink = Sink(continuation)
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.socketOption(.so_rcvbuf), value: 32 << 10)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(sink)
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        defer { channel.close(promise: nil) }
        return try await body(RawConnection(channel: channel, received: received, sink: sink))
    }

    func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)) }

    /// Reads nothing more, or (true) goes on reading.
    func reads(_ reads: Bool) async throws { try await channel.setOption(.autoRead, value: reads).get() }

    /// All that comes until the end.
    func rest() async -> String {
        var text = Data()
        for await piece in received { text += piece }
        return String(decoding: text, as: UTF8.self)
    }

    /// What came when this text did; what came until the end when it did not.
    func text(until wanted: String) async -> String {
        var text = Data()
        for await piece in received {
            let start = max(0, text.count - wanted.utf8.count)
            text += piece
            if text[start...].range(of: Data(wanted.utf8)) != nil { break }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private final class Sink: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer

        private let sink: AsyncStream<Data>.Continuation
        let count = Atomic(0)

        init(_ sink: AsyncStream<Data>.Continuation) { self.sink = sink }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = Data(unwrapInboundIn(data).readableBytesView)
            count.add(bytes.count, ordering: .relaxed)
            sink.yield(bytes)
        }
        func channelInactive(context: ChannelHandlerContext) { sink.finish() }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { sink.finish() }
    }
}

/// Keeps log lines.
final class TestLog: Sendable {
    struct Line: Sendable, Equatable {
        var level: Logger.Level
        var message: String
        var metadata: [String: String]
    }

    private let kept = Mutex<[Line]>([])

    var lines: [Line] { kept.withLock { $0 } }
    /// Those of changes, without where they came from.
    var changes: [[String: String]] {
        lines.filter { $0.message == "admin change" }.map { $0.metadata.filter { $0.key != "admin.remote" } }
    }

    var logger: Logger { Logger(label: "test") { _ in Handler(log: self) } }

    fileprivate func keep(_ line: Line) { kept.withLock { $0.append(line) } }

    private struct Handler: LogHandler {
        let log: TestLog
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .info

        init(log: TestLog) { self.log = log }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            log.keep(
                Line(
                    level: event.level, message: "\(event.message)",
                    metadata: (event.metadata ?? [:]).mapValues { "\($0)" }))
        }
    }
}
