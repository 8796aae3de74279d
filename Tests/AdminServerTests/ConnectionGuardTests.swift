// How long a peer is waited for.

import HTTPTypes
import NIOCore
import NIOEmbedded
import NIOHTTPTypes
import Testing

@testable import AdminServer

@Suite("How long a peer is waited for")
struct ConnectionGuardTests {
    private let channel = EmbeddedChannel()
    private static let body = ByteBuffer(string: "0123456789")

    init() throws {
        try channel.pipeline.syncOperations.addHandlers([BodiesAlone(), ConnectionGuard(ConnectionLimits())])
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/peer")).wait()
    }

    @Test("ten seconds for the first head, whatever comes meanwhile")
    func firstHead() {
        pass(9)
        #expect(channel.isActive)
        pass(1)
        #expect(!channel.isActive)
    }

    @Test("ten seconds for a body")
    func body() throws {
        try receive(.head(Self.head))
        pass(9)
        try receive(.body(Self.body))
        #expect(channel.isActive)
        pass(1)
        #expect(!channel.isActive)
    }

    @Test("without an end while the response is being made")
    func response() throws {
        try receive(.head(Self.head), .end(nil))
        pass(3_600)
        #expect(channel.isActive)
    }

    @Test("the time for the next head begins when the response has gone out, not when it was written")
    func nextHead() throws {
        try receive(.head(Self.head), .end(nil))
        respond()
        pass(25)
        #expect(channel.isActive)
        channel.flush()
        pass(9)
        #expect(channel.isActive)
        pass(1)
        #expect(!channel.isActive)
    }

    @Test("a head in time keeps the connection")
    func keepAlive() throws {
        for _ in 1...3 {
            try receive(.head(Self.head), .end(nil))
            respond()
            channel.flush()
            pass(9)
        }
        #expect(channel.isActive)
    }

    @Test("thirty seconds for a reader that takes nothing, although more is written for it")
    func deadReader() throws {
        try receive(.head(Self.head), .end(nil))
        respond()
        pass(20)
        channel.write(HTTPResponsePart.body(Self.body), promise: nil)
        pass(9)
        #expect(channel.isActive)
        pass(1)
        #expect(!channel.isActive)
    }

    @Test("a reader that takes some of it now and then is waited for")
    func slowReader() throws {
        try receive(.head(Self.head), .end(nil))
        for _ in 1...10 {
            channel.write(HTTPResponsePart.body(Self.body), promise: nil)
            channel.flush()
            channel.write(HTTPResponsePart.body(Self.body), promise: nil)
            pass(29)
        }
        #expect(channel.isActive)
    }

    @Test("a second for whatever is under way when the server ends")
    func shutdown() throws {
        try receive(.head(Self.head))
        channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(999))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(!channel.isActive)
    }

    // MARK: Steps

    private static let head = HTTPRequest(method: .get, scheme: nil, authority: "localhost", path: "/")

    private func receive(_ parts: HTTPRequestPart...) throws {
        for part in parts { try channel.writeInbound(part) }
    }

    /// Writes a response, and flushes nothing.
    private func respond() {
        for part in [.head(HTTPResponse(status: .ok)), .body(Self.body), .end(nil)] as [HTTPResponsePart] {
            channel.write(part, promise: nil)
        }
    }

    private func pass(_ seconds: Int64) { channel.embeddedEventLoop.advanceTime(by: .seconds(seconds)) }

    /// In the place of the HTTP codec: the channel counts bytes.
    private final class BodiesAlone: ChannelOutboundHandler {
        typealias OutboundIn = HTTPResponsePart
        typealias OutboundOut = ByteBuffer

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            var bytes = ByteBuffer()
            if case .body(let body) = unwrapOutboundIn(data) { bytes = body }
            context.write(wrapOutboundOut(bytes), promise: promise)
        }
    }
}

@Suite("A reader that is slow, and one that does not read")
struct WriteProgressTests {
    @Test("fewer bytes wait than were written: it reads", arguments: [(99, true), (100, false), (105, false)])
    func first(waiting: Int, reads: Bool) {
        var progress = WriteProgress()
        progress.wrote(bytes: 100)
        let hasRead = progress.looked(waitingBytes: waiting)
        #expect(hasRead == reads)
    }

    @Test("each look begins anew, with what was written since")
    func looks() {
        var progress = WriteProgress()
        progress.wrote(bytes: 400_000)
        let before = [399_000, 399_000].map { progress.looked(waitingBytes: $0) }
        #expect(before == [true, false])
        progress.wrote(bytes: 500)
        let after = [399_400, 399_400, 1].map { progress.looked(waitingBytes: $0) }
        #expect(after == [true, false, true])
    }

    @Test("a part that has gone is progress, once; when all have gone everything is as at the beginning")
    func parts() {
        var progress = WriteProgress()
        for _ in 1...3 { progress.wrote(bytes: 0) }
        progress.partGone()
        let looks = [20, 20].map { progress.looked(waitingBytes: $0) }
        #expect(looks == [true, false])
        for _ in 1...2 { progress.partGone() }
        #expect(progress == WriteProgress())
    }
}
