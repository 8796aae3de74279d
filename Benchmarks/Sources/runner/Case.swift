// What is asked of each program: a row here is a case more.

/// One load, the same for every program that is measured under it.
struct Case {
    let name: String
    let summary: String
    let load: Load
    /// How many envelopes are sent and measured.
    let envelopes: Int
    /// Sent before, over the same connections, and not measured.
    let warmUp: Int

    enum Load {
        /// Sends the next envelope as soon as one is acknowledged.
        case closed(unacknowledged: Int)
        /// Sends the next command as soon as one is answered; the backend takes its time for each.
        case answers(waiting: Int, backendTime: Duration)

        /// How long the backend takes where somebody waits for its answer.
        var backendTime: Duration? {
            guard case .answers(_, let backendTime) = self else { return nil }
            return backendTime
        }
    }

    static let all = [
        Case(
            name: "closed-100", summary: "closed loop, 100 unacknowledged over 2 connections",
            load: .closed(unacknowledged: 100), envelopes: 60_000, warmUp: 10_000),
        answers("answers-1", waiting: 1, backendTime: .milliseconds(100), envelopes: 120),
        answers("answers-100", waiting: 100, backendTime: .milliseconds(100), envelopes: 12_000),
        // 10,000/s if nothing but the backend took time: shows what goes through.
        answers("answers-1000", waiting: 1000, backendTime: .milliseconds(100), envelopes: 60_000),
        // As many, at the load of answers-100: shows what their number alone costs.
        answers("answers-1000-slow", waiting: 1000, backendTime: .seconds(1), envelopes: 12_000),
    ]

    private static func answers(_ name: String, waiting: Int, backendTime: Duration, envelopes: Int) -> Case {
        Case(
            name: name,
            summary: "commands over 2 connections, \(waiting) waiting for their answer, for which the backend takes "
                + "\(backendTime / .milliseconds(1)) ms",
            load: .answers(waiting: waiting, backendTime: backendTime), envelopes: envelopes, warmUp: envelopes / 6)
    }

    /// Connections to Slack that a program holds, in every case.
    static let connections = 2

    /// Whether the program can be measured under it.
    func takes(_ program: Program) -> Bool {
        // An acknowledger has no answers.
        load.backendTime == nil || program.role != .acknowledger
    }

    /// A sixth of the work.
    var quick: Case {
        Case(name: name, summary: summary, load: load, envelopes: envelopes / 6, warmUp: warmUp / 6)
    }
}
