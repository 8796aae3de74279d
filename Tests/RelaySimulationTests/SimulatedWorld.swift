// One run: the real gateway between a simulated Slack, network, disk, backends and people, on virtual time.

import RelayCore
import RelayTestKit

/// The same seed gives the same run on every machine. Everything runs on the thread that calls `run`.
final class SimulatedWorld: @unchecked Sendable {
    private static let start = Timestamp(millisecondsSinceEpoch: 0)
    /// Of a run: a usual one takes 4,000.
    private static let mostSteps = 5_000_000

    let plan: Plan
    let sabotage: Sabotage?
    let dice: Dice
    let clock = VirtualClock(now: SimulatedWorld.start)
    let executor: SeededExecutor
    let sharedPayload: Payload?
    private(set) var disks: [SimulatedDisk] = []
    private(set) var processes: [SimulatedProcess] = []
    private(set) var history: [String] = []
    private(set) var isHealed = false
    /// The last drain has begun.
    var isClosing = false
    /// Jobs of tasks and actors, and what the outside did.
    private(set) var steps = 0
    /// Ways in which attempts ended.
    private(set) var ends: Set<String> = []
    private let isRecording: Bool
    private var all: [SimulatedProcess] = []
    private var isOver = false
    private var stepsToKill: Int?
    private(set) var healedAt = SimulatedWorld.start
    var quietSince: Timestamp?
    var looks = 0

    // What refers back to the world.
    private(set) lazy var slack = SimulatedSlack(self)
    private(set) lazy var person = SimulatedPerson(self)
    private(set) lazy var guarantees = Guarantees(self)
    private(set) lazy var attempts = AttemptModel(self)
    private(set) lazy var backends = Dictionary(
        uniqueKeysWithValues: plan.backends.map { ($0.name, SimulatedBackend($0, self)) })

    /// - Parameters:
    ///   - plan: nil: as the seed has it.
    ///   - isRecording: whether `history` is kept.
    init(seed: UInt64, plan: Plan? = nil, sabotage: Sabotage? = nil, isRecording: Bool = false) {
        dice = Dice(seed: seed)
        let drawn = Plan(dice)
        self.plan = plan ?? drawn
        self.sabotage = sabotage
        self.isRecording = isRecording
        executor = SeededExecutor(random: dice.makeRandom())
        sharedPayload = self.plan.payloadBytes.map { Payload(bytes: Array(repeating: 0x20, count: $0)) }
    }

    var violations: [String] { guarantees.violations }
    /// Nothing but what was planned has happened to connections.
    var isCalm: Bool { plan.connectionTroubles == 0 && plan.slackTroubles == 0 && plan.kills + plan.personActs == 0 }

    /// No gateway ended before its time, and no person did anything to one.
    var isUntouched: Bool { plan.kills + plan.restarts + plan.personActs == 0 }

    func met(_ end: String) { ends.insert(end) }

    func note(_ line: @autoclosure () -> String) {
        guard isRecording else { return }
        history.append("\(Self.start.duration(to: clock.now).milliseconds) ms: \(line())")
    }

    /// Calls an action at a time, within the run.
    @discardableResult
    func at(_ time: Timestamp, _ action: @escaping () -> Void) -> VirtualClock.ActionID {
        let action = OnOneThread(action: action)
        return clock.schedule(at: time) {
            self.steps += 1
            action.action()
        }
    }

    @discardableResult
    func after(_ delay: Duration, _ action: @escaping () -> Void) -> VirtualClock.ActionID {
        at(clock.now.advanced(by: delay), action)
    }

    private struct OnOneThread: @unchecked Sendable {  // one thread per run
        let action: () -> Void
    }

    // MARK: The run

    /// To the end. Returns what was violated.
    @discardableResult
    func run() -> [String] {
        for replica in 0..<plan.replicas {
            let maxBytes = sabotage == .queueIgnoresSize ? .max : plan.maxBytes
            disks.append(SimulatedDisk(plan.configuration, QueueLimits(maxBytes: maxBytes, whenFull: plan.whenFull)))
            startProcess(replica, life: 0)
        }
        schedule()
        while !isOver, guarantees.violations.isEmpty {
            if let left = stepsToKill {
                stepsToKill = left > 0 ? left - 1 : nil
                if left == 0 { killOne() }
            }
            if executor.runOne() {
                steps += 1
                continue
            }
            endOfMoment()
            if steps > Self.mostSteps { guarantees.violated("rest: \(steps) steps, and no end") }
            if !clock.advance() {
                guarantees.violated("rest: nothing happens any more")
                break
            }
        }
        if guarantees.violations.isEmpty { guarantees.checkEnd() }
        forget()
        return violations
    }

    private func startProcess(_ replica: Int, life: Int) {
        let process = SimulatedProcess(self, replica: replica, life: life, disk: disks[replica])
        if processes.count > replica { processes[replica] = process } else { processes.append(process) }
        all.append(process)
        process.start()
    }

    /// Everything of the moment is done.
    private func endOfMoment() {
        for index in processes.indices {
            let process = processes[index]
            if process.isAlive {
                if process.queue?.hasGrown == true { guarantees.checkMemory(process) }
            } else if process.hasEnded, !isClosing {
                for backend in backends.values { backend.forget(index) }
                startProcess(index, life: process.life + 1)
            }
        }
        if isClosing, processes.allSatisfy(\.hasEnded) { isOver = true }
    }

    private func killOne() {
        guard !isClosing, let process = dice.pick(processes.filter(\.isAlive)) else { return }
        process.die()
        executor.runInOrderUntilIdle()
        for backend in backends.values { backend.forget(process.replica) }
        startProcess(process.replica, life: process.life + 1)
    }

    func drainRanOut(_ process: SimulatedProcess) {
        note("the drain of \(process.name) runs out of time")
        if isClosing { guarantees.violated("rest: \(process.name) could not be drained") }
    }

    private func forget() {
        for process in all { process.forget() }
        executor.runInOrderUntilIdle()
        clock.forgetActions()
        all = []
        processes = []
    }

    // MARK: What happens when

    private func schedule() {
        let length = Int(plan.length.milliseconds)
        func sometimes(_ count: Int, _ action: @escaping () -> Void) {
            for _ in 0..<count { after(.milliseconds(dice.int(0...length)), action) }
        }
        sometimes(plan.events) {
            let burst = self.dice.chance(0.2) ? self.dice.int(2...4) : 1
            self.slack.send((0..<burst).map { _ in self.slack.make(.event) })
        }
        let shapes = Happening.Shape.allCases.filter { $0 != .event }
        sometimes(plan.people) { self.slack.send([self.slack.make(self.dice.pick(shapes) ?? .command)]) }
        sometimes(plan.backendTroubles) { self.changeBackend() }
        sometimes(plan.diskTroubles) { self.changeDisk() }
        sometimes(plan.slackTroubles) { self.changeDoor() }
        sometimes(plan.connectionTroubles) { self.slack.trouble() }
        sometimes(plan.personActs) { self.person.act() }
        sometimes(plan.replays) { self.person.replay() }
        sometimes(plan.kills) { self.stepsToKill = self.dice.int(0...40) }
        sometimes(plan.restarts) { self.restart() }
        sometimes(plan.refreshes) { self.slack.refresh() }
        after(plan.length) { self.heal() }
    }

    private func changeBackend() {
        guard let name = dice.pick(plan.backends)?.name, let backend = backends[name] else { return }
        backend.mood = dice.pick(SimulatedBackend.Mood.allCases) ?? .good
        note("\(name) is now \(backend.mood)")
        after(dice.seconds(1...30)) {
            backend.mood = .good
            self.note("\(name) is now good")
        }
    }

    private func changeDisk() {
        guard let disk = dice.pick(disks) else { return }
        disk.mood = dice.pick(SimulatedDisk.Mood.allCases) ?? .good
        note("a disk is now \(disk.mood)")
        after(dice.seconds(1...20)) { disk.mood = .good }
    }

    private func changeDoor() {
        slack.door = dice.pick(SimulatedSlack.Door.allCases) ?? .open
        note("Slack's door is now \(slack.door)")
        after(dice.seconds(1...40)) { self.slack.door = .open }
    }

    /// One after the other: a replica is restarted while the others are connected.
    private func restart() {
        guard let process = dice.pick(processes.filter { $0.isAlive && !$0.isDraining }) else { return }
        let others = processes.filter { $0 !== process }
        guard others.allSatisfy({ !$0.isDraining && $0.connector?.isWhole == true }) else { return }
        process.drain()
    }

    /// The end of all troubles.
    private func heal() {
        note("all is well from here on")
        isHealed = true
        healedAt = clock.now
        stepsToKill = nil
        slack.door = .open
        for disk in disks { disk.mood = .good }
        for name in backends.keys.sorted() { backends[name]?.mood = .good }
        look()
    }
}
