// Facts about writes that leave together.

import NIOCore
import NIOEmbedded
import Testing

@testable import SlackConnector

@Suite struct WriteCoalescerTests {
    @Test("what is written between two flushes leaves as one buffer, in order, and each promise is kept")
    func coalesces() throws {
        let channel = EmbeddedChannel(handler: WriteCoalescer())
        let writes = ["a", "bc", "d"].map { channel.write(ByteBuffer(string: $0)) }
        #expect(try channel.readOutbound(as: ByteBuffer.self) == nil)
        channel.flush()
        #expect(try channel.readOutbound(as: ByteBuffer.self) == ByteBuffer(string: "abcd"))
        for write in writes { try write.wait() }
        try channel.writeOutbound(ByteBuffer(string: "e"))
        #expect(try channel.readOutbound(as: ByteBuffer.self) == ByteBuffer(string: "e"))
        channel.flush()
        #expect(try channel.readOutbound(as: ByteBuffer.self) == nil)
        _ = try channel.finish()
    }

    @Test("what could not be written breaks its promises")
    func removed() throws {
        let channel = EmbeddedChannel(handler: WriteCoalescer())
        let write = channel.write(ByteBuffer(string: "a"))
        _ = try channel.finish(acceptAlreadyClosed: true)
        #expect(throws: (any Error).self) { try write.wait() }
    }
}
