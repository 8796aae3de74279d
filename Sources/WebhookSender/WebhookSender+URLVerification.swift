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
    /// Apps that it was not signed for any more, because too much time had gone.
    package var untriedApps = 0

    package var isVerified: Bool { result.outcome == .accepted && isChallengeReturned }

    /// Of all apps together, but for the last request: that has the backend's `timeout`, so that with the longest one (10
    /// minutes) the end comes before the command line has waited enough (11 minutes).
    package static let longest = Duration.seconds(45)

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
            return URLVerification(result: AttemptResult(error, now: now()), isChallengeReturned: false)
        case .noRequest(let result):
            return URLVerification(result: result, isChallengeReturned: false)
        }
    }

    /// The same of a backend that may belong to any of these apps: signed for one after the other until it is verified,
    /// where it has no `signing` of its own. Returns the best that came of it, of equals the first. After
    /// `URLVerification.longest` no further request is begun.
    package func verifyURL(of backend: Backend, apps: [AppName]) async -> URLVerification? {
        let end = now().advanced(by: URLVerification.longest)
        let apps = backend.signing.isEmpty ? apps : Array(apps.prefix(1))
        var best: URLVerification?
        for (index, app) in apps.enumerated() {
            guard index == 0 || now() < end else {
                best?.untriedApps = apps.count - index
                break
            }
            guard let verification = await verifyURL(of: backend.name, app: app) else { return nil }
            if best.map({ $0.rank < verification.rank }) ?? true { best = verification }
            guard !verification.isVerified, verification.mayDependOnSignature else { break }
        }
        return best
    }
}

extension URLVerification {
    fileprivate var rank: Int { isVerified ? 2 : result.outcome == .accepted ? 1 : 0 }

    /// Whether it got an answer, or could not be signed.
    fileprivate var mayDependOnSignature: Bool {
        switch result.outcome.reason {
        case nil, .http, .requestError: true
        default: false
        }
    }
}
