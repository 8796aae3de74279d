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
        if options.wantsHelp { return print(Options.usage) }
        if options.lists { return list() }
        let bench = try Bench(relay: options.relay, parent: options.directory)
        defer { bench.remove() }
        var report = Report(machine: Machine(fileSystem: bench.fileSystem), commit: options.commit)
        print(report.machine.text)
        if options.measuresFootprint {
            let footprint = try Footprint(of: Program.all[0], starts: options.isQuick ? 1 : 5, in: bench)
            print(footprint.text)
            report.footprint = footprint
        } else {
            report.cases = try Case.all.filter { options.cases.isEmpty || options.cases.contains($0.name) }
                .map { try measure(options.isQuick ? $0.quick : $0, options, in: bench) }
        }
        try options.json.map(report.write)
    }

    /// All programs in turn, as often as there are rounds: what drifts on the machine drifts for all of them.
    private static func measure(_ load: Case, _ options: Options, in bench: Bench) throws -> CaseResult {
        let programs = Program.all.filter {
            load.takes($0) && (options.programs.isEmpty || options.programs.contains($0.name))
        }
        let rounds = options.rounds ?? (options.isQuick ? 1 : 3)
        var measurements: [Measurement] = []
        for round in 1...rounds {
            for program in programs {
                say("\(load.name): \(program.name), round \(round) of \(rounds)")
                let scene = try Scene(program, under: load.load, in: bench)
                defer { scene.stop() }
                measurements.append(try scene.measure(warmUp: load.warmUp, envelopes: load.envelopes))
            }
        }
        let result = CaseResult(name: load.name, summary: load.summary, rounds: measurements)
        print("\n\(load.name): \(load.summary); \(load.envelopes) envelopes, median of \(rounds)\n")
        print(result.table)
        print("")
        result.ratios.forEach { print($0) }
        return result
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
