// What the simulator can be asked to send.

package import RelayCore

/// One happening at Slack. Its payload goes out byte for byte.
package struct SimulatedPayload: Sendable, Equatable {
    /// The envelope's type: `events_api`, `slash_commands`, `interactive`, or any other word.
    package var type: String
    /// JSON. Not looked into: it may be a payload that no client can read.
    package var payload: [UInt8]
    package var acceptsResponsePayload: Bool

    package init(type: String, payload: [UInt8], acceptsResponsePayload: Bool) {
        self.type = type
        self.payload = payload
        self.acceptsResponsePayload = acceptsResponsePayload
    }

    /// With the type and flag that Slack has for the kind (slack-protocol.md §3).
    package init(_ kind: Kind, payload: [UInt8]) {
        let type =
            switch kind {
            case .event: "events_api"
            case .command: "slash_commands"
            case .interaction, .options: "interactive"
            }
        self.init(type: type, payload: payload, acceptsResponsePayload: kind != .event)
    }

    /// Only events are sent again, and only they carry the retry fields (slack-protocol.md §3.6).
    package var isRedelivered: Bool { type == "events_api" }
}

/// Ready-made happenings in the shape of real ones (slack-protocol.md §3.2 to §3.4), with invented ids.
package enum SimulatedSample: String, Sendable, CaseIterable {
    case message
    case mention = "app_mention"
    case command
    case blockActions = "block_actions"
    case shortcut
    case messageAction = "message_action"
    case viewSubmission = "view_submission"
    case blockSuggestion = "block_suggestion"

    package var kind: Kind {
        switch self {
        case .message, .mention: .event
        case .command: .command
        case .blockActions, .shortcut, .messageAction, .viewSubmission: .interaction
        case .blockSuggestion: .options
        }
    }

    /// - Parameters:
    ///   - number: makes ids (event_id, trigger_id, timestamps) unique.
    ///   - text: what the person wrote; for a command all after its word.
    ///   - command: with its slash.
    ///   - channel: where it happened; order keys are made of it.
    package func payload(
        number: Int, text: String = "Hello", command: String = "/simulate", channel: String = "C0SIMULATED",
        user: String = "U0SIMULATED", appID: String = "A0SIMULATED"
    ) -> SimulatedPayload {
        let text = JSONText(text)
        let command = JSONText(command)
        let channel = JSONText(channel)
        let user = JSONText(user)
        let app = JSONText(appID)
        let time = 1_700_000_000 + number / 1_000_000
        let timestamp = "\(time).\(String(String(number % 1_000_000 + 1_000_000).dropFirst()))"
        let trigger = "\(number).1234567890.0123456789abcdef0123456789abcdef"
        let person = #""user":{"id":\#(user),"username":"simon","name":"simon","team_id":"T0SIMULATED"}"#
        let common =
            #""token":"simulated","team":{"id":"T0SIMULATED","domain":"simulated"},\#(person),"enterprise":null,"is_enterprise_install":false,"api_app_id":\#(app)"#
        let responseURL = #"https:\/\/hooks.slack.com\/actions\/T0SIMULATED\/\#(number)\/simulated"#
        let json =
            switch self {
            case .message, .mention:
                #"{"token":"simulated","team_id":"T0SIMULATED","context_team_id":"T0SIMULATED","context_enterprise_id":null,"api_app_id":\#(app),"event":{"type":"\#(rawValue)","user":\#(user),"text":\#(text),"ts":"\#(timestamp)","channel":\#(channel),"channel_type":"channel","event_ts":"\#(timestamp)"},"type":"event_callback","event_id":"Ev\#(number)","event_time":\#(time),"authorizations":[{"enterprise_id":null,"team_id":"T0SIMULATED","user_id":"U0SIMULATOR","is_bot":true,"is_enterprise_install":false}],"is_ext_shared_channel":false,"event_context":"4-simulated"}"#
            case .command:
                #"{"token":"simulated","team_id":"T0SIMULATED","team_domain":"simulated","channel_id":\#(channel),"channel_name":"general","user_id":\#(user),"user_name":"simon","command":\#(command),"text":\#(text),"api_app_id":\#(app),"is_enterprise_install":"false","response_url":"https:\/\/hooks.slack.com\/commands\/T0SIMULATED\/\#(number)\/simulated","trigger_id":"\#(trigger)"}"#
            case .blockActions:
                #"{"type":"block_actions",\#(common),"container":{"type":"message","message_ts":"\#(timestamp)","channel_id":\#(channel),"is_ephemeral":false},"trigger_id":"\#(trigger)","channel":{"id":\#(channel),"name":"general"},"message":{"bot_id":"B0SIMULATED","type":"message","text":\#(text),"user":"U0SIMULATOR","ts":"\#(timestamp)"},"state":{"values":{}},"response_url":"\#(responseURL)","actions":[{"action_id":"approve","block_id":"aB+c=","text":{"type":"plain_text","text":"Approve","emoji":true},"value":"yes","type":"button","action_ts":"\#(timestamp)"}]}"#
            case .shortcut:
                #"{"type":"shortcut",\#(common),"callback_id":"simulated_shortcut","trigger_id":"\#(trigger)","action_ts":"\#(timestamp)"}"#
            case .messageAction:
                #"{"type":"message_action",\#(common),"callback_id":"simulated_action","trigger_id":"\#(trigger)","action_ts":"\#(timestamp)","channel":{"id":\#(channel),"name":"general"},"message_ts":"\#(timestamp)","message":{"type":"message","user":\#(user),"text":\#(text),"ts":"\#(timestamp)"},"response_url":"\#(responseURL)"}"#
            case .viewSubmission:
                #"{"type":"view_submission",\#(common),"trigger_id":"\#(trigger)","view":{"id":"V\#(number)","team_id":"T0SIMULATED","type":"modal","callback_id":"simulated_view","private_metadata":"","state":{"values":{"input":{"answer":{"type":"plain_text_input","value":\#(text)}}}},"hash":"\#(timestamp)","blocks":[],"title":{"type":"plain_text","text":"Simulated"},"root_view_id":"V\#(number)","previous_view_id":null,"app_id":\#(app),"external_id":"","app_installed_team_id":"T0SIMULATED","bot_id":"B0SIMULATED"},"response_urls":[]}"#
            case .blockSuggestion:
                #"{"type":"block_suggestion",\#(common),"container":{"type":"message","message_ts":"\#(timestamp)","channel_id":\#(channel)},"action_id":"simulated_menu","block_id":"aB+c=","value":\#(text),"channel":{"id":\#(channel),"name":"general"}}"#
            }
        return SimulatedPayload(kind, payload: Array(json.utf8))
    }
}

/// A string as JSON writes it, slashes escaped as Slack does (slack-protocol.md §4.3).
struct JSONText: CustomStringConvertible {
    let description: String

    init(_ text: String) {
        var json = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": json += "\\\""
            case "\\": json += "\\\\"
            case "/": json += "\\/"
            case "\n": json += "\\n"
            case "\u{0}"..."\u{1F}":
                let digits = String(scalar.value, radix: 16)
                json += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: json.unicodeScalars.append(scalar)
            }
        }
        description = json + "\""
    }
}
