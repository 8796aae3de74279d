// Where routing attributes and deduplication keys are found, kind by kind.

import RelayCore
import SocketMode
import Testing

@Suite struct SlackMessageRoutingTests {
    private func envelope(_ type: String, _ payload: String) throws -> Envelope {
        let text = #"{"envelope_id":"e","payload":\#(payload),"type":"\#(type)"}"#
        guard
            case .envelope(let envelope) = SlackMessage.parse(
                Array(text.utf8), app: "demo", receivedAt: Timestamp(millisecondsSinceEpoch: 0))
        else { throw NoEnvelope() }
        return envelope
    }

    private struct NoEnvelope: Error {}

    @Test("an event has its type, subtype, channel, user, team, enterprise and app")
    func event() throws {
        let attributes = try envelope(
            "events_api",
            #"""
            {"token":"x","team_id":"T1","enterprise_id":"E1","context_team_id":"T2","api_app_id":"A1","type":"event_callback","event_id":"Ev1",
             "event":{"type":"message","subtype":"bot_message","channel":"C1","user":"U1","team":"T3","blocks":[{"block_id":"b"}]}}
            """#
        ).attributes
        var expected = EnvelopeAttributes()
        (expected.payloadType, expected.event, expected.eventSubtype) = ("event_callback", "message", "bot_message")
        (expected.channel, expected.user, expected.team, expected.enterprise, expected.app) = (
            "C1", "U1", "T1", "E1", "A1"
        )
        #expect(attributes == expected)
    }

    @Test("an events_api payload without an event has its own type as event (F16)")
    func rateLimited() throws {
        let envelope = try envelope(
            "events_api", #"{"token":"x","type":"app_rate_limited","team_id":"T1","api_app_id":"A1"}"#)
        #expect(envelope.attributes.event == "app_rate_limited")
        #expect(envelope.deduplicationKey == nil)
    }

    @Test(
        "the channel of an event is found in all its places",
        arguments: [
            #"{"channel":"C1"}"#, #"{"channel":{"id":"C1","name":"n"}}"#, #"{"channel_id":"C1"}"#,
            #"{"item":{"channel":"C1","type":"message"}}"#,
            #"{"assistant_thread":{"channel_id":"C1"}}"#, #"{"channel":null,"item":{"channel":"C1"}}"#,
            #"{"channel":"","channel_id":"C1"}"#,
            #"{"item":{"channel":"C2"},"channel":"C1"}"#,
        ])
    func eventChannel(_ event: String) throws {
        #expect(try envelope("events_api", #"{"event":\#(event)}"#).attributes.channel == "C1")
    }

    @Test(
        "the user of an event is found in all its places",
        arguments: [
            #"{"user":"U1"}"#, #"{"user":{"id":"U1"}}"#, #"{"user_id":"U1"}"#, #"{"message":{"user":"U1"}}"#,
            #"{"previous_message":{"user":"U1"}}"#, #"{"assistant_thread":{"user_id":"U1"}}"#,
            #"{"message":{"user":"U2"},"user":"U1"}"#,
        ])
    func eventUser(_ event: String) throws {
        #expect(try envelope("events_api", #"{"event":\#(event)}"#).attributes.user == "U1")
    }

    @Test(
        "the team is found in all its places",
        arguments: [
            #"{"team_id":"T1"}"#, #"{"team":{"id":"T1","domain":"d"}}"#, #"{"team":"T1"}"#,
            #"{"team":null,"user":{"id":"U","team_id":"T1"}}"#,
            #"{"team":null,"view":{"app_installed_team_id":"T1"}}"#, #"{"team_id":null,"context_team_id":"T1"}"#,
            #"{"event":{"team":"T1"}}"#,
            #"{"event":{"team_id":"T1"}}"#, #"{"event":{"user":{"id":"W1","team_id":"T1"}}}"#,
        ])
    func team(_ payload: String) throws {
        #expect(try envelope("events_api", payload).attributes.team == "T1")
        #expect(try envelope("interactive", payload).attributes.team == "T1")
    }

    @Test(
        "the enterprise is found in all its places",
        arguments: [
            #"{"enterprise_id":"E1"}"#, #"{"enterprise":{"id":"E1"}}"#,
            #"{"enterprise":null,"team":{"id":"T","enterprise_id":"E1"}}"#,
            #"{"context_enterprise_id":"E1","enterprise_id":null}"#,
        ])
    func enterprise(_ payload: String) throws {
        #expect(try envelope("interactive", payload).attributes.enterprise == "E1")
    }

    @Test(
        "a message in a thread has the thread's, one outside its own, and what is about a message that message's",
        arguments: [
            (#"{"type":"message","thread_ts":"1.1","ts":"2.2"}"#, "1.1"),
            (#"{"type":"message","ts":"1.1"}"#, "1.1"),
            (
                #"{"type":"message","subtype":"message_changed","ts":"3.3","message":{"ts":"2.2","thread_ts":"1.1"}}"#,
                "1.1"
            ),
            (#"{"type":"message","subtype":"message_changed","ts":"3.3","message":{"ts":"1.1"}}"#, "1.1"),
            (#"{"type":"message","subtype":"message_deleted","ts":"3.3","deleted_ts":"1.1"}"#, "1.1"),
            (
                #"{"type":"message","subtype":"message_deleted","ts":"3.3","previous_message":{"ts":"2.2","thread_ts":"1.1"}}"#,
                "1.1"
            ),
            (#"{"type":"reaction_added","item":{"type":"message","channel":"C1","ts":"1.1"},"event_ts":"3.3"}"#, "1.1"),
            (#"{"type":"assistant_thread_started","assistant_thread":{"thread_ts":"1.1"}}"#, "1.1"),
            (#"{"type":"team_join"}"#, nil),
        ] as [(String, String?)])
    func eventThread(_ event: String, _ thread: String?) throws {
        #expect(try envelope("events_api", #"{"event":\#(event)}"#).attributes.thread == thread)
    }

    @Test(
        "an interaction is about the thread of its message",
        arguments: [
            (#"{"type":"block_actions","container":{"message_ts":"2.2","thread_ts":"1.1"}}"#, "1.1"),
            (#"{"type":"block_actions","container":{"message_ts":"1.1"},"message":{"ts":"1.1"}}"#, "1.1"),
            (#"{"type":"message_action","message":{"ts":"2.2","thread_ts":"1.1"},"message_ts":"2.2"}"#, "1.1"),
            (#"{"type":"view_submission","view":{"id":"V1"}}"#, nil),
        ] as [(String, String?)])
    func interactionThread(_ payload: String, _ thread: String?) throws {
        #expect(try envelope("interactive", payload).attributes.thread == thread)
    }

    @Test("a command has its word, channel, user, team, enterprise and app, and no payload type")
    func command() throws {
        let envelope = try envelope(
            "slash_commands",
            #"""
            {"token":"x","team_id":"T1","team_domain":"d","channel_id":"C1","channel_name":"n","user_id":"U1","user_name":"u","command":"/deploy",
             "text":"now","api_app_id":"A1","is_enterprise_install":"false","enterprise_id":"E1","response_url":"https://x","trigger_id":"1.2.3"}
            """#)
        var expected = EnvelopeAttributes()
        (expected.command, expected.channel, expected.user) = ("/deploy", "C1", "U1")
        (expected.team, expected.enterprise, expected.app) = ("T1", "E1", "A1")
        #expect(envelope.attributes == expected)
        #expect(envelope.deduplicationKey == "command/1.2.3")
    }

    @Test("block actions have the ids of all their actions")
    func blockActions() throws {
        let attributes = try envelope(
            "interactive",
            #"""
            {"type":"block_actions","team":{"id":"T1"},"user":{"id":"U1"},"api_app_id":"A1","container":{"channel_id":"C9"},"channel":{"id":"C1"},
             "message":{"user":"U9","blocks":[{"block_id":"other"}]},"view":{"callback_id":"home"},
             "actions":[{"action_id":"a1","block_id":"b1"},"odd",{"action_id":"a2","block_id":"b2"}]}
            """#
        ).attributes
        #expect(attributes.actionIDs == ["a1", "a2"])
        #expect(attributes.blockIDs == ["b1", "b2"])
        #expect((attributes.channel, attributes.user, attributes.team) == ("C1", "U1", "T1"))
        #expect((attributes.view, attributes.callbackID, attributes.payloadType) == ("home", nil, "block_actions"))
    }

    @Test("a block suggestion has its ids at the top, and its container's channel")
    func blockSuggestion() throws {
        let attributes = try envelope(
            "interactive",
            #"{"type":"block_suggestion","action_id":"a1","block_id":"b1","value":"roo","container":{"channel_id":"C1"}}"#
        ).attributes
        #expect((attributes.actionIDs, attributes.blockIDs) == (["a1"], ["b1"]))
        #expect(attributes.channel == "C1")
    }

    @Test("shortcuts, dialogs and custom functions have their callback id")
    func callbackID() throws {
        #expect(try envelope("interactive", #"{"type":"shortcut","callback_id":"c1"}"#).attributes.callbackID == "c1")
        #expect(
            try envelope(
                "events_api", #"{"event":{"type":"function_executed","function":{"id":"Fn","callback_id":"c1"}}}"#
            )
            .attributes.callbackID == "c1")
    }

    @Test(
        "copies of one happening have the same key, other happenings another",
        arguments: [
            ("events_api", #"{"event_id":"Ev1"}"#, "event/Ev1"),
            ("events_api", #"{"event_id":""}"#, nil),
            ("slash_commands", "{}", nil),
            (
                "interactive", #"{"type":"block_actions","trigger_id":"1.2","actions":[{"action_ts":"3.4"}]}"#,
                "block_actions/1.2"
            ),
            (
                "interactive",
                #"{"type":"block_actions","user":{"id":"U1"},"container":{"message_ts":"5.6","channel_id":"C1"},"actions":[{"action_ts":"3.4"}]}"#,
                "block_actions/C1/5.6/U1/3.4"
            ),
            (
                "interactive",
                #"{"type":"block_actions","user":{"id":"U1"},"container":{"view_id":"V1"},"actions":[{"action_ts":"3.4"}]}"#,
                "block_actions//V1/U1/3.4"
            ),
            ("interactive", #"{"type":"block_actions","actions":[{"action_id":"a"}]}"#, nil),
            (
                "interactive", #"{"type":"view_submission","trigger_id":"1.2","view":{"id":"V1","hash":"h1"}}"#,
                "view_submission/1.2"
            ),
            ("interactive", #"{"type":"view_submission","view":{"id":"V1","hash":"h1"}}"#, "view_submission/V1/h1"),
            ("interactive", #"{"type":"view_closed","view":{"id":"V1","hash":"h1"}}"#, "view_closed/V1/h1"),
            (
                "interactive", #"{"type":"shortcut","callback_id":"c","action_ts":"3.4","user":{"id":"U1"}}"#,
                "shortcut//c/U1/3.4"
            ),
            ("interactive", #"{"type":"block_suggestion","trigger_id":"1.2","value":"v"}"#, nil),
            ("interactive", #"{"trigger_id":"1.2"}"#, nil),
        ] as [(String, String, String?)])
    func deduplicationKey(_ type: String, payload: String, key: String?) throws {
        #expect(try envelope(type, payload).deduplicationKey == key)
    }

    @Test("a view submitted again after an error is another happening: its hash is the same, its trigger is not")
    func resubmission() throws {
        let first = try envelope(
            "interactive", #"{"type":"view_submission","trigger_id":"1","view":{"id":"V","hash":"h"}}"#)
        let second = try envelope(
            "interactive", #"{"type":"view_submission","trigger_id":"2","view":{"id":"V","hash":"h"}}"#)
        #expect(first.deduplicationKey != second.deduplicationKey)
    }
}
