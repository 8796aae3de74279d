// A server on loopback that does to each connection what a test says, byte by byte.

import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import RelayCore
import RelayTestKit
import SlackConnector
import SocketMode

/// Accepts connections while `run` lasts; the script gets each one with its number, from 1, and closes it by returning.
final class ScriptedSlack: Sendable {
    let port: Int
    let scheme: String

    private init(port: Int, scheme: String) {
        self.port = port
        self.scheme = scheme
    }

    static func run(
        tls: TestCertificate? = nil, script: @escaping @Sendable (ScriptedSocket, Int) async throws -> Void,
        body: @escaping @Sendable (ScriptedSlack) async throws -> Void
    ) async throws {
        let context = try tls.map { try $0.makeScriptContext() }
        let (accepted, accept) = AsyncStream<Accepted>.makeStream()
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let (bytes, continuation) = AsyncStream<ByteBuffer>.makeStream()
                    let pipeline = channel.pipeline.syncOperations
                    if let context { try pipeline.addHandler(NIOSSLServerHandler(context: context)) }
                    let isCutShort = Watched(false)
                    try pipeline.addHandler(InboundBytes(continuation, isCutShort: isCutShort))
                    accept.yield(Accepted(channel: channel, bytes: bytes, isCutShort: isCutShort))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        defer { server.close(promise: nil) }
        let slack = ScriptedSlack(port: server.localAddress?.port ?? 0, scheme: tls == nil ? "ws" : "wss")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await serve(accepted, script) }
            group.addTask { try await body(slack) }
            // The server never ends by itself: the first to end is the body.
            try await group.next()
            group.cancelAll()
        }
    }

    fileprivate struct Accepted: Sendable {
        var channel: any Channel
        var bytes: AsyncStream<ByteBuffer>
        var isCutShort: Watched<Bool>
    }

    private static func serve(
        _ accepted: AsyncStream<Accepted>, _ script: @escaping @Sendable (ScriptedSocket, Int) async throws -> Void
    ) async {
        await withDiscardingTaskGroup { group in
            var number = 0
            for await connection in accepted {
                number += 1
                group.addTask { [number] in
                    // A client may end a connection at any moment: that is no failure of the script.
                    try? await script(ScriptedSocket(connection), number)
                    connection.channel.close(promise: nil)
                }
            }
        }
    }
}

/// What is read, as a stream that ends with the connection.
private final class InboundBytes: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let continuation: AsyncStream<ByteBuffer>.Continuation
    private let isCutShort: Watched<Bool>

    init(_ continuation: AsyncStream<ByteBuffer>.Continuation, isCutShort: Watched<Bool>) {
        self.continuation = continuation
        self.isCutShort = isCutShort
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { continuation.yield(unwrapInboundIn(data)) }
    func channelInactive(context: ChannelHandlerContext) { continuation.finish() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case .uncleanShutdown? = error as? NIOSSLError { isCutShort.update { $0 = true } }
        context.close(promise: nil)
    }
}

extension TestCertificate {
    fileprivate func makeScriptContext() throws -> NIOSSLContext {
        let chain = try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8)).map {
            NIOSSLCertificateSource.certificate($0)
        }
        let key = try NIOSSLPrivateKey(bytes: Array(privateKey.utf8), format: .pem)
        return try NIOSSLContext(
            configuration: .makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(key)))
    }
}

/// One connection as a script sees it. Used by one task.
final class ScriptedSocket {
    struct Frame: Equatable {
        var opcode: UInt8
        var payload: [UInt8]
        var text: String { String(decoding: payload, as: UTF8.self) }

        static let text: UInt8 = 1, binary: UInt8 = 2, close: UInt8 = 8, ping: UInt8 = 9, pong: UInt8 = 10
    }

    struct Ended: Error {}
    struct Unmasked: Error {}

    private var inbound: AsyncStream<ByteBuffer>.AsyncIterator
    private let channel: any Channel
    private let cutShort: Watched<Bool>
    private var buffer = ByteBuffer()

    fileprivate init(_ connection: ScriptedSlack.Accepted) {
        inbound = connection.bytes.makeAsyncIterator()
        channel = connection.channel
        cutShort = connection.isCutShort
    }

    /// Whether TCP ended without the goodbye of TLS.
    var isCutShort: Bool { cutShort.value }

    /// TCP ends at once, without that goodbye.
    func cut() async throws {
        try await channel.eventLoop.submit { [channel] in
            let tls = try channel.pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self)
            tls.close(promise: nil)
        }.get()
    }

    // MARK: HTTP

    /// Up to the empty line.
    func readHead() async throws -> String {
        while true {
            let text = String(buffer: buffer)
            if let end = text.range(of: "\r\n\r\n") {
                buffer.moveReaderIndex(forwardBy: text[..<end.upperBound].utf8.count)
                return String(text[..<end.lowerBound])
            }
            try await readMore()
        }
    }

    func answer(_ status: String, _ headers: [String] = [], body: String = "") async throws {
        let head = ["HTTP/1.1 \(status)", "Content-Length: \(body.utf8.count)"] + headers
        try await send(head.joined(separator: "\r\n") + "\r\n\r\n" + body)
    }

    /// Reads the request and answers 101; with `following`, what comes in the same segment.
    @discardableResult func upgrade(
        headers: [String] = [], accept: String? = nil, following: [UInt8] = []
    ) async throws -> String {
        let head = try await readHead()
        let key = head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("sec-websocket-key: ") }
        let accepted = accept ?? SHA1.accept(String(key?.dropFirst(19) ?? ""))
        let lines =
            [
                "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
                "Sec-WebSocket-Accept: \(accepted)",
            ]
            + headers
        try await channel.writeAndFlush(
            ByteBuffer(bytes: Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + following))
        return head
    }

    // MARK: WebSocket

    /// Upgrades and says hello.
    func hello(connections: Int = 1) async throws {
        try await upgrade()
        try await send(text: ScriptedSlack.helloText(connections))
    }

    func send(text: String) async throws { try await send(Self.frame(Frame.text, Array(text.utf8))) }
    func send(_ text: String) async throws { try await send(Array(text.utf8)) }
    func send(_ bytes: [UInt8]) async throws { try await channel.writeAndFlush(ByteBuffer(bytes: bytes)) }

    static func frame(_ opcode: UInt8, _ payload: [UInt8], isFinal: Bool = true) -> [UInt8] {
        var bytes: [UInt8] = [(isFinal ? 0x80 : 0) | opcode]
        switch payload.count {
        case 0...125: bytes.append(UInt8(payload.count))
        case 126...0xffff: bytes += [126, UInt8(payload.count >> 8), UInt8(payload.count & 0xff)]
        default: bytes += [127] + (0..<8).reversed().map { UInt8(payload.count >> ($0 * 8) & 0xff) }
        }
        return bytes + payload
    }

    /// The next frame that is not a ping of the client; throws `Ended` at the end of TCP.
    func nextFrame() async throws -> Frame {
        while true {
            if let frame = try takeFrame() {
                if frame.opcode != Frame.ping { return frame }
                try await send(Self.frame(Frame.pong, frame.payload))
            } else {
                try await readMore()
            }
        }
    }

    /// Reads until the client ends TCP.
    func untilEnd() async throws {
        do { while true { _ = try await nextFrame() } } catch is Ended {}
    }

    private func takeFrame() throws -> Frame? {
        var copy = buffer
        guard let first = copy.readInteger(as: UInt8.self), let second = copy.readInteger(as: UInt8.self) else {
            return nil
        }
        guard second & 0x80 != 0 else { throw Unmasked() }
        var length = Int(second & 0x7f)
        if length == 126 {
            guard let long = copy.readInteger(as: UInt16.self) else { return nil }
            length = Int(long)
        }
        guard let mask = copy.readBytes(length: 4), let masked = copy.readBytes(length: length) else { return nil }
        buffer = copy
        return Frame(opcode: first & 0x0f, payload: masked.enumerated().map { $1 ^ mask[$0 % 4] })
    }

    /// Sends everything on to another connection and back, as a proxy does.
    func tunnel(to port: Int) async throws {
        let back = channel
        let upstream = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Forwarder(to: back))
                    return channel
                }
            }
        defer { upstream.close(promise: nil) }
        while let bytes = await inbound.next(isolation: #isolation) { try await upstream.writeAndFlush(bytes) }
    }

    func readMore() async throws {
        guard var more = await inbound.next(isolation: #isolation) else { throw Ended() }
        buffer.writeBuffer(&more)
    }
}

private final class Forwarder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let channel: any Channel

    init(to channel: any Channel) { self.channel = channel }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        channel.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }
}

extension ScriptedSlack {
    static func helloText(_ connections: Int) -> String {
        #"{"type":"hello","num_connections":\#(connections),"debug_info":{"host":"applink-1","approximate_connection_time":18060}}"#
    }

    static func eventText(_ id: String, padding: Int = 0) -> String {
        let text = String(repeating: "x", count: padding)
        return
            #"{"envelope_id":"\#(id)","payload":{"type":"event_callback","event_id":"Ev\#(id)","event":{"type":"message","text":"\#(text)"}},"type":"events_api","accepts_response_payload":false,"retry_attempt":0,"retry_reason":""}"#
    }

    static func acknowledgement(_ id: String) -> String { #"{"envelope_id":"\#(id)"}"# }
}

/// What the handshake of RFC 6455 §4.2.2 needs, from RFC 3174.
enum SHA1 {
    static func accept(_ key: String) -> String {
        Data(digest(Array("\(key)258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8))).base64EncodedString()
    }

    private static func digest(_ message: [UInt8]) -> [UInt8] {
        var h: [UInt32] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0]
        var bytes = message + [0x80]
        while bytes.count % 64 != 56 { bytes.append(0) }
        bytes += (0..<8).reversed().map { UInt8(truncatingIfNeeded: (message.count * 8) >> ($0 * 8)) }
        for block in stride(from: 0, to: bytes.count, by: 64) {
            var w = (0..<16).map { i in (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[block + i * 4 + $1]) } }
            for i in 16..<80 { w.append(rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1)) }
            var (a, b, c, d, e) = (h[0], h[1], h[2], h[3], h[4])
            for i in 0..<80 {
                let (f, k): (UInt32, UInt32) =
                    switch i {
                    case 0..<20: ((b & c) | (~b & d), 0x5A82_7999)
                    case 20..<40: (b ^ c ^ d, 0x6ED9_EBA1)
                    case 40..<60: ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC)
                    default: (b ^ c ^ d, 0xCA62_C1D6)
                    }
                (e, d, c, b, a) = (d, c, rotate(b, 30), a, rotate(a, 5) &+ f &+ e &+ k &+ w[i])
            }
            for (i, value) in [a, b, c, d, e].enumerated() { h[i] &+= value }
        }
        return h.flatMap { word in (0..<4).reversed().map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
    }

    private static func rotate(_ value: UInt32, _ by: UInt32) -> UInt32 { value << by | value >> (32 - by) }
}
