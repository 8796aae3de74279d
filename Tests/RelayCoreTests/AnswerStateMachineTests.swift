// The table of docs/architecture.md, "Answers": what Slack is told, by what is asked and what happens.

import RelayCore
import Testing

/// The lines of the table.
enum AnswerTable {

    /// What happens to a machine, in the order of a case.
    enum Step: Sendable {
        case replies(BackendReply)
        case fails
        case failsForGood
        case refusesConnection(attempt: Int, left: Duration)
        case deadline
        case stored, storingFails
        case sent, nowhereToSend
        case full
    }

    /// One line of the table: who waits, what happens, and what comes of the last step.
    struct Line: Sendable, CustomTestStringConvertible {
        var who: AnswerStateMachine.Terms
        var steps: [Step]
        var actions: [AnswerStateMachine.Action]
        var testDescription: String { "\(who.shape): \(steps)" }

        init(_ who: AnswerStateMachine.Terms, _ steps: [Step], _ actions: [AnswerStateMachine.Action]) {
            self.who = who
            self.steps = steps
            self.actions = actions
        }
    }

    static let text = Payload(#"{"text":"ok"}"#)
    static let large = Payload(String(repeating: "x", count: 101))
    static let sorry = Payload(#"{"text":"sorry"}"#)

    static let command = AnswerStateMachine.Terms(
        shape: .message, acceptsPayload: true, hasResponseURL: true, maxPayloadBytes: 100)
    static let commandWithMessage = with(command) { $0.failureMessage = sorry }
    static let commandWithoutURL = with(command) { $0.hasResponseURL = false }
    static let commandThatTakesNone = with(command) { $0.acceptsPayload = false }
    static let modal = with(command) { $0.shape = .inAcknowledgement }
    static let modalThatTakesNone = with(modal) { $0.acceptsPayload = false }
    static let button = with(command) {
        $0.shape = .nothing
        $0.acceptsPayload = false
    }
    static let event = with(button) { $0.shape = .event }

    static func with(
        _ terms: AnswerStateMachine.Terms, _ change: (inout AnswerStateMachine.Terms) -> Void
    ) -> AnswerStateMachine.Terms {
        var terms = terms
        change(&terms)
        return terms
    }

    static let inTime: [Line] = [
        .init(command, [.replies(.empty)], [.acknowledge(nil)]),
        .init(modal, [.replies(.empty)], [.acknowledge(nil)]),
        .init(button, [.replies(.empty)], [.acknowledge(nil)]),
        .init(event, [.replies(.empty)], [.acknowledge(nil)]),

        .init(command, [.replies(.payload(text))], [.acknowledge(text)]),
        .init(modal, [.replies(.payload(text))], [.acknowledge(text)]),
        .init(button, [.replies(.payload(text))], [.acknowledge(nil)]),
        .init(event, [.replies(.payload(text))], [.acknowledge(nil)]),

        .init(command, [.replies(.payload(text)), .sent], [.finish(.answered)]),
        .init(command, [.replies(.payload(text)), .sent, .deadline], []),
        .init(modal, [.replies(.payload(text)), .sent], [.finish(.answered)]),
        .init(button, [.replies(.empty), .sent], [.finish(.answered)]),
        .init(event, [.replies(.empty), .sent], [.finish(.answered)]),
    ]

    static let unusable: [Line] = [
        .init(command, [.replies(.unusable(.notAnObject))], [.withhold, .finish(.unusable)]),
        .init(commandWithMessage, [.replies(.unusable(.invalidJSON))], [.acknowledge(sorry)]),
        .init(commandWithMessage, [.replies(.unusable(.invalidJSON)), .sent], [.finish(.unusable)]),
        .init(modal, [.replies(.unusable(.wrongCharset))], [.withhold, .finish(.unusable)]),
        .init(button, [.replies(.unusable(.notAnObject))], [.acknowledge(nil)]),
        .init(event, [.replies(.unusable(.notAnObject))], [.acknowledge(nil)]),
        .init(command, [.deadline, .stored, .replies(.unusable(.invalidJSON))], [.post, .finish(.failedLate)]),
        .init(
            modal, [.deadline, .replies(.unusable(.invalidJSON))], [.withhold, .finish(.unusable)]),
    ]

    static let tooLarge: [Line] = [
        // Stored before the bare acknowledgement: it is not silent, whatever happens in between.
        .init(command, [.replies(.payload(large))], [.store(reply: large)]),
        .init(
            command, [.replies(.payload(large)), .stored], [.acknowledge(nil), .post, .finish(.answeredByURL)]),
        .init(
            command, [.replies(.payload(large)), .storingFails],
            [.withhold, .postUnstored(large), .finish(.answeredByURL)]),
        .init(commandWithoutURL, [.replies(.payload(large))], [.withhold, .finish(.tooLarge)]),
        .init(modal, [.replies(.payload(large))], [.withhold, .finish(.tooLarge)]),
        .init(button, [.replies(.payload(large))], [.acknowledge(nil)]),
    ]

    static let notAccepted: [Line] = [
        .init(commandThatTakesNone, [.replies(.payload(text))], [.store(reply: text)]),
        .init(
            commandThatTakesNone, [.replies(.payload(text)), .stored],
            [.acknowledge(nil), .post, .finish(.answeredByURL)]),
        .init(commandThatTakesNone, [.replies(.empty)], [.acknowledge(nil)]),
        // A bare acknowledgement would close the modal and hide its errors.
        .init(modalThatTakesNone, [.replies(.payload(text))], [.withhold, .finish(.notAccepted)]),
        .init(modalThatTakesNone, [.replies(.empty)], [.acknowledge(nil)]),
    ]

    static let failures: [Line] = [
        .init(command, [.fails], [.withhold, .finish(.failed)]),
        .init(commandWithMessage, [.fails], [.acknowledge(sorry)]),
        .init(commandWithMessage, [.fails, .sent], [.finish(.failed)]),
        .init(with(commandWithMessage) { $0.acceptsPayload = false }, [.fails], [.store(reply: sorry)]),
        .init(
            with(commandWithMessage) { $0.acceptsPayload = false }, [.fails, .stored],
            [.acknowledge(nil), .post, .finish(.failed)]),
        .init(modal, [.fails], [.withhold, .finish(.failed)]),
        .init(with(modal) { $0.failureMessage = sorry }, [.fails], [.withhold, .finish(.failed)]),
        .init(button, [.fails], [.withhold, .finish(.failed)]),
        .init(event, [.fails], [.withhold, .finish(.failed)]),
        // X-Slack-No-Retry: to Slack's HTTP mode it says "never again", which only an acknowledgement says here.
        .init(event, [.failsForGood], [.acknowledge(nil)]),
        .init(event, [.failsForGood, .sent], [.finish(.failed)]),
        .init(command, [.failsForGood], [.withhold, .finish(.failed)]),
    ]

    static let late: [Line] = [
        .init(command, [.deadline], [.store(reply: nil)]),
        .init(command, [.deadline, .stored], [.acknowledge(nil)]),
        .init(command, [.deadline, .stored, .sent], []),
        .init(command, [.deadline, .stored, .nowhereToSend], []),
        .init(command, [.deadline, .stored, .replies(.payload(text))], [.store(reply: text)]),
        .init(
            command, [.deadline, .stored, .replies(.payload(text)), .stored], [.post, .finish(.answeredLate)]),
        .init(
            command, [.deadline, .stored, .replies(.payload(text)), .storingFails],
            [.postUnstored(text), .finish(.answeredLate)]),
        .init(
            command, [.deadline, .stored, .replies(.payload(large))], [.store(reply: large)]),
        .init(command, [.deadline, .stored, .replies(.empty)], [.forget, .finish(.answeredLate)]),
        .init(command, [.deadline, .stored, .fails], [.post, .finish(.failedLate)]),
        .init(commandWithMessage, [.deadline, .stored, .fails], [.post, .finish(.failedLate)]),
        // Not asked, or not asked again, when the deadline had passed.
        .init(command, [.deadline, .stored, .full], [.post, .finish(.failedLate)]),
        .init(command, [.deadline, .full], []),
        .init(command, [.deadline, .full, .stored], [.acknowledge(nil), .post, .finish(.failedLate)]),
        .init(command, [.deadline, .full, .storingFails], [.withhold, .finish(.failedLate)]),

        // While the promise is being stored, what the backend says waits.
        .init(command, [.deadline, .replies(.payload(text))], []),
        .init(
            command, [.deadline, .replies(.payload(text)), .stored], [.acknowledge(nil), .store(reply: text)]),
        .init(command, [.deadline, .fails, .stored], [.acknowledge(nil), .post, .finish(.failedLate)]),

        // A promise that cannot be kept is not given: the person sees Slack's error, and the reply if there is one.
        .init(command, [.deadline, .storingFails], [.withhold]),
        .init(
            command, [.deadline, .storingFails, .replies(.payload(text))],
            [.postUnstored(text), .finish(.answeredLate)]),
        .init(command, [.deadline, .storingFails, .replies(.empty)], [.acknowledge(nil)]),
        .init(command, [.deadline, .storingFails, .replies(.unusable(.notAnObject))], [.finish(.failedLate)]),
        .init(command, [.deadline, .storingFails, .fails], [.finish(.failedLate)]),
        .init(
            command, [.deadline, .fails, .storingFails], [.withhold, .finish(.failedLate)]),

        // Without another way they are withheld, and acknowledged all the same when the backend says yes.
        .init(commandWithoutURL, [.deadline], [.withhold]),
        .init(commandWithoutURL, [.deadline, .replies(.payload(text))], [.acknowledge(text)]),
        .init(modal, [.deadline], [.withhold]),
        .init(modal, [.deadline, .replies(.payload(text))], [.acknowledge(text)]),
        .init(modal, [.deadline, .replies(.payload(text)), .sent], [.finish(.answeredLate)]),
        .init(modal, [.deadline, .replies(.payload(large))], [.withhold, .finish(.tooLarge)]),
        .init(modal, [.deadline, .fails], [.finish(.failedLate)]),
        .init(button, [.deadline], [.withhold]),
        .init(button, [.deadline, .replies(.payload(text))], [.acknowledge(nil)]),
        .init(button, [.deadline, .fails], [.finish(.failedLate)]),
        .init(event, [.deadline], [.withhold]),
        .init(event, [.deadline, .replies(.empty)], [.acknowledge(nil)]),
        .init(event, [.deadline, .replies(.empty), .sent], [.finish(.answeredLate)]),
        .init(event, [.deadline, .fails], [.finish(.failedLate)]),
        .init(event, [.deadline, .failsForGood], [.acknowledge(nil)]),
    ]

    static let full: [Line] =
        [command, modal, button, event].map {
            .init($0, [.full], [.withhold, .finish(.overloaded)])
        } + [
            // An event that never had its turn.
            .init(event, [.deadline, .full], [.finish(.overloaded)]),
            .init(event, [.replies(.empty), .full], []),
        ]

    static let connectionLost: [Line] = [
        .init(command, [.replies(.payload(text)), .nowhereToSend], [.store(reply: text)]),
        .init(
            command, [.replies(.payload(text)), .nowhereToSend, .stored], [.post, .finish(.answeredByURL)]),
        .init(
            command, [.replies(.payload(text)), .nowhereToSend, .storingFails],
            [.postUnstored(text), .finish(.answeredByURL)]),
        .init(command, [.replies(.empty), .nowhereToSend], [.finish(.lost)]),
        .init(commandWithMessage, [.fails, .nowhereToSend, .stored], [.post, .finish(.failed)]),
        .init(commandWithoutURL, [.replies(.payload(text)), .nowhereToSend], [.finish(.lost)]),
        .init(modal, [.replies(.payload(text)), .nowhereToSend], [.finish(.lost)]),
        .init(button, [.replies(.empty), .nowhereToSend], [.finish(.lost)]),
        .init(event, [.replies(.empty), .nowhereToSend], [.finish(.lost)]),
    ]

    static let connectionRefused: [Line] = [
        .init(command, [.refusesConnection(attempt: 1, left: .seconds(2))], [.askAgain(after: .milliseconds(50))]),
        .init(command, [.refusesConnection(attempt: 3, left: .seconds(2))], [.askAgain(after: .milliseconds(200))]),
        .init(command, [.refusesConnection(attempt: 99, left: .seconds(2))], [.askAgain(after: .milliseconds(400))]),
        .init(event, [.refusesConnection(attempt: 1, left: .seconds(2))], [.askAgain(after: .milliseconds(50))]),
        .init(
            command, [.refusesConnection(attempt: 1, left: .milliseconds(50))],
            [.withhold, .finish(.failed)]),
        .init(
            command, [.refusesConnection(attempt: 1, left: .seconds(-1))], [.withhold, .finish(.failed)]),
        .init(
            command, [.deadline, .stored, .refusesConnection(attempt: 2, left: .seconds(-1))],
            [.post, .finish(.failedLate)]),
    ]
}

@Suite struct AnswerStateMachineTests {
    @Test("in time", arguments: AnswerTable.inTime) func inTime(line: AnswerTable.Line) { check(line) }
    @Test("a reply that says nothing to Slack", arguments: AnswerTable.unusable) func unusable(line: AnswerTable.Line) {
        check(line)
    }
    @Test("a reply that is too large", arguments: AnswerTable.tooLarge) func tooLarge(line: AnswerTable.Line) {
        check(line)
    }
    @Test("an envelope that takes no payload", arguments: AnswerTable.notAccepted) func notAccepted(
        line: AnswerTable.Line
    ) { check(line) }
    @Test("a failure in time", arguments: AnswerTable.failures) func failures(line: AnswerTable.Line) { check(line) }
    @Test("after the deadline", arguments: AnswerTable.late) func late(line: AnswerTable.Line) { check(line) }
    @Test("too many wait", arguments: AnswerTable.full) func full(line: AnswerTable.Line) { check(line) }
    @Test("no connection to acknowledge on", arguments: AnswerTable.connectionLost) func connectionLost(
        line: AnswerTable.Line
    ) { check(line) }
    @Test("nothing listens", arguments: AnswerTable.connectionRefused) func connectionRefused(line: AnswerTable.Line) {
        check(line)
    }

    @Test(
        "whatever comes after the last word is answered with nothing",
        arguments: AnswerTable.inTime + AnswerTable.late + AnswerTable.failures)
    func isOver(line: AnswerTable.Line) {
        var machine = AnswerStateMachine(line.who)
        var last: [AnswerStateMachine.Action] = []
        for step in line.steps { last = machine.take(step) }
        guard last.contains(where: { if case .finish = $0 { true } else { false } }) else { return }
        let more: [AnswerTable.Step] = [
            .deadline, .stored, .storingFails, .sent, .nowhereToSend, .full, .fails,
            .replies(.payload(AnswerTable.text)),
            .refusesConnection(attempt: 1, left: .seconds(1)),
        ]
        for step in more { #expect(machine.take(step) == [], "\(step)") }
    }

    private func check(_ line: AnswerTable.Line) {
        var machine = AnswerStateMachine(line.who)
        for step in line.steps.dropLast() { _ = machine.take(step) }
        #expect(line.steps.last.map { machine.take($0) } == line.actions)
    }

    @Test(
        "what an acknowledgement may carry, by kind and payload type",
        arguments: [
            (Kind.command, nil, AnswerShape.message), (.interaction, "interactive_message", .message),
            (.options, "interactive_message", .inAcknowledgement), (.options, "block_suggestion", .inAcknowledgement),
            (.options, "dialog_suggestion", .inAcknowledgement),
            (.interaction, "view_submission", .inAcknowledgement),
            (.interaction, "dialog_submission", .inAcknowledgement), (.interaction, "dialog_cancellation", .nothing),
            (.interaction, "view_closed", .nothing), (.interaction, "block_actions", .nothing),
            (.interaction, "shortcut", .nothing), (.interaction, "message_action", .nothing),
            (.interaction, "of_next_year", .nothing), (.event, "event_callback", .event),
        ])
    func shapes(kind: Kind, type: String?, shape: AnswerShape) {
        var attributes = EnvelopeAttributes()
        attributes.payloadType = type
        let envelope = Envelope(
            id: "1", kind: kind, payload: Payload("{}"), attributes: attributes, receivedAt: .zero)
        #expect(AnswerShape(envelope) == shape)
    }
}

extension AnswerStateMachine {
    fileprivate mutating func take(_ step: AnswerTable.Step) -> [AnswerStateMachine.Action] {
        switch step {
        case .replies(let reply): replied(reply)
        case .fails: failed()
        case .failsForGood: failed(wantsNoRetry: true)
        case .refusesConnection(let attempt, let left): connectionRefused(attempt: attempt, left: left)
        case .deadline: deadlinePassed()
        case .stored: stored()
        case .storingFails: storingFailed()
        case .sent: acknowledged(isLost: false)
        case .nowhereToSend: acknowledged(isLost: true)
        case .full: refused()
        }
    }
}
