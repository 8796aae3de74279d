// A Slack to develop and test against: the API call, the WebSockets and the control endpoint on one port.

import Foundation
package import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOWebSocket
import ServiceLifecycle
import Synchronization

/// Listens from `start` until `stop`. Everything happens on one event loop of its own; the methods may be called from
/// anywhere.
///
/// The methods that wait return as soon as what they wait for has happened, and throw `CancellationError` when their
/// task is canceled or the simulator stops. None of them polls.
package final class SlackSimulator: Sendable {
    package let host: String
    /// The port listened on, also when the configuration said 0.
    package let port: Int
    /// Scheme, host and port.
    private let address: String
    private let group: MultiThreadedEventLoopGroup
    private let eventLoop: any EventLoop
    private let loop: NIOLoopBound<SimulatorLoop>
    private let children: NIOLoopBound<ChildChannels>
    private let server: any Channel
    private let isStopped = Mutex(false)

    private init(
        host: String, port: Int, address: String, group: MultiThreadedEventLoopGroup, loop: NIOLoopBound<SimulatorLoop>,
        children: NIOLoopBound<ChildChannels>, server: any Channel
    ) {
        self.host = host
        self.port = port
        self.address = address
        self.group = group
        self.eventLoop = loop.eventLoop
        self.loop = loop
        self.children = children
        self.server = server
    }

    /// Binds the port. Throws `SlackSimulatorError` when the address is taken or a certificate file is no good.
    package static func start(
        _ configuration: SlackSimulatorConfiguration = .init(), logger: Logger = Logger(label: "relay.simulator")
    ) async throws -> SlackSimulator {
        let tls = try configuration.tls.map(makeTLSContext)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let eventLoop = group.next()
        do {
            let (loop, children) = try await eventLoop.submit {
                (
                    NIOLoopBound(
                        SimulatorLoop(configuration, eventLoop: eventLoop, logger: logger), eventLoop: eventLoop),
                    NIOLoopBound(ChildChannels(), eventLoop: eventLoop)
                )
            }.get()
            let server = try await bind(configuration, group, loop, children, tls)
            let port = server.localAddress?.port ?? configuration.port
            // RFC 3986 §3.2.2: the address of an IPv6 host stands in brackets.
            let host = configuration.host.contains(":") ? "[\(configuration.host)]" : configuration.host
            let address = "\(tls == nil ? "http" : "https")://\(host):\(port)"
            try await eventLoop.submit { loop.value.listens(at: address) }.get()
            return SlackSimulator(
                host: configuration.host, port: port, address: address, group: group, loop: loop, children: children,
                server: server)
        } catch {
            try? await group.shutdownGracefully()
            let reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
            throw SlackSimulatorError(.bind, "cannot listen on \(configuration.host):\(configuration.port): \(reason)")
        }
    }

    /// For `slack.api_url`.
    package var apiURL: String { "\(address)/api" }
    /// What the paths of the help text stand under.
    package var controlURL: String { "\(address)/control" }

    /// Closes the port and cuts all connections. A second call does nothing; afterwards the other methods throw.
    package func stop() async {
        let isFirst = isStopped.withLock { isStopped in
            defer { isStopped = true }
            return !isStopped
        }
        guard isFirst else { return }
        try? await server.close()
        try? await eventLoop.submit { [loop, children] in
            loop.value.stop()
            children.value.closeAll()
        }.get()
        try? await group.shutdownGracefully()
    }
}

// MARK: Sending

extension SlackSimulator {
    /// Sends each happening once. Those that are not acknowledged in time are sent again, if they are events.
    /// - Returns: the `envelope_id` of each first copy.
    package func send(_ payloads: [SimulatedPayload]) async throws -> [String] {
        try await onLoop { $0.send(payloads) }
    }

    /// Sends ready-made happenings, each with ids of its own.
    package func send(_ sample: SimulatedSample, count: Int = 1, _ values: SampleValues = .init()) async throws
        -> [String]
    {
        try await onLoop { $0.send(sample, count: count, values) }
    }

    /// Sends a whole frame as it is. nil when it has no `envelope_id`.
    @discardableResult
    package func send(frame: String) async throws -> String? {
        try await onLoop { $0.send(frame: Array(frame.utf8)) }
    }
}

// MARK: Disturbing

extension SlackSimulator {
    /// The next upgrades fail like this, after those that were told to fail before; 0 takes all such orders back.
    package func failUpgrades(_ count: Int, with fault: UpgradeFault) async throws {
        try await onLoop { $0.failUpgrades(count, with: fault) }
    }

    /// The next calls of apps.connections.open fail like this, after those that were told to before; 0 takes all orders
    /// back.
    package func failAPICalls(_ count: Int, with fault: APIFault) async throws {
        try await onLoop { $0.failAPICalls(count, with: fault) }
    }

    /// The next posts to a `response_url` fail like this, after those that were told to before; 0 takes all orders back.
    package func failPosts(_ count: Int, with fault: PostFault) async throws {
        try await onLoop { $0.failPosts(count, with: fault) }
    }

    /// Does this to connections that are open now.
    package func disturb(_ selection: ConnectionSelection, _ fault: ConnectionFault) async throws {
        try await onLoop { $0.disturb(selection, fault) }
    }

    /// Changes the configuration while running. Lifetimes and pings count for connections opened later; the listener's
    /// part (host, port, TLS) cannot change.
    package func update(_ change: @escaping @Sendable (inout SlackSimulatorConfiguration) -> Void) async throws {
        try await onLoop { $0.update(change) }
    }
}

// MARK: Looking

extension SlackSimulator {
    package func statistics() async throws -> SimulatorStatistics { try await onLoop { $0.state.statistics } }

    /// The connections that are open now, oldest first.
    package func connections() async throws -> [ConnectionRecord] {
        try await onLoop { $0.state.connections.values.map(\.record).sorted { $0.id < $1.id } }
    }

    /// All that happened to connections, oldest first.
    package func history() async throws -> [ConnectionEvent] { try await onLoop { $0.state.history } }

    /// nil when no such envelope was sent, or it was forgotten. Takes the id of any copy.
    package func record(of id: String) async throws -> EnvelopeRecord? { try await onLoop { $0.state.record(id) } }

    /// The newest first.
    package func records(limit: Int = .max, state: EnvelopeRecord.State? = nil) async throws -> [EnvelopeRecord] {
        try await onLoop { $0.state.records(limit: limit, state: state) }
    }
}

// MARK: Observing

extension SlackSimulator {
    /// What becomes of envelopes from now on, each in its order; whoever asks for it reads it, for nothing is dropped.
    /// Ends when the simulator stops.
    package func envelopeNews() async throws -> AsyncStream<EnvelopeNews> { try await onLoop { $0.makeNews() } }
}

// MARK: Waiting

extension SlackSimulator {
    /// Returns when at least this many connections have got their `hello` and can be reached.
    package func waitForConnections(atLeast count: Int) async throws {
        try await wait { $0.connected >= count }
    }

    /// Returns when the envelope is acknowledged, or lost: see the record's `state`. Takes the id of any copy.
    package func waitForAcknowledgement(of id: String) async throws -> EnvelopeRecord {
        try await wait { ($0.record(id)?.state ?? .lost) != .waiting }
        return try await knownRecord(of: id)
    }

    /// Returns when so much was posted to the envelope's `response_url`: see the record's `posts`. Takes the id of any
    /// copy.
    package func waitForPost(to envelopeID: String, atLeast count: Int = 1) async throws -> EnvelopeRecord {
        try await wait { ($0.record(envelopeID)?.posts.count ?? .max) >= count }
        return try await knownRecord(of: envelopeID)
    }

    private func knownRecord(of id: String) async throws -> EnvelopeRecord {
        guard let record = try await record(of: id) else {
            throw SlackSimulatorError(.unknownEnvelope, "no envelope \(id) was sent, or it was forgotten")
        }
        return record
    }

    /// Returns when no envelope waits for an acknowledgement any more.
    package func waitUntilSettled() async throws { try await wait { $0.statistics.waiting == 0 } }

    /// Returns when the counts since the start are as wanted.
    package func wait(until condition: @escaping @Sendable (SimulatorStatistics) -> Bool) async throws {
        try await wait { condition($0.statistics) }
    }

    /// Returns when this has happened at least so many times since the start.
    package func wait(for what: ConnectionEvent.What, times: Int = 1) async throws {
        try await wait { $0.history.count { $0.what == what } >= times }
    }

    private func wait(until condition: @escaping @Sendable (SlackStateMachine) -> Bool) async throws {
        let promise = eventLoop.makePromise(of: Void.self)
        let number = try await onLoop { $0.wait(until: condition, promise: promise) }
        try await withTaskCancellationHandler {
            try await promise.futureResult.get()
        } onCancel: { [loop] in
            // A stopped simulator has failed all waiters itself.
            guard !isStopped.withLock({ $0 }) else { return }
            eventLoop.execute { loop.value.cancelWaiter(number) }
        }
    }

    private func onLoop<Value: Sendable>(
        _ body: @escaping @Sendable (SimulatorLoop) throws -> Value
    ) async throws -> Value {
        guard !isStopped.withLock({ $0 }) else { throw CancellationError() }
        return try await eventLoop.submit { [loop] in try body(loop.value) }.get()
    }
}

// MARK: Service

extension SlackSimulator: Service {
    /// Runs until the group shuts down or the task is canceled, then stops.
    package func run() async throws {
        try? await gracefulShutdown()
        await stop()
    }
}

// MARK: Channels

/// The open TCP connections of the server, so that `stop` can cut them.
private final class ChildChannels {
    private var channels: [ObjectIdentifier: any Channel] = [:]

    func add(_ channel: any Channel) {
        let id = ObjectIdentifier(channel)
        channels[id] = channel
        let children = NIOLoopBound(self, eventLoop: channel.eventLoop)
        channel.closeFuture.whenComplete { _ in children.value.channels[id] = nil }
    }

    func closeAll() {
        for channel in channels.values { channel.close(promise: nil) }
    }
}

extension SlackSimulator {
    private static func makeTLSContext(_ tls: SlackSimulatorConfiguration.TLS) throws -> NIOSSLContext {
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(tls.certificateFile)
            let key = try NIOSSLPrivateKey(file: tls.keyFile, format: .pem)
            let configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw SlackSimulatorError(
                .tls, "cannot use certificate \(tls.certificateFile) with key \(tls.keyFile): \(error)")
        }
    }

    private static func bind(
        _ configuration: SlackSimulatorConfiguration, _ group: MultiThreadedEventLoopGroup,
        _ loop: NIOLoopBound<SimulatorLoop>, _ children: NIOLoopBound<ChildChannels>, _ tls: NIOSSLContext?
    ) async throws -> any Channel {
        try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    children.value.add(channel)
                    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                    try configure(channel, loop.value, scheme: tls == nil ? "ws" : "wss")
                }
            }
            .bind(host: configuration.host, port: configuration.port).get()
    }

    /// HTTP, until a request to `/link/` with a good ticket makes it a WebSocket.
    private static func configure(_ channel: any Channel, _ loop: SimulatorLoop, scheme: String) throws {
        let decision = UpgradeDecision()
        let address = channel.localAddress.map { "\($0.ipAddress ?? "localhost"):\($0.port ?? 0)" } ?? "localhost"
        let http = HTTPHandler(loop, upgrade: decision, address: "\(scheme)://\(address)")
        let bound = NIOLoopBound((loop: loop, decision: decision, http: http), eventLoop: channel.eventLoop)
        let upgrader = NIOWebSocketServerUpgrader(
            maxFrameSize: SlackSimulatorConfiguration.clientFrameLimit, automaticErrorHandling: false,
            shouldUpgrade: { channel, head in
                let (loop, decision, _) = bound.value
                let target = RequestTarget(head.uri)
                guard target.path == ["link"] else { return channel.eventLoop.makeSucceededFuture(nil) }
                let answer = loop.upgradeRequested(
                    ticket: target.query["ticket"], isShortLived: target.query["debug_reconnects"] == "true")
                decision.answer = answer
                if case .accept = answer { return channel.eventLoop.makeSucceededFuture([:]) }
                return channel.eventLoop.makeSucceededFuture(nil)
            },
            upgradePipelineHandler: { channel, _ in
                channel.eventLoop.makeCompletedFuture {
                    let (loop, decision, _) = bound.value
                    guard case .accept(let admission) = decision.answer else { return }
                    try channel.pipeline.syncOperations.addHandler(WebSocketHandler(loop, admission))
                }
            })
        try channel.pipeline.syncOperations.configureHTTPServerPipeline(
            withServerUpgrade: (
                upgraders: [upgrader],
                completionHandler: { context in
                    context.pipeline.syncOperations.removeHandler(bound.value.http, promise: nil)
                }
            ))
        try channel.pipeline.syncOperations.addHandler(http)
    }
}
