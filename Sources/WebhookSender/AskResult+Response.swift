// What a response, or the lack of one, means to somebody who waits for an answer (design: "On the wire to a backend").

internal import Curl
internal import RelayCore
internal import SlackHTTP

extension AskResult {
    /// An event asks for a 2xx. A person's answer is a 200, and nothing else (slack-protocol.md §4.8).
    init(_ response: CurlResponse, to kind: Kind, now: Timestamp) {
        var attempt = AttemptResult(response, now: now)
        guard kind != .event else {
            self.init(ofEvent: attempt, response)
            return
        }
        guard response.status == 200 else {
            if attempt.outcome == .accepted { attempt.outcome = .failed(.http(status: response.status)) }
            self.init(attempt)
            return
        }
        self.init(
            attempt, reply: BackendReply(body: response.body, contentType: response.header("Content-Type")))
    }

    /// Of an event only the status is asked for. A 200 whose body did not come whole says yes, and nothing else.
    init(_ error: CurlError, to kind: Kind, now: Timestamp) {
        var attempt = AttemptResult(error, now: now)
        switch (attempt.outcome, kind, attempt.status) {
        case (_, .event, _): self.init(ofEvent: attempt, error.response)
        case (.accepted, _, 200): self.init(attempt, reply: .unusable(.incomplete))
        case (.accepted, _, let status):
            attempt.outcome = .failed(status.map { .http(status: $0) } ?? AttemptReason(error.code))
            self.init(attempt)
        case (.rejected, _, _), (.failed, _, _): self.init(attempt)
        }
    }

    private init(ofEvent attempt: AttemptResult, _ response: CurlResponse?) {
        let isAccepted = attempt.outcome == .accepted
        let noRetry = response?.wantsNoRetry ?? false
        self.init(attempt, reply: isAccepted ? .empty : nil, wantsNoRetry: noRetry && !isAccepted)
    }
}
