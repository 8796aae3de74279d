// Which addresses are connected to. All of 127.0.0.0/8 is this machine (RFC 1122 §3.2.1.3): what listens on 127.0.0.1 is
// the backend, and 127.0.0.2 is another address.

import Curl
import RelayTestKit
import Synchronization
import Testing

@Suite struct AddressObjectionTests {
    private let first: [UInt8] = [127, 0, 0, 1]
    private let second: [UInt8] = [127, 0, 0, 2]

    /// Objects to these addresses.
    private func objection(to denied: [UInt8]...) -> CurlRequest.AddressObjection {
        { denied.contains($0) ? "no \($0)" : nil }
    }

    /// A POST to a name that has these addresses.
    private func request(
        to backend: RecordingBackend, at addresses: String, _ objection: CurlRequest.AddressObjection?
    ) -> CurlRequest {
        var request = CurlRequest(
            url: "http://backend.test:\(backend.port)/", method: .post, body: [1], proxy: .none,
            addressObjection: objection)
        request.resolvedNames = ["backend.test:\(backend.port):\(addresses)"]
        return request
    }

    @Test("an address is asked about as its bytes before anything is sent there, and the error says what was said")
    func denied() async throws {
        try await withBackend { backend, client in
            let asked = Mutex<[[UInt8]]>([])
            let request = CurlRequest(url: backend.url, method: .post, body: [1], proxy: .none) { address in
                asked.withLock { $0.append(address) }
                return "no way"
            }
            let error = await #expect(throws: CurlError.self) { try await client.perform(request) }
            #expect(error?.code == .blockedAddress)
            #expect(error?.message == "no way")
            #expect(asked.withLock { $0 } == [first])
            #expect(backend.connectionCount == 0)
        }
    }

    @Test("an IPv6 address is 16 bytes")
    func v6() async {
        let asked = Mutex<[[UInt8]]>([])
        let client = CurlClient()
        let request = CurlRequest(url: "http://[::1]:9/", proxy: .none) { address in
            asked.withLock { $0.append(address) }
            return "no"
        }
        #expect(await client.code(of: request) == .blockedAddress)
        #expect(asked.withLock { $0 } == [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]])
        client.shutdown()
    }

    @Test("of several addresses a denied one is left out", arguments: ["127.0.0.2,127.0.0.1", "127.0.0.1,127.0.0.2"])
    func severalAddresses(addresses: String) async throws {
        try await withBackend { backend, client in
            let some = request(to: backend, at: addresses, objection(to: second))
            _ = try await client.perform(some)
            let none = request(to: backend, at: addresses, objection(to: first, second))
            #expect(await client.code(of: none) == .blockedAddress)
            // The other one is allowed, and nobody listens there.
            let refused = request(to: backend, at: addresses, objection(to: first))
            #expect(await client.code(of: refused) == .connectionRefused)
            #expect(backend.requests.count == 1)
        }
    }

    @Test("a name that has an allowed address at first and a denied one then (DNS rebinding)")
    func rebinding() async throws {
        // The connection ends with the response: the next one is made to where the name leads by then.
        try await withBackend { _ in
            .raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        } test: { backend, client in
            let good = request(to: backend, at: "127.0.0.1", objection(to: second))
            let moved = request(to: backend, at: "127.0.0.2", objection(to: second))
            _ = try await client.perform(good)
            #expect(await client.code(of: moved) == .blockedAddress)
            _ = try await client.perform(good)
            #expect(backend.requests.count == 2)
        }
    }

    @Test("a connection that is open already is not used for a request that objects to its address, and is closed")
    func pooledConnection() async throws {
        try await withBackend { backend, client in
            let before = request(to: backend, at: "127.0.0.1", nil)
            _ = try await client.perform(before)
            let after = request(to: backend, at: "127.0.0.1", objection(to: first))
            #expect(await client.code(of: after) == .blockedAddress)
            #expect(backend.requests.count == 1)
            // Whoever does not object gets a new one.
            _ = try await client.perform(before)
            #expect(backend.requests.map(\.connection) == [1, 2])
        }
    }

    @Test("a request that objects to the address of an open connection is made on a new one, to another address")
    func pooledConnectionReplaced() async throws {
        try await withBackend { backend, client in
            let other = try await RecordingBackend(host: "127.0.0.2", port: backend.port)
            _ = try await client.perform(request(to: backend, at: "127.0.0.1", nil))
            let moved = request(to: backend, at: "127.0.0.2", objection(to: first))
            for _ in 1...3 { _ = try await client.perform(moved) }
            #expect(backend.requests.count == 1)
            // The connection that took the place of the refused one was for that request alone.
            #expect(other.requests.map(\.connection) == [1, 2, 2])
            await other.shutDown()
        }
    }

    @Test("through a proxy the address of the proxy is asked about, and that in the URL")
    func proxy() async throws {
        try await withBackend { backend, client in
            func code(_ url: String, _ denied: [UInt8]) async -> CurlError.Code? {
                await client.code(
                    of: CurlRequest(url: url, proxy: .url(backend.url), addressObjection: objection(to: denied)))
            }
            #expect(await code("http://backend.example/", first) == .blockedAddress)
            for host in ["127.0.0.2", "127.0.0.2.", "127.2", "0x7f000002", "2130706434", "0177.0.0.2"] {
                #expect(await code("http://u@\(host):80/", second) == .blockedAddress, "\(host)")
                #expect(await code("https://\(host)?x", second) == .blockedAddress, "\(host)")
            }
            #expect(await code("http://[::2]/", [UInt8](repeating: 0, count: 15) + [2]) == .blockedAddress)
            #expect(backend.connectionCount == 0)
            #expect(await code("http://backend.example/", second) == nil)
            #expect(backend.requests.map(\.target) == ["http://backend.example/"])
        }
    }

    @Test("a Unix domain socket has no address")
    func unixSocket() async throws {
        let path = temporarySocketPath()
        let backend = try await RecordingBackend(unixSocket: path)
        let client = CurlClient(maxIdle: .seconds(60))
        let request = CurlRequest(url: "http://127.0.0.1/", unixSocketPath: path) { _ in "no" }
        for _ in 1...2 { #expect(try await client.perform(request).status == 200) }
        #expect(backend.connectionCount == 1)
        client.shutdown()
        await backend.shutDown()
    }
}
