// What Slack, or what stands before it, says to somebody who wants to connect.

import RelayCore
import SlackConnector
import SocketMode

/// An answer of `apps.connections.open`, as it is on the wire (docs/slack-protocol.md §1.3).
struct SlackAnswer {
    var status = 200
    var retryAfter: String?
    var body: String

    /// Errors that pass, and one that nobody knows.
    private static let passing = [
        "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org",
        "org_login_required", "something_new",
    ]
    private static let fatal = ConnectionsOpen.fatalCodes.sorted()

    init(at door: SimulatedSlack.Door, url: String, _ dice: Dice) {
        switch door {
        case .apiFails: self = Self.failure(dice)
        case .rateLimited: self = Self.limit(dice)
        case .tokenRefused: self = SlackAnswer(error: dice.pick(Self.fatal) ?? "")
        case .open, .apiHangs, .upgradeFails, .upgradeHangs, .noHello, .refusesHello, .full, .flaps, .linkDisabled:
            self = SlackAnswer(body: #"{"ok":true,"url":"\#(url)"}"#)
        }
    }

    private init(body: String) { self.body = body }

    private init(status: Int = 200, retryAfter: String? = nil, error: String) {
        (self.status, self.retryAfter) = (status, retryAfter)
        body = #"{"ok":false,"error":"\#(error)"}"#
    }

    private static func failure(_ dice: Dice) -> SlackAnswer {
        switch dice.int(0...3) {
        case 0:
            let status = dice.pick([400, 403, 404, 500, 502, 503, 504]) ?? 500
            var answer = SlackAnswer(status: status, error: "")
            answer.retryAfter = status == 503 && dice.chance(0.5) ? "5" : nil
            return answer
        case 1:
            return SlackAnswer(body: dice.chance(0.5) ? "<html>Sign in to continue</html>" : #"{"ok":true}"#)
        default: return SlackAnswer(error: dice.pick(passing) ?? "")
        }
    }

    private static func limit(_ dice: Dice) -> SlackAnswer {
        let wait = dice.chance(0.8) ? "\(dice.int(1...30))" : nil
        return SlackAnswer(status: dice.chance(0.8) ? 429 : 200, retryAfter: wait, error: "ratelimited")
    }

    /// What becomes of a dial that does not come through.
    static func refusedUpgrade(_ dice: Dice) -> ConnectFailure {
        let outcomes = [
            ConnectOutcome.upgradeRejected, .rateLimited, .reset, .tlsError, .connectError, .dnsError, .proxyError,
        ]
        let outcome = dice.pick(outcomes) ?? .reset
        switch outcome {
        case .upgradeRejected:
            let status = dice.pick([400, 401, 403, 404, 408, 409, 500, 502, 503]) ?? 409
            return ConnectFailure(outcome, "HTTP \(status)", status: status)
        case .rateLimited:
            return ConnectFailure(outcome, "HTTP 429", status: 429, retryAfter: dice.seconds(1...10))
        default: return ConnectFailure(outcome, outcome.rawValue)
        }
    }
}
