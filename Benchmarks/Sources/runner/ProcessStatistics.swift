// What the operating system says about a process.

import Foundation
import Glibc

/// CPU time of all its threads, user and system, since it began, and of the processes that it runs. Exact to the
/// nanosecond: the process's own CPU clock (clock_getcpuclockid(3)), not the ticks of /proc/PID/stat.
func cpuTime(of process: ChildProcess) throws -> Duration {
    guard let time = cpuTime(of: process.id) else {
        throw RunnerError("no CPU time of \(process.name) (\(process.id)): it has ended")
    }
    return descendants(of: process.id).compactMap(cpuTime).reduce(time, +)
}

private func cpuTime(of id: pid_t) -> Duration? {
    var clock = clockid_t()
    var time = timespec()
    guard clock_getcpuclockid(id, &clock) == 0, clock_gettime(clock, &time) == 0 else { return nil }
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}

/// The processes that it, or one of them, has started and that run: /proc/PID/task/TID/children (proc(5)).
private func descendants(of id: pid_t) -> [pid_t] {
    let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(id)/task")) ?? []
    let children = threads.flatMap { thread in
        let text = try? String(contentsOfFile: "/proc/\(id)/task/\(thread)/children", encoding: .utf8)
        return (text ?? "").split(separator: " ").compactMap { pid_t($0) }
    }
    return children + children.flatMap(descendants)
}

/// Memory of a process in bytes.
struct MemoryUse: Codable {
    /// Pages in memory, shared ones included.
    var residentBytes = 0
    /// Pages that only this process has, and has written to: what it costs to run it.
    var privateDirtyBytes = 0

    init() {}

    /// Of the process and those that it runs.
    init(of process: ChildProcess) throws {
        try add(process.id)
        // One that has ended since it was listed has none.
        for id in descendants(of: process.id) { try? add(id) }
    }

    /// Reads /proc/PID/smaps_rollup (proc(5)).
    private mutating func add(_ id: pid_t) throws {
        let text = try String(contentsOfFile: "/proc/\(id)/smaps_rollup", encoding: .utf8)
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 3, words[2] == "kB", let kibibytes = Int(words[1]) else { continue }
            switch words[0] {
            case "Rss:": residentBytes += kibibytes * 1024
            case "Private_Dirty:": privateDirtyBytes += kibibytes * 1024
            default: break
            }
        }
    }
}

/// The most memory that a process had while it was watched.
struct MemoryPeak {
    /// The system walks all pages of the process to tell what it has, and a thread that wakes on that core waits for it:
    /// 1.5 ms for 60 MB. Done ten times a second, that was a good part of the latencies' p99.
    private static let interval = Duration.seconds(1)

    private(set) var use = MemoryUse()
    private var readAt: ContinuousClock.Instant?

    /// Reads what it has now, unless that was read a moment ago.
    mutating func sample(_ process: ChildProcess) throws {
        if let readAt, .now - readAt < Self.interval { return }
        try read(process)
    }

    mutating func read(_ process: ChildProcess) throws {
        let other = try MemoryUse(of: process)
        use.residentBytes = max(use.residentBytes, other.residentBytes)
        use.privateDirtyBytes = max(use.privateDirtyBytes, other.privateDirtyBytes)
        readAt = .now
    }
}

/// Nanoseconds of CLOCK_MONOTONIC: the clock in which the tools state their times.
func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
