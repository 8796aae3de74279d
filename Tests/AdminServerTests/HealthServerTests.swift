// What the health listener says, and how metrics are written.

import Curl
import Logging
import Metrics
import NIOCore
import NIOPosix
import RelayCore
import Testing

@testable import AdminServer

@Suite struct HealthServerTests {
    /// Serves on a free port while the body runs.
    func serving<Result: Sendable>(
        registry: MetricsRegistry = .init(), problems: [String] = [],
        _ body: (_ port: Int) async throws -> Result
    ) async throws -> Result {
        let (ports, listening) = AsyncStream<Int>.makeStream()
        let server = HealthServer(
            .init(host: "127.0.0.1", port: 0), registry: registry, readiness: { Readiness(problems: problems) },
            onListening: { listening.yield($0) }, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        return try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await server.run() }
            var iterator = ports.makeAsyncIterator()
            return try await body(try #require(await iterator.next()))
        }
    }

    /// Serves and asks once, over a socket.
    func response(
        to path: String, registry: MetricsRegistry = .init(), problems: [String] = []
    ) async throws -> (status: Int, body: String) {
        let client = CurlClient()
        defer { client.shutdown() }
        return try await serving(registry: registry, problems: problems) { port in
            let response = try await client.perform(
                CurlRequest(url: "http://127.0.0.1:\(port)\(path)", proxy: .none))
            return (response.status, String(decoding: response.body, as: UTF8.self))
        }
    }

    @Test("a peer is kept within the same bounds as at the admin API")
    func bounds() async throws {
        let reply = try await serving { port in
            try await RawConnection.with(port: port) { connection in
                let long = String(repeating: "x", count: 17 << 10)
                try await connection.send("GET /healthz HTTP/1.1\r\nX: \(long)\r\n\r\n")
                return await connection.rest()
            }
        }
        #expect(reply.hasPrefix("HTTP/1.1 431 "))
    }

    @Test("/healthz is ok whatever Slack, disk and backends do")
    func live() async throws {
        let (status, body) = try await response(to: "/healthz", problems: ["no connection to Slack"])
        #expect(status == 200 && body == "ok\n")
    }

    @Test("/readyz is ok when nothing is wrong")
    func ready() async throws {
        #expect(try await response(to: "/readyz").status == 200)
    }

    @Test("/readyz says what is wrong, a line each")
    func notReady() async throws {
        let (status, body) = try await response(
            to: "/readyz", problems: ["no connection to Slack", "queue: disk full"])
        #expect(status == 503 && body == "no connection to Slack\nqueue: disk full\n")
    }

    @Test("/metrics is the registry as text")
    func metrics() async throws {
        let registry = MetricsRegistry(help: ["relay_envelopes_total": "Envelopes read."])
        Counter(label: "relay_envelopes_total", dimensions: [("kind", "event")], factory: registry).increment(by: 3)
        let (status, body) = try await response(to: "/metrics", registry: registry)
        #expect(status == 200)
        #expect(
            body == """
                # HELP relay_envelopes_total Envelopes read.
                # TYPE relay_envelopes_total counter
                relay_envelopes_total{kind="event"} 3

                """)
    }
}

extension HealthServerTests {
    @Test("HEAD is answered as GET without the body; any other method is 405 with those that are served")
    func methods() async throws {
        for path in ["/healthz", "/readyz", "/metrics"] {
            let (head, post) = try await serving { port in
                (
                    try await reply(to: "HEAD \(path) HTTP/1.1", port: port),
                    try await reply(to: "POST \(path) HTTP/1.1", port: port)
                )
            }
            #expect(head.hasPrefix("HTTP/1.1 200 ") && head.hasSuffix("\r\n\r\n"), "\(head)")
            #expect(head.lowercased().contains("content-type: text/plain"))
            #expect(post.hasPrefix("HTTP/1.1 405 "), "\(post)")
            #expect(post.lowercased().contains("allow: get, head\r\n"))
        }
    }

    private func reply(to line: String, port: Int) async throws -> String {
        try await RawConnection.with(port: port) { connection in
            try await connection.send("\(line)\r\nHost: relay\r\nConnection: close\r\n\r\n")
            return await connection.rest()
        }
    }

    @Test("HEAD says how long the page is")
    func headLength() async throws {
        let head = try await serving { port in try await reply(to: "HEAD /readyz HTTP/1.1", port: port) }
        #expect(head.lowercased().contains("content-length: 6\r\n"), "\(head)")
    }

    @Test("what is not served is 404")
    func unknownPath() async throws {
        #expect(try await response(to: "/secrets").status == 404)
        let head = try await serving { port in try await reply(to: "HEAD /secrets HTTP/1.1", port: port) }
        #expect(head.hasPrefix("HTTP/1.1 404 ") && head.hasSuffix("\r\n\r\n"), "\(head)")
    }

    @Test("a port that is taken is an error that names the address")
    func portTaken() async throws {
        let listener = try await HealthServerTests.occupyPort()
        defer { listener.close(promise: nil) }
        let port = try #require(listener.localAddress?.port)
        let server = HealthServer(
            .init(host: "127.0.0.1", port: port), registry: .init(), readiness: { Readiness(problems: []) },
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let error = await #expect(throws: ListenError.self) { try await server.run() }
        #expect(error?.description.hasPrefix("cannot serve health on 127.0.0.1:\(port): ") == true)
    }

    private static func occupyPort() async throws -> any Channel {
        try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: "127.0.0.1", port: 0).get()
    }
}

@Suite struct MetricsRegistryTests {
    @Test("the same name and labels are the same series")
    func sameSeries() {
        let registry = MetricsRegistry()
        for _ in 0..<2 { Counter(label: "a_total", dimensions: [("x", "1")], factory: registry).increment() }
        #expect(registry.render().contains("a_total{x=\"1\"} 2\n"))
    }

    @Test("a histogram counts each bucket up, and has sum and count")
    func histogram() {
        let registry = MetricsRegistry()
        let recorder = Recorder(label: "d_seconds", dimensions: [], aggregate: true, factory: registry)
        for value in [0.0004, 0.003, 9_999] { recorder.record(value) }
        let text = registry.render()
        #expect(text.contains("# TYPE d_seconds histogram\n"))
        #expect(text.contains("d_seconds_bucket{le=\"0.0005\"} 1\n"))
        #expect(text.contains("d_seconds_bucket{le=\"0.005\"} 2\n"))
        #expect(text.contains("d_seconds_bucket{le=\"3600\"} 2\n"))
        #expect(text.contains("d_seconds_bucket{le=\"+Inf\"} 3\n"))
        #expect(text.contains("d_seconds_count 3\n"))
    }

    @Test("label values are escaped")
    func escaping() {
        let registry = MetricsRegistry()
        Counter(label: "a_total", dimensions: [("x", "a\"b\\c\nd")], factory: registry).increment()
        #expect(registry.render().contains(#"a_total{x="a\"b\\c\nd"} 1"#))
    }

    @Test("a gauge that is reset loses its series")
    func reset() {
        let registry = MetricsRegistry()
        Gauge(label: "g", dimensions: [("x", "1")], factory: registry).record(2.5)
        #expect(registry.render().contains("g{x=\"1\"} 2.5\n"))
        registry.reset("g")
        #expect(registry.render() == "")
    }

    @Test("gauges that are measured anew take the place of all that were there before")
    func replacedGauges() {
        let registry = MetricsRegistry()
        registry.replaceGauges("g", with: [([("x", "1")], 1), ([("x", "2")], 2)])
        registry.replaceGauges("g", with: [([("x", "2")], 3), ([("x", "3")], 4)])
        #expect(registry.render() == "# TYPE g gauge\ng{x=\"2\"} 3\ng{x=\"3\"} 4\n")
    }

    @Test("one name with two types keeps the first, so that the page stays readable")
    func oneType() {
        let registry = MetricsRegistry()
        Counter(label: "a_total", dimensions: [], factory: registry).increment()
        Gauge(label: "a_total", dimensions: [("x", "1")], factory: registry).record(1)
        #expect(registry.render() == "# TYPE a_total counter\na_total 1\n")
    }
}
