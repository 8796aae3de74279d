// A question that every app behind a request URL can answer: whether it is there, and knows the signing secret.

internal import Curl
package import RelayCore
internal import SlackHTTP

/// What a backend says to a `url_verification`.
package struct URLVerification: Sendable, Equatable {
    /// As of any attempt; a backend that was reached and answered 2xx is `accepted`.
    package var result: AttemptResult
    /// Whether the challenge came back in the body.
    package var isChallengeReturned: Bool

    package var isVerified: Bool { result.outcome == .accepted && isChallengeReturned }

    /// Random letters and digits.
    package static func makeChallenge() -> String { String(UInt64.random(in: .min ... .max), radix: 36) + "relay" }

    package init(result: AttemptResult, isChallengeReturned: Bool) {
        self.result = result
        self.isChallengeReturned = isChallengeReturned
    }
}

extension WebhookSender {
    /// Sends a backend the signed request with which Slack checks a new request URL for events
    /// (https://docs.slack.dev/reference/events/url_verification): an app answers it with the challenge, as JSON, as a
    /// form or alone, and does nothing else.
    ///
    /// nil: the backend is unknown, or has no URL for events.
    /// - Parameters:
    ///   - app: whose secret signs, where the backend has no `signing` of its own.
    ///   - challenge: random letters and digits.
    ///   - instance: the queue part of the request's delivery id, which names nothing stored.
    package func verifyURL(
        of backend: BackendName, app: AppName = App.defaultName, challenge: String = URLVerification.makeChallenge(),
        instance: UInt32 = .random(in: .min ... .max)
    ) async -> URLVerification? {
        guard url(of: backend, for: .event) != nil else { return nil }
        let payload = #"{"type":"url_verification","token":"relay","challenge":"\#(challenge)"}"#
        let delivery = Delivery(
            id: DeliveryID(queue: instance, sequence: 1), backend: backend, route: "url_verification", app: app,
            kind: .event, payload: Payload(payload), receivedAt: now())
        switch await perform(delivery, attempt: 1) {
        case .response(let response):
            let body = String(decoding: response.body.prefix(64 << 10), as: UTF8.self)
            return URLVerification(
                result: AttemptResult(response, now: now()), isChallengeReturned: body.contains(challenge))
        case .noResponse(let error):
            return URLVerification(result: AttemptResult(error), isChallengeReturned: false)
        case .noRequest(let result):
            return URLVerification(result: result, isChallengeReturned: false)
        }
    }
}
