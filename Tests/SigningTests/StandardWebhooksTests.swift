// Standard Webhooks: the vectors of the specification's libraries and of Svix, and the forms of keys.

import Testing

@testable import Signing

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

private let id = "msg_p5jXN8AQM9LWM0D4loKWxJek"
private let timestamp: Int64 = 1_614_265_330
private let body = bytes(#"{"test": 2432232314}"#)

@Suite("Standard Webhooks, v1") struct StandardWebhooksSecretTests {
    /// github.com/standard-webhooks/standard-webhooks, libraries/javascript/src/webhook.test.ts ("sign function works")
    /// and libraries/go/webhook_symmetric_test.go (TestSymmetricWebhookSign).
    private let text = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    private let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    @Test("the libraries' own example, with and without the prefix", arguments: ["", "whsec_"])
    func example(prefix: String) throws {
        let key = try StandardWebhooks.SecretKey(bytes(prefix + text))
        #expect(key.sign(id: id, timestamp: timestamp, body: body) == signature)
        #expect(key.verify(signature, id: id, timestamp: timestamp, body: body))
    }

    /// The cases of the same test files, beside headers and times, which are not checked here.
    @Test(
        "one right signature among others is enough; others, parts of one and other versions are none",
        arguments: [
            (
                "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= RIGHT",
                true
            ),
            ("RIGHT v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=", true), ("RIGHT RIGHT", true),
            ("v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=", false), ("v1,dawfeoifkpqwoekfpqoekf", false),
            ("v1,", false), ("v1,g0hM9", false), ("", false), (" ", false), ("RIGHTx", false), ("v1aRIGHT", false),
        ])
    func list(header: String, expected: Bool) throws {
        let key = try StandardWebhooks.SecretKey(bytes(text))
        let header = header.replacing("RIGHT", with: signature)
        #expect(key.verify(header, id: id, timestamp: timestamp, body: body) == expected)
    }

    @Test("id, timestamp, body and secret are all signed")
    func covered() throws {
        let key = try StandardWebhooks.SecretKey(bytes(text))
        let other = try StandardWebhooks.SecretKey(bytes("NfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
        #expect(!key.verify(signature, id: id + "x", timestamp: timestamp, body: body))
        #expect(!key.verify(signature, id: id, timestamp: timestamp + 1, body: body))
        #expect(!key.verify(signature, id: id, timestamp: timestamp, body: body + [0x20]))
        #expect(!other.verify(signature, id: id, timestamp: timestamp, body: body))
    }

    @Test(
        "a secret of another form is refused, and not repeated",
        arguments: [
            ("", KeyFormatError.Code.wrongLength), ("whsec_", .wrongLength), ("c2hvcnQ=", .wrongLength),
            ("whsec_%", .notBase64), ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", .notBase64),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", .notBase64), (" MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", .notBase64),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_", .notBase64), ("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", .notBase64),
            ("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", .wrongKind),
            ("whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", .wrongKind),
        ])
    func refused(text: String, code: KeyFormatError.Code) {
        do throws(KeyFormatError) {
            _ = try StandardWebhooks.SecretKey(bytes(text))
            Issue.record("was taken")
        } catch {
            #expect(error.code == code)
            #expect(!error.description.contains("MfKQ"))
        }
    }

    @Test("a key that is printed or dumped shows nothing")
    func redaction() throws {
        var dumped = ""
        dump(try StandardWebhooks.SecretKey(bytes(text)), to: &dumped)
        #expect(!dumped.contains("49"))
    }
}

@Suite("Standard Webhooks, v1a") struct StandardWebhooksKeyPairTests {
    /// A private key in the two forms that are in use, its public key, and its signature of the example.
    struct Vector: Sendable {
        var privateKey: String
        var publicKey: String?
        var signature: String
    }

    static let vectors = [
        // github.com/standard-webhooks/standard-webhooks, libraries/go/webhook_asymmetric_test.go
        // (TestAsymmetricWebhookSign): 32 bytes.
        Vector(
            privateKey: "VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=",
            signature:
                "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag=="),
        // github.com/svix/svix-webhooks, server/svix-server/src/worker.rs (test_asymmetric_key_signing), keys from
        // src/core/types (test_endpoint_secret_deserialization): 64 bytes. The signature is also the v1a example of
        // spec/standard-webhooks.md, "Webhook headers".
        Vector(
            privateKey: "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
            publicKey: "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
            signature:
                "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="),
    ]

    @Test("the examples of the Go library and of Svix, with and without the prefix", arguments: vectors, ["", "whsk_"])
    func examples(vector: Vector, prefix: String) throws {
        let key = try StandardWebhooks.PrivateKey(bytes(prefix + vector.privateKey))
        #expect(key.sign(id: id, timestamp: timestamp, body: body) == vector.signature)
        #expect(key.publicKeyText == vector.publicKey ?? key.publicKeyText)
        let publicKey = try StandardWebhooks.PublicKey(bytes(key.publicKeyText))
        #expect(publicKey.verify(vector.signature, id: id, timestamp: timestamp, body: body))
    }

    /// RFC 8032 §7.1, TEST 1 (an empty message), TEST 2 and TEST 3.
    @Test(
        "the vectors of RFC 8032",
        arguments: [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
                    + "d25bf5f0595bbe24655141438e7a100b"
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
                    + "387b2eaeb4302aeeb00d291612bb0c00"
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
                    + "4a7c15e9716ed28dc027beceea1ec40a"
            ),
        ])
    func rfc8032(seed: String, publicKey: String, message: String, signature: String) throws {
        let key = try #require(Ed25519PrivateKey(seed: unhexadecimal(seed)))
        #expect(hexadecimal(key.publicKey) == publicKey)
        #expect(hexadecimal(key.sign(unhexadecimal(message))) == signature)
        #expect(Ed25519.verify(unhexadecimal(signature), of: unhexadecimal(message), publicKey: key.publicKey))
    }

    @Test("id, timestamp, body and key are all signed")
    func covered() throws {
        let vector = Self.vectors[1]
        let key = try StandardWebhooks.PublicKey(bytes(vector.publicKey ?? ""))
        let other = try StandardWebhooks.PrivateKey(bytes(Self.vectors[0].privateKey)).publicKeyText
        let (right, signature) = (true, vector.signature)
        #expect(key.verify(signature, id: id, timestamp: timestamp, body: body) == right)
        #expect(!key.verify(signature, id: id + "x", timestamp: timestamp, body: body))
        #expect(!key.verify(signature, id: id, timestamp: timestamp + 1, body: body))
        #expect(!key.verify(signature, id: id, timestamp: timestamp, body: body + [0x20]))
        #expect(
            !(try StandardWebhooks.PublicKey(bytes(other))).verify(
                signature, id: id, timestamp: timestamp, body: body))
    }

    @Test(
        "one right signature among others is enough; others, parts of one and other versions are none",
        arguments: [
            ("v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= RIGHT", true), ("v1a,AAAA RIGHT v1a,", true),
            ("v1a,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=", false), ("v1a,", false), ("v1a", false), ("", false),
            ("v1RIGHT", false), ("RIGHTx", false),
        ])
    func list(header: String, expected: Bool) throws {
        let vector = Self.vectors[1]
        let key = try StandardWebhooks.PublicKey(bytes(vector.publicKey ?? ""))
        let header = header.replacing("RIGHT", with: vector.signature)
        #expect(key.verify(header, id: id, timestamp: timestamp, body: body) == expected)
    }

    @Test("a public key that is no point of the curve verifies nothing")
    func noPoint() throws {
        let key = try StandardWebhooks.PublicKey(bytes("AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
        #expect(!key.verify(Self.vectors[1].signature, id: id, timestamp: timestamp, body: body))
    }

    /// The last two are Svix's (test_endpoint_secret_deserialization, test_endpoint_secret_validation).
    @Test(
        "a private key of another form is refused, and not repeated",
        arguments: [
            ("", KeyFormatError.Code.wrongLength), ("whsk_VEVTVA==", .wrongLength), ("whsk_%", .notBase64),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", .wrongLength),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", .wrongKind),
            ("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", .wrongKind),
            ("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kv", .notBase64),
            (
                "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlaaaaaaaaaaAJ6p9lMicMFs6Kvg==",
                .keysDiffer
            ),
        ])
    func refused(text: String, code: KeyFormatError.Code) {
        do throws(KeyFormatError) {
            _ = try StandardWebhooks.PrivateKey(bytes(text))
            Issue.record("was taken")
        } catch {
            #expect(error.code == code)
            for part in ["6Xb", "MfKQ", "1SiA"] { #expect(!error.description.contains(part)) }
        }
    }

    @Test(
        "a public key has 32 bytes", arguments: ["whpk_VEVTVA==", "whsk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="])
    func publicKeyRefused(text: String) {
        #expect(throws: KeyFormatError.self) { try StandardWebhooks.PublicKey(bytes(text)) }
    }

    private func unhexadecimal(_ text: String) -> [UInt8] {
        let digits = Array(text)
        return stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0...$0 + 1]), radix: 16) }
    }
}

@Suite struct Base64Tests {
    /// RFC 4648 §10.
    @Test(
        "the vectors of RFC 4648",
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ])
    func vectors(text: String, encoded: String) {
        #expect(Base64.encode(bytes(text)) == encoded)
        #expect(Base64.decode(bytes(encoded)) == bytes(text))
    }

    @Test(
        "what the encoder would not write is refused",
        arguments: [
            "Zg=", "Zg", "Zg===", "=", "====", "Z===", "Zh==", "Zm9=", "Zm9v\n", "\nZm9v", "Zm9v\n\n\n\n", "Zm 9v",
            "Zm9-",
            "Zg==Zg==", "Zm9v====", "A=A=", "é=", "Zm9v\0\0\0\0",
        ])
    func refused(text: String) {
        #expect(Base64.decode(bytes(text)) == nil)
    }

    @Test("bytes of every length come back")
    func lengths() {
        for count in 0..<100 {
            let random = SecureRandom.bytes(count)
            #expect(Base64.decode(bytes(Base64.encode(random))) == random)
        }
    }
}
