// Bytes from a backend that has lost its mind: whatever comes back, an attempt has an outcome, and was made at most
// once.

import RelayCore
import RelayTestKit
import Testing
import WebhookSender

@Suite struct ResponseFuzzTests {
    private static let responses = [
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 503 Busy\r\nRetry-After: 12\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
        "HTTP/1.0 302 Found\r\nLocation: http://else.example/\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10\r\n\r\n\u{1f}\u{8}\0\0\0\0\0\0\0\u{3}",
    ]

    @Test("mutated responses", arguments: 0..<10 as Range<UInt64>)
    func mutated(seed: UInt64) async throws {
        try await withSender(
            answer: { request in
                // Each request says which response it wants.
                guard let number = UInt64(request.text) else { return .close }
                return .bytes(Self.mutatedResponse(seed: seed << 32 | number))
            },
            configure: { backend in
                backend.timeout = .seconds(5)
            }
        ) { backend, sender in
            var lost: [String] = []
            for number in 0..<40 {
                let result = await sender.send(delivery(payload: String(number)), attempt: 1)
                #expect(result.detail.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control })
                #expect(!result.detail.isEmpty)
                if result.outcome == .failed(.connectionReset) { lost.append(String(number)) }
            }
            // The server closes each connection after its response. A request that crosses that is lost, and said to
            // be; none comes twice.
            let received = backend.requests.map(\.text)
            #expect(Set(received).count == received.count)
            #expect(Set((0..<40).map(String.init)).subtracting(lost).isSubset(of: received))
        }
    }

    private static func mutatedResponse(seed: UInt64) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        var bytes = Array((responses.randomElement(using: &random) ?? "").utf8)
        for _ in 0..<Int.random(in: 1...6, using: &random) where !bytes.isEmpty {
            let start = Int.random(in: 0..<bytes.count, using: &random)
            let end = min(bytes.count, start + Int.random(in: 1...12, using: &random))
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes[start] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.removeSubrange(start..<end)
            case 2: bytes.insert(contentsOf: bytes[start..<end], at: start)
            case 3:
                bytes.insert(
                    contentsOf: (0..<end - start).map { _ in UInt8.random(in: 0...255, using: &random) }, at: start)
            default: bytes.removeLast(bytes.count - end)
            }
        }
        return bytes
    }
}
