// The command line.

import Foundation

struct Options {
    static let usage = """
        usage: runner [options]

          --relay PATH       the relay program (release build)
          --peers PATH       the programs that people write today, as scripts/benchmark makes them
          --directory PATH   where queues and logs of a run lie; a real disk (default: the working directory)
          --case NAME        only this case; may be repeated
          --program NAME     only this program; may be repeated
          --rounds N         how often each program is measured, in turn with the others; the median counts (default 3)
          --quick            one short round: shows that it runs, not how fast
          --commit TEXT      kept in the JSON
          --json FILE        writes all rounds to FILE
          --list             the cases and programs
          --help             this text, and the cases and programs
        """

    var relay = URL(fileURLWithPath: ".build/release/relay")
    var peers = URL(fileURLWithPath: ".build/peers")
    var directory = URL(fileURLWithPath: ".")
    var cases: Set<String> = []
    var programs: Set<String> = []
    var rounds: Int?
    var isQuick = false
    var lists = false
    var wantsHelp = false
    var commit: String?
    var json: URL?

    /// Throws on an unknown option, a missing value, an unknown case or program.
    init(_ arguments: [String]) throws {
        var rest = arguments[...]
        func value(of option: String) throws -> String {
            guard let value = rest.popFirst() else { throw RunnerError("\(option) needs a value\n\n\(Self.usage)") }
            return value
        }
        while let option = rest.popFirst() {
            switch option {
            case "--relay": relay = URL(fileURLWithPath: try value(of: option))
            case "--peers": peers = URL(fileURLWithPath: try value(of: option))
            case "--directory": directory = URL(fileURLWithPath: try value(of: option))
            case "--case": cases.insert(try value(of: option))
            case "--program": programs.insert(try value(of: option))
            case "--rounds": rounds = try positiveInteger(try value(of: option), of: option)
            case "--quick": isQuick = true
            case "--commit": commit = try value(of: option)
            case "--json": json = URL(fileURLWithPath: try value(of: option))
            case "--list": lists = true
            case "--help", "-h": wantsHelp = true
            default: throw RunnerError("unknown option \(option)\n\n\(Self.usage)")
            }
        }
        try check(cases, against: Case.all.map(\.name), what: "case")
        try check(programs, against: Program.all.map(\.name), what: "program")
    }
}

private func positiveInteger(_ text: String, of option: String) throws -> Int {
    guard let number = Int(text), number > 0 else {
        throw RunnerError("\(option) must be a number of at least 1, is \(text)")
    }
    return number
}

private func check(_ names: Set<String>, against known: [String], what: String) throws {
    for name in names where !known.contains(name) {
        throw RunnerError("unknown \(what) \(name); there are: \(known.joined(separator: ", "))")
    }
}
