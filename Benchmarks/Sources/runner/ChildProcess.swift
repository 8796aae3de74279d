// A process that the runner has started and ends by its id.

import Foundation
import Glibc
import Synchronization

final class ChildProcess {
    let name: String
    let id: pid_t
    private let process: Process
    private let input: FileHandle?
    private let output: FileHandle?
    private var received: [UInt8] = []

    /// The ids of those that run; nil once the runner was told to end: then nothing more is started.
    private static let running = Mutex<Set<pid_t>?>([])

    /// Starts a program.
    /// - Parameters:
    ///   - speaks: whether it takes commands on standard input and replies on standard output
    ///     (Sources/BenchmarkSupport).
    ///   - log: where its standard error goes (and its standard output, when it does not speak); nil: the runner's.
    init(
        _ executable: URL, _ arguments: [String] = [], environment: [String: String] = [:], speaks: Bool,
        log: URL? = nil
    ) throws {
        name = executable.lastPathComponent
        process = Process()
        process.executableURL = executable
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let toChild = Pipe()
        let fromChild = Pipe()
        if let log {
            try Data().write(to: log)
            let handle = try FileHandle(forWritingTo: log)
            process.standardError = handle
            process.standardOutput = handle
        }
        process.standardInput = speaks ? toChild : FileHandle.nullDevice
        if speaks { process.standardOutput = fromChild }
        guard Self.running.withLock({ $0 != nil }) else { throw RunnerError("interrupted") }
        do {
            try process.run()
        } catch {
            throw RunnerError("cannot start \(executable.path): \(error.localizedDescription)")
        }
        id = process.processIdentifier
        input = speaks ? toChild.fileHandleForWriting : nil
        output = speaks ? fromChild.fileHandleForReading : nil
        Self.running.withLock { _ = $0?.insert(id) }
    }

    var isRunning: Bool { process.isRunning }

    /// Sends one line.
    func send(_ command: String) throws {
        try input?.write(contentsOf: Data((command + "\n").utf8))
    }

    /// The next line, decoded. Meanwhile `whileWaiting` is called about each 100 ms; what it throws ends the wait.
    func reply<Reply: Decodable>(
        _: Reply.Type = Reply.self, within timeout: Duration = .seconds(60), whileWaiting: () throws -> Void = {}
    ) throws -> Reply {
        let deadline = ContinuousClock.now + timeout
        while true {
            if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                let line = Data(received[..<end])
                received.removeSubrange(...end)
                return try decode(line)
            }
            guard ContinuousClock.now < deadline else { throw RunnerError("\(name) did not reply within \(timeout)") }
            try receive()
            try whileWaiting()
        }
    }

    /// Waits for output for up to 100 ms and reads it.
    private func receive() throws {
        guard let output else { throw RunnerError("\(name) takes no commands") }
        var descriptor = pollfd(fd: output.fileDescriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&descriptor, 1, 100) > 0 else { return }
        let bytes = output.availableData
        guard !bytes.isEmpty else { throw RunnerError("\(name) ended before it replied") }
        received += bytes
    }

    private func decode<Reply: Decodable>(_ line: Data) throws -> Reply {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do {
            return try decoder.decode(Reply.self, from: line)
        } catch {
            throw RunnerError("\(name) replied \(String(decoding: line, as: UTF8.self)), wanted \(Reply.self)")
        }
    }

    /// Asks it to end (end of input for a tool, SIGTERM for any other) and waits; SIGKILL after 30 s.
    func stop() {
        try? input?.close()
        if input == nil { kill(id, SIGTERM) }
        let deadline = ContinuousClock.now + .seconds(30)
        while process.isRunning, ContinuousClock.now < deadline { usleep(10_000) }
        if process.isRunning { kill(id, SIGKILL) }
        process.waitUntilExit()
        Self.running.withLock { _ = $0?.remove(id) }
    }

    /// SIGKILL: it has no time to put anything in order.
    func kill9() {
        kill(id, SIGKILL)
        process.waitUntilExit()
        Self.running.withLock { _ = $0?.remove(id) }
    }

    static var isInterrupted: Bool { running.withLock { $0 == nil } }

    /// Ends all that run and starts no more: whoever waits for one of them is told, and the run ends as on any error.
    static func interrupt() {
        let ids = running.withLock { running in
            defer { running = nil }
            return running
        }
        for id in ids ?? [] { kill(id, SIGKILL) }
    }
}

/// The reply to a command that only says that it has been done.
struct Done: Decodable {}
