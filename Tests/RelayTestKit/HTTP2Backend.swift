// A backend for tests that speaks HTTP/2 over TLS, and can misbehave in each way that HTTP/2 knows (RFC 9113).

internal import NIOCore
internal import NIOPosix
internal import NIOSSL
internal import Synchronization

/// Reads just enough of HTTP/2 to tell requests apart by their bodies: header fields are not decoded. Answers as told.
/// Stop it with `shutDown()`.
package final class HTTP2Backend: Sendable {
    package struct Request: Sendable, Equatable {
        package var body: [UInt8]
        /// Which connection it came on, from 1.
        package var connection: Int
        /// Streams of one connection are numbered 1, 3, 5, …
        package var stream: UInt32

        package var text: String { String(decoding: body, as: UTF8.self) }
    }

    package enum Answer: Sendable {
        case respond(status: Int = 200, headers: [(name: String, value: String)] = [], body: [UInt8] = [])
        /// No answer; the connection stays open.
        case silence
        /// RST_STREAM with this error code (RFC 9113 §7): 2 is an internal error, 7 promises that nothing was done.
        case reset(code: UInt32)
        /// GOAWAY that names an earlier stream as the last one looked at (RFC 9113 §6.8), then the end of the connection.
        case goAway
        /// A response on the last stream that is looked at, as GOAWAY says before it.
        case respondAndGoAway
        /// The end of the connection.
        case close
        /// A 200 whose header fields do not end.
        case endlessHead
        /// A 200 with header fields of one byte each on the wire that stand for 4 KB each (RFC 7541 §2.3.2).
        case headerBomb
        /// A 200 whose body does not end, as fast as the peer takes it.
        case endlessBody
    }

    package typealias Script = @Sendable (Request) async -> Answer

    fileprivate struct State {
        var requests: [Request] = []
        var connections = 0
        var open: [ObjectIdentifier: any Channel] = [:]
    }

    private let state = SharedHTTP2State()
    private let listener: any Channel

    /// Listens on a free port of 127.0.0.1, with the certificate for localhost.
    package init(answer script: @escaping Script = { _ in .respond() }) async throws {
        let state = state
        let context = try TestCertificate.localhost.makeServerContext(protocols: ["h2"])
        listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let number = state.opened(channel)
                    try channel.pipeline.syncOperations.addHandlers(
                        NIOSSLServerHandler(context: context),
                        HTTP2Handler(connection: number, state: state, script: script))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    package var url: String { "https://localhost:\(listener.localAddress?.port ?? 0)" }
    /// What has been received until now, whole.
    package var requests: [Request] { state.value.withLock { $0.requests } }
    package var connectionCount: Int { state.value.withLock { $0.connections } }
    /// How many of them are open.
    package var openConnectionCount: Int { state.value.withLock { $0.open.count } }

    package func shutDown() async {
        try? await listener.close()
        for channel in state.value.withLock({ Array($0.open.values) }) { try? await channel.close() }
    }
}

private final class SharedHTTP2State: Sendable {
    let value = Mutex(HTTP2Backend.State())

    func opened(_ channel: any Channel) -> Int {
        channel.closeFuture.whenComplete { _ in self.value.withLock { $0.open[ObjectIdentifier(channel)] = nil } }
        return value.withLock { state in
            state.connections += 1
            state.open[ObjectIdentifier(channel)] = channel
            return state.connections
        }
    }
}

/// Gathers requests, asks the script, writes frames.
private final class HTTP2Handler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let connection: Int
    private let state: SharedHTTP2State
    private let script: HTTP2Backend.Script
    private var received = ByteBuffer()
    private var hasPreface = false
    private var bodies: [UInt32: [UInt8]] = [:]

    init(connection: Int, state: SharedHTTP2State, script: @escaping HTTP2Backend.Script) {
        self.connection = connection
        self.state = state
        self.script = script
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.writeImmutableBuffer(unwrapInboundIn(data))
        if !hasPreface {
            guard received.readString(length: 24) == "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" else {
                return context.close(promise: nil)
            }
            hasPreface = true
            context.channel.send(Frame(.settings))
        }
        while let frame = Frame(readingFrom: &received) { take(frame, context.channel) }
    }

    private func take(_ frame: Frame, _ channel: any Channel) {
        switch frame.kind {
        case .settings where frame.flags & Frame.acknowledged == 0:
            channel.send(Frame(.settings, flags: Frame.acknowledged))
        case .ping where frame.flags & Frame.acknowledged == 0:
            channel.send(Frame(.ping, flags: Frame.acknowledged, payload: frame.payload))
        case .headers:
            bodies[frame.stream] = []
            if frame.flags & Frame.endsStream != 0 { finish(frame.stream, channel) }
        case .data:
            bodies[frame.stream]? += frame.payload
            if !frame.payload.isEmpty {
                // What was read makes room for more, in the connection and in the stream (RFC 9113 §6.9).
                for stream in [0, frame.stream] {
                    channel.send(Frame(.windowUpdate, stream: stream, number: UInt32(frame.payload.count)))
                }
            }
            if frame.flags & Frame.endsStream != 0 { finish(frame.stream, channel) }
        default:
            break
        }
    }

    private func finish(_ stream: UInt32, _ channel: any Channel) {
        let request = HTTP2Backend.Request(
            body: bodies.removeValue(forKey: stream) ?? [], connection: connection, stream: stream)
        state.value.withLock { $0.requests.append(request) }
        let script = script
        channel.eventLoop.makeFutureWithTask { await script(request) }
            .whenSuccess { channel.send($0, on: stream) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

/// RFC 9113 §4.1
private struct Frame {
    enum Kind: UInt8 {
        case data, headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate, continuation
    }

    static let endsStream: UInt8 = 1
    static let acknowledged: UInt8 = 1
    static let endsHeaders: UInt8 = 4

    /// nil: one that nobody knows.
    var kind: Kind?
    var flags: UInt8
    var stream: UInt32
    var payload: [UInt8]

    init(_ kind: Kind, flags: UInt8 = 0, stream: UInt32 = 0, payload: [UInt8] = []) {
        self.kind = kind
        self.flags = flags
        self.stream = stream
        self.payload = payload
    }

    /// A frame that holds one number.
    init(_ kind: Kind, stream: UInt32, number: UInt32) {
        self.init(
            kind, stream: stream, payload: stride(from: 24, through: 0, by: -8).map { UInt8(number >> $0 & 0xFF) })
    }

    /// nil when it has not come whole yet.
    init?(readingFrom buffer: inout ByteBuffer) {
        let start = buffer.readerIndex
        guard let high = buffer.getInteger(at: start, as: UInt16.self),
            let low = buffer.getInteger(at: start + 2, as: UInt8.self),
            let kind = buffer.getInteger(at: start + 3, as: UInt8.self),
            let flags = buffer.getInteger(at: start + 4, as: UInt8.self),
            let stream = buffer.getInteger(at: start + 5, as: UInt32.self),
            let payload = buffer.getBytes(at: start + 9, length: Int(high) << 8 | Int(low))
        else { return nil }
        buffer.moveReaderIndex(forwardBy: 9 + payload.count)
        self.kind = Kind(rawValue: kind)
        self.flags = flags
        self.stream = stream & 0x7FFF_FFFF
        self.payload = payload
    }

    func write(to buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt8(payload.count >> 16))
        buffer.writeInteger(UInt16(payload.count & 0xFFFF))
        buffer.writeInteger(kind?.rawValue ?? 0)
        buffer.writeInteger(flags)
        buffer.writeInteger(stream)
        buffer.writeBytes(payload)
    }
}

/// Header fields as HPACK without tables (RFC 7541 §6.2.2).
private func fields(_ fields: [(name: String, value: String)]) -> [UInt8] {
    func text(_ text: String) -> [UInt8] {
        // The length with a prefix of 7 bits (§5.1).
        var length = text.utf8.count
        var bytes: [UInt8] = [UInt8(min(length, 127))]
        if length >= 127 {
            length -= 127
            while length >= 128 {
                bytes.append(UInt8(length % 128 + 128))
                length /= 128
            }
            bytes.append(UInt8(length))
        }
        return bytes + Array(text.utf8)
    }
    return fields.flatMap { [0] + text($0.name) + text($0.value) }
}

extension Channel {
    fileprivate func send(_ frames: Frame...) {
        var buffer = ByteBuffer()
        for frame in frames { frame.write(to: &buffer) }
        writeAndFlush(buffer, promise: nil)
    }

    fileprivate func send(_ answer: HTTP2Backend.Answer, on stream: UInt32) {
        switch answer {
        case .respond(let status, let headers, let body):
            let head = fields([(":status", "\(status)")] + headers)
            send(
                Frame(.headers, flags: Frame.endsHeaders, stream: stream, payload: head),
                Frame(.data, flags: Frame.endsStream, stream: stream, payload: body))
        case .silence:
            break
        case .reset(let code):
            send(Frame(.reset, stream: stream, number: code))
        case .goAway:
            send(Frame(.goAway, payload: [UInt8](repeating: 0, count: 8)))
            close(promise: nil)
        case .respondAndGoAway:
            send(Frame(.goAway, payload: Frame(.goAway, stream: 0, number: stream).payload + [0, 0, 0, 0]))
            send(.respond(), on: stream)
        case .close:
            close(promise: nil)
        case .endlessHead:
            send(Frame(.headers, stream: stream, payload: fields([(":status", "200")])))
            let more = fields([("x-more", String(repeating: "x", count: 8_000))])
            sendAgain(Frame(.continuation, stream: stream, payload: more))
        case .headerBomb:
            // One field that is kept in the table (literal with incremental indexing, §6.2.1), then its index, 62.
            let kept: [UInt8] = [0x40] + fields([("x", String(repeating: "x", count: 4_000))]).dropFirst()
            let bomb = fields([(":status", "200")]) + kept + [UInt8](repeating: 0x80 | 62, count: 12_000)
            send(
                Frame(.headers, flags: Frame.endsHeaders, stream: stream, payload: bomb),
                Frame(.data, flags: Frame.endsStream, stream: stream))
        case .endlessBody:
            send(Frame(.headers, flags: Frame.endsHeaders, stream: stream, payload: fields([(":status", "200")])))
            sendAgain(Frame(.data, stream: stream, payload: [UInt8](repeating: 0x78, count: 16_000)))
        }
    }

    /// Until the connection ends, at most 400 times: more of a body than a client's first window takes is an error of
    /// its own.
    private func sendAgain(_ frame: Frame, times: Int = 400) {
        guard times > 0 else { return }
        var buffer = ByteBuffer()
        frame.write(to: &buffer)
        writeAndFlush(buffer).whenSuccess { self.sendAgain(frame, times: times - 1) }
    }
}
