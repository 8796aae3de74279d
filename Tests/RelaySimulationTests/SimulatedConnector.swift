// The sockets of one process: the real pool and connection machines, driven as SlackConnector drives them.

import RelayCore
import RelayTestKit
import SocketMode

/// Feeds the pool and does what it returns, over the simulated network.
final class SimulatedConnector: Acknowledger, @unchecked Sendable {  // one thread per run
    let process: SimulatedProcess
    private unowned let world: SimulatedWorld
    private let queue: SimulatedQueue
    private var pool: PoolStateMachine
    private var timers: [PoolStateMachine.Timer: Int] = [:]
    /// Those that have had no outcome yet.
    private var attempts: [ConnectionID: Attempt] = [:]
    private var sockets: [ConnectionID: SimulatedSocket] = [:]
    /// Those that had their `hello` and are not closing, the youngest last.
    private var open: [ConnectionID] = []
    private var events: [PoolStateMachine.Event] = []
    private var isTaking = false
    private var hasFinished = false
    private var connections: Int
    private var drained: [() -> Void] = []

    private struct Attempt {
        /// What its present step comes to, and when; nil: between two steps.
        var answer: (() -> Void)?
        var timer: Int?
        var isAbandoned = false
    }

    init(_ world: SimulatedWorld, _ process: SimulatedProcess, _ queue: SimulatedQueue) {
        self.world = world
        self.process = process
        self.queue = queue
        connections = world.plan.connections
        pool = PoolStateMachine(configuration: Self.configuration(connections), now: .zero)
    }

    private static func configuration(_ connections: Int) -> PoolConfiguration {
        PoolConfiguration(connections: connections, startJitter: .seconds(1))
    }

    var openCount: Int { open.count }
    var socketCount: Int { sockets.count }
    /// Every slot has its connection, and nothing else is there.
    var isWhole: Bool { open.count == connections && sockets.count == open.count && attempts.isEmpty }

    private var uptime: Duration { Timestamp(millisecondsSinceEpoch: 0).duration(to: world.clock.now) }

    // MARK: The pool

    /// In order: what is reported while one event is taken is taken after it.
    func take(_ event: PoolStateMachine.Event) {
        guard process.isAlive else { return }
        events.append(event)
        guard !isTaking else { return }
        isTaking = true
        while !events.isEmpty {
            let event = events.removeFirst()
            note(event)
            for action in pool.handle(event, random: process.dice.unit(), now: uptime) { perform(action) }
        }
        isTaking = false
    }

    func reconfigure(connections: Int, replacesConnections: Bool) {
        self.connections = connections
        take(.reconfigured(Self.configuration(connections), replacesConnections: replacesConnections))
    }

    private func note(_ event: PoolStateMachine.Event) {
        switch event {
        case .attemptFailed(let id, let failure):
            world.guarantees.attemptFailed(failure, process)
            world.note("\(process.name) connection \(id): \(failure.outcome.rawValue) (\(failure.detail))")
            world.met("attempt \(failure.outcome.rawValue)")
            attemptEnded(id)
        case .connected(let id, _):
            world.note("\(process.name) connection \(id) is connected")
            world.met("attempt \(ConnectOutcome.connected.rawValue)")
            attemptEnded(id)
            world.slack.connected(process)
        case .closing(let id, let reason):
            world.note("\(process.name) connection \(id) closes: \(reason.rawValue)")
            if attempts[id] != nil {
                world.met("attempt \(ConnectOutcome(endedBeforeHello: reason).rawValue)")
                attemptEnded(id)
            }
            if world.sabotage != .closesFirst { world.guarantees.closing(reason, othersOpen: open.count, self) }
        case .refreshAsked(let id):
            world.guarantees.refreshAsked()
            if world.sabotage == .closesFirst { sockets[id]?.close(.refreshed) }
            if world.sabotage == .closesFirst { world.guarantees.closing(.refreshed, othersOpen: open.count, self) }
        case .opened(let id, _):
            guard attempts[id]?.isAbandoned == true else { break }
            world.note(
                "\(process.name) connection \(id): \(ConnectOutcome.canceled.rawValue) (its URL came all the same)")
            world.met("attempt \(ConnectOutcome.canceled.rawValue)")
            attemptEnded(id)
        case .started, .upgraded, .refreshWanted, .reconfigured, .closed, .timerFired, .drain: break
        }
    }

    private func attemptEnded(_ id: ConnectionID) {
        if attempts.removeValue(forKey: id) == nil {
            world.guarantees.violated("6: connection \(id) of \(process.name) has a second outcome")
        }
    }

    private func perform(_ action: PoolStateMachine.Action) {
        switch action {
        case .open(let id, _):
            askForURL(id)
            if world.sabotage == .dialsTwice { askForURL(ConnectionID(id.number + 1_000)) }
        case .dial(let id, let url):
            dial(id, url)
            if world.sabotage == .reusesURLs { _ = world.slack.upgrade(url) }
        case .abandon(let id): abandon(id)
        case .retire(let id): sockets[id]?.retire()
        case .drain(let id): sockets[id]?.drain()
        case .close(let id, let reason):
            // Of an attempt that had no `hello` yet, that is the end.
            if attempts[id] != nil { attemptEnded(id) }
            sockets[id]?.close(reason)
        case .schedule(let timer, let delay):
            let isHasty = world.sabotage == .redialsAtOnce && timer.kind == .pause
            timers[timer] = world.after(isHasty ? .zero : delay) {
                self.timers[timer] = nil
                self.take(.timerFired(timer))
            }
        case .cancel(let timer): if let id = timers.removeValue(forKey: timer) { world.clock.cancel(id) }
        case .notice: break
        case .finish: finish()
        }
    }

    private func askForURL(_ id: ConnectionID) {
        world.guarantees.attemptBegins(under: attempts.count, self)
        let (result, time) = world.slack.openConnection()
        attempts[id] = Attempt()
        answer(id, after: time) {
            switch result {
            case .success(let url): self.take(.opened(id, url: url))
            case .failure(let failure): self.take(.attemptFailed(id, failure))
            }
        }
    }

    private func dial(_ id: ConnectionID, _ url: Secret) {
        let (failure, time) = world.slack.upgrade(url)
        answer(id, after: time) {
            if let failure { return self.take(.attemptFailed(id, failure)) }
            let socket = SimulatedSocket(id, self.world, self)
            self.sockets[id] = socket
            socket.begin()
            self.world.slack.accept(socket)
            self.take(.upgraded(id))
        }
    }

    private func answer(_ id: ConnectionID, after time: Duration, _ answer: @escaping () -> Void) {
        attempts[id]?.answer = answer
        attempts[id]?.timer = world.after(time) { self.answer(id) }
    }

    private func answer(_ id: ConnectionID) {
        guard process.isAlive, let answer = attempts[id]?.answer else { return }
        attempts[id]?.answer = nil
        attempts[id]?.timer = nil
        answer()
    }

    private func abandon(_ id: ConnectionID) {
        guard let timer = attempts[id]?.timer else { return }
        attempts[id]?.isAbandoned = true
        world.clock.cancel(timer)
        // What it waits for may have come, or gone wrong, in the same moment.
        if process.dice.chance(0.2) {
            attempts[id]?.timer = world.after(.zero) { self.answer(id) }
        } else {
            take(.attemptFailed(id, ConnectFailure(.canceled, "given up")))
        }
    }

    // MARK: The sockets

    func report(_ report: ConnectionStateMachine.Report, of socket: SimulatedSocket) {
        let id = socket.id
        switch report {
        case .connected:
            open.append(id)
            take(.connected(id, socket.hello))
        case .refreshAsked: take(.refreshAsked(id))
        case .closing(let reason):
            open.removeAll { $0 == id }
            take(.closing(id, reason))
        case .closed(let reason):
            open.removeAll { $0 == id }
            if world.sabotage == .keepsSlots { return }
            sockets[id] = nil
            take(.closed(id, reason))
        }
    }

    func finished(_ batch: SimulatedProcess.Batch) {
        let bytes = batch.envelopes.reduce(0) { $0 + $1.payload.bytes.count }
        sockets[batch.connection]?.finished(batch.envelopes.count, bytes: bytes)
    }

    // MARK: Acknowledgements, as in SlackConnector and its registry

    func acknowledge(_ envelopeIDs: [String], on connection: ConnectionID) {
        guard process.isAlive else { return }
        for id in envelopeIDs { world.guarantees.acknowledging(id, by: process, disk: queue.disk) }
        let isLost = world.sabotage == .losesAcknowledgements
        let envelopeIDs = envelopeIDs.filter { !isLost || world.slack.copy($0)?.number != 0 }
        guard let socket = sockets[connection] ?? open.last.flatMap({ sockets[$0] }) else { return }
        if socket.send(envelopeIDs.map { .acknowledgement($0, nil) }) { return }
        _ = another(than: socket.id)?.send(envelopeIDs.map { .acknowledgement($0, nil) })
    }

    func acknowledge(
        _ envelopeID: String, with payload: Payload?, on connection: ConnectionID
    ) async -> AcknowledgementWay {
        guard process.isAlive else { return .lost }
        world.guarantees.acknowledging(envelopeID, by: process, disk: queue.disk)
        if world.sabotage == .losesAnswers { return .same }
        let payload = world.sabotage == .emptiesAnswers ? nil : payload
        guard let socket = sockets[connection] ?? open.last.flatMap({ sockets[$0] }) else {
            return lost(envelopeID)
        }
        if world.sabotage == .acknowledgesTwice { _ = socket.send([.acknowledgement(envelopeID, payload)]) }
        if socket.send([.acknowledgement(envelopeID, payload)]) { return socket.id == connection ? .same : .other }
        guard another(than: socket.id)?.send([.acknowledgement(envelopeID, payload)]) == true else {
            return lost(envelopeID)
        }
        return .other
    }

    private func lost(_ envelopeID: String) -> AcknowledgementWay {
        world.note("\(process.name) has no connection to acknowledge \(envelopeID) on")
        world.slack.acknowledgementLost(envelopeID)
        return .lost
    }

    private func another(than id: ConnectionID) -> SimulatedSocket? {
        open.last { $0 != id }.flatMap { sockets[$0] }
    }

    // MARK: The end

    /// Returns when every socket is gone.
    func drain(timeout: Duration) async {
        guard !hasFinished else { return }
        await process.park { resume in
            drained.append(resume)
            take(.drain(timeout: timeout))
        }
    }

    /// As in a canceled task: each connection ends in order.
    func closeAll() {
        for id in sockets.keys.sorted() { sockets[id]?.close(.drained) }
    }

    private func finish() {
        hasFinished = true
        process.connectorFinished()
        for resume in drained { resume() }
        drained = []
    }

    /// The kernel ends what the process had open, or the machine is gone and nobody does.
    func processDied() {
        for timer in timers.values { world.clock.cancel(timer) }
        timers = [:]
        for id in sockets.keys.sorted() { sockets[id]?.processDied() }
        sockets = [:]
        open = []
    }
}
