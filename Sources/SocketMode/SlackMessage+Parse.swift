// From a frame to a message, in one pass over its bytes.

package import RelayCore

extension SlackMessage {
    /// Understands one text frame. Never throws and never traps, whatever the bytes; unknown fields, reasons and types
    /// are no errors.
    ///
    /// The payload is copied once, as it stands in the frame. Of duplicate keys the last one wins, as in most JSON
    /// parsers. What is read where is told in `SlackMessageField`.
    /// - Parameters:
    ///   - frame: the whole message, continuation frames joined.
    ///   - receivedAt: when the frame had been read.
    package static func parse(_ frame: [UInt8], app: AppName, receivedAt: Timestamp) -> SlackMessage {
        guard let first = frame.first(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }) else {
            return .ignored(.empty)
        }
        guard first == UInt8(ascii: "{") else { return .ignored(isJSON(frame) ? .notAnObject : .notJSON) }
        do {
            let fields = try SlackMessageFields(frame)
            return message(fields, frame: frame, app: app, receivedAt: receivedAt)
        } catch {
            return .ignored(.malformed(error))
        }
    }

    private static func isJSON(_ frame: [UInt8]) -> Bool {
        var scanner = JSONScanner(frame)
        do {
            try scanner.readValue()
            try scanner.finish()
            return true
        } catch {
            return false
        }
    }

    private static func message(
        _ fields: SlackMessageFields, frame: [UInt8], app: AppName, receivedAt: Timestamp
    ) -> SlackMessage {
        let id = fields.text(.envelopeID)
        switch fields.text(.type) {
        case "hello": return .hello(Hello(fields))
        case "disconnect": return .disconnect(Disconnect(fields))
        case let type? where ["events_api", "slash_commands", "interactive"].contains(type):
            guard let id else { return .ignored(.noEnvelopeID) }
            guard let payload = fields.value(.payload), payload.kind == .object else {
                return .unsupported(type: type, envelopeID: id)
            }
            let kind = Kind(fields, envelopeType: type)
            return .envelope(
                Envelope(
                    app: app, id: id, kind: kind, payload: Payload(bytes: Array(frame[payload.range])),
                    attributes: EnvelopeAttributes(fields, kind: kind),
                    deduplicationKey: fields.deduplicationKey(for: kind),
                    acceptsResponsePayload: fields.boolean(.acceptsResponsePayload) ?? false,
                    responseURL: fields.text(.responseURL).map(ResponseURL.init),
                    retry: SlackRetry(fields), receivedAt: receivedAt))
        case let type:
            if let id { return .unsupported(type: type ?? "", envelopeID: id) }
            return .ignored(type == nil ? .noType : .unknownType)
        }
    }
}

extension SlackMessage.Hello {
    fileprivate init(_ fields: SlackMessageFields) {
        self.init(
            connectionCount: fields.integer(.connectionCount), appID: fields.text(.connectionAppID),
            host: fields.text(.host), buildNumber: fields.integer(.buildNumber),
            approximateConnectionTime: fields.integer(.approximateConnectionTime).map { .seconds($0) })
    }
}

extension SlackMessage.Disconnect {
    fileprivate init(_ fields: SlackMessageFields) {
        self.init(reason: .init(fields.text(.reason) ?? ""), host: fields.text(.host))
    }
}

extension SlackRetry {
    /// nil for the first copy, whose `retry_attempt` is 0 or absent.
    fileprivate init?(_ fields: SlackMessageFields) {
        guard let attempt = fields.integer(.retryAttempt), attempt > 0 else { return nil }
        self.init(attempt: attempt, reason: fields.text(.retryReason) ?? "")
    }
}

extension Kind {
    /// An `interactive` envelope asks for options when its payload's type says so, or when it is a legacy menu that
    /// sends what was typed (`name` and `value`) in place of `actions` (slack-protocol.md §3.4).
    fileprivate init(_ fields: SlackMessageFields, envelopeType: String) {
        switch (envelopeType, fields.text(.payloadType)) {
        case ("events_api", _): self = .event
        case ("slash_commands", _): self = .command
        case (_, "block_suggestion"), (_, "dialog_suggestion"): self = .options
        case (_, "interactive_message")
        where fields.value(.actions) == nil && fields.value(.name) != nil && fields.value(.value) != nil:
            self = .options
        default: self = .interaction
        }
    }
}

extension EnvelopeAttributes {
    fileprivate init(_ fields: SlackMessageFields, kind: Kind) {
        self.init()
        callbackID = fields.text(.callbackID)
        view = fields.text(.view)
        channel = fields.text(.channel)
        thread = fields.text(.thread)
        user = fields.text(.user)
        team = fields.text(.team)
        enterprise = fields.text(.enterprise)
        app = fields.text(.app)
        switch kind {
        case .event:
            payloadType = fields.text(.payloadType)
            event = fields.value(.event) == nil ? payloadType : fields.text(.eventType)
            eventSubtype = fields.text(.eventSubtype)
        case .command:
            command = fields.text(.command)
        case .interaction, .options:
            payloadType = fields.text(.payloadType)
            let actions = fields.actions
            actionIDs = actions.isEmpty ? [fields.text(.actionID)].compactMap(\.self) : actions.compactMap(\.actionID)
            blockIDs = actions.isEmpty ? [fields.text(.blockID)].compactMap(\.self) : actions.compactMap(\.blockID)
        }
    }
}
