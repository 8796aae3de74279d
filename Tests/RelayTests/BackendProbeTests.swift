// What the first dial waits for.

import Logging
import NIOCore
import NIOPosix
import Relay
import RelayCore
import RelayTestKit
import Testing

@Suite struct BackendProbeTests {
    /// A port that somebody had and nobody listens on now.
    private func freePort() async throws -> Int {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        defer { listener.close(promise: nil) }
        return try #require(listener.localAddress?.port)
    }

    private func wait(for backends: [Backend], timeout: Duration, clock: VirtualClock, log: RecordedLog) async {
        await BackendProbe(backends: backends, clock: clock, logger: log.logger).waitForBackends(timeout: timeout)
    }

    @Test("backends that listen are not waited for")
    func listening() async throws {
        let backend = try await RecordingBackend()
        let log = RecordedLog()
        let clock = VirtualClock(now: .zero)
        await wait(for: [Backend(name: "a", url: backend.url)], timeout: .seconds(60), clock: clock, log: log)
        #expect(clock.now == .zero && log.levels == [])
        #expect(backend.requests.isEmpty)
        await backend.shutDown()
    }

    @Test("a backend that does not listen is asked again until the time is up, and then it is said")
    func notListening() async throws {
        let url = "http://127.0.0.1:\(try await freePort())/"
        let log = RecordedLog()
        let clock = VirtualClock(now: .zero)
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await wait(for: [Backend(name: "a", url: url)], timeout: .seconds(1), clock: clock, log: log)
            }
            group.addTask {
                while !Task.isCancelled {
                    if !clock.advance() { await Task.yield() }
                }
            }
            await group.next()
            group.cancelAll()
        }
        #expect(clock.now == Timestamp(millisecondsSinceEpoch: 1_000))
        #expect(log.levels == [.warning])
    }

    @Test("without a time to wait nothing is asked")
    func disabled() async throws {
        let log = RecordedLog()
        let backend = Backend(name: "a", url: "http://127.0.0.1:1/")
        await wait(for: [backend], timeout: .zero, clock: VirtualClock(now: .zero), log: log)
        #expect(log.levels == [])
    }
}
