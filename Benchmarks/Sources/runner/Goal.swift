// What relay is to reach, as ratios within one run: a row here is a goal more.

import Foundation

struct Goal: Codable {
    let name: String
    let atMost: Double?
    let atLeast: Double?
    let value: Double
    let isMet: Bool

    private init(_ name: String, _ value: Double, atMost: Double? = nil, atLeast: Double? = nil) {
        self.name = name
        self.atMost = atMost
        self.atLeast = atLeast
        self.value = value
        isMet = value <= atMost ?? .infinity && value >= atLeast ?? -.infinity
    }

    var bound: String {
        [atLeast.map { String(format: "≥ %g", $0) }, atMost.map { String(format: "≤ %g", $0) }]
            .compactMap(\.self).joined(separator: ", ")
    }

    /// Decimals of the value.
    var precision: Int { (atMost ?? atLeast ?? 0) >= 10 ? 0 : 2 }

    /// The goals whose cases and programs were in the run.
    static func check(_ report: Report) -> [Goal] {
        let run = Run(report)
        return run.fullLoad + run.openLoop + run.refresh + run.disk + run.idle + run.answers + run.costAgainstLoad
            + run.nothingLost
    }

    /// The medians, by case and program.
    private struct Run {
        let report: Report

        init(_ report: Report) { self.report = report }

        func median(_ name: String, _ program: String = "relay-sqlite") -> Measurement? {
            report.cases.first { $0.name == name }?.medians.first { $0.program == program }
        }

        /// All programs that people write today, or none: one alone is not the best of them.
        func peers(_ name: String) -> [Measurement] {
            let found = Program.peers.compactMap { median(name, $0) }
            return found.count == Program.peers.count ? found : []
        }

        /// Empty when one of the two is absent.
        func ratio(
            _ name: String, _ value: Double?, _ other: Double?, atMost: Double? = nil, atLeast: Double? = nil
        ) -> [Goal] {
            guard let value, let other, other != 0 else { return [] }
            return [Goal(name, value / other, atMost: atMost, atLeast: atLeast)]
        }

        func bound(_ name: String, _ value: Double?, atMost: Double) -> [Goal] {
            value.map { [Goal(name, $0, atMost: atMost)] } ?? []
        }

        var fullLoad: [Goal] {
            let bestRate = peers("closed-100").compactMap(\.deliveredPerSecond).max()
            let leastCPU = peers("closed-100").map(\.cpuMicroseconds.program).min()
            let bareCPU = median("closed-100", "bare-libcurl")?.cpuMicroseconds.program
            let sqlite = median("closed-100")
            let memory = median("closed-100", "relay-memory")
            return ratio(
                "closed-100: delivered/s ÷ best of slack-go, slack-sdk", sqlite?.deliveredPerSecond, bestRate,
                atLeast: 1.5)
                + ratio(
                    "closed-100: CPU per envelope ÷ least of slack-go, slack-sdk", sqlite?.cpuMicroseconds.program,
                    leastCPU, atMost: 0.6)
                + ratio(
                    "closed-100: CPU per envelope ÷ bare-libcurl", sqlite?.cpuMicroseconds.program, bareCPU,
                    atMost: 4.5)
                + ratio(
                    "closed-100, memory: delivered/s ÷ best of slack-go, slack-sdk", memory?.deliveredPerSecond,
                    bestRate, atLeast: 2.5)
                + ratio(
                    "closed-100, memory: CPU per envelope ÷ bare-libcurl", memory?.cpuMicroseconds.program, bareCPU,
                    atMost: 3)
        }

        var openLoop: [Goal] {
            let relay = median("open-1000")
            let peer = median("open-1000", "slack-go")
            let acknowledged = (relay?.acknowledgementMicroseconds, peer?.acknowledgementMicroseconds)
            let delivered = (relay?.endToEndMicroseconds, peer?.endToEndMicroseconds)
            return ratio(
                "open-1000: acknowledgement p50 ÷ slack-go", acknowledged.0?.p50, acknowledged.1?.p50, atMost: 2.5)
                + ratio(
                    "open-1000: acknowledgement p99 ÷ slack-go", acknowledged.0?.p99, acknowledged.1?.p99, atMost: 2.5)
                + ratio("open-1000: end to end p50 ÷ slack-go", delivered.0?.p50, delivered.1?.p50, atMost: 1.5)
                + ratio("open-1000: end to end p99 ÷ slack-go", delivered.0?.p99, delivered.1?.p99, atMost: 2)
        }

        var refresh: [Goal] {
            let open = median("refresh")?.open
            return bound("refresh: envelopes sent again", open.map { Double($0.redelivered) }, atMost: 0)
                + bound("refresh: ms without a connection", open?.unconnectedMilliseconds, atMost: 0)
                + ratio(
                    "refresh: acknowledgement p99 ÷ open-500", median("refresh")?.acknowledgementMicroseconds?.p99,
                    median("open-500")?.acknowledgementMicroseconds?.p99, atMost: 1.25)
        }

        var disk: [Goal] {
            let full = median("closed-100")?.deliveredPerSecond
            let backlog = median("backlog")
            return ratio(
                "fsync-2ms: delivered/s ÷ closed-100", median("fsync-2ms")?.deliveredPerSecond, full, atLeast: 0.7)
                + bound("fsync-2ms: fsyncs per envelope", median("fsync-2ms")?.syncsPerEnvelope, atMost: 0.1)
                + bound(
                    "backlog: private MB above idle", backlog?.privateAboveIdle.map { Double($0) / 1e6 }, atMost: 16)
                + ratio("backlog: drained/s ÷ closed-100", backlog?.deliveredPerSecond, full, atLeast: 0.8)
                + bound(
                    "backlog: ms from restart to first delivery", backlog?.backlog?.firstDeliveryMilliseconds,
                    atMost: 1000)
        }

        var idle: [Goal] {
            let relay = report.idle.first { $0.program == "relay-sqlite" }
            return bound("idle: private MB", relay.map { Double($0.memory.privateDirtyBytes) / 1e6 }, atMost: 15)
                + bound("idle: CPU, % of a core", relay?.cpuPercent, atMost: 0.1)
                + bound("idle: ms from start to first dial", relay?.firstDialMilliseconds, atMost: 100)
        }

        var answers: [Goal] {
            let added = median("answers-100")?.answers?.addedMicroseconds
            let peer = median("answers-100", "slack-go")?.answers?.addedMicroseconds
            return ratio("answers-100: added p50 ÷ slack-go", added?.p50, peer?.p50, atMost: 2)
                + ratio("answers-100: added p99 ÷ slack-go", added?.p99, peer?.p99, atMost: 2)
        }

        var costAgainstLoad: [Goal] {
            let full = median("closed-100")?.cpuMicroseconds.program
            func cost(_ name: String, atMost: Double) -> [Goal] {
                ratio(
                    "\(name): CPU per envelope ÷ closed-100", median(name)?.cpuMicroseconds.program, full,
                    atMost: atMost)
            }
            return cost("open-1000", atMost: 3) + cost("backends-10", atMost: 1.25)
                + cost("stored-1000000", atMost: 1.25)
        }

        /// In any round of any case.
        var nothingLost: [Goal] {
            let rounds = report.cases.flatMap(\.rounds).filter { $0.program.hasPrefix("relay") }
            guard !rounds.isEmpty else { return [] }
            let wrong = rounds.map { $0.lost + $0.doubled + $0.unacknowledged }.reduce(0, +)
            return bound("every case: lost, doubled or not acknowledged by relay", Double(wrong), atMost: 0)
        }
    }
}
