// What is kept of a response.

import RelayCore
import Testing

@Suite struct RecordedResponseTests {
    @Test("a body is kept to 16 KiB, and it is said when there was more", arguments: [(16_384, false), (16_385, true)])
    func body(_ bytes: Int, _ isTruncated: Bool) {
        let response = RecordedResponse(status: 500, headers: [], body: [UInt8](repeating: 0x61, count: bytes))
        #expect(response.body.count == min(bytes, 16_384))
        #expect(response.isTruncated == isTruncated)
    }

    @Test(
        "the value of a header that may hold credentials is not kept",
        arguments: ["Set-Cookie", "Authorization", "X-Auth-Token", "x-api-key", "X-Slack-Signature", "X-Session-Id"])
    func secrets(_ name: String) {
        let response = RecordedResponse(status: 500, headers: [(name, "hidden")], body: [])
        #expect(response.headers == [.init(name: name, value: "***")])
    }

    @Test("other headers are kept as they came, to 4 KiB together")
    func headers() {
        let long = String(repeating: "v", count: 4_000)
        let response = RecordedResponse(
            status: 500, headers: [("Server", "nginx"), ("X-A", long), ("X-B", long)], body: [])
        #expect(response.headers.map(\.name) == ["Server", "X-A"])
        #expect(response.headers.first?.value == "nginx")
    }

    @Test("it prints without its body and its headers")
    func printing() {
        let response = RecordedResponse(status: 500, headers: [("Server", "nginx")], body: Array("people's words".utf8))
        for text in ["\(response)", String(reflecting: response), String(describing: [response])] {
            #expect(text.contains("HTTP 500, 1 headers, <14 bytes>"))
        }
        #expect(Mirror(reflecting: response).children.isEmpty)
    }
}

@Suite struct DeadLetterClassTests {
    @Test(
        "each reason has its class",
        arguments: [
            (DeadLetterReason.rejected(.http(status: 400)), DeadLetterClass.backend),
            (.attemptsExhausted(.timeout), .backend),
            (.rejected(.requestError), .relay), (.attemptsExhausted(.requestError), .relay),
            (.attemptsExhausted(.blockedAddress), .policy), (.orderBlocked(.http(status: 500)), .policy),
        ])
    func classes(_ reason: DeadLetterReason, _ expected: DeadLetterClass) {
        #expect(DeadLetterClass(deadReason: reason.description) == expected)
    }
}
