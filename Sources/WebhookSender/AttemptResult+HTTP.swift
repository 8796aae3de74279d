// What a response, or the lack of one, means for a delivery (design: "On the wire to a backend").

internal import Curl
package import RelayCore
internal import SlackHTTP

extension AttemptResult {
    init(_ response: CurlResponse, now: Timestamp) {
        let isLoaded = response.status == 429 || response.status == 503
        self.init(
            AttemptOutcome(status: response.status, noRetry: response.wantsNoRetry),
            status: response.status,
            retryAfter: isLoaded ? response.header("Retry-After").flatMap { RetryAfter.parse($0, now: now) } : nil,
            detail: "HTTP \(response.status)")
        guard outcome != .accepted else { return }
        self.response = RecordedResponse(status: response.status, headers: response.headers, body: response.body)
    }

    init(_ error: CurlError, now: Timestamp) {
        guard error.code != .canceled, let response = error.response else {
            self.init(.failed(AttemptReason(error.code)), detail: error.message)
            return
        }
        // The backend has decided, and only its head is asked for: a body that is too long, is cut off, never ends or is
        // encoded in a way nobody knows changes nothing. To try again would give it the same delivery again and again.
        self.init(response, now: now)
        detail = "HTTP \(response.status); its body could not be read: \(error.message)"
        self.response?.isTruncated = true
    }
}

extension CurlResponse {
    /// `X-Slack-No-Retry: 1`
    var wantsNoRetry: Bool { header("X-Slack-No-Retry") == "1" }
}

extension AttemptOutcome {
    /// - Parameter noRetry: the response has `X-Slack-No-Retry: 1`.
    package init(status: Int, noRetry: Bool) {
        let reason = 300..<400 ~= status ? AttemptReason.redirect : .http(status: status)
        switch status {
        case 200..<300: self = .accepted
        case _ where noRetry: self = .rejected(reason)
        case 400, 410, 413, 414, 415, 422: self = .rejected(reason)
        default: self = .failed(reason)
        }
    }
}

extension AttemptReason {
    init(_ code: CurlError.Code) {
        self =
            switch code {
            case .dnsError: .dnsError
            // A proxy that cannot be used is a way to the backend that is closed.
            case .connectionRefused, .proxyError: .connectionRefused
            // An answer that is not HTTP is none: what the backend did with the request is not known.
            case .connectionReset, .other, .canceled: .connectionReset
            case .connectTimeout: .connectTimeout
            case .timeout: .timeout
            // Failed, not rejected: the name may have another address tomorrow.
            case .blockedAddress: .blockedAddress
            case .tlsError: .tlsError
            case .responseTooLarge: .responseTooLarge
            case .invalidRequest: .requestError
            }
    }
}
