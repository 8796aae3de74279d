// From a URL to an open WebSocket, or to one failure.

import Foundation
import NIOCore
import NIOExtras
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOWebSocket
import SocketMode

/// Resolves, connects (over all addresses of a name, RFC 8305), goes through a proxy, speaks TLS and upgrades. Holds
/// nothing between dials: neither addresses (Slack's live for 10 s, F52) nor tickets nor a TLS context.
struct WebSocketDialer: Sendable {
    let group: any EventLoopGroup
    let caFile: String?
    /// As configured; nil: as the environment says.
    let proxy: String?
    let timeout: Duration
    let environment: [String: String]

    /// Dials once. When the task is canceled, the attempt is given up.
    /// - Parameter install: adds the handlers of an upgraded channel, on its event loop.
    func dial<Result: Sendable>(
        _ url: WebSocketURL, install: @escaping @Sendable (any Channel) throws -> Result
    ) async throws(ConnectFailure) -> Result {
        let proxy = try ProxyAddress.select(for: url, configured: proxy, environment: environment)
        let tls = try url.isSecure || proxy?.isSecure == true ? await makeTLSContext() : nil
        let attempt = DialAttempt<Result>(
            url: url, proxy: proxy, tls: tls, timeout: timeout, eventLoop: group.next(), install: install)
        do {
            return try await withTaskCancellationHandler {
                try await attempt.start().get()
            } onCancel: {
                attempt.cancel()
            }
        } catch let failure as ConnectFailure {
            throw failure
        } catch {
            throw ConnectFailure(.reset, "\(error)")
        }
    }

    /// On one of Swift's own threads: all authorities of the system are read. Without an isolation: with the caller's, it
    /// would go on there.
    private func makeTLSContext() async throws(ConnectFailure) -> NIOSSLContext {
        try await withTaskExecutorPreference(globalConcurrentExecutor, isolation: nil) {
            Result { () throws(ConnectFailure) in try readTLSContext() }
        }
        .get()
    }

    private func readTLSContext() throws(ConnectFailure) -> NIOSSLContext {
        // Full verification is the default of a client configuration; nothing here can switch it off.
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        do {
            if let caFile {
                configuration.additionalTrustRoots = [.certificates(try NIOSSLCertificate.fromPEMFile(caFile))]
            }
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw ConnectFailure(.tlsError, "CA file \(caFile ?? "of the system"): \(error)")
        }
    }
}

/// One dial on one event loop; settles once.
private final class DialAttempt<Outcome: Sendable>: Sendable {
    private let url: WebSocketURL
    private let proxy: ProxyAddress?
    private let tls: NIOSSLContext?
    private let timeout: Duration
    private let eventLoop: any EventLoop
    private let install: @Sendable (any Channel) throws -> Outcome
    private let promise: EventLoopPromise<Outcome>
    private let progress: NIOLoopBoundBox<Progress>

    private struct Progress {
        var isSettled = false
        var channel: (any Channel)?
        var deadline: Scheduled<Void>?
    }

    init(
        url: WebSocketURL, proxy: ProxyAddress?, tls: NIOSSLContext?, timeout: Duration, eventLoop: any EventLoop,
        install: @escaping @Sendable (any Channel) throws -> Outcome
    ) {
        self.url = url
        self.proxy = proxy
        self.tls = tls
        self.timeout = timeout
        self.eventLoop = eventLoop
        self.install = install
        promise = eventLoop.makePromise()
        progress = .makeBoxSendingValue(Progress(), eventLoop: eventLoop)
    }

    func start() -> EventLoopFuture<Outcome> {
        eventLoop.execute { self.connect() }
        return promise.futureResult
    }

    func cancel() {
        eventLoop.execute { self.fail(ConnectFailure(.canceled, "canceled")) }
    }

    // MARK: On the event loop

    private func connect() {
        guard !progress.value.isSettled else { return }
        progress.value.deadline = eventLoop.scheduleTask(in: TimeAmount(timeout)) {
            self.fail(ConnectFailure(.timeout, "no answer to the upgrade within \(self.timeout)"))
        }
        let (host, port) = proxy.map { ($0.host, $0.port) } ?? (url.host, url.port)
        ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(min(timeout, .seconds(10))))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connect(host: host, port: port)
            .whenComplete { result in
                switch result {
                case .success(let channel): self.connected(channel)
                case .failure(let error): self.fail(.connect(error, host: host, port: port, isProxy: self.proxy != nil))
                }
            }
    }

    /// Handlers are added only now, not to each channel that happy eyeballs tries: the ticket must be sent once.
    private func connected(_ channel: any Channel) {
        guard !progress.value.isSettled else { return channel.close(promise: nil) }
        progress.value.channel = channel
        channel.closeFuture.whenComplete { _ in
            self.fail(ConnectFailure(.reset, "the connection ended before the upgrade was answered"))
        }
        do {
            if let proxy { try openTunnel(channel, through: proxy) } else { try upgrade(channel) }
        } catch {
            fail(.handshake(error))
        }
    }

    private func openTunnel(_ channel: any Channel, through proxy: ProxyAddress) throws {
        let pipeline = channel.pipeline.syncOperations
        if proxy.isSecure { try addTLS(channel, host: proxy.host) }
        var headers: HTTPHeaders = ["Host": url.hostAndPort]
        if let authorization = proxy.authorization { headers.add(name: "Proxy-Authorization", value: authorization) }
        let answer = ProxyAnswerRecorder()
        let tunnel = eventLoop.makePromise(of: Void.self)
        let encoder = HTTPRequestEncoder()
        let decoder = ByteToMessageHandler(HTTPResponseDecoder(leftOverBytesStrategy: .forwardBytes))
        let handlers: [any RemovableChannelHandler] = [encoder, decoder, answer]
        try pipeline.addHandlers(handlers)
        try pipeline.addHandler(
            NIOHTTP1ProxyConnectHandler(
                targetHost: url.bracketedHost, targetPort: url.port, headers: headers,
                deadline: .now() + TimeAmount(timeout), promise: tunnel))
        let removable = NIOLoopBound((handlers, answer), eventLoop: eventLoop)
        tunnel.futureResult.flatMap {
            let pipeline = channel.pipeline.syncOperations
            return .andAllSucceed(removable.value.0.map { pipeline.removeHandler($0) }, on: channel.eventLoop)
        }.whenComplete { result in
            do {
                try result.get()
                try self.upgrade(channel)
            } catch {
                self.fail(.proxy(error, answer: removable.value.1.head))
            }
        }
    }

    private func upgrade(_ channel: any Channel) throws {
        guard !progress.value.isSettled else { return }
        if url.isSecure { try addTLS(channel, host: url.host) }
        let request = UpgradeRequestHandler(url: url) { [weak self] failure in self?.fail(failure) }
        let upgrader = NIOWebSocketClientUpgrader(
            maxFrameSize: SlackConnectorConfiguration.maximumMessageBytes, automaticErrorHandling: false
        ) { channel, head in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.removeHandler(UpgradeRequestHandler.self)
                self.upgraded(channel, head)
            }
        }
        try channel.pipeline.syncOperations.addHandler(EndKeeper())
        try channel.pipeline.syncOperations.addHTTPClientHandlers(
            leftOverBytesStrategy: .forwardBytes, withClientUpgrade: ([upgrader], { _ in }))
        try channel.pipeline.syncOperations.addHandler(request)
    }

    private func upgraded(_ channel: any Channel, _ head: HTTPResponseHead) {
        guard !progress.value.isSettled else { return }
        // RFC 6455 §4.1: a client fails the connection when the server picks what was not offered.
        guard !head.headers.contains(name: "Sec-WebSocket-Extensions"),
            !head.headers.contains(name: "Sec-WebSocket-Protocol")
        else {
            return fail(.upgrade(head, "the upgrade was answered with an extension or protocol that was not offered"))
        }
        do {
            let outcome = try install(channel)
            progress.value.deadline?.cancel()
            progress.value = Progress(isSettled: true)
            promise.succeed(outcome)
        } catch {
            fail(.handshake(error))
        }
    }

    private func addTLS(_ channel: any Channel, host: String) throws {
        guard let tls else { return }
        // An address cannot be a server name (RFC 6066 §3); it is verified against the certificate all the same.
        let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
        try channel.pipeline.syncOperations.addHandler(
            NIOSSLClientHandler(context: tls, serverHostname: isAddress ? nil : host))
    }

    /// The one outcome of the attempt, unless it is settled.
    private func fail(_ failure: ConnectFailure) {
        guard !progress.value.isSettled else { return }
        let channel = progress.value.channel
        progress.value.deadline?.cancel()
        progress.value = Progress(isSettled: true)
        channel?.close(promise: nil)
        promise.fail(failure)
    }
}

extension ChannelPipeline.SynchronousOperations {
    fileprivate func removeHandler<Handler: RemovableChannelHandler>(_ type: Handler.Type) throws {
        removeHandler(try handler(type: type), promise: nil)
    }
}
