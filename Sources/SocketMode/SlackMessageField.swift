// What Relay reads from a frame, and at which paths: the one table of it.

/// Something to be known of a frame.
enum SlackMessageField: Int, CaseIterable {
    // Of the envelope
    case type, envelopeID, payload, acceptsResponsePayload, retryAttempt, retryReason
    // Of hello and disconnect
    case reason, connectionCount, connectionAppID, host, buildNumber, approximateConnectionTime
    // To route by
    case payloadType, event, eventType, eventSubtype, command, actions, actionID, blockID, callbackID, view
    case channel, thread, user, team, enterprise, app
    // To tell copies and options requests by
    case eventID, triggerID, viewID, viewHash, actionTimestamp, messageTimestamp, name, value
    // To answer late by
    case responseURL

    /// Where the field is read; the first path counts that has a value (for identifiers: a string that is not empty).
    ///
    /// Slack names the same thing in different ways, by kind and by age of the feature; a kind simply lacks the places
    /// of the others. Events have theirs under `payload.event`, interactions and commands under `payload`; where both
    /// `x` and `x.id` are listed, `x` is a string in some payloads and an object in others. Sources: slack-protocol.md
    /// §2.3, §2.4, §3.1 to §3.4; the less common places bolt-python, slack_bolt/request/internals.py.
    var paths: [String] {
        switch self {
        case .type: ["type"]
        case .envelopeID: ["envelope_id"]
        case .payload: ["payload"]
        case .acceptsResponsePayload: ["accepts_response_payload"]
        case .retryAttempt: ["retry_attempt"]
        case .retryReason: ["retry_reason"]

        case .reason: ["reason"]
        case .connectionCount: ["num_connections"]
        case .connectionAppID: ["connection_info.app_id"]
        case .host: ["debug_info.host"]
        case .buildNumber: ["debug_info.build_number"]
        case .approximateConnectionTime: ["debug_info.approximate_connection_time"]

        case .payloadType: ["payload.type"]
        case .event: ["payload.event"]
        case .eventType: ["payload.event.type"]
        case .eventSubtype: ["payload.event.subtype"]
        case .command: ["payload.command"]
        case .actions: ["payload.actions"]
        case .actionID: ["payload.action_id"]
        case .blockID: ["payload.block_id"]
        case .callbackID: ["payload.callback_id", "payload.event.callback_id", "payload.event.function.callback_id"]
        case .view: ["payload.view.callback_id", "payload.event.view.callback_id"]

        case .channel:
            [
                "payload.channel", "payload.channel.id", "payload.channel_id", "payload.container.channel_id",
                "payload.event.channel", "payload.event.channel.id", "payload.event.channel_id",
                "payload.event.item.channel", "payload.event.assistant_thread.channel_id",
            ]
        // A message in a thread names it; that of a message outside is its own. An event that wraps a message (changed,
        // deleted, a reaction) is about the thread of that message, hence before `event.ts`.
        case .thread:
            [
                "payload.container.thread_ts", "payload.message.thread_ts", "payload.container.message_ts",
                "payload.message.ts", "payload.message_ts",
                "payload.event.thread_ts", "payload.event.message.thread_ts",
                "payload.event.previous_message.thread_ts",
                "payload.event.assistant_thread.thread_ts", "payload.event.item.thread_ts", "payload.event.message.ts",
                "payload.event.previous_message.ts", "payload.event.item.ts", "payload.event.deleted_ts",
                "payload.event.ts",
            ]
        case .user:
            [
                "payload.user", "payload.user.id", "payload.user_id",
                "payload.event.user", "payload.event.user.id", "payload.event.user_id", "payload.event.message.user",
                "payload.event.previous_message.user", "payload.event.assistant_thread.user_id",
            ]
        case .team:
            [
                "payload.team", "payload.team.id", "payload.team_id", "payload.view.app_installed_team_id",
                "payload.user.team_id", "payload.context_team_id",
                "payload.event.team", "payload.event.team.id", "payload.event.team_id", "payload.event.user.team_id",
            ]
        case .enterprise:
            [
                "payload.enterprise", "payload.enterprise.id", "payload.enterprise_id", "payload.team.enterprise_id",
                "payload.context_enterprise_id",
            ]
        case .app: ["payload.api_app_id", "payload.view.app_id"]

        case .eventID: ["payload.event_id"]
        case .triggerID: ["payload.trigger_id"]
        case .viewID: ["payload.view.id", "payload.container.view_id"]
        case .viewHash: ["payload.view.hash"]
        case .actionTimestamp: ["payload.action_ts"]
        case .messageTimestamp: ["payload.container.message_ts", "payload.message_ts"]
        case .name: ["payload.name"]
        case .value: ["payload.value"]
        case .responseURL: ["payload.response_url"]
        }
    }
}
