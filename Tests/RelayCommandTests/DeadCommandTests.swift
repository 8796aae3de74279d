// What `relay dead` takes, and what is said of replays.

import AdminServer
import ArgumentParser
import Testing

@testable import relay

@Suite("Dead letters")
struct DeadCommandTests {
    @Test("an id that cannot be replayed is missed; one that is named twice is one")
    func missing() throws {
        try DeadCommand.Replay.requireAll([], matched: 0)
        try DeadCommand.Replay.requireAll(["3f9c2a1b-1", "3F9C2A1B-1"], matched: 1)
        let failure = #expect(throws: CommandFailure.self) {
            try DeadCommand.Replay.requireAll(["3f9c2a1b-1", "3f9c2a1b-2"], matched: 1)
        }
        #expect(failure?.code == .failed)
        #expect(failure?.message.hasPrefix("1 of 2 ids can be replayed") == true)
    }

    @Test(
        "a rate that no replay can have is refused with the option, the range and the value",
        arguments: ["inf", "nan", "0.0", "-1.0", "100001.0"])
    func rate(rate: String) {
        let error = #expect(throws: (any Error).self) {
            try DeadCommand.Replay.parse(["--all", "--per-second=\(rate)"])
        }
        #expect(error.map(DeadCommand.Replay.message) == "--per-second must be 0.001 to 100000, is \(rate)")
    }

    @Test(
        "a state that a command does not take is a wrong call, and the refusal names those that it takes",
        arguments: [
            (["list", "--state", "pending"], ["dead", "expired", "canceled"]),
            (["list", "--state", "delivered"], ["dead", "expired", "canceled"]),
            (["delete", "--state", "delivered"], ["dead", "expired", "canceled"]),
            (["replay", "--state", "pending"], ["dead", "expired", "canceled", "delivered"]),
        ])
    func otherStates(arguments: [String], states: [String]) throws {
        let error = try #require(throws: (any Error).self) { try DeadCommand.parseAsRoot(arguments) }
        #expect(DeadCommand.exitCode(for: error) == .validationFailure)
        let message = DeadCommand.fullMessage(for: error)
        for state in states { #expect(message.contains("'\(state)'"), "\(message)") }
    }

    @Test(
        "a replay that has ended says so, and one of nothing that there was nothing",
        arguments: [
            ("running", 5, 2, "replay 3 goes on: 2 of 5 so far"), ("done", 5, 5, "replay 3 is done: 5 of 5 replayed"),
            ("done", 0, 0, "replay 3 is done: there was nothing to replay"),
            ("canceled", 5, 2, "replay 3 was canceled after 2 of 5"),
        ])
    func summary(state: String, matched: Int, replayed: Int, text: String) throws {
        let json = """
            {"id":3,"state":"\(state)","filter":{},"created_at":"2026-11-23T09:30:00.000Z","matched":\(matched),\
            "replayed":\(replayed),"without_payload":0}
            """
        let replay: API.Replay = try AdminClient.decode(Array(json.utf8))
        #expect(replay.summary == text)
        #expect(replay.fields.prefix(3).map(\.value) == ["3", state, "\(replayed) of \(matched)"])
    }

    @Test(
        "what is said twice is told from what was not said, and a bad time is named",
        arguments: [
            (["replay"], "say which: ids, or filters, or --all"),
            (["replay", "--backend", "audit", "--all"], "filters and --all together: say one of them, not both"),
            (["delete", "--state", "dead", "--all"], "filters and --all together: say one of them, not both"),
            (["delete", "--all", "3f9c2a1b-1"], "ids and --all together: say one of them, not both"),
            (["replay", "--all", "--since", "2parsecs"], "--since must be a time (2026-11-23T09:30:00Z) or an age"),
            (["list", "--until", "2 h"], "is 2 h"),
        ])
    func ways(arguments: [String], text: String) throws {
        let error = try #require(throws: (any Error).self) { try DeadCommand.parseAsRoot(arguments) }
        #expect(DeadCommand.exitCode(for: error) == .validationFailure)
        #expect(DeadCommand.fullMessage(for: error).contains(text), "\(DeadCommand.fullMessage(for: error))")
    }

    @Test("the help of each command names the states that it takes")
    func statesInHelp() {
        #expect(DeadCommand.List.helpMessage(columns: 200).contains("(values: dead, expired, canceled)"))
        #expect(DeadCommand.Delete.helpMessage(columns: 200).contains("(values: dead, expired, canceled)"))
        #expect(DeadCommand.Replay.helpMessage(columns: 200).contains("(values: dead, expired, canceled, delivered)"))
    }
}
