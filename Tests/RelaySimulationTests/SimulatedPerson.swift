// Somebody who operates the gateway while it has troubles.

import Relay
import RelayCore
import RelayTestKit
import SocketMode

/// What the admin API, the command line and a changed file do. Replay jobs come apart: `Plan.replays`.
enum PersonAct: CaseIterable {
    case pause, resume, cancel, retry, refresh, reload
}

final class SimulatedPerson {
    private unowned let world: SimulatedWorld

    init(_ world: SimulatedWorld) { self.world = world }

    func act() {
        guard let process = world.dice.pick(world.processes.filter(\.isAlive)),
            let backend = world.dice.pick(world.plan.backends.map(\.name))
        else { return }
        let act = world.dice.pick(PersonAct.allCases) ?? .pause
        world.note("a person: \(act) \(backend) on \(process.name)")
        switch act {
        case .pause: pause(backend, process)
        case .resume: resume(backend, process)
        case .cancel:
            change(process, among: { !$0.isFinal }, backend) {
                [world] queue, id in try await queue.cancel(id, now: world.clock.now)
            }
        case .retry:
            change(process, among: { $0 == .dead || $0 == .expired || $0 == .canceled }, backend) {
                [world] queue, id in try await queue.retry(id, now: world.clock.now)
            }
        case .refresh:
            world.guarantees.newConnectionsWanted()
            process.connector?.take(.refreshWanted)
        case .reload: reload(process)
        }
    }

    /// What was given up is made again, at a rate or as fast as it goes; and sometimes not to the end.
    func replay() {
        guard let process = world.dice.pick(world.processes.filter(\.isAlive)), let queue = process.queue
        else { return }
        var filter = DeliveryFilter()
        if world.dice.chance(0.5), let backend = world.dice.pick(world.plan.backends) {
            filter.backends = [backend.name]
        }
        let rate = world.dice.weigh([(nil, 1), (0.2, 1), (2, 1), (30, 1)] as [(Double?, Int)])
        let patience = world.dice.chance(0.4) ? world.dice.seconds(1...20) : nil
        world.note("a person wants dead letters of \(process.name) made again")
        Task(executorPreference: world.executor) { [world] in
            let request = ReplayRequest(filter: filter, perSecond: rate)
            guard let replay = try? await queue.createReplay(request, now: world.clock.now) else { return }
            world.note("\(process.name) has replay \(replay.id)")
            process.replaysChanged()
            guard let patience, (try? await world.clock.sleep(for: patience)) != nil else { return }
            world.note("a person cancels replay \(replay.id) of \(process.name)")
            _ = try? await queue.cancelReplay(replay.id, now: world.clock.now)
            process.replaysChanged()
        }
    }

    /// Tells every gateway of the backends that it leaves alone that they work, and has it run with the file that it began
    /// with.
    func putRight() {
        for process in world.processes where process.isAlive {
            // The others are found to work without a person.
            for name in process.disk.pauses.keys.sorted() { resume(name, process) }
            reload(process, world.plan.configuration)
            if world.plan.isTight { deleteDeadLetters(process) }
        }
    }

    /// They keep their room, which may be all that there is.
    private func deleteDeadLetters(_ process: SimulatedProcess) {
        guard let queue = process.queue else { return }
        process.openActs += 1
        Task(executorPreference: world.executor) {
            defer { process.openActs -= 1 }
            _ = try? await queue.delete(DeliveryFilter(), limit: 1_000)
        }
    }

    /// Another file, or how many connections there are.
    private func reload(_ process: SimulatedProcess) {
        if world.dice.chance(0.7) {
            let isFirst = process.disk.configuration == world.plan.configuration
            // One change at a time: the next one goes back.
            reload(process, isFirst ? world.plan.configuration.changed(world.dice) : world.plan.configuration)
        } else if !process.isDraining {
            world.guarantees.newConnectionsWanted()
            process.connector?.reconfigure(
                connections: world.dice.int(1...3), replacesConnections: world.dice.chance(0.5))
        }
    }

    /// As Reloader: one at a time, and refused while draining, or when the queue does not say what is paused.
    private func reload(_ process: SimulatedProcess, _ next: SimulatedConfiguration) {
        guard let parts = process.parts, !process.isReloading, process.disk.configuration != next else { return }
        process.isReloading = true
        Task(executorPreference: world.executor) { [world] in
            defer { process.isReloading = false }
            guard !process.isDraining, let pauses = try? await parts.queue.pauses(), process.isAlive else { return }
            world.note("\(process.name) has another file")
            let last = process.disk.configuration
            process.disk.configurations.goOn(with: next)
            await parts.goOn(with: next, after: last, pauses)
            if process.isAlive { process.disk.configurations.pastEnded(at: world.clock.now) }
        }
    }

    private func pause(_ name: BackendName, _ process: SimulatedProcess) {
        guard process.openActs == 0 else { return }
        process.openActs += 1
        Task(executorPreference: world.executor) { [world] in
            defer { process.openActs -= 1 }
            guard await process.tell(name, toPause: true) == true, process.isAlive else { return }
            world.guarantees.paused(name, process, at: world.clock.now)
        }
    }

    private func resume(_ name: BackendName, _ process: SimulatedProcess) {
        world.guarantees.paused(name, process, at: nil)
        process.openActs += 1
        Task(executorPreference: world.executor) { [world] in
            defer { process.openActs -= 1 }
            // Until the disk takes it.
            while await process.tell(name, toPause: false) == nil, process.isAlive {
                try? await world.clock.sleep(for: .seconds(1))
            }
            world.guarantees.paused(name, process, at: nil)
        }
    }

    private func change(
        _ process: SimulatedProcess, among states: (DeliveryState) -> Bool, _ backend: BackendName,
        _ change: @escaping @Sendable (SimulatedQueue, DeliveryID) async throws -> DeliveryChange
    ) {
        guard let queue = process.queue,
            let row = world.dice.pick(
                queue.disk.rows.filter {
                    $0.delivery.backend == backend && states($0.state) && $0.delivery.kind == .event
                })
        else { return }
        Task(executorPreference: world.executor) {
            guard (try? await change(queue, row.delivery.id)) == .done(backend) else { return }
            _ = await process.dispatchers[backend]?.deliveriesStored([], othersWait: true)
        }
    }
}

extension SimulatedProcess {
    /// As GatewayOperator tells a dispatcher. nil: the disk did not take it; false: there is none.
    fileprivate func tell(_ name: BackendName, toPause: Bool) async -> Bool? {
        do throws(QueueError) {
            return try await dispatchers.tell(name) { dispatcher throws(QueueError) in
                if toPause { try await dispatcher.pauseByPerson() } else { try await dispatcher.resume() }
            }
        } catch {
            return nil
        }
    }
}
