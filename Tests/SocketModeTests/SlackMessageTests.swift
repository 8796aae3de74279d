// Frames that say hello, goodbye or nothing, and what an envelope is made of.

import RelayCore
import SocketMode
import Testing

@Suite struct SlackMessageTests {
    private func parse(_ text: String) -> SlackMessage {
        .parse(Array(text.utf8), app: "demo", receivedAt: Timestamp(millisecondsSinceEpoch: 1_700_000_000_000))
    }

    private func envelope(_ text: String) throws -> Envelope {
        guard case .envelope(let envelope) = parse(text) else { throw NoEnvelope() }
        return envelope
    }

    private struct NoEnvelope: Error {}

    @Test("hello is read with all its fields")
    func hello() {
        let text = #"""
            {"type":"hello","num_connections":2,"connection_info":{"app_id":"A0EXAMPLE"},
             "debug_info":{"host":"applink-3","build_number":118,"approximate_connection_time":18060,"started":"x"}}
            """#
        let hello = SlackMessage.Hello(
            connectionCount: 2, appID: "A0EXAMPLE", host: "applink-3", buildNumber: 118,
            approximateConnectionTime: .seconds(18060))
        #expect(parse(text) == .hello(hello))
    }

    @Test(
        "hello needs nothing but its type",
        arguments: [
            #"{"type":"hello"}"#, #"{"debug_info":null,"type":"hello","connection_info":[],"num_connections":"many"}"#,
            #"{"type":"hello","debug_info":{"host":7,"build_number":1.5}}"#,
        ])
    func leanHello(_ text: String) {
        #expect(parse(text) == .hello(.init()))
    }

    @Test(
        "each disconnect reason is known by Slack's word; any other is kept",
        arguments: [
            ("warning", .warning), ("refresh_requested", .refreshRequested), ("link_disabled", .linkDisabled),
            ("socket_mode_disabled", .linkDisabled), ("too_many_websockets", .tooManyWebSockets),
            ("solar_flare", .unknown("solar_flare")), ("", .unknown("")),
        ] as [(String, SlackMessage.DisconnectReason)])
    func disconnect(_ word: String, reason: SlackMessage.DisconnectReason) {
        let text = #"{"type":"disconnect","reason":"\#(word)","debug_info":{"host":"applink-3"}}"#
        #expect(parse(text) == .disconnect(.init(reason: reason, host: "applink-3")))
    }

    @Test("a disconnect without a reason is one with an unknown reason")
    func disconnectWithoutReason() {
        #expect(parse(#"{"type":"disconnect"}"#) == .disconnect(.init(reason: .unknown(""))))
    }

    @Test(
        "text that says nothing is ignored, with the reason",
        arguments: [
            ("", .empty), (" \r\n\t", .empty), ("UNAUTHENTICATED: cache_error", .notJSON), ("<html>", .notJSON),
            ("[1", .notJSON),
            ("[]", .notAnObject), ("\"hello\"", .notAnObject), ("null", .notAnObject), ("17", .notAnObject),
            ("{", .malformed(JSONError(.unexpectedEnd, at: 1))),
            ("{\"type\":\"hello\"} x", .malformed(JSONError(.unexpectedByte, at: 17))),
            ("{}", .noType), ("{\"type\":7}", .noType), ("{\"type\":\"new\"}", .unknownType),
            ("{\"type\":\"events_api\",\"payload\":{}}", .noEnvelopeID),
            ("{\"type\":\"interactive\",\"envelope_id\":\"\",\"payload\":{}}", .noEnvelopeID),
        ] as [(String, SlackMessage.Reason)])
    func ignored(_ text: String, reason: SlackMessage.Reason) {
        #expect(parse(text) == .ignored(reason))
    }

    @Test(
        "what has an id is to be acknowledged, however strange",
        arguments: [
            (#"{"envelope_id":"e1","type":"new_thing","payload":{}}"#, "new_thing"),
            (#"{"envelope_id":"e1"}"#, ""),
            (#"{"envelope_id":"e1","type":"events_api"}"#, "events_api"),
            (#"{"envelope_id":"e1","type":"events_api","payload":null}"#, "events_api"),
            (#"{"envelope_id":"e1","type":"interactive","payload":"{}"}"#, "interactive"),
            (#"{"envelope_id":"e1","type":"slash_commands","payload":[{}]}"#, "slash_commands"),
        ])
    func unsupported(_ text: String, type: String) {
        #expect(parse(text) == .unsupported(type: type, envelopeID: "e1"))
    }

    @Test("the payload is cut from the frame byte for byte")
    func payloadBytes() throws {
        let payload = #"{ "a":1e2 , "url":"https:\/\/x", "a":12345678901234567890, "é" : "\u00e9\ud83d" }"#
        let envelope = try envelope(#"{"envelope_id":"e1", "payload" : \#(payload) ,"type":"events_api"}"#)
        #expect(envelope.payload == Payload(payload))
        #expect(envelope.id == "e1")
        #expect(envelope.app == "demo")
        #expect(envelope.receivedAt == Timestamp(millisecondsSinceEpoch: 1_700_000_000_000))
    }

    @Test("of duplicate keys the last one wins, and nothing of the earlier one shines through")
    func duplicates() throws {
        let envelope = try envelope(
            #"""
            {"type":"hello","envelope_id":"e1","payload":{"event_id":"Ev1","event":{"type":"message","channel":"C1"},
             "api_app_id":"A1"},"envelope_id":"e2","type":"events_api","payload":{"event":{"type":"old","user":{"id":"U0"}},
             "event":{"user":"U1","user":{"name":"x"}}}}
            """#)
        #expect(envelope.id == "e2")
        #expect(envelope.deduplicationKey == nil)
        #expect(envelope.attributes == EnvelopeAttributes())
    }

    @Test("escaped keys are the keys they spell")
    func escapedKeys() throws {
        let envelope = try envelope(
            #"{"\u0065nvelope_id":"e\u0031","pay\u006coad":{"team_\u0069d":"T1"},"type":"events_api"}"#)
        #expect(envelope.id == "e1")
        #expect(envelope.attributes.team == "T1")
    }

    @Test(
        "the retry fields count from the second copy on",
        arguments: [
            ("", nil), (#","retry_attempt":0,"retry_reason":"""#, nil),
            (#","retry_attempt":1,"retry_reason":"timeout""#, SlackRetry(attempt: 1, reason: "timeout")),
            (#","retry_attempt":3"#, SlackRetry(attempt: 3, reason: "")), (#","retry_attempt":-1"#, nil),
            (#","retry_attempt":"2""#, nil),
        ] as [(String, SlackRetry?)])
    func retry(_ fields: String, expected: SlackRetry?) throws {
        #expect(try envelope(#"{"envelope_id":"e","type":"events_api","payload":{}\#(fields)}"#).retry == expected)
    }

    @Test(
        "only a true accepts_response_payload says that an answer may be sent",
        arguments: [("true", true), ("false", false), ("null", false), ("1", false)])
    func acceptsResponsePayload(_ json: String, expected: Bool) throws {
        let envelope = try envelope(
            #"{"envelope_id":"e","type":"slash_commands","payload":{},"accepts_response_payload":\#(json)}"#)
        #expect(envelope.acceptsResponsePayload == expected)
    }

    @Test(
        "the kind follows from the envelope's type and the payload's",
        arguments: [
            ("events_api", #"{"type":"event_callback"}"#, .event), ("slash_commands", "{}", .command),
            ("interactive", #"{"type":"block_actions","actions":[]}"#, .interaction),
            ("interactive", #"{"type":"never_heard_of"}"#, .interaction),
            ("interactive", "{}", .interaction), ("interactive", #"{"type":"block_suggestion"}"#, .options),
            ("interactive", #"{"type":"dialog_suggestion"}"#, .options),
            ("interactive", #"{"type":"dialog_submission"}"#, .interaction),
            ("interactive", #"{"type":"interactive_message","name":"n","value":""}"#, .options),
            ("interactive", #"{"type":"interactive_message","name":"n","value":"v","actions":[{}]}"#, .interaction),
            ("interactive", #"{"type":"interactive_message","actions":[{}]}"#, .interaction),
        ] as [(String, String, Kind)])
    func kind(_ type: String, payload: String, kind: Kind) throws {
        #expect(try envelope(#"{"envelope_id":"e","type":"\#(type)","payload":\#(payload)}"#).kind == kind)
    }

    @Test(
        "the response URL is found where Slack puts it, its slashes escaped or not",
        arguments: [
            (
                "slash_commands", #"{"command":"/x","response_url":"https:\/\/hooks.slack.com\/commands\/1"}"#,
                "commands/1"
            ),
            ("slash_commands", #"{"command":"/x","response_url":"https://hooks.slack.com/commands/1"}"#, "commands/1"),
            ("interactive", interaction("interactive_message", "actions"), "actions/1"),
            ("interactive", interaction("block_actions", "actions"), "actions/1"),
            ("interactive", interaction("message_action", "app"), "app/1"),
            ("interactive", interaction("dialog_submission", "app"), "app/1"),
            ("interactive", interaction("dialog_cancellation", "app"), "app/1"),
            (
                "slash_commands",
                #"{"response_url":"https://hooks.slack.com/0","response_url":"https://hooks.slack.com/1"}"#, "1"
            ),
        ])
    func responseURL(_ type: String, payload: String, path: String) throws {
        let envelope = try envelope(#"{"envelope_id":"e","payload":\#(payload),"type":"\#(type)"}"#)
        #expect(envelope.responseURL == ResponseURL("https://hooks.slack.com/\(path)"))
    }

    private static func interaction(_ type: String, _ path: String) -> String {
        #"{"type":"\#(type)","response_url":"https:\/\/hooks.slack.com\/\#(path)\/1","team":{"id":"T1"}}"#
    }

    @Test(
        "there is no response URL elsewhere, nor where the field is no text",
        arguments: [
            (
                "events_api",
                #"{"type":"event_callback","event":{"type":"message","response_url":"https://hooks.slack.com/1"}}"#
            ),
            ("interactive", #"{"type":"shortcut","callback_id":"c"}"#),
            ("interactive", #"{"type":"view_closed","view":{"response_url":"https://hooks.slack.com/1"}}"#),
            (
                "interactive",
                #"{"type":"view_submission","response_urls":[{"response_url":"https://hooks.slack.com/1","block_id":"b"}]}"#
            ),
            ("interactive", #"{"type":"block_suggestion","value":"v"}"#),
            ("slash_commands", #"{"command":"/x","response_url":""}"#),
            ("slash_commands", #"{"command":"/x","response_url":null}"#),
            ("slash_commands", #"{"command":"/x","response_url":["https://hooks.slack.com/1"]}"#),
            ("slash_commands", #"{"response_url":"https://hooks.slack.com/1","response_url":7}"#),
        ])
    func noResponseURL(_ type: String, payload: String) throws {
        #expect(try envelope(#"{"envelope_id":"e","payload":\#(payload),"type":"\#(type)"}"#).responseURL == nil)
    }

    @Test("neither the response URL nor the payload is printed, in whatever way an envelope is")
    func secrecy() throws {
        let envelope = try envelope(
            #"{"envelope_id":"e","payload":{"text":"hush","response_url":"https://hooks.slack.com/1"},"type":"slash_commands"}"#
        )
        let message = parse(
            #"{"envelope_id":"e","payload":{"text":"hush","response_url":"https://hooks.slack.com/1"},"type":"slash_commands"}"#
        )
        let url = try #require(envelope.responseURL)
        let answer = LateAnswer(
            id: .init(app: "a", envelopeID: "e"), responseURL: url, expiresAt: envelope.receivedAt,
            reply: envelope.payload, failure: envelope.payload)
        #expect("\(url)" == "***")
        #expect(url.debugDescription == "***")
        #expect(Mirror(reflecting: url).children.isEmpty)
        for value in [url, envelope, message, answer, envelope.responseURL as Any, [url], ["k": url]] as [Any] {
            var dumped = ""
            dump(value, to: &dumped)
            for text in ["\(value)", String(describing: value), String(reflecting: value), dumped] {
                #expect(!text.contains("hooks.slack.com"), "\(type(of: value))")
                #expect(!text.contains("hush"), "\(type(of: value))")
            }
        }
    }
}
