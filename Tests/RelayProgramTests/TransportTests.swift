// The way to Slack: a CONNECT proxy, and TLS with a private authority.

import Foundation
import RelayTestKit
import SlackSimulator
import Testing

@Suite("the way to Slack", .timeLimit(.minutes(2)))
struct TransportTests {
    /// A Slack with TLS and the file of its private authority, for as long as the body runs.
    private func withTLS(
        _ settings: (_ authority: String) -> RelaySettings, body: (Stage) async throws -> Void
    ) async throws {
        let authority = try TemporaryFile(TestCertificate.localhost.authority)
        let certificate = try TemporaryFile(TestCertificate.localhost.certificate)
        let key = try TemporaryFile(TestCertificate.localhost.privateKey)
        let tls = SlackSimulatorConfiguration.TLS(certificateFile: certificate.path, keyFile: key.path)
        try await Stage.with(slack: .init(tls: tls), relay: settings(authority.path), body: body)
    }

    private func expectDelivery(_ stage: Stage) async throws {
        try await stage.slack.waitForConnections(atLeast: 2)
        _ = try await stage.slack.send(.message, count: 10)
        #expect(Set(await stage.deliveredEvents(atLeast: 10)).count == 10)
    }

    @Test("with slack.ca a private authority is trusted, by the API call and by the WebSocket")
    func privateAuthority() async throws {
        try await withTLS({ RelaySettings(slack: ["ca: \($0)"]) }, body: expectDelivery)
    }

    @Test("without it nothing is sent, and the log names the certificate")
    func unknownAuthority() async throws {
        try await withTLS({ _ in RelaySettings() }) { stage in
            let failure = try await stage.relay.logged("attempt to connect failed")
            #expect(failure["detail"]?.contains("certificate") == true, "\(failure)")
            #expect(try await stage.slack.statistics().apiCalls == 0)
        }
    }

    @Test("slack.proxy with credentials: the API calls and both WebSockets go through its tunnels")
    func configuredProxy() async throws {
        let proxy = try await ConnectProxy(credentials: "relay:pass-word")
        try await withTLS({ RelaySettings(slack: ["ca: \($0)", "proxy: \(proxy.url)"]) }) { stage in
            try await expectDelivery(stage)
            #expect(Set(proxy.targets) == ["127.0.0.1:\(stage.slack.port)"])
            // libcurl may keep one tunnel for its two calls.
            #expect(3...4 ~= proxy.targets.count)
            #expect(!stage.relay.process.errors.text.contains("pass-word"))
        }
        await proxy.shutDown()
    }

    @Test("HTTPS_PROXY does the same")
    func proxyOfTheEnvironment() async throws {
        let proxy = try await ConnectProxy(credentials: "relay:pass-word")
        try await withTLS({
            RelaySettings(slack: ["ca: \($0)"], environment: ["HTTPS_PROXY": proxy.url])
        }) { stage in
            try await expectDelivery(stage)
            #expect(3...4 ~= proxy.targets.count)
        }
        await proxy.shutDown()
    }

    @Test("a host of NO_PROXY is reached directly")
    func noProxy() async throws {
        let proxy = try await ConnectProxy()
        try await withTLS({
            RelaySettings(
                slack: ["ca: \($0)"], environment: ["HTTPS_PROXY": proxy.url, "NO_PROXY": "example.com,127.0.0.1"])
        }) { stage in
            try await expectDelivery(stage)
            #expect(proxy.targets == [])
        }
        await proxy.shutDown()
    }

    @Test("a proxy that wants other credentials is named in the log, the credentials are not")
    func wrongCredentials() async throws {
        let proxy = try await ConnectProxy(credentials: "relay:pass-word")
        let url = "http://relay:wrong-word@127.0.0.1:\(proxy.port)"
        try await withTLS({ RelaySettings(slack: ["ca: \($0)", "proxy: \(url)"]) }) { stage in
            let failure = try await stage.relay.logged("attempt to connect failed")
            #expect(failure["detail"]?.contains("407") == true, "\(failure)")
            #expect(!stage.relay.process.errors.text.contains("wrong-word"))
            #expect(try await stage.slack.statistics().apiCalls == 0)
        }
        await proxy.shutDown()
    }
}
