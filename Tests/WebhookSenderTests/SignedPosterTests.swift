// Alarms on the wire.

import Curl
import RelayCore
import RelayTestKit
import Testing
import WebhookSender

@Suite struct SignedPosterTests {
    /// Posts once, to a backend that answers so.
    private func post(
        _ answer: RecordingBackend.Answer, secret: SecretReference = .environment("WEBHOOK")
    ) async throws -> (problem: String?, requests: [RecordingBackend.Request]) {
        let server = try await RecordingBackend { _ in answer }
        let client = CurlClient()
        let poster = SignedPoster(
            url: server.url + "/alarms", secret: secret, secrets: Secrets(), client: client, now: { started })
        let problem = await poster.post(id: "alarm_1", Array(#"{"text":"x"}"#.utf8))
        client.shutdown()
        await server.shutDown()
        return (problem, server.requests)
    }

    @Test("the receiver gets the body with a signature of Standard Webhooks")
    func signed() async throws {
        let (problem, requests) = try await post(.status(204))
        #expect(problem == nil)
        let request = try #require(requests.first)
        #expect(request.method == "POST")
        #expect(request.target == "/alarms")
        #expect(request.header("Content-Type") == "application/json")
        #expect(request.header("webhook-id") == "alarm_1")
        let verifier = try RequestVerifier(.standardWebhooks, try Secrets().secret(.environment("WEBHOOK")))
        let headers = request.headers.map { Backend.Header(name: $0.name, value: $0.value) }
        #expect(verifier.problems(headers: headers, body: request.body, tolerance: .zero, now: started) == [])
    }

    @Test(
        "what is no success is told",
        arguments: [
            (RecordingBackend.Answer.status(500), "HTTP 500"), (.status(302, ("Location", "/x")), "HTTP 302"),
        ])
    func refused(_ answer: RecordingBackend.Answer, _ problem: String) async throws {
        #expect(try await post(answer).problem == problem)
    }

    @Test("a secret that cannot be had, or is none of the scheme's, sends nothing", arguments: ["NONE", "APP"])
    func badSecret(_ name: String) async throws {
        let (problem, requests) = try await post(.ok, secret: .environment(name))
        #expect(problem?.contains("env:\(name)") == true)
        #expect(problem?.contains("app secret") == false)
        #expect(requests == [])
    }
}
