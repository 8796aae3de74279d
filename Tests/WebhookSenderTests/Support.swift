// What the tests of the sender share.

import Curl
import RelayCore
import RelayTestKit
import WebhookSender

let started = Timestamp(millisecondsSinceEpoch: 1_700_000_000_000)

/// Nothing listens there. A port that was just closed may be another test's by now; this one is given to nobody.
let nowhere = "http://127.0.0.1:1/"

/// Runs a test with a backend on loopback and a sender that knows it as `b`, and stops both.
func withSender(
    answer: @escaping RecordingBackend.Script = { _ in .ok }, now: @escaping @Sendable () -> Timestamp = { started },
    secrets: any SecretReader = Secrets(), configure: (inout Backend) -> Void = { _ in },
    test: (RecordingBackend, WebhookSender) async throws -> Void
) async throws {
    let server = try await RecordingBackend(answer: answer)
    // Patient: the machine may have more to do than this test.
    let client = CurlClient(maxIdle: .seconds(60))
    // Patient: the machine may have more to do than this test.
    var backend = Backend(
        name: "b", url: server.url + "/slack/events?x=1", timeout: .seconds(60), connectTimeout: .seconds(30))
    configure(&backend)
    let sender = WebhookSender(
        backends: [backend], signingSecrets: [App.defaultName: .environment("APP")], secrets: secrets, client: client,
        now: now)
    var failure: (any Error)?
    do { try await test(server, sender) } catch { failure = error }
    client.shutdown()
    await server.shutDown()
    if let failure { throw failure }
}

func delivery(kind: Kind = .event, payload: String = "{}") -> Delivery {
    Delivery(
        id: DeliveryID(queue: 1, sequence: 1), backend: "b", route: "default", kind: kind, payload: Payload(payload),
        receivedAt: started)
}

/// Knows the secrets `env:APP`, `env:BACKEND`, and of Standard Webhooks `env:WEBHOOK`, `env:WEBHOOK2`, `env:PRIVATE`
/// and, which belongs to it, `env:PUBLIC`.
struct Secrets: SecretReader {
    func secret(_ reference: SecretReference) throws(SecretError) -> Secret {
        switch reference {
        case .environment("APP"): Secret("app secret")
        case .environment("BACKEND"): Secret("backend secret")
        case .environment("WEBHOOK"): Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        case .environment("WEBHOOK2"): Secret("C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
        case .environment("PRIVATE"):
            Secret("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==")
        case .environment("PUBLIC"): Secret("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=")
        default: throw SecretError(reference, reason: "not set")
        }
    }
}
