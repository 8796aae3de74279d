// What a person sees, for everything that may become of an envelope.

import RelayCore
import Testing

@testable import SlackSimulator

@Suite struct SeenByPersonTests {
    private static let start = Timestamp(millisecondsSinceEpoch: 1_700_000_000_000)

    /// What became of an envelope.
    enum End: Sendable {
        case waiting
        /// With this payload; nil: bare.
        case acknowledged(String?)
        case notInTime
        case noConnection
    }

    private static func record(_ sample: SimulatedSample, _ end: End) -> EnvelopeRecord {
        let payload = sample.payload(number: 1, command: "/deploy")
        var record = EnvelopeRecord(
            id: "e1", type: payload.type, payload: payload.payload,
            acceptsResponsePayload: payload.acceptsResponsePayload, state: .waiting)
        var copy = EnvelopeRecord.Copy(
            envelopeID: "e1", attempt: 0, sentAt: start, connection: ConnectionID(1), isDispatched: true)
        switch end {
        case .waiting: break
        case .acknowledged(let answer):
            record.state = .acknowledged
            copy.acknowledgement = EnvelopeRecord.Acknowledgement(
                at: start.advanced(by: .milliseconds(120)), connection: ConnectionID(1), isLate: false,
                payload: answer.map { Array($0.utf8) })
        case .notInTime: record.state = .lost
        case .noConnection:
            record.state = .lost
            copy.connection = nil
            copy.isDispatched = false
        }
        record.copies = [copy]
        return record
    }

    private static let trouble = "stays open: We had some trouble connecting. Try again?"
    private static let many = (1...101).map { #"{"text":"\#($0)","value":"v"}"# }.joined(separator: ",")

    private static let table: [(SimulatedSample, End, String)] = [
        (.message, .waiting, "nothing"), (.message, .acknowledged(nil), "nothing"), (.mention, .notInTime, "nothing"),

        (.command, .waiting, "nothing yet"), (.command, .acknowledged(nil), "nothing"),
        (.command, .acknowledged("{}"), "nothing"), (.command, .acknowledged(#""text""#), "nothing"),
        (.command, .acknowledged(#"{"text":"On its way"}"#), "only you: On its way"),
        (
            .command, .acknowledged(#"{"response_type":"ephemeral","text":"a\nb\u001b[31m"}"#),
            #"only you: a\nb\u{1B}[31m"#
        ),
        (
            .command, .acknowledged(#"{"response_type":"in_channel","text":"Done"}"#),
            "everyone in the channel: Done"
        ),
        (
            .command,
            .acknowledged(
                #"{"text":"","blocks":[{"type":"divider"},{"type":"section","text":{"type":"mrkdwn","text":"*Done*"}}]}"#
            ),
            "only you: *Done*"
        ),
        (
            .command, .acknowledged(#"{"blocks":[{"type":"context","elements":[{"type":"mrkdwn","text":"in"}]}]}"#),
            "only you: in"
        ),
        (.command, .acknowledged(#"{"attachments":[{"fallback":"plain"}]}"#), "only you: plain"),
        (.command, .acknowledged(#"{"blocks":7}"#), "only you: a message without text"),
        (.command, .notInTime, #"/deploy failed with the error "operation_timeout""#),
        (.command, .noConnection, #"/deploy failed with the error "dispatch_failed""#),

        (.viewSubmission, .waiting, "nothing yet"), (.viewSubmission, .acknowledged(nil), "the modal closes"),
        (.viewSubmission, .acknowledged("{}"), "the modal closes"),
        (
            .viewSubmission,
            .acknowledged(#"{"response_action":"errors","errors":{"name":"is taken","age":"too young"}}"#),
            "the modal stays open, with errors: age: too young; name: is taken"
        ),
        (
            .viewSubmission,
            .acknowledged(#"{"response_action":"update","view":{"type":"modal","title":{"text":"Thanks"}}}"#),
            "the modal is updated: Thanks"
        ),
        (
            .viewSubmission, .acknowledged(#"{"response_action":"push","view":{"type":"modal"}}"#),
            "another modal opens on top: a view without title"
        ),
        (.viewSubmission, .acknowledged(#"{"response_action":"clear"}"#), "all modals close"),
        (.viewSubmission, .acknowledged(#"{"text":"for a message"}"#), "the modal \(trouble)"),
        (.viewSubmission, .notInTime, "the modal \(trouble)"), (.viewClosed, .notInTime, "nothing"),

        (.blockSuggestion, .acknowledged(nil), "no results"),
        (.blockSuggestion, .acknowledged(#"{"options":[]}"#), "no results"),
        (
            .blockSuggestion,
            .acknowledged(#"{"options":[{"text":{"type":"plain_text","text":"Apple"},"value":"a"}]}"#),
            "1 option: Apple"
        ),
        (
            .blockSuggestion,
            .acknowledged(
                #"{"option_groups":[{"label":{},"options":[{"text":{"text":"A"}}]},{"options":[{"text":{"text":"B"}},{}]}]}"#
            ),
            "3 options in 2 groups: A, B, an option without text"
        ),
        (.blockSuggestion, .notInTime, "no results: the menu could not be loaded"),
        (.messageMenu, .acknowledged(#"{"options":[{"text":"x","value":"1"},{"text":"y"}]}"#), "2 options: x, y"),
        (
            .messageMenu, .acknowledged(#"{"options":[\#(many)]}"#),
            "no results: 101 options are more than the 100 allowed"
        ),
        (.dialogSuggestion, .acknowledged(#"{"options":[{"label":"Limo","value":"l"}]}"#), "1 option: Limo"),

        (.blockActions, .waiting, "nothing yet"), (.blockActions, .acknowledged(nil), "nothing"),
        (.blockActions, .acknowledged(#"{"text":"not looked at"}"#), "nothing"),
        (.blockActions, .notInTime, "a warning sign"), (.shortcut, .notInTime, "a warning sign"),
        (.messageAction, .noConnection, "a warning sign"),

        (.dialogSubmission, .acknowledged(nil), "the dialog closes"),
        (.dialogSubmission, .acknowledged(#"{"errors":[]}"#), "the dialog closes"),
        (
            .dialogSubmission, .acknowledged(#"{"errors":[{"name":"to","error":"unknown"},{"name":"by"}]}"#),
            "the dialog stays open, with errors: to: unknown; by: "
        ),
        (.dialogSubmission, .notInTime, "the dialog \(trouble)"), (.dialogCancellation, .notInTime, "nothing"),

        (.interactiveMessage, .acknowledged(nil), "the message stays as it is"),
        (.interactiveMessage, .acknowledged(#"{"text":"Approved"}"#), "the message is replaced: Approved"),
        (
            .interactiveMessage, .acknowledged(#"{"text":"Noted","replace_original":false}"#),
            "a new message, only you: Noted"
        ),
        (.interactiveMessage, .acknowledged(#"{"delete_original":true}"#), "the message is deleted"),
        (.interactiveMessage, .notInTime, "the message stays as it is, with a warning sign"),
    ]

    @Test("what the acknowledgement shows, or its lack", arguments: table)
    func acknowledgement(_ sample: SimulatedSample, end: End, seen: String) {
        #expect(Self.record(sample, end).seen == [seen])
    }

    @Test(
        "a post says when it came and what it does",
        arguments: [
            (#"{"text":"Done"}"#, "after 1500 ms, a new message, only you: Done"),
            (
                #"{"text":"Done","response_type":"in_channel","replace_original":false}"#,
                "after 1500 ms, a new message, everyone in the channel: Done"
            ),
            (#"{"text":"Done","replace_original":true}"#, "after 1500 ms, the message is replaced: Done"),
            (#"{"delete_original":true}"#, "after 1500 ms, the message is deleted"),
        ])
    func post(_ body: String, seen: String) {
        var record = Self.record(.command, .acknowledged(nil))
        record.posts = [EnvelopeRecord.Post(at: Self.start.advanced(by: .milliseconds(1_500)), body: Array(body.utf8))]
        #expect(record.seen == ["nothing", seen])
    }

    @Test("a long text is cut")
    func long() {
        let text = String(repeating: "é", count: 201)
        let record = Self.record(.command, .acknowledged(#"{"text":"\#(text)"}"#))
        #expect(record.seenOfAcknowledgement == "only you: \(text.dropLast())…")
    }

    @Test(
        "an envelope says in a few words what it is about",
        arguments: [
            ("events_api", #"{"event":{"type":"message"},"type":"event_callback"}"#, Kind.event, "event message"),
            ("events_api", #"{"type":"app_rate_limited"}"#, .event, "event app_rate_limited"),
            ("slash_commands", #"{"command":"\/de\nploy"}"#, .command, #"command /de\nploy"#),
            ("interactive", #"{"type":"view_closed"}"#, .interaction, "interaction view_closed"),
            (
                "interactive", #"{"type":"interactive_message","name":"n"}"#, .interaction,
                "interaction interactive_message"
            ),
            (
                "interactive", #"{"type":"interactive_message","name":"n","value":""}"#, .options,
                "options interactive_message"
            ),
            ("interactive", "no JSON", .interaction, "interaction"), ("new_thing", "{}", nil, "new_thing"),
        ] as [(String, String, Kind?, String)])
    func happening(type: String, payload: String, kind: Kind?, summary: String) {
        let happening = Happening(type: type, payload: Array(payload.utf8))
        #expect(happening.kind == kind)
        #expect(happening.summary == summary)
    }
}
