// Ready-made happenings.

package import RelayCore

/// Ready-made happenings in the shape of real ones (slack-protocol.md §3.2 to §3.4), with invented ids.
package enum SimulatedSample: String, Sendable, CaseIterable {
    case message
    case mention = "app_mention"
    case command
    case blockActions = "block_actions"
    case shortcut
    case messageAction = "message_action"
    case viewSubmission = "view_submission"
    case viewClosed = "view_closed"
    case blockSuggestion = "block_suggestion"
    /// A button of a legacy attachment.
    case interactiveMessage = "interactive_message"
    /// The menu of a legacy attachment asks for its options; its payload's type is `interactive_message`, too.
    case messageMenu = "message_menu"
    case dialogSubmission = "dialog_submission"
    case dialogCancellation = "dialog_cancellation"
    case dialogSuggestion = "dialog_suggestion"

    package var kind: Kind {
        switch self {
        case .message, .mention: .event
        case .command: .command
        case .blockActions, .shortcut, .messageAction, .viewSubmission, .viewClosed, .interactiveMessage,
            .dialogSubmission, .dialogCancellation:
            .interaction
        case .blockSuggestion, .messageMenu, .dialogSuggestion: .options
        }
    }

    /// The flag that Slack sets (slack-protocol.md §3.4). The documentation has true for block_actions; captures, which
    /// this follows, have false.
    package var acceptsResponsePayload: Bool {
        switch self {
        case .command, .viewSubmission, .blockSuggestion, .interactiveMessage, .messageMenu, .dialogSubmission,
            .dialogSuggestion:
            true
        case .message, .mention, .blockActions, .shortcut, .messageAction, .viewClosed, .dialogCancellation: false
        }
    }

    /// A `response_url` in it is still `SimulatedPayload.responseURLPlaceholder`.
    /// - Parameters:
    ///   - number: makes ids (event_id, trigger_id, timestamps) unique.
    ///   - text: what the person wrote; for a command all after its word.
    ///   - command: with its slash.
    ///   - channel: where it happened; order keys are made of it.
    ///   - callbackID: of the shortcut, view, dialog or attachment; nil: `simulated_shortcut`, `simulated_action`,
    ///     `simulated_view`, `simulated_dialog`, `simulated_attachment`.
    ///   - actionID: of the button or menu; nil: `approve`, `simulated_menu`.
    package func payload(
        number: Int, text: String = "Hello", command: String = "/simulate", channel: String = "C0SIMULATED",
        user: String = "U0SIMULATED", appID: String = "A0SIMULATED", callbackID: String? = nil, actionID: String? = nil
    ) -> SimulatedPayload {
        let text = JSONText(text)
        let command = JSONText(command)
        let channel = JSONText(channel)
        let user = JSONText(user)
        let app = JSONText(appID)
        let action = JSONText(actionID ?? (self == .blockSuggestion ? "simulated_menu" : "approve"))
        let callback = JSONText(callbackID ?? defaultCallbackID)
        let time = number / 1000
        let timestamp = "\(time).\(String(number % 1000 + 1000).dropFirst())000"
        let trigger = "\(number).1234567890.0123456789abcdef0123456789abcdef"
        let person = #""user":{"id":\#(user),"username":"simon","name":"simon","team_id":"T0SIMULATED"}"#
        // Shortcuts, dialogs and legacy messages do not name the app.
        let nameless =
            #""token":"simulated","team":{"id":"T0SIMULATED","domain":"simulated"},\#(person),"enterprise":null,"is_enterprise_install":false"#
        let common = #"\#(nameless),"api_app_id":\#(app)"#
        let place = #""channel":{"id":\#(channel),"name":"general"}"#
        let legacy = #"\#(nameless),\#(place),"callback_id":\#(callback),"action_ts":"\#(timestamp)""#
        let responseURL = #""response_url":"\#(SimulatedPayload.responseURLPlaceholder)""#
        func view(values: String) -> String {
            #""view":{"id":"V\#(number)","team_id":"T0SIMULATED","type":"modal","callback_id":\#(callback),"private_metadata":"","state":{"values":\#(values)},"hash":"\#(timestamp)","blocks":[],"title":{"type":"plain_text","text":"Simulated"},"root_view_id":"V\#(number)","previous_view_id":null,"app_id":\#(app),"external_id":"","app_installed_team_id":"T0SIMULATED","bot_id":"B0SIMULATED"}"#
        }
        let json =
            switch self {
            case .message, .mention:
                #"{"token":"simulated","team_id":"T0SIMULATED","context_team_id":"T0SIMULATED","context_enterprise_id":null,"api_app_id":\#(app),"event":{"type":"\#(rawValue)","user":\#(user),"text":\#(text),"ts":"\#(timestamp)","channel":\#(channel),"channel_type":"channel","event_ts":"\#(timestamp)"},"type":"event_callback","event_id":"Ev\#(number)","event_time":\#(time),"authorizations":[{"enterprise_id":null,"team_id":"T0SIMULATED","user_id":"U0SIMULATOR","is_bot":true,"is_enterprise_install":false}],"is_ext_shared_channel":false,"event_context":"4-simulated"}"#
            case .command:
                #"{"token":"simulated","team_id":"T0SIMULATED","team_domain":"simulated","channel_id":\#(channel),"channel_name":"general","user_id":\#(user),"user_name":"simon","command":\#(command),"text":\#(text),"api_app_id":\#(app),"is_enterprise_install":"false",\#(responseURL),"trigger_id":"\#(trigger)"}"#
            case .blockActions:
                #"{"type":"block_actions",\#(common),"container":{"type":"message","message_ts":"\#(timestamp)","channel_id":\#(channel),"is_ephemeral":false},"trigger_id":"\#(trigger)",\#(place),"message":{"bot_id":"B0SIMULATED","type":"message","text":\#(text),"user":"U0SIMULATOR","ts":"\#(timestamp)"},"state":{"values":{}},\#(responseURL),"actions":[{"action_id":\#(action),"block_id":"aB+c=","text":{"type":"plain_text","text":"Approve","emoji":true},"value":"yes","type":"button","action_ts":"\#(timestamp)"}]}"#
            case .shortcut:
                #"{"type":"shortcut",\#(nameless),"callback_id":\#(callback),"trigger_id":"\#(trigger)","action_ts":"\#(timestamp)"}"#
            case .messageAction:
                #"{"type":"message_action",\#(nameless),"callback_id":\#(callback),"trigger_id":"\#(trigger)","action_ts":"\#(timestamp)",\#(place),"message_ts":"\#(timestamp)","message":{"type":"message","user":\#(user),"text":\#(text),"ts":"\#(timestamp)"},\#(responseURL)}"#
            case .viewSubmission:
                #"{"type":"view_submission",\#(common),"trigger_id":"\#(trigger)",\#(view(values: #"{"input":{"answer":{"type":"plain_text_input","value":\#(text)}}}"#)),"response_urls":[]}"#
            case .viewClosed:
                #"{"type":"view_closed",\#(common),\#(view(values: "{}")),"is_cleared":false}"#
            case .blockSuggestion:
                #"{"type":"block_suggestion",\#(common),"container":{"type":"message","message_ts":"\#(timestamp)","channel_id":\#(channel)},"action_id":\#(action),"block_id":"aB+c=","value":\#(text),\#(place)}"#
            case .interactiveMessage:
                #"{"type":"interactive_message","actions":[{"name":"approve","type":"button","value":"yes"}],\#(legacy),"message_ts":"\#(timestamp)","attachment_id":"1","is_app_unfurl":false,"original_message":{"type":"message","subtype":"bot_message","bot_id":"B0SIMULATED","text":\#(text),"attachments":[{"id":1,"callback_id":\#(callback),"fallback":"Approve?","actions":[{"id":"1","name":"approve","text":"Approve","type":"button","value":"yes","style":""}]}],"ts":"\#(timestamp)"},\#(responseURL),"trigger_id":"\#(trigger)"}"#
            case .messageMenu:
                #"{"name":"simulated_menu","value":\#(text),\#(legacy),"type":"interactive_message","message_ts":"\#(timestamp)","attachment_id":"1"}"#
            case .dialogSubmission:
                #"{"type":"dialog_submission",\#(legacy),"submission":{"answer":\#(text)},\#(responseURL),"state":"simulated"}"#
            case .dialogCancellation:
                #"{"type":"dialog_cancellation",\#(legacy),\#(responseURL),"state":"simulated"}"#
            case .dialogSuggestion:
                #"{"type":"dialog_suggestion",\#(legacy),"name":"simulated_menu","value":\#(text),"state":"simulated"}"#
            }
        var payload = SimulatedPayload(kind, payload: Array(json.utf8))
        payload.acceptsResponsePayload = acceptsResponsePayload
        return payload
    }

    private var defaultCallbackID: String {
        switch self {
        case .shortcut: "simulated_shortcut"
        case .viewSubmission, .viewClosed: "simulated_view"
        case .interactiveMessage, .messageMenu: "simulated_attachment"
        case .dialogSubmission, .dialogCancellation, .dialogSuggestion: "simulated_dialog"
        case .message, .mention, .command, .blockActions, .messageAction, .blockSuggestion: "simulated_action"
        }
    }
}

/// What a sample payload says; nil: the sample's own.
package struct SampleValues: Sendable {
    package var text: String?
    package var command: String?
    package var channel: String?
    package var user: String?
    package var callbackID: String?
    package var actionID: String?
    /// The envelope's `accepts_response_payload`.
    package var acceptsResponsePayload: Bool?

    package init(
        text: String? = nil, command: String? = nil, channel: String? = nil, user: String? = nil,
        callbackID: String? = nil, actionID: String? = nil, acceptsResponsePayload: Bool? = nil
    ) {
        self.text = text
        self.command = command
        self.channel = channel
        self.user = user
        self.callbackID = callbackID
        self.actionID = actionID
        self.acceptsResponsePayload = acceptsResponsePayload
    }

    func payload(of sample: SimulatedSample, number: Int, appID: String) -> SimulatedPayload {
        var payload = sample.payload(
            number: number, text: text ?? "Hello", command: command ?? "/simulate", channel: channel ?? "C0SIMULATED",
            user: user ?? "U0SIMULATED", appID: appID, callbackID: callbackID, actionID: actionID)
        if let acceptsResponsePayload { payload.acceptsResponsePayload = acceptsResponsePayload }
        return payload
    }
}
