// The simulated queue is a queue: what the simulation finds, it finds behind a port that keeps its promises.

import RelayCore
import RelayTestKit
import Testing

@Suite struct SimulatedQueueTests {
    @Test("the queue keeps the contract of its port", arguments: DeliveryQueueConformance.facts)
    func conforms(_ fact: DeliveryQueueConformance.Fact) throws {
        let stage = QueueStage()
        try stage.play { try await fact.check { stage.open($0) } }
    }

    @Test("the queue keeps the contract of an archive", arguments: DeliveryArchiveConformance.facts)
    func archives(_ fact: DeliveryArchiveConformance.Fact) throws {
        let stage = QueueStage()
        try stage.play { try await fact.check { stage.open($0) } }
    }
}

/// Disks that work, in processes that live; and the time that it takes.
private final class QueueStage: @unchecked Sendable {  // one thread
    private let world = SimulatedWorld(seed: 1)
    private var processes: [SimulatedProcess] = []
    private var result: Result<Void, any Error>?

    func open(_ limits: QueueLimits) -> SimulatedQueue {
        let disk = SimulatedDisk(world.plan.configuration, limits)
        let process = SimulatedProcess(world, replica: 0, life: 0, disk: disk)
        processes.append(process)
        return SimulatedQueue(disk: disk, process: process, world: world)
    }

    func play(_ body: @escaping @Sendable () async throws -> Void) throws {
        Task(executorPreference: world.executor) { [self] in
            do {
                try await body()
                result = .success(())
            } catch {
                result = .failure(error)
            }
        }
        while result == nil {
            guard world.executor.runOne() || world.clock.advance() else { throw Stuck() }
        }
        try result?.get()
    }

    private struct Stuck: Error {}
}
