// What an envelope is about: read from its type and its payload.

package import RelayCore

/// What happened at Slack, as far as it decides who waits for what.
package struct Happening: Sendable, Equatable {
    /// nil: the envelope is of a type that is not known.
    package var kind: Kind?
    /// The event's type, the command with its slash, or the payload's type.
    package var name: String?

    /// Reads leniently: a payload that is no JSON has no name.
    init(type: String, payload: [UInt8]) {
        let members = (try? Members(payload)) ?? Members()
        switch type {
        case "events_api": (kind, name) = (.event, members.eventType ?? members.type)
        case "slash_commands": (kind, name) = (.command, members.command)
        case "interactive": (kind, name) = (members.asksForOptions ? .options : .interaction, members.type)
        default: (kind, name) = (nil, type)
        }
    }

    /// In a few words and without what people wrote: `event message`, `command /deploy`.
    package var summary: String {
        [kind?.rawValue, name.map { Printable($0, limit: 80).text }].compactMap(\.self).joined(separator: " ")
    }

    private struct Members {
        var type: String?
        var command: String?
        var eventType: String?
        var hasActions = false
        var hasNameAndValue: (name: Bool, value: Bool) = (false, false)

        /// A legacy menu that asks for options has the type of a legacy button, but no `actions` (slack-protocol.md
        /// §3.4).
        var asksForOptions: Bool {
            switch type {
            case "block_suggestion", "dialog_suggestion": true
            case "interactive_message": !hasActions && hasNameAndValue == (true, true)
            default: false
            }
        }

        init() {}

        init(_ payload: [UInt8]) throws(JSONError) {
            var scanner = JSONScanner(payload)
            try scanner.enterObject()
            while let key = try scanner.nextKey() {
                switch scanner.text(of: key) {
                case "type": type = try scanner.readString()
                case "command": command = try scanner.readString()
                case "event" where try scanner.nextKind() == .object: eventType = try Self.readType(&scanner)
                case let name:
                    try scanner.readValue()
                    if name == "actions" { hasActions = true }
                    if name == "name" { hasNameAndValue.name = true }
                    if name == "value" { hasNameAndValue.value = true }
                }
            }
            try scanner.finish()
        }

        private static func readType(_ scanner: inout JSONScanner) throws(JSONError) -> String? {
            var type: String?
            try scanner.enterObject()
            while let key = try scanner.nextKey() {
                if scanner.text(of: key) == "type" {
                    type = try scanner.readString()
                } else {
                    try scanner.readValue()
                }
            }
            return type
        }
    }
}

extension EnvelopeRecord {
    package var happening: Happening { Happening(type: type, payload: payload) }
}

/// Foreign text on one line: cut, and without characters that would steer a terminal.
struct Printable {
    let text: String

    /// - Parameter limit: characters that are kept.
    init(_ foreign: String, limit: Int = 200) {
        var text = ""
        for scalar in foreign.prefix(limit).unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator: text += scalar.escaped(asASCII: true)
            default: text.unicodeScalars.append(scalar)
            }
        }
        self.text = foreign.count > limit ? text + "…" : text
    }
}
