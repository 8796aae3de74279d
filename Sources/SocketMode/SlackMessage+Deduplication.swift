// What makes two envelopes copies of one happening.

import RelayCore

extension SlackMessageFields {
    /// The same for each copy that Slack sends of one happening, and for nothing else; nil: nothing in the payload
    /// tells.
    ///
    /// Never the `envelope_id`, which is new in each copy (F21). Per kind (slack-protocol.md §3.6):
    /// - event: `event_id`
    /// - command: `trigger_id`
    /// - interaction: `trigger_id`, which each click and each submission gets anew. Without one: the view's id and hash
    ///   (for a view that is submitted again after an error these stay the same, so they come second), or where and
    ///   when the action happened (container and `action_ts`).
    /// - options: none, asking twice does no harm
    func deduplicationKey(for kind: Kind) -> String? {
        switch kind {
        case .event: return key("event", text(.eventID))
        case .command: return key("command", text(.triggerID))
        case .options: return nil
        case .interaction:
            guard let type = text(.payloadType) else { return nil }
            if let trigger = text(.triggerID) { return key(type, trigger) }
            let view = text(.viewID)
            if let view, let hash = text(.viewHash), type.starts(with: "view_") { return key(type, view, hash) }
            guard let moment = actions.first?.timestamp ?? text(.actionTimestamp), let user = text(.user) else {
                return nil
            }
            let place = view ?? text(.messageTimestamp) ?? text(.callbackID)
            return key(type, text(.channel) ?? "", place ?? "", user, moment)
        }
    }

    /// Of the parts only a callback id can hold a slash, so no two lists of parts give the same key.
    private func key(_ kind: String, _ parts: String?...) -> String? {
        var key = kind
        for part in parts {
            guard let part else { return nil }
            key += "/" + part
        }
        return key
    }
}
