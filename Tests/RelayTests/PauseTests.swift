// A person leaves a backend alone.

import Logging
import Metrics
import RelayCore
import RelayTestKit
import Testing

@testable import Relay

@Suite("Pause")
struct PauseTests {
    private let queue = StubbornQueue()

    private func makeDispatcher(_ pause: Pause?) -> Dispatcher {
        Dispatcher(
            Backend(name: "app"), queue: queue, pause: pause, sender: Nobody(), clock: VirtualClock(now: .zero),
            random: { 0 }, health: QueueHealth(logger: .silent),
            metrics: BackendMetrics(backend: "app", factory: NOOPMetricsHandler.instance), logger: .silent)
    }

    @Test("a pause is stored when the person is told")
    func stored() async throws {
        try await makeDispatcher(nil).pauseByPerson()
        #expect(try await queue.pauses() == ["app": Pause(since: .zero, cause: .person)])
    }

    @Test("what a 410 began stays as it is, and is stored when the person is told, although it was not yet")
    func gone() async throws {
        let gone = Pause(since: .zero.advanced(by: .seconds(-1)), cause: .gone)
        let dispatcher = makeDispatcher(gone)
        try await dispatcher.pauseByPerson()
        #expect(try await queue.pauses() == ["app": gone])
        #expect(await dispatcher.pause == gone)
    }

    @Test("a 410 that comes while a person resumes is newer: it holds now, and after a restart")
    func goneMeanwhile() async throws {
        let dispatcher = makeDispatcher(nil)
        queue.storesPauses { pause in
            guard pause == nil else { return }
            await dispatcher.answerFinished(AttemptResult(.rejected(.http(status: 410)), status: 410), wasProbe: false)
        }
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await dispatcher.run() }
            group.addTask {
                try await dispatcher.resume()
                await dispatcher.drain()
            }
        }
        let gone = Pause(since: .zero, cause: .gone)
        #expect(await dispatcher.pause == gone)
        #expect(try await queue.pauses() == ["app": gone])
    }

    private struct Nobody: AttemptSender {
        func send(_ delivery: Delivery, attempt number: Int) async -> AttemptResult {
            AttemptResult(.failed(.connectionRefused))
        }
    }
}
