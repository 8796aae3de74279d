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
    let client = CurlClient()
    var backend = Backend(name: "b", url: server.url + "/slack/events?x=1")
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

/// Knows the secrets `env:APP` and `env:BACKEND`.
struct Secrets: SecretReader {
    func secret(_ reference: SecretReference) throws(SecretError) -> Secret {
        switch reference {
        case .environment("APP"): Secret("app secret")
        case .environment("BACKEND"): Secret("backend secret")
        default: throw SecretError(reference, reason: "not set")
        }
    }
}
