// What the tests of the client share.

import Curl
import Foundation
import Glibc
import RelayTestKit

/// Runs a test with a backend and a client, and stops both.
func withBackend(
    _ answer: @escaping RecordingBackend.Script = { _ in .ok },
    test: (RecordingBackend, CurlClient) async throws -> Void
) async throws {
    let backend = try await RecordingBackend(answer: answer)
    let client = CurlClient()
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

/// A TCP port whose connections the kernel takes and nobody reads.
final class SilentListener {
    let port: Int
    private let socket: FileHandle

    init() throws {
        let descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        socket = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let failure = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, length) != 0 || listen(descriptor, 16) != 0
                    || getsockname(descriptor, address, &length) != 0
            }
        }
        guard !failure else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
        port = Int(UInt16(bigEndian: address.sin_port))
    }
}
