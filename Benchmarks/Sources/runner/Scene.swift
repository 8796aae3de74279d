// One round: the processes of one program under one case, from start to stop.

import Foundation

struct Scene {
    private let program: Program
    private let load: Case.Load
    private let process: ChildProcess
    private let generator: SlackGenerator?
    private let backend: HTTPBackend?
    private let directory: URL
    private let syncCountFile: URL
    /// Just before the program was started, of `monotonicNanoseconds`.
    let startedAt: UInt64

    /// Starts all and returns when the program is ready for load. `preload` false: without the preload that counts.
    init(
        _ program: Program, under load: Case.Load = .closed(unacknowledged: 1), in bench: Bench, preload: Bool = true
    ) throws {
        self.program = program
        self.load = load
        directory = try bench.makeDirectory()
        syncCountFile = directory.appendingPathComponent("syncs")
        var started: [ChildProcess] = []
        do {
            generator = program.role == .poster ? nil : try SlackGenerator(in: bench)
            if let generator { started.append(generator.process) }
            backend = program.role == .acknowledger ? nil : try HTTPBackend(in: bench)
            if let backend { started.append(backend.process) }
            if let time = load.backendTime { try backend?.setDelay(time) }
            let counting = [
                "LD_PRELOAD": bench.tool("libfsynccount.so").path, "FSYNC_COUNT_FILE": syncCountFile.path,
            ]
            startedAt = monotonicNanoseconds()
            process = try program.start(
                .init(
                    bench: bench, directory: directory, slackPort: generator?.port ?? 0,
                    backendPort: backend?.port ?? 0, load: load,
                    environment: preload ? bench.secrets.merging(counting) { $1 } : bench.secrets))
            started.append(process)
            if generator == nil { _ = try process.reply(Done.self) }
        } catch {
            for process in started.reversed() { process.stop() }
            throw error
        }
    }

    func stop() {
        process.stop()
        generator?.process.stop()
        backend?.process.stop()
    }

    /// Waits for the connections; the time of the first call of apps.connections.open.
    @discardableResult
    func awaitConnections() throws -> UInt64 {
        guard let generator else { return 0 }
        return try generator.awaitConnections(Case.connections, whileWaiting: checkProgram).firstOpenNs
    }

    func memory() throws -> MemoryUse { try MemoryUse(of: process) }
    func cpu() throws -> Duration { try cpuTime(of: process) }

    /// Warms up, then measures.
    func measure(warmUp: Int, envelopes: Int) throws -> Measurement {
        try awaitConnections()
        _ = try run(first: 0, count: warmUp)
        return try run(first: warmUp, count: envelopes)
    }

    private func run(first: Int, count: Int) throws -> Measurement {
        var peak = MemoryUse()
        let sample = {
            try checkProgram()
            peak.formPeak(try memory())
        }
        try backend?.count(first: first, count: count)
        let before = try Reading(self)
        let sent = try generator?.send(load, first: first, count: count, whileWaiting: sample)
        let posted = generator == nil ? try post(first: first, count: count, whileWaiting: sample) : nil
        let progress = try backend?.awaitDeliveries(whileWaiting: sample)
        let after = try Reading(self)
        try sample()
        // A second delivery comes after the first: give it time to be seen.
        usleep(200_000)
        let report = try backend?.report()
        try report.map(check)

        let elapsed = after.time - before.time
        let startedAt = sent?.startedNs ?? posted?.startedNs ?? 0
        return Measurement(
            program: program.name, envelopes: count,
            acknowledgedPerSecond: sent.map { rate($0.acknowledged, from: $0.startedNs, to: $0.finishedNs) },
            deliveredPerSecond: progress.map { rate($0.delivered, from: startedAt, to: $0.lastNs) },
            acknowledgementMicroseconds: sent?.acknowledgementUs, endToEndMicroseconds: report?.endToEndUs,
            answers: load.backendTime.flatMap { time in
                sent.map { .init($0, backendTime: time) } ?? posted.map { .init($0, backendTime: time) }
            },
            cpuMicroseconds: after.shares(since: before) { $0 / .microseconds(1) / Double(count) },
            busyPercent: after.shares(since: before) { $0 / elapsed * 100 },
            memory: peak, syncsPerEnvelope: Double(after.syncs - before.syncs) / Double(count),
            unacknowledged: sent.map { count - $0.acknowledged - $0.late } ?? 0, lost: report?.lost ?? 0,
            doubled: report?.doubled ?? 0)
    }

    fileprivate struct Posted: Decodable {
        let sent: Int
        let failed: Int
        let startedNs: UInt64
        let finishedNs: UInt64
        let responseUs: Latencies
    }

    /// Has the poster send.
    private func post(first: Int, count: Int, whileWaiting: () throws -> Void) throws -> Posted {
        try process.send("post \(first) \(count) \(load.backendTime?.wholeMicroseconds ?? 0)")
        let posted = try process.reply(Posted.self, within: .seconds(600), whileWaiting: whileWaiting)
        guard posted.failed == 0 else {
            throw RunnerError("\(program.name): \(posted.failed) of \(count) posts failed")
        }
        return posted
    }

    /// A wrong request makes a number worthless.
    private func check(_ report: HTTPBackend.Report) throws {
        guard report.forged == 0 else { throw RunnerError("\(program.name): \(report.forged) wrong signatures") }
        guard report.strange == 0 else { throw RunnerError("\(program.name): \(report.strange) unknown deliveries") }
    }

    /// Throws with the end of its log when the program has gone.
    private func checkProgram() throws {
        guard !process.isRunning else { return }
        let log = (try? String(contentsOf: directory.appendingPathComponent("relay.log"), encoding: .utf8)) ?? ""
        throw RunnerError("\(program.name) has ended\n\(log.suffix(2000))")
    }
}

extension Measurement.Answers {
    init(_ sent: SlackGenerator.Sent, backendTime: Duration) {
        self.init(
            perSecond: rate(sent.acknowledged, from: sent.startedNs, to: sent.finishedNs),
            addedMicroseconds: sent.acknowledgementUs.less(backendTime), bare: sent.bare, late: sent.late)
    }

    fileprivate init(_ posted: Scene.Posted, backendTime: Duration) {
        self.init(
            perSecond: rate(posted.sent, from: posted.startedNs, to: posted.finishedNs),
            addedMicroseconds: posted.responseUs.less(backendTime), bare: 0, late: 0)
    }
}

/// All counters at one time.
private struct Reading {
    let time: ContinuousClock.Instant
    let program: Duration
    let generator: Duration?
    let backend: Duration?
    let syncs: UInt64

    init(_ scene: borrowing Scene) throws {
        time = .now
        program = try scene.cpu()
        generator = try scene.generatorCPU()
        backend = try scene.backendCPU()
        syncs = scene.syncs()
    }

    func shares(since before: Reading, _ share: (Duration) -> Double) -> Measurement.Shares {
        func difference(_ path: KeyPath<Reading, Duration?>) -> Double? {
            guard let after = self[keyPath: path], let before = before[keyPath: path] else { return nil }
            return share(after - before)
        }
        return .init(
            program: share(program - before.program), generator: difference(\.generator),
            backend: difference(\.backend))
    }
}

extension Scene {
    fileprivate func generatorCPU() throws -> Duration? { try generator.map { try cpuTime(of: $0.process) } }
    fileprivate func backendCPU() throws -> Duration? { try backend.map { try cpuTime(of: $0.process) } }

    /// What the preload has counted so far.
    fileprivate func syncs() -> UInt64 {
        guard let bytes = try? Data(contentsOf: syncCountFile), bytes.count == 8 else { return 0 }
        return bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
    }
}

private func rate(_ count: Int, from start: UInt64, to end: UInt64) -> Double {
    end > start ? Double(count) * 1e9 / Double(end - start) : 0
}
