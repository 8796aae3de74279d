// What the first dial waits for.

import Logging
import Relay
import RelayCore
import RelayTestKit
import Testing

@Suite struct BackendProbeTests {
    private func wait(
        for backends: [BackendName], timeout: Duration, clock: VirtualClock, log: RecordedLog,
        connects: @escaping @Sendable (Backend) async -> Bool
    ) async {
        await BackendProbe(
            backends: backends.map { Backend(name: $0) }, clock: clock, logger: log.logger, connects: connects
        ).waitForBackends(timeout: timeout)
    }

    /// Lets the time go on while somebody waits.
    private func advancing(_ clock: VirtualClock, while wait: @escaping @Sendable () async -> Void) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await wait() }
            group.addTask {
                while !Task.isCancelled {
                    if !clock.advance() { await Task.yield() }
                }
            }
            await group.next()
            group.cancelAll()
        }
    }

    @Test("backends that accept connections are not waited for")
    func listening() async {
        let log = RecordedLog()
        let clock = VirtualClock(now: .zero)
        await wait(for: ["a", "b"], timeout: .seconds(60), clock: clock, log: log) { _ in true }
        #expect(clock.now == .zero && log.levels == [])
    }

    @Test("a backend that does not is asked again until it does")
    func later() async {
        let log = RecordedLog()
        let clock = VirtualClock(now: .zero)
        await advancing(clock) {
            await wait(for: ["a", "b"], timeout: .seconds(60), clock: clock, log: log) { backend in
                backend.name == "a" || clock.now >= Timestamp(millisecondsSinceEpoch: 700)
            }
        }
        #expect(clock.now == Timestamp(millisecondsSinceEpoch: 750))
        #expect(log.levels == [])
    }

    @Test("or until the time is up, and then it is said")
    func notListening() async {
        let log = RecordedLog()
        let clock = VirtualClock(now: .zero)
        await advancing(clock) {
            await wait(for: ["a"], timeout: .seconds(1), clock: clock, log: log) { _ in false }
        }
        #expect(clock.now == Timestamp(millisecondsSinceEpoch: 1_000))
        #expect(log.levels == [.warning])
    }

    @Test("without a time to wait nothing is asked")
    func disabled() async {
        let log = RecordedLog()
        await wait(for: ["a"], timeout: .zero, clock: VirtualClock(now: .zero), log: log) { _ in
            Issue.record("asked")
            return false
        }
        #expect(log.levels == [])
    }
}
