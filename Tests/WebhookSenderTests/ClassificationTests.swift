// The tables of the design: statuses, curl's errors, paths put into URLs.

import Curl
import RelayCore
import Testing

@testable import WebhookSender

@Suite struct ClassificationTests {
    @Test("a 2xx is accepted, whatever else it says", arguments: [200, 201, 202, 204, 299])
    func accepted(status: Int) {
        #expect(AttemptOutcome(status: status, noRetry: false) == .accepted)
        #expect(AttemptOutcome(status: status, noRetry: true) == .accepted)
    }

    @Test("an answer that says the request itself is wrong is final", arguments: [400, 410, 413, 414, 415, 422])
    func rejected(status: Int) {
        #expect(AttemptOutcome(status: status, noRetry: false) == .rejected(.http(status: status)))
    }

    @Test("a redirect is a failure", arguments: [300, 301, 302, 303, 304, 307, 308, 399])
    func redirect(status: Int) {
        #expect(AttemptOutcome(status: status, noRetry: false) == .failed(.redirect))
        #expect(AttemptOutcome(status: status, noRetry: true) == .rejected(.redirect))
    }

    @Test(
        "every other status may pass, unless the backend says that it will not",
        arguments: [
            0, 101, 199, 401, 403, 404, 405, 408, 409, 411, 421, 425, 429, 451, 500, 502, 503, 504, 599, 600, 999,
        ])
    func failed(status: Int) {
        #expect(AttemptOutcome(status: status, noRetry: false) == .failed(.http(status: status)))
        #expect(AttemptOutcome(status: status, noRetry: true) == .rejected(.http(status: status)))
    }

    @Test(
        "the reason for each of curl's errors",
        arguments: [
            (.dnsError, .dnsError), (.connectionRefused, .connectionRefused), (.connectionReset, .connectionReset),
            (.connectTimeout, .connectTimeout), (.timeout, .timeout), (.tlsError, .tlsError),
            (.blockedAddress, .blockedAddress), (.proxyError, .connectionRefused),
            (.responseTooLarge, .responseTooLarge), (.canceled, .connectionReset),
            (.invalidRequest, .requestError), (.other, .connectionReset),
        ] as [(CurlError.Code, AttemptReason)])
    func reasons(code: CurlError.Code, reason: AttemptReason) {
        #expect(AttemptReason(code) == reason)
    }

    @Test(
        "a route's path takes the place of the URL's",
        arguments: [
            ("http://h:80/a/b", "/deploy", "http://h:80/deploy"), ("http://h", "/deploy", "http://h/deploy"),
            ("https://u:p@h/a?x=/1", "/deploy", "https://u:p@h/deploy?x=/1"),
            ("http://h?x=1", "/deploy", "http://h/deploy?x=1"), ("http://h/a?x=1#f", "/d?y=2", "http://h/d?y=2"),
            ("http://[::1]:80/a#f", "/d", "http://[::1]:80/d"),
        ])
    func paths(url: String, path: String, result: String) {
        #expect(TargetURL.replacePath(of: url, with: path) == result)
    }
}
