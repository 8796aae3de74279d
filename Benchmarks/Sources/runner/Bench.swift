// Where a run takes place: the tools, the secrets, a directory that is removed afterwards.

import Foundation
import Glibc

struct Bench {
    let relay: URL
    /// With what scripts/benchmark has made of Benchmarks/Peers.
    let peers: URL
    /// For queues, configurations and logs; on a real disk.
    let directory: URL
    /// The kind that `directory` lies on, as df(1) names it.
    let fileSystem: String

    /// Throws when `parent` is in memory: what fsync costs would not be seen.
    init(relay: URL, peers: URL, parent: URL) throws {
        self.relay = relay
        self.peers = peers
        directory = parent.appendingPathComponent("benchmark-\(getpid())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        fileSystem =
            try run("df", ["--output=fstype", directory.path]).split(separator: "\n").last.map(String.init) ?? ""
        guard fileSystem != "tmpfs" else {
            remove()
            throw RunnerError("\(parent.path) must be on a disk, is a tmpfs")
        }
    }

    func remove() { try? FileManager.default.removeItem(at: directory) }

    /// A directory of its own within `directory`.
    func makeDirectory() throws -> URL {
        let url = directory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        return url
    }

    /// The tools lie beside the runner.
    func tool(_ name: String) -> URL {
        Bundle.main.bundleURL.appendingPathComponent(name)
    }

    /// A file of a program of Benchmarks/Peers. Throws when it has not been made.
    func peer(_ path: String) throws -> URL {
        let file = peers.appendingPathComponent(path)
        guard FileManager.default.fileExists(atPath: file.path) else {
            throw RunnerError("no \(file.path): scripts/benchmark makes it; or leave the program out with --program")
        }
        return file
    }

    /// Made up; generator and backend know no others.
    let secrets = [
        "SLACK_APP_TOKEN": "xapp-1-A0123ABC456-benchmark", "SLACK_SIGNING_SECRET": "0123456789abcdef0123456789abcdef",
    ]
}

/// Runs a command to its end and gives what it printed, without the last newline.
@discardableResult
func run(_ command: String, _ arguments: [String]) throws -> String {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [command] + arguments
    process.standardOutput = output
    try process.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        throw RunnerError("\(command) \(arguments.joined(separator: " ")) exited \(process.terminationStatus)")
    }
    return String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .newlines)
}
