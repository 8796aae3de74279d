// The table for people, and the JSON with every round.

import Foundation

/// All rounds of all programs under one case.
struct CaseResult: Codable {
    let name: String
    let summary: String
    let rounds: [Measurement]

    /// One measurement per program, in the order in which they ran first: the round in the middle, by what it delivered;
    /// where that is given (an open loop, answers) by how long somebody waited.
    var medians: [Measurement] {
        var names: [String] = []
        for round in rounds where !names.contains(round.program) { names.append(round.program) }
        return names.map { name in
            let sorted = rounds.filter { $0.program == name }.sorted { $0.rank < $1.rank }
            return sorted[sorted.count / 2]
        }
    }
}

extension Measurement {
    fileprivate var rank: Double {
        if let answers { return answers.addedMicroseconds.p50 }
        if open != nil, let acknowledgementMicroseconds { return acknowledgementMicroseconds.p50 }
        return deliveredPerSecond ?? acknowledgedPerSecond ?? 0
    }
}

struct Report: Codable {
    let machine: Machine
    let commit: String?
    var cases: [CaseResult] = []
    var idle: [Footprint] = []
    var goals: [Goal] = []
    /// What could not be measured, and why.
    var failures: [String] = []

    func write(to file: URL) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(self).write(to: file)
    }
}

struct Machine: Codable {
    let processor: String
    let cores: Int
    let kernel: String
    /// Of the directory with the queues.
    let fileSystem: String

    init(fileSystem: String) {
        self.fileSystem = fileSystem
        let cpuinfo = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let model = cpuinfo.split(separator: "\n").first { $0.hasPrefix("model name") }
        processor = model?.split(separator: ":").last?.trimmingCharacters(in: .whitespaces) ?? "unknown processor"
        cores = ProcessInfo.processInfo.activeProcessorCount
        kernel =
            (try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8))?
            .trimmingCharacters(in: .newlines) ?? "unknown"
    }

    var text: String { "\(processor), \(cores) cores shared by all processes, Linux \(kernel), \(fileSystem)" }
}

extension CaseResult {
    /// The medians as rows.
    var table: String {
        guard !medians.contains(where: { $0.answers != nil }) else { return answerTable }
        return render(
            groups: Self.groups, columns: [["program"]] + Self.columns, rows: medians.map { [[$0.program]] + $0.cells })
    }

    fileprivate static let groups = [
        "", "per second", "acknowledged, ms", "end to end, ms", "CPU µs/envelope", "busy %", "MB", "", "", "",
    ]
    fileprivate static let columns = [
        ["delivered", "acked"], ["p50", "p99", "max"], ["p50", "p99", "max"], ["program", "gen.", "backend"],
        ["program", "gen.", "backend"], ["RSS", "private"], ["fsyncs"], ["lost"], ["doubled"],
    ]

    private var answerTable: String {
        let groups = ["", "", "added, ms", "to the backend, ms", "CPU µs/answer", "busy %", "MB", "", "", "", "", ""]
        let columns = [
            ["program"], ["answers/s"], ["p50", "p99", "max"], ["p50", "p99", "max"], ["program", "gen.", "backend"],
            ["program", "gen.", "backend"], ["RSS", "private"], ["fsyncs"], ["bare"], ["late"], ["lost"], ["doubled"],
        ]
        return render(groups: groups, columns: columns, rows: medians.map(\.answerCells))
    }

    /// What only some cases have.
    var notes: [String] {
        medians.compactMap { row in
            if let open = row.open {
                return "\(row.program): \(open.refreshes) refreshes, \(open.redelivered) sent again, "
                    + "\(decimals(open.unconnectedMilliseconds, 1)) ms without a connection"
            }
            if let backlog = row.backlog {
                return "\(row.program): first delivery \(decimals(backlog.firstDeliveryMilliseconds, 0)) ms after the "
                    + "restart, private memory at most \(megabytes(row.privateAboveIdle ?? 0)) MB above idle"
            }
            return nil
        }
    }

    /// Each gateway over the limit, and over whatever else ran.
    var ratios: [String] {
        guard let limit = medians.first(where: { $0.program == "bare-libcurl" }),
            let limitRate = limit.deliveredPerSecond
        else { return [] }
        return medians.compactMap { row in
            guard let rate = row.deliveredPerSecond, row.program != limit.program else { return nil }
            let cpu = decimals(row.cpuMicroseconds.program / limit.cpuMicroseconds.program, 2)
            if let added = row.answers?.addedMicroseconds, let least = limit.answers?.addedMicroseconds {
                return
                    "\(row.program) − \(limit.program): added p50 \(decimals((added.p50 - least.p50) / 1000, 2)) ms, "
                    + "p99 \(decimals((added.p99 - least.p99) / 1000, 2)) ms; ÷: CPU per answer \(cpu)"
            }
            return
                "\(row.program) ÷ \(limit.program): CPU per envelope \(cpu), delivered/s \(decimals(rate / limitRate, 2))"
        }
    }
}

extension Measurement {
    /// The most that was seen less what it took before a backlog.
    var privateAboveIdle: Int? { backlog.map { memory.privateDirtyBytes - $0.idlePrivateDirtyBytes } }

    /// In the groups and columns of `CaseResult.table`, without the name.
    fileprivate var cells: [[String]] {
        [
            [deliveredPerSecond, acknowledgedPerSecond].map { $0.map { decimals($0, 0) } ?? "-" },
            milliseconds(acknowledgementMicroseconds), milliseconds(endToEndMicroseconds),
        ] + costCells + [["\(lost + unacknowledged)"], ["\(doubled)"]]
    }

    /// In the groups and columns of `CaseResult.answerTable`.
    fileprivate var answerCells: [[String]] {
        [
            [program], [answers.map { decimals($0.perSecond, 0) } ?? "-"], milliseconds(answers?.addedMicroseconds),
            milliseconds(endToEndMicroseconds),
        ] + costCells
            + [["\(answers?.bare ?? 0)"], ["\(answers?.late ?? 0)"], ["\(lost + unacknowledged)"], ["\(doubled)"]]
    }

    /// CPU time, memory and fsyncs.
    private var costCells: [[String]] {
        [
            shares(cpuMicroseconds, 1), shares(busyPercent, 0),
            [megabytes(memory.residentBytes), megabytes(memory.privateDirtyBytes)], [decimals(syncsPerEnvelope, 3)],
        ]
    }

    private func milliseconds(_ latencies: Latencies?) -> [String] {
        [latencies?.p50, latencies?.p99, latencies?.max].map { $0.map { decimals($0 / 1000, 2) } ?? "-" }
    }

    private func shares(_ shares: Shares, _ count: Int) -> [String] {
        [shares.program, shares.generator, shares.backend].map { $0.map { decimals($0, count) } ?? "-" }
    }
}

extension Report {
    /// All cases in one table, and the goals.
    var text: String {
        let rows = cases.flatMap { result in result.medians.map { [[result.name, $0.program]] + $0.cells } }
        let table = render(groups: CaseResult.groups, columns: [["case", "program"]] + CaseResult.columns, rows: rows)
        return (rows.isEmpty ? "" : "\n\(table)\n") + (goals.isEmpty ? "" : "\n\(goalTable)\n")
    }

    private var goalTable: String {
        let rows = goals.map { goal in
            [[goal.name], [goal.bound], [decimals(goal.value, goal.precision)], [goal.isMet ? "met" : "not met"]]
        }
        return render(columns: [["goal"], ["wanted"], ["is"], [""]], rows: rows)
    }

    var idleTable: String {
        let columns = [
            ["program"], ["start to first dial, ms"], ["CPU, % of a core"], ["RSS", "private"], ["binary, MB"],
        ]
        let rows = idle.map { row in
            [
                [row.program], [decimals(row.firstDialMilliseconds, 0)], [decimals(row.cpuPercent, 3)],
                [megabytes(row.memory.residentBytes), megabytes(row.memory.privateDirtyBytes)],
                [row.strippedBinaryBytes.map(megabytes) ?? "-"],
            ]
        }
        return render(groups: ["", "", "", "MB", ""], columns: columns, rows: rows)
    }
}

/// Rows in right-aligned columns (those of the first group to the left), with a heading over each group if there are any.
private func render(groups: [String]? = nil, columns: [[String]], rows: [[[String]]]) -> String {
    let lines = [columns] + rows
    let hasGroups = groups != nil
    let groups = groups ?? columns.map { _ in "" }
    var text = Array(repeating: "", count: lines.count + 1)
    for (group, title) in groups.enumerated() {
        let widths = columns[group].indices.map { column in lines.map { $0[group][column].count }.max() ?? 0 }
        let width = max(title.count, widths.reduce(0, +) + 2 * (widths.count - 1))
        text[0] += pad(title, width, left: true) + "   "
        for (index, line) in lines.enumerated() {
            let cells = zip(line[group], widths).map { pad($0, $1, left: group == 0) }.joined(separator: "  ")
            text[index + 1] += pad(cells, width, left: group == 0) + "   "
        }
    }
    return text.dropFirst(hasGroups ? 0 : 1).map { line in String(line.reversed().drop { $0 == " " }.reversed()) }
        .joined(separator: "\n")
}

private func pad(_ text: String, _ width: Int, left: Bool) -> String {
    let space = String(repeating: " ", count: max(0, width - text.count))
    return left ? text + space : space + text
}

func decimals(_ value: Double, _ count: Int) -> String { String(format: "%.\(count)f", value) }

func megabytes(_ bytes: Int) -> String { decimals(Double(bytes) / 1_000_000, 1) }
