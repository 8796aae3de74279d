// What the operating system says about a process.

import Foundation
import Glibc

/// CPU time of all its threads, user and system, since it began. Exact to the nanosecond: the process's own CPU clock
/// (clock_getcpuclockid(3)), not the ticks of /proc/PID/stat.
func cpuTime(of process: ChildProcess) throws -> Duration {
    var clock = clockid_t()
    var time = timespec()
    guard clock_getcpuclockid(process.id, &clock) == 0, clock_gettime(clock, &time) == 0 else {
        throw RunnerError("no CPU time of \(process.name) (\(process.id)): it has ended")
    }
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}

/// Memory of a process in bytes.
struct MemoryUse: Codable {
    /// Pages in memory, shared ones included.
    var residentBytes = 0
    /// Pages that only this process has, and has written to: what it costs to run it.
    var privateDirtyBytes = 0

    init() {}

    /// Reads /proc/PID/smaps_rollup (proc(5)).
    init(of process: ChildProcess) throws {
        let text = try String(contentsOfFile: "/proc/\(process.id)/smaps_rollup", encoding: .utf8)
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 3, words[2] == "kB", let kibibytes = Int(words[1]) else { continue }
            switch words[0] {
            case "Rss:": residentBytes = kibibytes * 1024
            case "Private_Dirty:": privateDirtyBytes = kibibytes * 1024
            default: break
            }
        }
    }

    /// The larger of the two in each respect.
    mutating func formPeak(_ other: MemoryUse) {
        residentBytes = max(residentBytes, other.residentBytes)
        privateDirtyBytes = max(privateDirtyBytes, other.privateDirtyBytes)
    }
}

/// Nanoseconds of CLOCK_MONOTONIC: the clock in which the tools state their times.
func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
