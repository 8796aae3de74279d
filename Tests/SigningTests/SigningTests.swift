// HMAC, the signatures of Slack and GitHub, random bytes: published vectors and properties.

import Signing
import Testing

@Suite struct HMACSHA256Tests {
    /// RFC 4231 §4.3 and §4.7 (a key longer than the block), and the empty key over nothing.
    @Test(
        "published vectors",
        arguments: [
            (
                Array("Jefe".utf8), "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                [UInt8](repeating: 0xaa, count: 131), "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
            ),
            ([], "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"),
        ])
    func vectors(key: [UInt8], text: String, code: String) {
        #expect(hexadecimal(HMACSHA256.authenticationCode(key: key, pieces: [Array(text.utf8)])) == code)
    }

    @Test("pieces give the code of the whole")
    func pieces() {
        let key = Array("key".utf8)
        let whole = HMACSHA256.authenticationCode(key: key, pieces: [Array("abcdef".utf8)])
        #expect(HMACSHA256.authenticationCode(key: key, pieces: [Array("abc".utf8), [], Array("def".utf8)]) == whole)
    }

    @Test("many tasks sign at once")
    func concurrent() async {
        let expected = HMACSHA256.authenticationCode(key: [1], pieces: [[2]])
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    (0..<500).allSatisfy { _ in
                        HMACSHA256.authenticationCode(key: [1], pieces: [[2]]) == expected
                    }
                }
            }
            for await isRight in group { #expect(isRight) }
        }
    }
}

@Suite struct SlackSignatureTests {
    /// From Slack's page "Verifying requests from Slack" (slack-protocol.md §4.7).
    static let secret = Array("8f742231b10e8888abcd99yyyzzz85a5".utf8)
    static let timestamp: Int64 = 1_531_420_618
    static let body = Array(
        """
        token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
        &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
        &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
        &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c
        """.utf8)
    static let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"

    @Test("Slack's own example")
    func example() {
        #expect(Self.body.count == 362)
        #expect(
            SlackSignature.sign(secret: Self.secret, timestamp: Self.timestamp, body: Self.body) == Self.signature)
        #expect(
            SlackSignature.verify(Self.signature, secret: Self.secret, timestamp: Self.timestamp, body: Self.body))
    }

    @Test(
        "a signature that differs anywhere is refused",
        arguments: ["", "v0=", signature.uppercased(), signature + "0", String(signature.dropLast()) + "4"])
    func refused(signature: String) {
        #expect(!SlackSignature.verify(signature, secret: Self.secret, timestamp: Self.timestamp, body: Self.body))
    }

    @Test("body, timestamp and secret are all signed")
    func covered() {
        let (secret, timestamp, body) = (Self.secret, Self.timestamp, Self.body)
        #expect(!SlackSignature.verify(Self.signature, secret: secret, timestamp: timestamp, body: body + [0x20]))
        #expect(!SlackSignature.verify(Self.signature, secret: secret, timestamp: timestamp + 1, body: body))
        #expect(!SlackSignature.verify(Self.signature, secret: [0x20], timestamp: timestamp, body: body))
    }
}

@Suite struct GitHubSignatureTests {
    /// The values of docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation".
    private let secret = Array("It's a Secret to Everybody".utf8)
    private let body = Array("Hello, World!".utf8)
    private let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

    @Test("GitHub's own example")
    func example() {
        #expect(GitHubSignature.sign(secret: secret, body: body) == signature)
        #expect(GitHubSignature.verify(signature, secret: secret, body: body))
    }

    @Test("signature, body and secret all count")
    func covered() {
        #expect(!GitHubSignature.verify(signature, secret: secret, body: body + [0x20]))
        #expect(!GitHubSignature.verify(signature, secret: secret + [0x20], body: body))
        for other in ["", "sha256=", String(signature.dropFirst(7)), signature.uppercased(), signature + "0"] {
            #expect(!GitHubSignature.verify(other, secret: secret, body: body))
        }
    }
}

@Suite struct BytesTests {
    @Test("random bytes have the length asked for and differ")
    func random() {
        #expect(SecureRandom.bytes(0).isEmpty)
        #expect(SecureRandom.bytes(33).count == 33)
        #expect(SecureRandom.bytes(16) != SecureRandom.bytes(16))
        #expect(Set((0..<100).map { _ in SecureRandom.uint64() }).count == 100)
    }

    @Test("hexadecimal digits are lower-case and two for each byte")
    func digits() {
        #expect(hexadecimal([0x00, 0x0f, 0xa0, 0xff]) == "000fa0ff")
    }

    @Test("comparison sees length and content")
    func comparison() {
        #expect(constantTimeEqual([], []))
        #expect(constantTimeEqual([1, 2], [1, 2]))
        #expect(!constantTimeEqual([1, 2], [1, 3]))
        #expect(!constantTimeEqual([1, 2], [1, 2, 0]))
    }
}
