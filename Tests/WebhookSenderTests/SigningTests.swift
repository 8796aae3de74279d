// Which signatures a backend gets over time, and whether a backend of each scheme accepts them.

import RelayCore
import RelayTestKit
import SlackHTTP
import Synchronization
import Testing
import WebhookSender

@Suite("Signing requests") struct RequestSigningTests {
    private static func entry(
        _ scheme: SigningScheme, _ name: String, from: Duration? = nil, until: Duration? = nil
    ) -> SigningEntry {
        SigningEntry(
            scheme: scheme, secret: .environment(name), notBefore: from.map { started.advanced(by: $0) },
            notAfter: until.map { started.advanced(by: $0) })
    }

    /// What a backend with this key says of a request; nil: it has no such key.
    private func problems(
        _ request: RecordingBackend.Request, _ scheme: SigningScheme, _ name: String, now: Timestamp = started
    ) -> [VerificationProblem]? {
        let verifier = try? RequestVerifier(scheme, try Secrets().secret(.environment(name)))
        return verifier?.problems(
            headers: request.headers.map { .init(name: $0.name, value: $0.value) }, body: request.body,
            tolerance: .seconds(300), now: now)
    }

    @Test(
        "a backend of each scheme accepts its requests, of every kind",
        arguments: [
            (SigningScheme.slack, "BACKEND", "BACKEND"), (.standardWebhooks, "WEBHOOK", "WEBHOOK"),
            (.ed25519, "PRIVATE", "PUBLIC"), (.github, "BACKEND", "BACKEND"),
        ])
    func accepted(scheme: SigningScheme, signs: String, verifies: String) async throws {
        try await withSender(configure: { $0.signing = [Self.entry(scheme, signs)] }) { backend, sender in
            for kind in Kind.allCases {
                _ = await sender.send(delivery(kind: kind, payload: #"{"command":"/é"}"#), attempt: 1)
            }
            #expect(backend.requests.count == Kind.allCases.count)
            for request in backend.requests { #expect(problems(request, scheme, verifies) == []) }
        }
    }

    @Test("without an entry of scheme slack, nothing of Slack's signature is sent")
    func noSlack() async throws {
        try await withSender(configure: { $0.signing = [Self.entry(.standardWebhooks, "WEBHOOK")] }) {
            backend, sender in
            _ = await sender.send(delivery(), attempt: 1)
            let request = try #require(backend.requests.first)
            #expect(request.headers.allSatisfy { !$0.name.lowercased().hasPrefix("x-slack-") })
            #expect(request.header("webhook-id") == "00000001-1")
            #expect(request.header("webhook-id") == request.header("X-Relay-Delivery-Id"))
            #expect(request.header("webhook-timestamp") == "1700000000")
        }
    }

    @Test("Slack's secrets hand over at the moment that was set, between two attempts")
    func handover() async throws {
        let seconds = Mutex<Int64>(0)
        try await withSender(
            now: { started.advanced(by: .seconds(seconds.withLock { $0 })) },
            configure: { backend in
                backend.signing = [
                    Self.entry(.slack, "APP", until: .seconds(60)), Self.entry(.slack, "BACKEND", from: .seconds(60)),
                ]
            }
        ) { backend, sender in
            for second in [0, 59, 60] as [Int64] {
                seconds.withLock { $0 = second }
                _ = await sender.send(delivery(), attempt: 1)
            }
            let requests = backend.requests
            #expect(requests.map { $0.headers.count { $0.name == "X-Slack-Signature" } } == [1, 1, 1])
            #expect(requests.map { problems($0, .slack, "APP") } == [[], [], [.mismatch]])
            #expect(requests.map { problems($0, .slack, "BACKEND") } == [[.mismatch], [.mismatch], []])
        }
    }

    @Test("Standard Webhooks' secrets overlap: then the backend may know either")
    func overlap() async throws {
        let seconds = Mutex<Int64>(0)
        try await withSender(
            now: { started.advanced(by: .seconds(seconds.withLock { $0 })) },
            configure: { backend in
                backend.signing = [
                    Self.entry(.standardWebhooks, "WEBHOOK", until: .seconds(120)),
                    Self.entry(.standardWebhooks, "WEBHOOK2", from: .seconds(60)), Self.entry(.ed25519, "PRIVATE"),
                ]
            }
        ) { backend, sender in
            for second in [0, 60, 120] as [Int64] {
                seconds.withLock { $0 = second }
                _ = await sender.send(delivery(), attempt: 1)
            }
            let requests = backend.requests
            let versions = requests.map { request in
                (request.header("webhook-signature") ?? "").split(separator: " ").map { $0.prefix { $0 != "," } }
            }
            #expect(versions == [["v1", "v1a"], ["v1", "v1", "v1a"], ["v1", "v1a"]])
            #expect(requests.map { problems($0, .standardWebhooks, "WEBHOOK") } == [[], [], [.mismatch]])
            #expect(requests.map { problems($0, .standardWebhooks, "WEBHOOK2") } == [[.mismatch], [], []])
            #expect(requests.map { problems($0, .ed25519, "PUBLIC") } == [[], [], []])
        }
    }

    @Test("a scheme whose time is over leaves the others; with none left, the attempt fails and says which there are")
    func nothingValid() async throws {
        let seconds = Mutex<Int64>(0)
        try await withSender(
            now: { started.advanced(by: .seconds(seconds.withLock { $0 })) },
            configure: { backend in
                backend.signing = [
                    Self.entry(.slack, "APP", until: .seconds(60)),
                    Self.entry(.github, "BACKEND", from: .seconds(-60), until: .seconds(120)),
                ]
            }
        ) { backend, sender in
            var results: [AttemptResult] = []
            for second in [0, 60, 120] as [Int64] {
                seconds.withLock { $0 = second }
                results.append(await sender.send(delivery(), attempt: 1))
            }
            #expect(results.map(\.outcome) == [.accepted, .accepted, .failed(.requestError)])
            #expect(backend.requests.map { $0.header("X-Slack-Signature") != nil } == [true, false])
            #expect(backend.requests.allSatisfy { $0.header("X-Hub-Signature-256") != nil })
            #expect(
                results.last?.detail == """
                    backend b has no signing secret that is valid at 2023-11-14T22:15:20.000Z; it has: \
                    slack env:APP until 2023-11-14T22:14:20Z, \
                    github env:BACKEND from 2023-11-14T22:12:20Z until 2023-11-14T22:15:20Z
                    """)
        }
    }

    @Test(
        "a secret that cannot sign fails the attempt, though another could, and is not shown",
        arguments: [
            ("MISSING", "secret env:MISSING: not set"),
            ("APP", "secret env:APP: is not base64 with its padding, with or without whsec_ before it"),
            ("PRIVATE", "secret env:PRIVATE: is a private key (whsk_…); a secret is wanted (whsec_…)"),
        ])
    func unusable(name: String, detail: String) async throws {
        try await withSender(
            configure: { backend in
                backend.signing = [
                    Self.entry(.standardWebhooks, "WEBHOOK"), Self.entry(.standardWebhooks, name),
                ]
            }
        ) { backend, sender in
            let result = await sender.send(delivery(), attempt: 1)
            #expect(result == AttemptResult(.failed(.requestError), detail: detail))
            #expect(backend.requests.isEmpty)
        }
    }
}

@Suite struct RequestVerifierTests {
    /// Slack's own example (docs.slack.dev, "Verifying requests from Slack") is in SigningTests; here are short ones,
    /// made with `SigningKey`.
    private func headers(_ scheme: SigningScheme) throws -> [Backend.Header] {
        let key = try SigningKey(scheme, Self.secret(scheme))
        let signature = key.sign(id: "msg_1", timestamp: 1_000, body: body)
        let names =
            switch scheme {
            case .slack: ["X-Slack-Request-Timestamp": "1000", "X-Slack-Signature": signature.value]
            case .standardWebhooks, .ed25519:
                ["webhook-id": "msg_1", "webhook-timestamp": "1000", "webhook-signature": signature.value]
            case .github: ["X-Hub-Signature-256": signature.value]
            }
        return names.map { Backend.Header(name: $0, value: $1) } + [.init(name: "X-Other", value: "x")]
    }

    private let body = Array("body".utf8)

    private static func secret(_ scheme: SigningScheme, verifies: Bool = false) throws -> Secret {
        let name =
            switch scheme {
            case .slack, .github: "APP"
            case .standardWebhooks: "WEBHOOK"
            case .ed25519: verifies ? "PUBLIC" : "PRIVATE"
            }
        return try Secrets().secret(.environment(name))
    }

    private func problems(
        _ scheme: SigningScheme, _ headers: [Backend.Header], body: String = "body",
        tolerance: Duration? = .seconds(300),
        now: Int64 = 1_000
    ) throws -> [VerificationProblem] {
        try RequestVerifier(scheme, Self.secret(scheme, verifies: true)).problems(
            headers: headers, body: Array(body.utf8), tolerance: tolerance,
            now: Timestamp(millisecondsSinceEpoch: now * 1_000))
    }

    @Test("a right request is right, whatever the case of its headers' names", arguments: SigningScheme.allCases)
    func right(scheme: SigningScheme) throws {
        let headers = try headers(scheme)
        #expect(try problems(scheme, headers) == [])
        #expect(try problems(scheme, headers.map { .init(name: $0.name.uppercased(), value: $0.value) }) == [])
        #expect(try problems(scheme, headers, body: "bodY") == [.mismatch])
    }

    @Test("each header of a scheme is missed, and refused when it comes twice", arguments: SigningScheme.allCases)
    func counted(scheme: SigningScheme) throws {
        let headers = try headers(scheme)
        for header in headers where header.name != "X-Other" {
            let without = headers.filter { $0 != header }
            #expect(try problems(scheme, without) == [.missing(header.name)])
            #expect(try problems(scheme, without + [.init(name: header.name, value: "")]) == [.missing(header.name)])
            #expect(try problems(scheme, headers + [header]) == [.repeated(header.name)])
        }
        #expect(try problems(scheme, []).count == headers.count - 1)
    }

    @Test(
        "the signed time may be as far from now as is tolerated, either way",
        arguments: [
            (1_300, nil), (700, nil), (1_301, true), (699, false), (1_000_000, true),
        ] as [(Int64, Bool?)])
    func age(now: Int64, isOld: Bool?) throws {
        for scheme in SigningScheme.allCases where scheme.signsTimestamp {
            let headers = try headers(scheme)
            let found = try problems(scheme, headers, now: now)
            #expect(found.count == (isOld == nil ? 0 : 1))
            switch (isOld, found.first) {
            case (nil, nil): break
            case (true, .old(_, seconds: now - 1_000, tolerance: 300)): break
            case (false, .early(_, seconds: 1_000 - now, tolerance: 300)): break
            case (_, let other): Issue.record("\(String(describing: other))")
            }
            #expect(try problems(scheme, headers, tolerance: nil, now: now) == [])
        }
        #expect(try problems(.github, headers(.github), now: now) == [])
    }

    @Test("a time that is no number is refused", arguments: ["", "x", "-1000", "+1000", "1000.0", "1e3", " 1000", "９"])
    func timestamps(text: String) throws {
        let headers = try headers(.slack).map { header in
            header.name == "X-Slack-Request-Timestamp" ? .init(name: header.name, value: text) : header
        }
        let expected: VerificationProblem =
            text.isEmpty ? .missing("X-Slack-Request-Timestamp") : .invalidTimestamp("X-Slack-Request-Timestamp")
        #expect(try problems(.slack, headers) == [expected])
    }

    @Test("the largest time there is does no harm")
    func largest() throws {
        let headers = [
            Backend.Header(name: "x-slack-request-timestamp", value: String(Int64.max)),
            .init(name: "x-slack-signature", value: "v0="),
        ]
        let name = "X-Slack-Request-Timestamp"
        #expect(
            try problems(.slack, headers)
                == [.early(name, seconds: Int64.max - 1_000, tolerance: 300), .mismatch])
    }

    @Test("a signature of another scheme is told apart from a wrong one", arguments: SigningScheme.allCases)
    func otherScheme(scheme: SigningScheme) throws {
        let beginnings: [SigningScheme: String] = [
            .slack: "v0=", .standardWebhooks: "v1,", .ed25519: "v1a,", .github: "sha256=",
        ]
        let headers = try headers(scheme)
        let name = try #require(headers.map(\.name).first { $0.lowercased().contains("signature") })
        let rest = headers.filter { $0.name != name }
        let beginning = try #require(beginnings[scheme])
        #expect(
            try problems(scheme, rest + [.init(name: name, value: "v9,x v1=")])
                == [.noSignature(name, beginning: beginning)])
        #expect(try problems(scheme, rest + [.init(name: name, value: beginning)]) == [.mismatch])
    }

    @Test("an old request with another body has both told")
    func both() throws {
        #expect(
            try problems(.github, headers(.github), body: "x") == [.mismatch])
        #expect(
            try problems(.standardWebhooks, headers(.standardWebhooks), body: "x", now: 2_000)
                == [.old("webhook-timestamp", seconds: 1_000, tolerance: 300), .mismatch])
    }
}
