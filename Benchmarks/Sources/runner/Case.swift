// What is asked of each program: a row here is a case more.

/// One load, the same for every program that is measured under it.
struct Case {
    let name: String
    let summary: String
    let load: Load
    /// How many envelopes are sent and measured.
    var envelopes = 0
    /// Sent before, over the same connections, and not measured.
    var warmUp = 0
    var setting = Setting()
    /// The programs that are measured under it; nil: all that can be.
    var only: Set<String>?
    /// At most so many rounds: some take minutes.
    var maximumRounds = Int.max

    enum Load {
        /// Sends the next envelope as soon as one is acknowledged.
        case closed(unacknowledged: Int)
        /// Sends so many per second, whatever has been acknowledged; asks for a new connection each `refresh`.
        case open(perSecond: Int, refresh: Duration?)
        /// Sends the next command as soon as one is answered; the backend takes its time for each, a fifth less to a fifth more
        /// than the mean.
        case answers(waiting: Int, backendTime: Duration)
        /// A closed loop while the backend is down; then kill -9, the backend is up, and a restart.
        case backlog(unacknowledged: Int)
        /// Nothing.
        case idle

        /// How long the backend takes in the mean where somebody waits for its answer.
        var backendTime: Duration? {
            guard case .answers(_, let backendTime) = self else { return nil }
            return backendTime
        }
    }

    /// What differs from relay's defaults and from the machine as it is.
    struct Setting {
        /// Each gets its share of the events, by channel.
        var backends = 1
        /// Added to each fsync by the preload.
        var fsyncDelay = Duration.zero
        /// What the queue may hold; nil: relay's default.
        var queueBytes: String?
        /// A delivery that failed is tried again, and a backend that failed probed, each second.
        var retriesEachSecond = false
    }

    /// Connections to Slack that a program holds, in every case.
    static let connections = 2

    static let all = [
        closed("closed-1", 1, envelopes: 6_000),
        closed("closed-10", 10, envelopes: 30_000),
        closed("closed-100", 100, envelopes: 60_000),
        closed("closed-1000", 1000, envelopes: 60_000),
        open("open-100", 100, seconds: 12),
        open("open-500", 500, seconds: 12),
        open("refresh", 500, seconds: 12, refresh: .seconds(1)),
        open("open-1000", 1000, seconds: 12),
        answers("answers-1", waiting: 1, backendTime: .milliseconds(100), envelopes: 120),
        answers("answers-100", waiting: 100, backendTime: .milliseconds(100), envelopes: 12_000),
        // 10,000/s if nothing but the backend took time: shows what goes through.
        answers("answers-1000", waiting: 1000, backendTime: .milliseconds(100), envelopes: 60_000),
        // As many, at the load of answers-100: shows what their number alone costs.
        answers("answers-1000-slow", waiting: 1000, backendTime: .seconds(1), envelopes: 12_000),
        Case(
            name: "fsync-2ms", summary: "closed-100 on a disk whose fsync takes 2 ms longer",
            load: .closed(unacknowledged: 100), envelopes: 60_000, warmUp: 10_000,
            setting: .init(fsyncDelay: .milliseconds(2)), only: ["relay-sqlite"]),
        Case(
            name: "backends-10", summary: "closed-100 to 10 backends, a tenth to each",
            load: .closed(unacknowledged: 100), envelopes: 60_000, warmUp: 10_000, setting: .init(backends: 10),
            only: ["relay-sqlite"]),
        Case(
            name: "backlog", summary: "closed loop, 100 unacknowledged, while the backend is down; kill -9; drained",
            load: .backlog(unacknowledged: 100), envelopes: 100_000, setting: .init(retriesEachSecond: true),
            only: ["relay-sqlite"]),
        // What is stored is what was delivered before, by the same process.
        Case(
            name: "stored-1000000", summary: "closed-100 after 1,000,000 deliveries that are still stored",
            load: .closed(unacknowledged: 100), envelopes: 60_000, warmUp: 1_000_000,
            setting: .init(queueBytes: "16GiB"), only: ["relay-sqlite"], maximumRounds: 1),
        Case(name: "idle", summary: "start to first dial, then 10 s with 2 connections and nothing to do", load: .idle),
    ]

    private static func closed(_ name: String, _ unacknowledged: Int, envelopes: Int) -> Case {
        Case(
            name: name, summary: "closed loop, \(unacknowledged) unacknowledged over 2 connections",
            load: .closed(unacknowledged: unacknowledged), envelopes: envelopes, warmUp: envelopes / 6)
    }

    private static func open(_ name: String, _ perSecond: Int, seconds: Int, refresh: Duration? = nil) -> Case {
        let refreshes = refresh.map { ", one of them refreshed each \(Int($0 / .seconds(1))) s" } ?? ""
        return Case(
            name: name, summary: "open loop, \(perSecond)/s over 2 connections\(refreshes)",
            load: .open(perSecond: perSecond, refresh: refresh), envelopes: perSecond * seconds,
            warmUp: perSecond * seconds / 6)
    }

    private static func answers(_ name: String, waiting: Int, backendTime: Duration, envelopes: Int) -> Case {
        Case(
            name: name,
            summary: "commands over 2 connections, \(waiting) waiting for their answer, for which the backend takes "
                + "\(Int(backendTime / .milliseconds(1))) ms on average",
            load: .answers(waiting: waiting, backendTime: backendTime), envelopes: envelopes, warmUp: envelopes / 6)
    }

    /// Whether the program can be measured under it.
    func takes(_ program: Program) -> Bool {
        if let only { return only.contains(program.name) }
        switch load {
        case .closed: return true
        // An acknowledger has no answers.
        case .answers: return program.role != .acknowledger
        // Neither is a program that somebody would run.
        case .open, .backlog, .idle: return program.role == .gateway
        }
    }

    /// A sixth of the work.
    var quick: Case { divided(by: 6) }

    /// As much of a closed loop as a slow program does in the time of the others; all of an open one.
    func share(of program: Program) -> Case {
        if case .closed = load { return divided(by: program.slowness) }
        return self
    }

    private func divided(by divisor: Int) -> Case {
        var part = self
        part.envelopes /= divisor
        part.warmUp /= divisor
        return part
    }
}
