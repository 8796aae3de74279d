// The demo's backend: an HTTP app as one writes it for Slack, signature check included.

import Foundation
import HTTPTypes
import Hummingbird
import Logging
import Relay
import RelayCore
import Signing
import Synchronization

/// What the demo's backend got.
struct DemoRequest: Sendable {
    var path: String
    var headers: [(name: String, value: String)]
    var body: String
    var isSigned: Bool

    /// The slash command in a form; nil in all other requests.
    var command: String? {
        URLComponents(string: "?\(body)")?.queryItems?.first { $0.name == "command" }?.value
    }
}

/// An attempt, as the gateway saw it.
struct DemoAttempt: Sendable {
    var id: DeliveryID
    var result: AttemptResult
    var duration: Duration
}

/// What has happened in the demo and was not yet told, each kind in its order.
final class DemoScene: DeliveryObserver {
    let requests = Channel<DemoRequest>()
    let attempts = Channel<DemoAttempt>()
    let settlements = Channel<Settlement>()
    private let ports = Channel<Int>()

    /// Takes the next one, waiting for it; nil when the demo is ending.
    func next<Element>(_ channel: KeyPath<DemoScene, Channel<Element>>) async -> Element? {
        await self[keyPath: channel].next()
    }

    func backendPort() async -> Int { await ports.next() ?? 0 }
    func backendListens(on port: Int) { ports.send(port) }

    func attemptFinished(_ delivery: Delivery, _ result: AttemptResult, number: Int, duration: Duration) {
        attempts.send(DemoAttempt(id: delivery.id, result: result, duration: duration))
    }

    func settled(_ settlements: [Settlement], of backend: BackendName) {
        for settlement in settlements { self.settlements.send(settlement) }
    }

    // Answers are told by what the simulated Slack got.
    func answered(_ report: AnswerReport) {}
    func posted(_ id: LateAnswer.ID, isDone: Bool, isAccepted: Bool, detail: String) {}

    /// Elements handed from callbacks to one reader.
    struct Channel<Element: Sendable>: Sendable {
        private let stream: AsyncStream<Element>
        private let continuation: AsyncStream<Element>.Continuation

        init() { (stream, continuation) = AsyncStream.makeStream() }

        func send(_ element: Element) { continuation.yield(element) }

        func next() async -> Element? {
            var iterator = stream.makeAsyncIterator()
            return await iterator.next()
        }
    }
}

/// Serves `POST /slack/events` until canceled.
struct DemoBackend: Sendable {
    let signingSecret: Secret
    let scene: DemoScene
    private let failures = Failures()

    init(signingSecret: Secret, scene: DemoScene) {
        self.signingSecret = signingSecret
        self.scene = scene
    }

    /// The next request is answered with 503.
    func failNext() { failures.count.withLock { $0 += 1 } }

    func run() async throws {
        let router = Router()
        router.post("slack/events") { request, _ in
            let body = try await request.body.collect(upTo: 1 << 20)
            let described = describe(request, Array(body.readableBytesView))
            scene.requests.send(described)
            let fails = failures.count.withLock { count in
                defer { count = max(0, count - 1) }
                return count > 0
            }
            if fails { return Response(status: .serviceUnavailable) }
            return try await answer(described)
        }
        var logger = Logger(label: "demo")
        logger.logLevel = .critical
        let application = Application(
            router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0), serverName: nil),
            onServerRunning: { scene.backendListens(on: $0.localAddress?.port ?? 0) }, logger: logger)
        try await application.run()
    }

    /// A command is answered with a text, `/report` not before it is too late for an acknowledgement.
    private func answer(_ request: DemoRequest) async throws -> Response {
        guard let command = request.command else { return Response(status: .ok) }
        if command == "/report" { try await Task.sleep(for: .milliseconds(3_200)) }
        let text = command == "/report" ? "All 12 services are well." : "Deploying. Watch #deploys."
        return Response(
            status: .ok, headers: [.contentType: "text/plain"], body: .init(byteBuffer: .init(string: text)))
    }

    private func describe(_ request: Request, _ body: [UInt8]) -> DemoRequest {
        func value(_ name: String) -> String {
            HTTPField.Name(name).flatMap { request.headers[$0] } ?? ""
        }
        let isSigned = SlackSignature.verify(
            value("X-Slack-Signature"), secret: signingSecret.bytes,
            timestamp: Int64(value("X-Slack-Request-Timestamp")) ?? 0, body: body)
        return DemoRequest(
            path: request.uri.path, headers: request.headers.map { ($0.name.rawName, $0.value) },
            body: String(decoding: body, as: UTF8.self), isSigned: isSigned)
    }

    private final class Failures: Sendable {
        let count = Mutex(0)
    }
}
