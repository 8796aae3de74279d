// One life of a gateway: the real parts, wired as in the program, on simulated edges.

import Logging
import Metrics
import Relay
import RelayCore
import RelayTestKit
import SocketMode

/// From start to kill, or to the end of its drain. Of its own it has nothing but what the program's composition has.
final class SimulatedProcess: @unchecked Sendable {  // one thread per run
    let replica: Int
    let life: Int
    let dice: Dice
    private(set) var isAlive = true
    /// `run` has returned, after a drain.
    private(set) var hasEnded = false
    private(set) var isDraining = false
    unowned let world: SimulatedWorld
    let disk: SimulatedDisk
    private(set) var parts: ProcessParts?
    private var main: Task<Void, Never>?
    private var drainTask: Task<Void, Never>?
    private var parked: [Int: CheckedContinuation<Void, Never>] = [:]
    private var lastParked = 0
    private let arrivals: AsyncStream<Arrival>
    private let arrivalsToTake: AsyncStream<Arrival>.Continuation
    /// Batches that the gateway is not done with.
    private(set) var openBatches = 0
    /// Requests that wait for a backend's answer.
    var openQuestions = 0
    let health = QueueHealth(logger: .silent)

    struct Batch: Sendable {
        var envelopes: [Envelope]
        var connection: ConnectionID
    }

    private enum Arrival: Sendable {
        case batch(Batch)
        case dispatcher(Dispatcher)
    }

    /// How often each backend got a new dispatcher.
    var reloads: [BackendName: Int] = [:]
    /// What a person does with backends that is not done yet.
    var openActs = 0
    var isReloading = false

    init(_ world: SimulatedWorld, replica: Int, life: Int, disk: SimulatedDisk) {
        self.world = world
        self.replica = replica
        self.life = life
        self.disk = disk
        dice = world.dice.fork()
        (arrivals, arrivalsToTake) = AsyncStream.makeStream()
    }

    var name: String { "gateway \(replica)/\(life)" }
    var queue: SimulatedQueue? { parts?.queue }
    var connector: SimulatedConnector? { parts?.connector }
    var dispatchers: Dispatchers { parts?.dispatchers ?? [:] }
    var now: Timestamp { world.clock.now }

    // MARK: Life

    func start() {
        world.note("\(name) starts")
        disk.configurations.pastEnded(at: now)
        let parts = ProcessParts(self, world, disk)
        self.parts = parts
        for dispatcher in parts.dispatchers.sorted { begin(dispatcher) }
        main = Task(executorPreference: world.executor) { await self.live() }
        parts.connector.take(.started)
    }

    private func live() async {
        await parts?.queue.open()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.keep() }
            group.addTask { await self.replay() }
            group.addTask { await self.carry() }
            await group.next()
            group.cancelAll()
        }
        await parts?.queue.close()
        guard isAlive else { return }
        hasEnded = true
        world.note("\(name) has ended")
        die()
    }

    /// As TrafficService: everything that carries envelopes.
    private func carry() async {
        guard let parts else { return }
        await withDiscardingTaskGroup { group in
            group.addTask { await parts.answerer.run() }
            group.addTask { await parts.poster.run() }
            for await arrival in arrivals {
                switch arrival {
                case .batch(let batch): take(batch, parts, in: &group)
                case .dispatcher(let dispatcher):
                    group.addTask {
                        if self.isDraining { await dispatcher.drain() }
                        await dispatcher.run()
                    }
                }
            }
        }
    }

    /// In the order read, as SlackConnector does it.
    private func take(_ batch: Batch, _ parts: ProcessParts, in group: inout DiscardingTaskGroup) {
        openBatches += 1
        group.addTaskNow {
            if self.world.sabotage == .acknowledgesEarly {
                parts.connector.acknowledge(batch.envelopes.map(\.id), on: batch.connection)
            }
            await parts.gateway.receive(
                batch.envelopes, on: batch.connection, acknowledgeThrough: parts.connector)
            self.openBatches -= 1
            if self.world.sabotage != .keepsBatches { parts.connector.finished(batch) }
        }
    }

    /// As QueueKeeper's `run`, less often.
    private func keep() async {
        while (try? await world.clock.sleep(for: .seconds(5))) != nil {
            if health.problem != nil { await parts?.keeper.check() }
        }
    }

    private func replay() async {
        guard world.sabotage != .losesReplays, let replays = parts?.replays else { return await keep() }
        await replays.goOn()
    }

    /// There is another replay, or one was canceled.
    func replaysChanged() { parts?.replays.replaysChanged() }

    func deliver(_ batch: Batch) {
        var batch = batch
        if world.sabotage == .reversesBatches { batch.envelopes.reverse() }
        if isAlive { arrivalsToTake.yield(.batch(batch)) }
    }

    /// The sockets are gone, after a drain.
    func connectorFinished() { arrivalsToTake.finish() }

    /// As TrafficService, with its timeout.
    func drain() {
        guard isAlive, !isDraining, let parts else { return }
        isDraining = true
        world.note("\(name) drains")
        drainTask = Task(executorPreference: world.executor) {
            await withDiscardingTaskGroup { group in
                group.addTask {
                    await parts.connector.drain(timeout: Self.drainTimeout)
                    await parts.answerer.drain()
                    await parts.poster.drain()
                }
                for dispatcher in parts.dispatchers.sorted { group.addTask { await dispatcher.drain() } }
            }
        }
        world.after(Self.drainTimeout) {
            guard self.isAlive else { return }
            self.world.drainRanOut(self)
            parts.connector.closeAll()
            self.main?.cancel()
        }
    }

    /// As TrafficService: runs until it is drained.
    func begin(_ dispatcher: Dispatcher) { arrivalsToTake.yield(.dispatcher(dispatcher)) }

    static let drainTimeout = Duration.seconds(25)

    /// kill -9: from here on nothing that it does reaches anybody.
    func die() {
        guard isAlive else { return }
        isAlive = false
        if !hasEnded { world.note("\(name) is killed") }
        parts?.connector.processDied()
        main?.cancel()
        drainTask?.cancel()
        for id in parked.keys.sorted() { parked.removeValue(forKey: id)?.resume() }
    }

    /// The end of a run: breaks the rings that hold everything.
    func forget() {
        die()
        parts = nil
        main = nil
        drainTask = nil
    }

    /// Waits until `resume` is called, or the process dies; a canceled task waits, too.
    func park(_ begin: (_ resume: @escaping () -> Void) -> Void) async {
        guard isAlive else { return }
        lastParked += 1
        let id = lastParked
        await withCheckedContinuation { continuation in
            parked[id] = continuation
            begin { self.parked.removeValue(forKey: id)?.resume() }
        }
    }
}
