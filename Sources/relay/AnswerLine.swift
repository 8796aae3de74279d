// What `relay forward` says of somebody who waits: the backend's reply, and what Slack was told.

import Foundation
import Relay
import RelayCore

extension AnswerReport {
    /// What the backend said, in one word of a column: its status, or why there is none.
    var said: String {
        guard let attempt = result?.attempt else { return "not asked" }
        return attempt.status.map(String.init) ?? attempt.outcome.reason?.description ?? attempt.outcome.word
    }

    /// What became of it, for a person who develops the backend: his own reply is shown to him.
    var story: String {
        let problem = result.flatMap { result -> String? in
            guard case .unusable(let problem) = result.reply else { return nil }
            return problem.explanation
        }
        switch (outcome, told) {
        case (.answered, .payload(let payload)): return "acknowledged with \(excerpt(payload))"
        case (.answered, _): return "acknowledged"
        case (.answeredByURL, .bare):
            return "acknowledged; the reply\(size) goes to the response_url: \(reply)"
        case (.answeredByURL, _): return "NOT ACKNOWLEDGED; the reply goes to the response_url: \(reply)"
        case (.answeredLate, _) where isPosted:
            return "too late for the acknowledgement: it goes to the response_url: \(reply)"
        case (.answeredLate, .payload): return "too late: acknowledged all the same, and Slack has shown its error"
        case (.answeredLate, _): return "too late; there is nothing to say"
        case (.failed, .payload), (.unusable, .payload): return "acknowledged with the route's failure_message"
        case (.failed, .bare): return "acknowledged: the backend wants no retry"
        case (.failedLate, .bare):
            return "acknowledged at the deadline; the late_failure_message goes to the response_url"
        case (.tooLarge, _): return "NOT ACKNOWLEDGED: the reply\(size) does not fit into an acknowledgement"
        case (.notAccepted, _): return "NOT ACKNOWLEDGED: Slack takes no payload for this, and the backend replied one"
        case (.overloaded, _): return "NOT ACKNOWLEDGED: too many requests wait already"
        case (.held, _): return "NOT ACKNOWLEDGED: the backend has failed too often, and is left alone for a while"
        case (.lost, _): return "NOT ACKNOWLEDGED: no connection to Slack was open"
        case (.failed, _), (.failedLate, _), (.unusable, _):
            return "NOT ACKNOWLEDGED\(problem.map { ": \($0)" } ?? ""); the person sees Slack's error"
        }
    }

    private var size: String {
        guard case .payload(let payload)? = result?.reply else { return "" }
        return " of \(payload.bytes.count) bytes"
    }

    private var reply: String {
        guard case .payload(let payload)? = result?.reply else { return "nothing" }
        return excerpt(payload)
    }

    private func excerpt(_ payload: Payload) -> String {
        let text = String(decoding: payload.bytes, as: UTF8.self)
        let line = String(text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : Character($0) })
        return line.count > 120 ? line.prefix(120) + "…" : line
    }
}

extension ReplyProblem {
    fileprivate var explanation: String {
        switch self {
        case .invalidJSON: "the reply's Content-Type says JSON, its body is none"
        case .notAnObject: "the reply is JSON, but not an object"
        case .wrongCharset: "the reply is not UTF-8"
        case .incomplete: "the reply is too long (1 MiB), or did not come whole"
        }
    }
}
