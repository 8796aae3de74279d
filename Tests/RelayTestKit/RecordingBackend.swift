// A backend for tests: an HTTP server on loopback or a Unix socket that answers as told and keeps what it got.

internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL
internal import Synchronization

/// Records each request, whole, in the order received, before it answers. Stop it with `shutDown()`.
package final class RecordingBackend: Sendable {
    /// A request as it was on the wire.
    package struct Request: Sendable, Equatable {
        package var method: String
        /// The request target: path and query, or what a proxy gets.
        package var target: String
        /// In order, names as written.
        package var headers: [Header]
        package var body: [UInt8]
        /// Which connection it came on, from 1: two requests with the same number shared it.
        package var connection: Int

        package struct Header: Sendable, Hashable {
            package var name: String
            package var value: String

            package init(_ name: String, _ value: String) {
                self.name = name
                self.value = value
            }
        }

        package var text: String { String(decoding: body, as: UTF8.self) }

        /// The value of the first header of this name, in whatever case.
        package func header(_ name: String) -> String? {
            headers.first { $0.name.lowercased() == name.lowercased() }?.value
        }
    }

    package enum Answer: Sendable {
        /// With its Content-Length; the connection stays open.
        case respond(status: Int = 200, headers: [(name: String, value: String)] = [], body: [UInt8] = [])
        /// These bytes as they are, then the end of the connection.
        case bytes([UInt8])
        /// These bytes as they are, then these again and again, as fast as the peer reads them, until it ends the
        /// connection; with a pause between them where there is one.
        case endless(_ beginning: String, again: String, pause: Duration = .zero)
        /// No answer at all; the connection stays open until the peer or `shutDown()` ends it.
        case silence
        /// The end of the connection, without an answer.
        case close
        /// The same, with a TCP reset.
        case reset

        package static let ok = Answer.respond()
        package static func raw(_ text: String) -> Answer { .bytes(Array(text.utf8)) }
        package static func status(_ status: Int, _ headers: (name: String, value: String)...) -> Answer {
            .respond(status: status, headers: headers)
        }
    }

    /// Decides the answer to a request; the next request of the same connection waits for it.
    package typealias Script = @Sendable (Request) async -> Answer

    /// Decides on the head alone; nil to read the body and ask the script. Such a request is recorded without its body.
    package typealias HeadScript = @Sendable (Request) -> Answer?

    fileprivate struct State {
        var requests: [Request] = []
        var connections = 0
        var open: [ObjectIdentifier: any Channel] = [:]
        var lastWaiter = 0
        var waiters: [Int: (count: Int, continuation: CheckedContinuation<[Request], Never>)] = [:]
    }

    fileprivate let state: SharedState
    private let listener: any Channel
    private let isTLS: Bool

    /// Listens on an address of this machine (`port` 0: any free one), or on a Unix domain socket at `unixSocket`, with TLS where there
    /// is a certificate.
    /// - Parameter client: with TLS, whose authority must have issued the certificate that a client must then show.
    package init(
        host: String = "127.0.0.1", port: Int = 0, unixSocket: String? = nil, tls: TestCertificate? = nil,
        client: TestCertificate? = nil,
        answer script: @escaping Script = { _ in .ok }, answerHead headScript: @escaping HeadScript = { _ in nil }
    ) async throws {
        let state = SharedState()
        let tlsContext = try tls.map { try $0.makeServerContext(client: client) }
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let number = state.opened(channel)
                    channel.closeFuture.whenComplete { _ in state.closed(channel) }
                    if let tlsContext {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tlsContext))
                    }
                    let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)
                    try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(decoder))
                    try channel.pipeline.syncOperations.addHandler(
                        RecordingHandler(connection: number, state: state, headScript: headScript, script: script))
                }
            }
        self.state = state
        self.isTLS = tls != nil
        self.listener =
            if let unixSocket {
                try await bootstrap.bind(unixDomainSocketPath: unixSocket).get()
            } else {
                try await bootstrap.bind(host: host, port: port).get()
            }
    }

    /// The port it listens on; 0 on a Unix domain socket.
    package var port: Int { listener.localAddress?.port ?? 0 }

    /// `http://127.0.0.1:PORT`, or https; without a path. With TLS the host is `localhost`, as in the certificate.
    package var url: String { isTLS ? "https://localhost:\(port)" : "http://127.0.0.1:\(port)" }

    /// What has been received until now.
    package var requests: [Request] { state.value.withLock { $0.requests } }

    /// Connections accepted until now.
    package var connectionCount: Int { state.value.withLock { $0.connections } }

    /// Waits until this many requests have been received since the start. Returns fewer when the task is canceled: its
    /// time is over.
    package func requests(atLeast count: Int) async -> [Request] {
        let number = state.value.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready = state.value.withLock { state -> [Request]? in
                    guard state.requests.count < count, !Task.isCancelled else { return state.requests }
                    state.waiters[number] = (count, continuation)
                    return nil
                }
                if let ready { continuation.resume(returning: ready) }
            }
        } onCancel: {
            let (waiter, requests) = state.value.withLock { ($0.waiters.removeValue(forKey: number), $0.requests) }
            waiter?.continuation.resume(returning: requests)
        }
    }

    /// Ends all open connections, as a server does whose keep-alive time is over; returns when they are closed.
    package func closeConnections() async {
        for channel in state.value.withLock({ Array($0.open.values) }) { try? await channel.close() }
    }

    /// Stops listening and ends all connections.
    package func shutDown() async {
        try? await listener.close()
        await closeConnections()
    }
}

/// The lock that handlers and the backend share.
private final class SharedState: Sendable {
    let value = Mutex(RecordingBackend.State())

    func opened(_ channel: any Channel) -> Int {
        value.withLock { state in
            state.connections += 1
            state.open[ObjectIdentifier(channel)] = channel
            return state.connections
        }
    }

    func closed(_ channel: any Channel) {
        value.withLock { $0.open[ObjectIdentifier(channel)] = nil }
    }

    func received(_ request: RecordingBackend.Request) {
        let (requests, ready) = value.withLock { state in
            state.requests.append(request)
            let count = state.requests.count
            // Both are copies only when somebody waited for them.
            let ready = state.waiters.filter { $0.value.count <= count }
            for number in ready.keys { state.waiters[number] = nil }
            return (ready.isEmpty ? [] : state.requests, ready.values)
        }
        for waiter in ready { waiter.continuation.resume(returning: requests) }
    }
}

/// Gathers a request, asks the script, writes the answer.
private final class RecordingHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = ByteBuffer

    private let connection: Int
    private let state: SharedState
    private let headScript: RecordingBackend.HeadScript
    private let script: RecordingBackend.Script
    /// The request under way; nil when it has been answered.
    private var request: RecordingBackend.Request?

    init(
        connection: Int, state: SharedState, headScript: @escaping RecordingBackend.HeadScript,
        script: @escaping RecordingBackend.Script
    ) {
        self.connection = connection
        self.state = state
        self.headScript = headScript
        self.script = script
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let channel = context.channel
        switch unwrapInboundIn(data) {
        case .head(let head):
            let request = RecordingBackend.Request(
                method: head.method.rawValue, target: head.uri, headers: head.headers.map { .init($0.name, $0.value) },
                body: [], connection: connection)
            if let answer = headScript(request) {
                state.received(request)
                channel.send(answer)
            } else {
                self.request = request
            }
        case .body(let bytes):
            request?.body += Array(buffer: bytes)
        case .end:
            guard let request else { return }
            self.request = nil
            state.received(request)
            let script = script
            channel.eventLoop.makeFutureWithTask { await script(request) }.whenSuccess { channel.send($0) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

extension Channel {
    /// Until the connection ends.
    private func sendAgain(_ bytes: ByteBuffer, pause: TimeAmount) {
        writeAndFlush(bytes).whenSuccess {
            self.eventLoop.scheduleTask(in: pause) { self.sendAgain(bytes, pause: pause) }
        }
    }

    fileprivate func send(_ answer: RecordingBackend.Answer) {
        switch answer {
        case .respond(let status, let headers, let body):
            let fields = headers.map { "\($0.name): \($0.value)\r\n" }.joined()
            let head = "HTTP/1.1 \(status) Status\r\n\(fields)Content-Length: \(body.count)\r\n\r\n"
            writeAndFlush(ByteBuffer(bytes: Array(head.utf8) + body), promise: nil)
        case .bytes(let bytes):
            writeAndFlush(ByteBuffer(bytes: bytes)).whenComplete { _ in self.close(promise: nil) }
        case .endless(let beginning, let again, let pause):
            writeAndFlush(ByteBuffer(string: beginning), promise: nil)
            sendAgain(ByteBuffer(string: again), pause: .nanoseconds(Int64(pause / .nanoseconds(1))))
        case .silence:
            break
        case .close:
            close(promise: nil)
        case .reset:
            // A socket that lingers for no time is closed with a reset (socket(7), SO_LINGER: an int for on, an int for
            // seconds). As bytes, because which module the C structure belongs to depends on what else has been
            // imported.
            guard let options = self as? any SocketOptionProvider else { return close(promise: nil) }
            options.getSoLinger().flatMap { value in
                var value = value
                withUnsafeMutableBytes(of: &value) { $0.copyBytes(from: [1, 0, 0, 0, 0, 0, 0, 0]) }
                return options.setSoLinger(value)
            }.whenComplete { _ in
                // Beneath TLS, which would say goodbye first.
                let tls = try? self.pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self)
                if let tls { tls.close(promise: nil) } else { self.close(promise: nil) }
            }
        }
    }
}
