// Slack's rules, one by one, without sockets and without waiting.

import Foundation
import RelayCore
import SocketMode
import Testing

@testable import SlackSimulator

@Suite struct SlackStateMachineTests {
    private let start = Timestamp(millisecondsSinceEpoch: 1_700_000_000_000)
    private let event = SimulatedSample.message.payload(number: 1)
    private let command = SimulatedSample.command.payload(number: 1)

    private func at(_ seconds: Double) -> Timestamp { start.advanced(by: .seconds(seconds)) }

    private func makeSlack(connections: Int = 0, _ configuration: SlackSimulatorConfiguration = .init())
        -> SlackStateMachine
    {
        var slack = SlackStateMachine(configuration)
        for _ in 0..<connections { _ = slack.opened(.regular(isShortLived: false), now: start) }
        return slack
    }

    /// The messages among actions, with the number of their connection.
    private func messages(_ actions: [SlackStateMachine.Action]) -> [(connection: UInt64, message: SlackMessage)] {
        actions.compactMap { action in
            guard case .text(let id, let text) = action else { return nil }
            return (id.number, SlackMessage.parse(text, app: "demo", receivedAt: start))
        }
    }

    private func envelopes(_ actions: [SlackStateMachine.Action]) -> [Envelope] {
        messages(actions).compactMap { if case .envelope(let envelope) = $0.message { envelope } else { nil } }
    }

    /// Lets time pass from timer to timer.
    private func run(_ slack: inout SlackStateMachine, until seconds: Double) -> [SlackStateMachine.Action] {
        var actions: [SlackStateMachine.Action] = []
        while let next = slack.nextTimer, next <= at(seconds) { actions += slack.timePassed(now: next) }
        return actions
    }

    // MARK: The way in

    @Test(
        "the API wants a POST, a bearer token, an app-level token, and the right one",
        arguments: [
            (false, "Bearer xapp-1", "insecure_request"), (true, nil, "not_authed"),
            (true, "Basic xapp-1", "not_authed"),
            (true, "Bearer xoxb-1", "not_allowed_token_type"), (true, "Bearer xapp-2", "invalid_auth"),
        ] as [(Bool, String?, String)])
    func tokens(isPOST: Bool, authorization: String?, error: String) {
        var slack = makeSlack(.init(appToken: Secret("xapp-1")))
        #expect(
            slack.connectionsOpenCalled(isPOST: isPOST, authorization: authorization) == .fault(.error(code: error)))
    }

    @Test("a ticket works once")
    func ticket() {
        var slack = makeSlack()
        guard case .ticket(let ticket) = slack.connectionsOpenCalled(isPOST: true, authorization: "Bearer xapp-any")
        else {
            Issue.record("no ticket")
            return
        }
        #expect(UUID(uuidString: ticket) != nil)
        #expect(slack.upgradeRequested(ticket: ticket, isShortLived: true) == .accept(.regular(isShortLived: true)))
        #expect(slack.upgradeRequested(ticket: ticket, isShortLived: false) == .refuse(.status(403)))
        #expect(slack.upgradeRequested(ticket: nil, isShortLived: false) == .refuse(.status(403)))
    }

    @Test("a ticket is spent by a failed upgrade, too")
    func failedUpgrade() {
        var slack = makeSlack()
        slack.upgradeFaults = [.status(409)]
        guard case .ticket(let ticket) = slack.connectionsOpenCalled(isPOST: true, authorization: "Bearer xapp-") else {
            return
        }
        #expect(slack.upgradeRequested(ticket: ticket, isShortLived: false) == .refuse(.status(409)))
        #expect(slack.upgradeRequested(ticket: ticket, isShortLived: false) == .refuse(.status(403)))
    }

    @Test("faults are used up in order, then all is well again")
    func faults() {
        var slack = makeSlack()
        slack.apiFaults = [.error(code: "internal_error"), .status(429, retryAfter: 2)]
        #expect(
            slack.connectionsOpenCalled(isPOST: true, authorization: "Bearer xapp-")
                == .fault(.error(code: "internal_error")))
        #expect(
            slack.connectionsOpenCalled(isPOST: true, authorization: "Bearer xapp-")
                == .fault(.status(429, retryAfter: 2)))
        guard case .ticket = slack.connectionsOpenCalled(isPOST: true, authorization: "Bearer xapp-") else {
            Issue.record("still failing")
            return
        }
    }

    // MARK: Connections

    @Test("hello counts this connection and the ghosts")
    func hello() {
        var slack = makeSlack(connections: 1, .init(appID: "A1", ghosts: 3))
        let (id, actions) = slack.opened(.regular(isShortLived: false), now: start)
        let hello = SlackMessage.Hello(
            connectionCount: 5, appID: "A1", host: "applink-2", buildNumber: 118,
            approximateConnectionTime: .seconds(18_060))
        #expect(id == ConnectionID(2))
        #expect(messages(actions).map(\.message) == [.hello(hello)])
    }

    @Test("with debug_reconnects a connection lives 360 seconds")
    func shortLife() {
        var slack = makeSlack()
        let (_, actions) = slack.opened(.regular(isShortLived: true), now: start)
        guard case .hello(let hello) = messages(actions).first?.message else { return }
        #expect(hello.approximateConnectionTime == .seconds(360))
        #expect(
            messages(slack.timePassed(now: at(350))).map(\.message).contains(
                .disconnect(.init(reason: .warning, host: "applink-1"))))
    }

    @Test("the eleventh connection gets too_many_websockets in place of hello, and TCP ends")
    func cap() {
        var slack = makeSlack(connections: 8, .init(ghosts: 2))
        let (id, actions) = slack.opened(.regular(isShortLived: false), now: start)
        #expect(messages(actions).map(\.message) == [.disconnect(.init(reason: .tooManyWebSockets, host: "applink-9"))])
        #expect(actions.last == .closeTCP(id))
        slack.ended(id, now: start)
        slack.ended(ConnectionID(1), now: start)
        guard case .hello = messages(slack.opened(.regular(isShortLived: false), now: start).1).first?.message else {
            Issue.record("no place although one connection ended")
            return
        }
    }

    @Test("pings come 3 s after hello, then every 10 s, and name the host")
    func pings() {
        var slack = makeSlack(connections: 1)
        let ping = SlackStateMachine.Action.ping(ConnectionID(1), Array("Ping from applink-1".utf8))
        #expect(slack.timePassed(now: at(2.9)) == [])
        #expect(slack.timePassed(now: at(3)) == [ping])
        #expect(slack.timePassed(now: at(12.9)) == [])
        #expect(slack.timePassed(now: at(13)) == [ping])
    }

    @Test("a refresh is a warning, 10 s later the request, then the close frame, and TCP stays open")
    func refresh() {
        var slack = makeSlack(connections: 1, .init(firstPing: .seconds(100_000)))
        let id = ConnectionID(1)
        #expect(
            messages(slack.disturb(.all, .refresh, now: at(1))).map(\.message) == [
                .disconnect(.init(reason: .warning, host: "applink-1"))
            ])
        #expect(slack.timePassed(now: at(10.9)) == [])
        #expect(
            messages(slack.timePassed(now: at(11))).map(\.message) == [
                .disconnect(.init(reason: .refreshRequested, host: "applink-1"))
            ])
        #expect(slack.timePassed(now: at(12)) == [.closeFrame(id, code: 1000, reason: "")])
        #expect(slack.closeReceived(id, code: 1000, now: at(12.1)) == [])
        #expect(slack.history.map(\.what) == [.hello, .warning, .refreshRequested, .closeSent, .closeReceived])
        #expect(slack.history.map(\.connected) == [1, 1, 1, 0, 0])
    }

    @Test("without a warning a refresh begins with the request")
    func refreshWithoutWarning() {
        var slack = makeSlack(connections: 1, .init(warningLead: nil))
        let reasons = messages(slack.disturb(.all, .refresh, now: at(1))).map(\.message)
        #expect(reasons == [.disconnect(.init(reason: .refreshRequested, host: "applink-1"))])
    }

    @Test("a connection is refreshed by itself so that it ends at its lifetime")
    func lifetime() {
        var slack = makeSlack(
            connections: 1,
            .init(firstPing: .seconds(100_000), connectionLifetime: .seconds(60), warningLead: .seconds(10)))
        #expect(slack.timePassed(now: at(49.9)) == [])
        #expect(
            messages(slack.timePassed(now: at(50))).map(\.message) == [
                .disconnect(.init(reason: .warning, host: "applink-1"))
            ])
        #expect(
            messages(slack.timePassed(now: at(60))).map(\.message) == [
                .disconnect(.init(reason: .refreshRequested, host: "applink-1"))
            ])
    }

    @Test("the client's close frame is echoed; TCP is closed only if configured", arguments: [false, true])
    func clientCloses(closesTCP: Bool) {
        var slack = makeSlack(connections: 1, .init(closesTCP: closesTCP))
        let id = ConnectionID(1)
        #expect(
            slack.closeReceived(id, code: 1001, now: at(1))
                == [.closeFrame(id, code: 1001, reason: "")] + (closesTCP ? [.closeTCP(id)] : []))
        #expect(slack.registered == 0)
    }

    @Test("a frame over the limit closes the connection with 1009")
    func oversized() {
        var slack = makeSlack(connections: 1)
        let id = ConnectionID(1)
        let reason = "Max frame length of 20480 has been exceeded."
        #expect(
            slack.brokenFrameReceived(id, code: 1009, now: at(1)) == [
                .closeFrame(id, code: 1009, reason: reason), .closeTCP(id),
            ])
        #expect(slack.statistics.oversizedFrames == 1)
    }

    @Test("a silent connection stays registered when its TCP ends: it becomes a ghost")
    func silence() {
        var slack = makeSlack(connections: 2)
        #expect(slack.disturb(.one(ConnectionID(1)), .silence, now: at(1)) == [.silence(ConnectionID(1))])
        #expect(slack.connected == 1)
        #expect(slack.closeReceived(ConnectionID(1), code: 1000, now: at(2)) == [])
        slack.ended(ConnectionID(1), now: at(3))
        #expect(slack.ghosts == 1)
        #expect(slack.registered == 2)
    }

    @Test("each connection is reset in time when that is asked for")
    func resets() {
        var slack = makeSlack(connections: 1, .init(resetAfter: .seconds(2)))
        #expect(slack.timePassed(now: at(2)) == [.reset(ConnectionID(1))])
        slack.ended(ConnectionID(1), now: at(2))
        #expect(slack.timePassed(now: at(4)) == [])
    }

    @Test("faults that come behind the 101 send what they promise and no hello")
    func badWelcome() {
        var slack = makeSlack()
        let (first, silent) = slack.opened(.noHello, now: start)
        #expect(silent == [.silence(first)])
        let (second, refused) = slack.opened(.disconnect(reason: "link_disabled"), now: start)
        #expect(messages(refused).map(\.message) == [.disconnect(.init(reason: .linkDisabled, host: "applink-2"))])
        #expect(refused.last == .closeTCP(second))
        #expect(slack.registered == 0)
    }

    // MARK: Envelopes

    @Test("round robin spreads evenly; ghosts swallow their share")
    func distribution() throws {
        var slack = makeSlack(connections: 2, .init(ghosts: 2))
        let (ids, actions) = slack.send([SimulatedPayload](repeating: event, count: 8), now: at(1))
        #expect(Set(ids).count == 8)
        #expect(messages(actions).map(\.connection).sorted() == [1, 1, 2, 2])
        #expect(ids.compactMap { slack.record($0)?.copies.first?.connection }.count == 4)
    }

    @Test("random distribution reaches every connection")
    func randomDistribution() {
        var slack = makeSlack(connections: 3, .init(distribution: .random))
        let (_, actions) = slack.send([SimulatedPayload](repeating: event, count: 200), now: at(1))
        #expect(Set(messages(actions).map(\.connection)) == [1, 2, 3])
    }

    @Test("an event that is not acknowledged comes again three times, with new ids and counted retries")
    func redelivery() throws {
        var slack = makeSlack(connections: 1, .init(firstPing: .seconds(100_000), warningLead: nil))
        let (ids, first) = slack.send([event], now: at(0))
        var copies = envelopes(first)
        #expect(run(&slack, until: 3.4) == [])
        copies += envelopes(run(&slack, until: 3.6))
        #expect(run(&slack, until: 66.4) == [])
        copies += envelopes(run(&slack, until: 66.6))
        #expect(run(&slack, until: 369.4) == [])
        copies += envelopes(run(&slack, until: 369.6))
        #expect(copies.map { $0.retry?.attempt ?? 0 } == [0, 1, 2, 3])
        #expect(copies.map { $0.retry?.reason ?? "" } == ["", "timeout", "timeout", "timeout"])
        #expect(Set(copies.map(\.id)).count == 4)
        #expect(Set(copies.map(\.deduplicationKey)) == ["event/Ev1"])
        #expect(run(&slack, until: 372.6) == [.settled(ids[0])])
        #expect(slack.record(ids[0])?.state == .lost)
        #expect(slack.statistics.lost == 1)
        #expect(slack.statistics.waiting == 0)
    }

    @Test("a command is not sent again")
    func noRedelivery() {
        var slack = makeSlack(connections: 1, .init(firstPing: .seconds(100_000)))
        let (ids, actions) = slack.send([command], now: at(0))
        #expect(envelopes(actions).map(\.kind) == [.command])
        #expect(slack.timePassed(now: at(3)) == [.settled(ids[0])])
        #expect(slack.record(ids[0])?.state == .lost)
    }

    @Test("an acknowledgement settles an envelope, on whichever connection it comes, with its payload")
    func acknowledgement() throws {
        var slack = makeSlack(connections: 2)
        let (ids, _) = slack.send([command], now: at(0))
        let text = #"{"envelope_id":"\#(ids[0])","payload":{"text":"done"}}"#
        #expect(slack.textReceived(Array(text.utf8), on: ConnectionID(2), now: at(1)) == [.settled(ids[0])])
        let acknowledgement = EnvelopeRecord.Acknowledgement(
            at: at(1), connection: ConnectionID(2), isLate: false, payload: Array(#"{"text":"done"}"#.utf8))
        #expect(slack.record(ids[0])?.acknowledgement == acknowledgement)
        #expect(slack.record(ids[0])?.state == .acknowledged)
    }

    @Test("a late acknowledgement changes nothing; one of a later copy does")
    func lateAcknowledgement() throws {
        var slack = makeSlack(
            connections: 1, .init(redelivery: SlackSimulatorConfiguration.fastRedelivery, firstPing: .seconds(100_000)))
        let (ids, _) = slack.send([event], now: at(0))
        let copies = envelopes(run(&slack, until: 3.06))
        #expect(
            slack.textReceived(AcknowledgementFrame.encode(envelopeID: ids[0]), on: ConnectionID(1), now: at(3.1)) == []
        )
        #expect(slack.statistics.lateAcknowledgements == 1)
        #expect(slack.record(ids[0])?.state == .waiting)
        let second = try #require(copies.first?.id)
        #expect(
            slack.textReceived(AcknowledgementFrame.encode(envelopeID: second), on: ConnectionID(1), now: at(3.2)) == [
                .settled(ids[0])
            ])
        #expect(slack.record(second)?.state == .acknowledged)
        #expect(slack.timePassed(now: at(100)) == [])
    }

    @Test(
        "what is no acknowledgement of an open copy is counted as strange",
        arguments: ["", "hello", "[]", "{}", #"{"envelope_id":7}"#, #"{"envelope_id":"unknown"}"#])
    func strange(_ text: String) {
        var slack = makeSlack(connections: 1)
        #expect(slack.textReceived(Array(text.utf8), on: ConnectionID(1), now: at(0)) == [])
        #expect(slack.statistics.strangeMessages == 1)
    }

    @Test("a second acknowledgement of the same copy is strange")
    func twice() {
        var slack = makeSlack(connections: 1)
        let (ids, _) = slack.send([event], now: at(0))
        let text = AcknowledgementFrame.encode(envelopeID: ids[0])
        _ = slack.textReceived(text, on: ConnectionID(1), now: at(1))
        #expect(slack.textReceived(text, on: ConnectionID(1), now: at(1)) == [])
        #expect(slack.statistics.strangeMessages == 1)
        #expect(slack.statistics.acknowledged == 1)
    }

    @Test("with no connection an event waits for its schedule, a command is lost at once")
    func nobodyThere() {
        var slack = makeSlack()
        let (events, eventActions) = slack.send([event], now: at(0))
        #expect(eventActions == [])
        let (commands, commandActions) = slack.send([command], now: at(0))
        #expect(commandActions == [.settled(commands[0])])
        _ = slack.opened(.regular(isShortLived: false), now: at(0.1))
        let copies = envelopes(slack.timePassed(now: at(0.5)))
        #expect(copies.map { $0.retry?.attempt } == [1])
        #expect(slack.record(events[0])?.copies.count == 2)
    }

    @Test("a connection that is asked to go gets payloads only when there is no other")
    func retiring() {
        var slack = makeSlack(connections: 2, .init(warningLead: nil))
        _ = slack.disturb(.oldest, .refresh, now: at(0))
        #expect(messages(slack.send([event, event], now: at(0)).1).map(\.connection) == [2, 2])
        _ = slack.disturb(.one(ConnectionID(2)), .refresh, now: at(0))
        #expect(messages(slack.send([event, event], now: at(0)).1).map(\.connection).sorted() == [1, 2])
    }

    @Test("a whole frame goes out as it is, and is waited for by its own id")
    func frames() throws {
        var slack = makeSlack(connections: 1)
        let frame = Array(#"{ "type":"new_thing", "envelope_id":"e1" }"#.utf8)
        let (id, actions) = slack.send(frame: frame, now: at(0))
        #expect(id == "e1")
        #expect(actions == [.text(ConnectionID(1), frame)])
        #expect(
            slack.textReceived(AcknowledgementFrame.encode(envelopeID: "e1"), on: ConnectionID(1), now: at(1)) == [
                .settled("e1")
            ])
        let garbage = slack.send(frame: Array("garbage".utf8), now: at(1))
        #expect(garbage.0 == nil)
        #expect(garbage.1 == [.text(ConnectionID(1), Array("garbage".utf8))])
    }

    @Test("the oldest settled records are forgotten over the limit, waiting ones never")
    func forgetting() {
        var slack = makeSlack(connections: 1, .init(recordLimit: 10))
        let (waiting, _) = slack.send([event], now: at(0))
        var last = ""
        for _ in 0..<100 {
            let (ids, _) = slack.send([event], now: at(0))
            _ = slack.textReceived(AcknowledgementFrame.encode(envelopeID: ids[0]), on: ConnectionID(1), now: at(0))
            last = ids[0]
        }
        #expect(slack.items.count <= 11)
        #expect(slack.record(waiting[0])?.state == .waiting)
        #expect(slack.record(last)?.state == .acknowledged)
        #expect(slack.records(limit: 2, state: nil).count == 2)
        #expect(slack.records(limit: 100, state: .waiting).map(\.id) == waiting)
    }

    @Test(
        "every sample is a payload of its kind with the attributes of a real one", arguments: SimulatedSample.allCases)
    func samples(_ sample: SimulatedSample) throws {
        var slack = makeSlack(connections: 1)
        let payload = sample.payload(number: 7, text: "a/b \"c\"\n\u{1}é", command: "/x", channel: "C7", user: "U7")
        let envelope = try #require(envelopes(slack.send([payload], now: at(0)).1).first)
        #expect(envelope.kind == sample.kind)
        let url = try #require(slack.record(envelope.id)).responseURL
        #expect(envelope.payload.bytes == payload.replacingPlaceholder(with: url ?? "").payload)
        #expect(envelope.acceptsResponsePayload == sample.acceptsResponsePayload)
        #expect(envelope.attributes.user == "U7")
        #expect(envelope.attributes.team == "T0SIMULATED")
        let isNameless: Set<SimulatedSample> = [
            .shortcut, .messageAction, .interactiveMessage, .messageMenu, .dialogSubmission, .dialogCancellation,
            .dialogSuggestion,
        ]
        #expect(envelope.attributes.app == (isNameless.contains(sample) ? nil : "A0SIMULATED"))
        #expect((envelope.deduplicationKey == nil) == (sample.kind == .options))
        #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(envelope.payload.bytes)) }
    }
}
