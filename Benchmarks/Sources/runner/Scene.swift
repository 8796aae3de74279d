// One round: the processes of one program under one case, from start to stop.

import Foundation

struct Scene {
    private let program: Program
    private let load: Case.Load
    private let launch: Program.Launch
    private var process: ChildProcess
    private let generator: SlackGenerator?
    private let backend: HTTPBackend?
    private let syncCountFile: URL
    /// Just before the program was started, of `monotonicNanoseconds`.
    private(set) var startedAt: UInt64

    /// Starts all and returns when the program is ready for load. `preload` false: without the preload that counts.
    init(
        _ program: Program, under load: Case.Load, setting: Case.Setting = .init(), in bench: Bench,
        preload: Bool = true
    ) throws {
        self.program = program
        self.load = load
        let directory = try bench.makeDirectory()
        syncCountFile = directory.appendingPathComponent("syncs")
        var started: [ChildProcess] = []
        do {
            generator = program.role == .poster ? nil : try SlackGenerator(in: bench)
            if let generator { started.append(generator.process) }
            backend = program.role == .acknowledger ? nil : try HTTPBackend(in: bench)
            if let backend { started.append(backend.process) }
            if let time = load.backendTime { try backend?.setDelay(time) }
            var counting = [
                "LD_PRELOAD": bench.tool("libfsynccount.so").path, "FSYNC_COUNT_FILE": syncCountFile.path,
            ]
            if setting.fsyncDelay > .zero { counting["FSYNC_DELAY_US"] = "\(setting.fsyncDelay.wholeMicroseconds)" }
            launch = .init(
                bench: bench, directory: directory, slackPort: generator?.port ?? 0, backendPort: backend?.port ?? 0,
                load: load, setting: setting,
                environment: preload ? bench.secrets.merging(counting) { $1 } : bench.secrets)
            startedAt = monotonicNanoseconds()
            process = try program.start(launch)
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
        // A queue may take gigabytes.
        try? FileManager.default.removeItem(at: launch.directory)
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
    mutating func measure(warmUp: Int, envelopes: Int) throws -> Measurement {
        try awaitConnections()
        if case .backlog = load { return try measureBacklog(envelopes) }
        if warmUp > 0 { _ = try run(first: 0, count: warmUp) }
        return try run(first: warmUp, count: envelopes)
    }

    private func run(first: Int, count: Int) throws -> Measurement {
        var peak = MemoryPeak()
        let watch = {
            try checkProgram()
            try peak.sample(process)
        }
        try backend?.count(first: first, count: count)
        let before = try Reading(self)
        let sent = try generator?.send(load, first: first, count: count, whileWaiting: watch)
        let posted = generator == nil ? try post(first: first, count: count, whileWaiting: watch) : nil
        let progress = try backend?.awaitDeliveries(whileWaiting: watch)
        let after = try Reading(self)
        try checkProgram()
        try peak.read(process)
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
            acknowledgementMicroseconds: load.backendTime == nil ? sent?.acknowledgementUs : nil,
            endToEndMicroseconds: report?.endToEndUs,
            answers: load.backendTime == nil ? nil : sent.map { .init($0) } ?? posted.map { .init($0) },
            open: openLoop(sent),
            cpuMicroseconds: after.shares(since: before) { $0 / .microseconds(1) / Double(count) },
            busyPercent: after.shares(since: before) { $0 / elapsed * 100 },
            memory: peak.use, syncsPerEnvelope: Double(after.syncs - before.syncs) / Double(count),
            unacknowledged: sent.map { count - $0.acknowledged - $0.late } ?? 0, lost: report?.lost ?? 0,
            doubled: report?.doubled ?? 0)
    }

    private func openLoop(_ sent: SlackGenerator.Sent?) -> Measurement.Open? {
        guard case .open = load, let sent else { return nil }
        return .init(
            redelivered: sent.redelivered, refreshes: sent.refreshes,
            unconnectedMilliseconds: sent.unconnectedUs / 1000)
    }

    fileprivate struct Posted: Decodable {
        let sent: Int
        let failed: Int
        let startedNs: UInt64
        let finishedNs: UInt64
        /// Without the time of the backend.
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
        let log = (try? String(contentsOf: launch.log, encoding: .utf8)) ?? ""
        throw RunnerError("\(program.name) has ended\n\(log.suffix(2000))")
    }
}

extension Scene {
    /// Stores all while the backend is down, kills the process, brings the backend up and has the next one deliver.
    /// What it delivers counts from the first delivery to the last; its costs are those of both processes.
    private mutating func measureBacklog(_ envelopes: Int) throws -> Measurement {
        guard let generator, let backend else { throw RunnerError("\(program.name) takes no backlog") }
        sleep(1)
        let idle = try memory()
        var peak = MemoryPeak()
        try backend.setDown(true)
        try backend.count(first: 0, count: envelopes)
        let before = try Reading(self)
        let sent = try generator.send(load, first: 0, count: envelopes) {
            try checkProgram()
            try peak.sample(process)
        }
        let stored = try Reading(self)
        try peak.read(process)

        process.kill9()
        try backend.setDown(false)
        startedAt = monotonicNanoseconds()
        process = try program.start(launch)
        let progress = try backend.awaitDeliveries {
            try checkProgram()
            try peak.sample(process)
        }
        let after = try Reading(self)
        try peak.read(process)
        usleep(200_000)
        let report = try backend.report()
        try check(report)

        let cpu = after.sharesOfRestarted(since: before, stored) { $0 / .microseconds(1) / Double(envelopes) }
        let busy = after.sharesOfRestarted(since: before, stored) { $0 / (after.time - before.time) * 100 }
        return Measurement(
            program: program.name, envelopes: envelopes,
            acknowledgedPerSecond: rate(sent.acknowledged, from: sent.startedNs, to: sent.finishedNs),
            deliveredPerSecond: rate(progress.delivered, from: progress.firstNs, to: progress.lastNs),
            acknowledgementMicroseconds: sent.acknowledgementUs,
            backlog: .init(
                idlePrivateDirtyBytes: idle.privateDirtyBytes,
                firstDeliveryMilliseconds: (Double(progress.firstNs) - Double(startedAt)) / 1e6),
            cpuMicroseconds: cpu, busyPercent: busy, memory: peak.use,
            syncsPerEnvelope: Double(after.syncs - before.syncs) / Double(envelopes),
            unacknowledged: envelopes - sent.acknowledged, lost: report.lost, doubled: report.doubled)
    }
}

extension Measurement.Answers {
    init(_ sent: SlackGenerator.Sent) {
        self.init(
            perSecond: rate(sent.acknowledged, from: sent.startedNs, to: sent.finishedNs),
            addedMicroseconds: sent.acknowledgementUs, bare: sent.bare, late: sent.late)
    }

    fileprivate init(_ posted: Scene.Posted) {
        self.init(
            perSecond: rate(posted.sent, from: posted.startedNs, to: posted.finishedNs),
            addedMicroseconds: posted.responseUs, bare: 0, late: 0)
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

    /// When the program was started anew at `restart`, and its CPU time began again.
    func sharesOfRestarted(
        since before: Reading, _ restart: Reading, _ share: (Duration) -> Double
    ) -> Measurement.Shares {
        var shares = shares(since: before, share)
        shares.program = share(restart.program - before.program + program)
        return shares
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
