// The way to a backend: TLS with certificates of both sides, a proxy, HTTP/2, and the addresses that egress lets pass.

import Foundation
import RelayTestKit
import SlackSimulator
import Testing

@Suite("the way to a backend", .timeLimit(.minutes(2)))
struct BackendTransportTests {
    /// Runs a test with one backend, `app`, of these keys.
    private func withRelay(_ backend: String, test: (SlackSimulator, RunningRelay) async throws -> Void) async throws {
        let slack = try await Stage.makeSlack()
        let home = try RelayHome(apiURL: slack.apiURL, backends: ["app": backend])
        let relay = try await home.serve()
        do {
            try await test(slack, relay)
        } catch {
            await slack.stop()
            throw error
        }
        await relay.stop()
        await slack.stop()
    }

    @Test("tls and proxy: the backend sees Relay's certificate, through the proxy's tunnel; no password is logged")
    func mutualTLSThroughProxy() async throws {
        let authority = try TemporaryFile(TestCertificate.localhost.authority)
        let certificate = try TemporaryFile(TestCertificate.client.certificate)
        let key = try TemporaryFile(TestCertificate.client.privateKey)
        let backend = try await RecordingBackend(tls: .localhost, client: .client)
        let proxy = try await ConnectProxy(credentials: "relay:pass-word")
        try await withRelay(
            "url: \(backend.url)/hook, proxy: \"\(proxy.url)\", tls: { ca: \(authority.path), "
                + "client_cert: \(certificate.path), client_key: \(key.path) }"
        ) { slack, relay in
            _ = try await slack.send(.message)
            #expect(await backend.requests(atLeast: 1).map(\.target) == ["/hook"])
            #expect(proxy.targets == ["localhost:\(backend.port)"])
            #expect(!relay.process.errors.text.contains("pass-word"))
        }
        await proxy.shutDown()
        await backend.shutDown()
    }

    @Test("without a certificate of its own the attempt fails with tls_error, and is tried again")
    func withoutCertificate() async throws {
        let authority = try TemporaryFile(TestCertificate.localhost.authority)
        let backend = try await RecordingBackend(tls: .localhost, client: .client)
        try await withRelay("url: \(backend.url), tls: { ca: \(authority.path) }") { slack, relay in
            _ = try await slack.send(.message)
            // Where the server's end of the connection overtakes its alert, an attempt sees a reset; the next one sees it.
            let line = try await relay.logged("attempt failed; the delivery is tried again") {
                $0["attempt.reason"] == "tls_error"
            }
            #expect(line["attempt.detail"]?.contains("certificate required") == true)
        }
        await backend.shutDown()
    }

    @Test("a backend that speaks HTTP/2 gets it")
    func http2() async throws {
        let authority = try TemporaryFile(TestCertificate.localhost.authority)
        let backend = try await HTTP2Backend()
        try await withRelay("url: \(backend.url), tls: { ca: \(authority.path) }") { slack, relay in
            _ = try await slack.send(.message, count: 20)
            _ = try await relay.metrics { page in
                page.samples.contains {
                    $0.name == "relay_attempts_total" && $0.labels.contains(#"outcome="accepted""#) && $0.value == 20
                }
            }
            #expect(backend.requests.count == 20)
        }
        await backend.shutDown()
    }

    @Test("a name whose address egress does not allow: blocked_address with address and rule, and nothing is connected")
    func blockedAddress() async throws {
        let backend = try await RecordingBackend()
        try await withRelay(
            "url: \"http://localhost:\(backend.port)/\", egress: { deny: [127.0.0.0/8, \"::1\"] }"
        ) { slack, relay in
            _ = try await slack.send(.message)
            let line = try await relay.logged("attempt failed; the delivery is tried again")
            #expect(line["attempt.reason"] == "blocked_address")
            #expect(line["attempt.detail"]?.hasPrefix("egress does not allow ") == true)
            #expect(try await relay.metric("relay_attempts_total", #"reason="blocked_address""#) >= 1)
            #expect(backend.connectionCount == 0)
        }
        await backend.shutDown()
    }
}
