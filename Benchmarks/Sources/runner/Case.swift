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
    }

    static let all = [
        Case(
            name: "closed-100", summary: "closed loop, 100 unacknowledged over 2 connections",
            load: .closed(unacknowledged: 100), envelopes: 60_000, warmUp: 10_000)
    ]

    /// Connections to Slack that a program holds, in every case.
    static let connections = 2

    /// A sixth of the work.
    var quick: Case {
        Case(name: name, summary: summary, load: load, envelopes: envelopes / 6, warmUp: warmUp / 6)
    }
}
