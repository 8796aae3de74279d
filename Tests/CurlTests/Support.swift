// What the tests of the client share.

import Curl
import NIOCore
import NIOPosix
import RelayTestKit

/// Runs a test with a backend and a client, and stops both.
func withBackend(
    _ answer: @escaping RecordingBackend.Script = { _ in .ok },
    answerHead: @escaping RecordingBackend.HeadScript = { _ in nil },
    test: (RecordingBackend, CurlClient) async throws -> Void
) async throws {
    let backend = try await RecordingBackend(answer: answer, answerHead: answerHead)
    // Patient: the machine may have more to do than this test.
    let client = CurlClient(maxIdle: .seconds(60))
    do {
        try await test(backend, client)
    } catch {
        client.shutdown()
        await backend.shutDown()
        throw error
    }
    client.shutdown()
    await backend.shutDown()
}

extension CurlClient {
    /// How a request fails; nil when it does not.
    func code(of request: CurlRequest) async -> CurlError.Code? {
        do throws(CurlError) {
            _ = try await perform(request)
            return nil
        } catch {
            return error.code
        }
    }
}

/// "hello", as gzip.
let gzippedHello: [UInt8] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x86, 0xa6,
    0x10, 0x36, 0x05, 0x00, 0x00, 0x00,
]

/// A TCP port that takes connections and reads nothing from them.
func makeSilentListener() async throws -> any Channel {
    try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .childChannelOption(.autoRead, value: false)
        .bind(host: "127.0.0.1", port: 0).get()
}
