// What an alarm says.

import RelayCore

extension Alarm {
    /// For people, and for a chat's incoming webhook, which shows `text`.
    var text: String {
        let since = since.rfc3339Seconds
        return switch (key.cause, state) {
        case (.backendFailing, .firing):
            "Backend \(key.subject) has been failing since \(since); its deliveries are held."
        case (.backendFailing, .resolved): "Backend \(key.subject) works again; its deliveries are being made."
        case (.backendGone, .firing):
            "Backend \(key.subject) answered 410 (gone) at \(since); its deliveries are held until somebody resumes it."
        case (.backendGone, .resolved): "Backend \(key.subject) was resumed."
        case (.deadLetter, _):
            count == 1
                ? "A delivery to backend \(key.subject) was given up: a dead letter."
                : "\(count) deliveries to backend \(key.subject) were given up since \(since): dead letters."
        case (.slackNotConnected, .firing): "App \(key.subject) has had no connection to Slack since \(since)."
        case (.slackNotConnected, .resolved): "App \(key.subject) is connected to Slack again."
        case (.backlogOld, .firing):
            "Deliveries to backend \(key.subject) have been waiting for more than "
                + "\(AlarmBook.oldAge.components.seconds / 60) minutes."
        case (.backlogOld, .resolved): "The backlog of backend \(key.subject) is young again."
        case (.queueFailing, .firing):
            "The queue has been failing since \(since); what it cannot store is not acknowledged to Slack."
        case (.queueFailing, .resolved): "The queue works again."
        }
    }

    /// A JSON object: `type` and `timestamp` as Standard Webhooks recommends, the values of this alarm in `data`, and
    /// `text` for people.
    func body(now: Timestamp) -> [UInt8] {
        var body = Array(#"{"type":"#.utf8)
        body.appendJSONString("relay.\(key.cause.rawValue).\(state.rawValue)")
        body += Array(#","timestamp":"#.utf8)
        body.appendJSONString(now.rfc3339Milliseconds)
        body += Array(#","text":"#.utf8)
        body.appendJSONString(text)
        body += Array(#","data":{"cause":"#.utf8)
        body.appendJSONString(key.cause.rawValue)
        body += Array(#","state":"#.utf8)
        body.appendJSONString(state.rawValue)
        body += Array(#","subject":"#.utf8)
        body.appendJSONString(key.subject)
        body += Array(#","since":"#.utf8)
        body.appendJSONString(since.rfc3339Milliseconds)
        body += Array(#","count":\#(count)}}"#.utf8)
        return body
    }
}
