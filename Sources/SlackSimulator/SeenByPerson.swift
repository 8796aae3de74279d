// What the person who caused an envelope sees of what became of it (slack-protocol.md §3.5, §4.8, §5).

import Foundation
import RelayCore

extension EnvelopeRecord {
    /// What the person sees, a line each: first what the acknowledgement shows, or that it did not come, then each
    /// `response_url` post. People's words in it are cut to 200 characters; control characters are escaped.
    package var seen: [String] { [seenOfAcknowledgement] + posts.map { seen(of: $0) } }

    /// What the acknowledgement, or its lack, shows.
    package var seenOfAcknowledgement: String {
        let happening = happening
        let place = Place(happening)
        switch state {
        case .waiting: return place == .nowhere ? "nothing" : "nothing yet"
        case .acknowledged:
            // Slack looks at a payload only where it said so.
            let payload = acceptsResponsePayload ? acknowledgement?.payload : nil
            return place.shown(for: payload.flatMap(Answer.init))
        case .lost:
            let wasDispatched = copies.contains(where: \.isDispatched)
            return place.shownWithoutAcknowledgement(of: happening, wasDispatched: wasDispatched)
        }
    }

    /// What a post to the `response_url` shows, and when.
    package func seen(of post: Post) -> String {
        let message = Answer(post.body) ?? Answer()
        let what =
            if message.flag("delete_original") {
                "the message is deleted"
            } else if message.flag("replace_original") {
                "the message is replaced: \(message.text)"
            } else {
                "a new message, \(message.audience): \(message.text)"
            }
        return "after \(delay(of: post).milliseconds) ms, \(what)"
    }
}

/// Where the person looks while waiting.
private enum Place: Equatable {
    /// Nobody waits: an event, or something that was closed.
    case nowhere
    /// The channel in which a command was typed.
    case channel
    case modal
    case dialog
    /// A menu that is being filled.
    case menu
    /// A message with legacy buttons.
    case message
    /// A button, a menu that was chosen from, or the name of a shortcut.
    case element

    init(_ happening: Happening) {
        switch (happening.kind, happening.name) {
        case (nil, _), (.event, _), (.interaction, "view_closed"), (.interaction, "dialog_cancellation"):
            self = .nowhere
        case (.command, _): self = .channel
        case (.options, _): self = .menu
        case (.interaction, "view_submission"): self = .modal
        case (.interaction, "dialog_submission"): self = .dialog
        case (.interaction, "interactive_message"): self = .message
        case (.interaction, _): self = .element
        }
    }

    private static let trouble = "stays open: We had some trouble connecting. Try again?"

    /// - Parameter answer: nil: a bare acknowledgement.
    func shown(for answer: Answer?) -> String {
        switch self {
        case .nowhere, .element: return "nothing"
        case .channel:
            guard let answer, !answer.isEmpty else { return "nothing" }
            return "\(answer.audience): \(answer.text)"
        case .modal:
            guard let answer, !answer.isEmpty else { return "the modal closes" }
            return shownInModal(for: answer)
        case .dialog:
            guard let errors = answer?.dialogErrors else { return "the dialog closes" }
            return "the dialog stays open, with errors: \(errors)"
        case .menu: return answer?.options ?? "no results"
        case .message:
            guard let answer, !answer.isEmpty else { return "the message stays as it is" }
            if answer.flag("delete_original") { return "the message is deleted" }
            if answer.isSet("replace_original", to: false) {
                return "a new message, \(answer.audience): \(answer.text)"
            }
            return "the message is replaced: \(answer.text)"
        }
    }

    private func shownInModal(for answer: Answer) -> String {
        switch answer.string("response_action") {
        case "errors": "the modal stays open, with errors: \(answer.viewErrors)"
        case "update": "the modal is updated: \(answer.viewTitle)"
        case "push": "another modal opens on top: \(answer.viewTitle)"
        case "clear": "all modals close"
        default: "the modal \(Self.trouble)"
        }
    }

    func shownWithoutAcknowledgement(of happening: Happening, wasDispatched: Bool) -> String {
        switch self {
        case .nowhere: return "nothing"
        case .channel:
            let command = Printable(happening.name ?? "the command", limit: 80).text
            let error = wasDispatched ? "operation_timeout" : "dispatch_failed"
            return "\(command) failed with the error \"\(error)\""
        case .modal: return "the modal \(Self.trouble)"
        case .dialog: return "the dialog \(Self.trouble)"
        case .menu: return "no results: the menu could not be loaded"
        case .message: return "the message stays as it is, with a warning sign"
        case .element: return "a warning sign"
        }
    }
}

/// An answer's object, read leniently: what is missing or of another type is passed over.
private struct Answer {
    private var object: [String: Any] = [:]

    init() {}

    /// nil for what is no JSON object.
    init?(_ bytes: [UInt8]) {
        guard let object = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any] else { return nil }
        self.object = object
    }

    var isEmpty: Bool { object.isEmpty }

    func string(_ key: String) -> String? { object[key] as? String }
    func isSet(_ key: String, to value: Bool) -> Bool { object[key] as? Bool == value }
    func flag(_ key: String) -> Bool { isSet(key, to: true) }

    var audience: String { string("response_type") == "in_channel" ? "everyone in the channel" : "only you" }

    var text: String { Self.firstText(in: object).map { Printable($0).text } ?? "a message without text" }

    /// Fields by name, because an object has no order.
    var viewErrors: String {
        let errors = object["errors"] as? [String: Any] ?? [:]
        return Printable(errors.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: "; "))
            .text
    }

    /// nil: none, so that the dialog closes.
    var dialogErrors: String? {
        guard let errors = object["errors"] as? [[String: Any]], !errors.isEmpty else { return nil }
        let texts = errors.map { "\($0["name"] ?? ""): \($0["error"] ?? "")" }
        return Printable(texts.joined(separator: "; ")).text
    }

    var viewTitle: String {
        let view = object["view"] as? [String: Any]
        return (view?["title"]).flatMap(Self.firstText).map { Printable($0).text } ?? "a view without title"
    }

    /// How many options and which; nil: there are none.
    var options: String? {
        let groups = object["option_groups"] as? [[String: Any]]
        let options =
            groups?.flatMap { $0["options"] as? [[String: Any]] ?? [] } ?? object["options"] as? [[String: Any]]
        guard let options, !options.isEmpty else { return nil }
        guard options.count <= 100 else { return "no results: \(options.count) options are more than the 100 allowed" }
        let labels = options.map { ($0["text"] ?? $0["label"]).flatMap(Self.firstText) ?? "an option without text" }
        let groupCount = groups.map { " in \($0.count) group\($0.count == 1 ? "" : "s")" } ?? ""
        let count = "\(options.count) option\(options.count == 1 ? "" : "s")\(groupCount)"
        return "\(count): \(Printable(labels.joined(separator: ", ")).text)"
    }

    /// The text of a message is in `text`, or else in its blocks or attachments, in fields of many names.
    private static func firstText(in value: Any) -> String? {
        if let text = value as? String { return text.isEmpty ? nil : text }
        if let list = value as? [Any] {
            // Plain strings in a list are ids and the like.
            for element in list where !(element is String) {
                if let text = firstText(in: element) { return text }
            }
        }
        guard let object = value as? [String: Any] else { return nil }
        for key in ["text", "pretext", "title", "fields", "elements", "blocks", "attachments", "fallback", "alt_text"] {
            if let text = object[key].flatMap(firstText) { return text }
        }
        return nil
    }
}
