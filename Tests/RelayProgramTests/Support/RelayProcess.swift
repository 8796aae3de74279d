// A process under test: the built `relay`, or an app that stands behind it.

import Foundation
import RelayTestKit
import Synchronization

/// A child process whose output can be waited for line by line. Killed at the latest when its last reference goes.
final class ChildProcess: Sendable {
    let output = LineLog()
    let errors = LineLog()
    private let exit = ExitStatus()
    let pid: Int32

    init(_ executable: String, _ arguments: [String], environment: [String: String] = [:]) throws {
        let (outputEnd, errorsEnd) = (output.pipe.fileHandleForWriting, errors.pipe.fileHandleForWriting)
        pid = try spawn(
            executable, arguments, environment: ProcessInfo.processInfo.environment.merging(environment) { $1 },
            output: outputEnd.fileDescriptor, errors: errorsEnd.fileDescriptor)
        // What it has written ends with it.
        try outputEnd.close()
        try errorsEnd.close()
        Thread.detachNewThread { [exit, pid] in exit.set(waitForEnd(of: pid)) }
    }

    deinit {
        if exit.isUnset { kill(pid, SIGKILL) }
    }

    func send(signal: Int32) {
        if exit.isUnset { kill(pid, signal) }
    }

    /// The exit code; 128 + the number of the signal that ended it. Ends it when the task is canceled (its time is
    /// over).
    @discardableResult
    func waitForExit() async -> Int32 {
        await withTaskCancellationHandler {
            await exit.wait()
        } onCancel: {
            send(signal: SIGKILL)
        }
    }

    /// Waits for the end: the exit code, and all that was written.
    func finish() async -> (code: Int32, output: String, errors: String) {
        // No line is the one that is waited for: this returns at the end of each.
        _ = await output.first { _ in false }
        _ = await errors.first { _ in false }
        return (await waitForExit(), output.text, errors.text)
    }
}

extension ChildProcess {
    /// The `relay` that was built together with these tests.
    /// - Parameter ulimit: arguments of ulimit(1) that hold for it.
    static func relay(
        _ arguments: [String], environment: [String: String] = [:], ulimit: String? = nil
    ) throws -> ChildProcess {
        guard let ulimit else { return try ChildProcess(relayPath, arguments, environment: environment) }
        return try ChildProcess(
            "/bin/sh", ["-c", "ulimit \(ulimit) && exec \"$0\" \"$@\"", relayPath] + arguments,
            environment: environment)
    }

    /// The same with its output into another command's input; the last line is `relay ended with CODE`.
    static func relay(
        _ arguments: [String], pipedInto reader: String, environment: [String: String]
    ) throws -> ChildProcess {
        try ChildProcess(
            "/bin/bash",
            ["-c", "\"$0\" \"$@\" | \(reader); echo relay ended with ${PIPESTATUS[0]}", relayPath] + arguments,
            environment: environment)
    }

    /// Beside the test bundle, which on Linux is the running executable.
    private static var relayPath: String {
        URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            .deletingLastPathComponent().appendingPathComponent("relay").path
    }

    /// A program of Tests/RelayProgramTests/Python, run by the interpreter that `scripts/test` prepared (RELAY_PYTHON).
    static func python(_ script: String, _ arguments: [String], environment: [String: String] = [:]) throws
        -> ChildProcess
    {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let interpreter = ProcessInfo.processInfo.environment["RELAY_PYTHON"] ?? "python3"
        return try ChildProcess(
            interpreter.contains("/") ? interpreter : "/usr/bin/env",
            (interpreter.contains("/") ? [] : [interpreter])
                + ["-u", folder.appendingPathComponent("Python/\(script)").path] + arguments,
            environment: environment)
    }
}

/// Lines as they are written, kept, and waited for.
final class LineLog: Sendable {
    private struct State {
        var lines: [String] = []
        var rest: [UInt8] = []
        var isEnded = false
        var lastWaiter = 0
        var waiters: [Int: Waiter] = [:]
    }

    private struct Waiter {
        var matches: @Sendable (String) -> Bool
        var continuation: CheckedContinuation<String?, Never>
    }

    private let state = Mutex(State())
    let pipe = Pipe()

    /// Read by a thread, which ends with the output. (A readability handler loses the end now and then: its dispatch
    /// source may still be registered when the next pipe gets the same descriptor.)
    init() {
        let input = pipe.fileHandleForReading
        Thread.detachNewThread { [weak self] in
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count = read(input.fileDescriptor, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                self?.append(buffer.prefix(max(0, count)))
                if count <= 0 { return }
            }
        }
    }

    var lines: [String] { state.withLock { $0.lines } }
    var text: String { lines.joined(separator: "\n") }

    /// The first line that matches, waited for; nil when the output ends without one, or the task is canceled (its time
    /// is over).
    func first(where matches: @escaping @Sendable (String) -> Bool) async -> String? {
        let number = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let found: String?? = state.withLock { state in
                    if let line = state.lines.first(where: matches) { return .some(line) }
                    if state.isEnded || Task.isCancelled { return .some(nil) }
                    state.waiters[number] = Waiter(matches: matches, continuation: continuation)
                    return nil
                }
                if let found { continuation.resume(returning: found) }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: number) }?.continuation.resume(returning: nil)
        }
    }

    func first(containing text: String) async -> String? { await first { $0.contains(text) } }

    /// Nothing more comes after empty data.
    private func append(_ data: ArraySlice<UInt8>) {
        let resumed = state.withLock { state -> [(Waiter, String?)] in
            guard !data.isEmpty else {
                state.isEnded = true
                defer { state.waiters = [:] }
                return state.waiters.values.map { ($0, nil) }
            }
            state.rest += data
            var resumed: [(Waiter, String?)] = []
            while let end = state.rest.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: state.rest[..<end], as: UTF8.self)
                state.rest.removeFirst(end + 1)
                state.lines.append(line)
                for (number, waiter) in state.waiters where waiter.matches(line) {
                    state.waiters[number] = nil
                    resumed.append((waiter, line))
                }
            }
            return resumed
        }
        for (waiter, line) in resumed { waiter.continuation.resume(returning: line) }
    }
}

/// An exit status that may still come.
private final class ExitStatus: Sendable {
    private struct State {
        var status: Int32?
        var waiters: [CheckedContinuation<Int32, Never>] = []
    }

    private let state = Mutex(State())

    var isUnset: Bool { state.withLock { $0.status == nil } }

    func set(_ status: Int32) {
        let waiters = state.withLock { state in
            state.status = status
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: status) }
    }

    func wait() async -> Int32 {
        await withCheckedContinuation { continuation in
            let status = state.withLock { state in
                if state.status == nil { state.waiters.append(continuation) }
                return state.status
            }
            if let status { continuation.resume(returning: status) }
        }
    }
}
