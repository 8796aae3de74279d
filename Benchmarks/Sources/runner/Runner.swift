// Measures relay beside what it is compared with, in one run: scripts/benchmark.

import Dispatch
import Foundation
import Glibc

@main
struct Runner {
    static func main() {
        let signals = [SIGINT, SIGTERM].map(endOnSignal)
        defer { signals.forEach { $0.cancel() } }
        do {
            try run(Options(Array(CommandLine.arguments.dropFirst())))
        } catch {
            say("error: \(error)")
            exit(1)
        }
    }

    private static func run(_ options: Options) throws {
        if options.wantsHelp {
            print(Options.usage + "\n")
            return list()
        }
        if options.lists { return list() }
        let bench = try Bench(relay: options.relay, peers: options.peers, parent: options.directory)
        defer { bench.remove() }
        var report = Report(machine: Machine(fileSystem: bench.fileSystem), commit: options.commit)
        print(report.machine.text)
        for load in Case.all where options.cases.isEmpty || options.cases.contains(load.name) {
            try measure(options.isQuick ? load.quick : load, options, in: bench, into: &report)
            report.goals = Goal.check(report)
            // What has been measured is kept though the next case fails.
            try options.json.map(report.write)
        }
        print(report.text)
        guard report.failures.isEmpty else { throw RunnerError("failed: \(report.failures.joined(separator: "\n"))") }
    }

    private static func measure(_ load: Case, _ options: Options, in bench: Bench, into report: inout Report) throws {
        let programs = Program.all.filter {
            load.takes($0) && (options.programs.isEmpty || options.programs.contains($0.name))
        }
        guard !programs.isEmpty else { return }
        if case .idle = load.load {
            let starts = options.isQuick ? 1 : 5
            report.idle = try programs.compactMap { program in
                say("\(load.name): \(program.name)")
                return try attempt("\(load.name), \(program.name)", &report.failures) {
                    try Footprint(of: program, starts: starts, in: bench)
                }
            }
            return print("\n\(load.name): \(load.summary)\n\n\(report.idleTable)")
        }
        let rounds = min(options.rounds ?? (options.isQuick ? 1 : 3), load.maximumRounds)
        let result = CaseResult(
            name: load.name, summary: load.summary,
            rounds: try measure(load, programs, rounds: rounds, in: bench, &report.failures))
        report.cases.append(result)
        print("\n\(load.name): \(load.summary); \(load.envelopes) envelopes, median of \(rounds)\n")
        print(result.table + "\n")
        result.ratios.forEach { print($0) }
        result.notes.forEach { print($0) }
    }

    /// All programs in turn, as often as there are rounds: what drifts on the machine drifts for all of them.
    private static func measure(
        _ load: Case, _ programs: [Program], rounds: Int, in bench: Bench, _ failures: inout [String]
    ) throws -> [Measurement] {
        var measurements: [Measurement] = []
        for round in 1...rounds {
            for program in programs {
                say("\(load.name): \(program.name), round \(round) of \(rounds)")
                let share = load.share(of: program)
                let measurement = try attempt("\(load.name), \(program.name), round \(round)", &failures) {
                    var scene = try Scene(program, under: load.load, setting: load.setting, in: bench)
                    defer { scene.stop() }
                    return try scene.measure(warmUp: share.warmUp, envelopes: share.envelopes)
                }
                if let measurement { measurements.append(measurement) }
            }
        }
        return measurements
    }

    /// A program that fails is noted, and the run goes on; unless the runner was told to end.
    private static func attempt<Value>(
        _ what: String, _ failures: inout [String], _ measure: () throws -> Value
    ) throws -> Value? {
        do {
            return try measure()
        } catch {
            guard !ChildProcess.isInterrupted else { throw error }
            say("failed: \(error)")
            failures.append("\(what): \(error)")
            return nil
        }
    }

    private static func list() {
        for load in Case.all { print("case     \(load.name): \(load.summary)") }
        for program in Program.all { print("program  \(program.name): \(program.summary)") }
    }
}

/// Progress goes to standard error; standard output has the table.
private func say(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

/// Ends the run, with its processes and its directory, when the runner is told to end.
private func endOnSignal(_ number: Int32) -> any DispatchSourceSignal {
    signal(number, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
    source.setEventHandler { ChildProcess.interrupt() }
    source.resume()
    return source
}
