// When a relay that was asked to drain is done with it.

import AdminServer
import Curl
import Testing

@testable import relay

@Suite("DrainWatch")
struct DrainWatchTests {
    @Test("drained is what says so")
    func drained() throws {
        var watch = DrainWatch(status(.draining))
        watch.answered(status(.draining))
        #expect(!watch.isOver)
        watch.answered(status(.drained))
        #expect(watch.word == "drained" && watch.isOver)
    }

    @Test("gone is where nobody listens any more, or two connections in a row ended")
    func gone() {
        var watch = DrainWatch(status(.draining))
        watch.failed(failure(.connectionRefused))
        #expect(watch.word == "gone" && watch.isOver)

        watch = DrainWatch(status(.draining))
        watch.failed(failure(.connectionReset))
        #expect(watch.word == "unknown" && !watch.isOver)
        watch.failed(failure(.connectionReset))
        #expect(watch.word == "gone" && watch.isOver)
    }

    @Test("one ended connection is nothing when the next one answers")
    func reset() {
        var watch = DrainWatch(status(.draining))
        for _ in 1...2 {
            watch.failed(failure(.connectionReset))
            watch.answered(status(.draining))
            #expect(watch.word == "drains" && !watch.isOver)
        }
    }

    @Test(
        "what is no answer is no end",
        arguments: CurlError.Code.allCases.map(Optional.some).filter {
            $0 != .connectionRefused && $0 != .connectionReset
        }
            + [nil])
    func unknown(cause: CurlError.Code?) {
        var watch = DrainWatch(status(.draining))
        for _ in 1...3 { watch.failed(failure(cause)) }
        #expect(watch.word == "unknown" && !watch.isOver)
        watch.answered(status(.drained))
        #expect(watch.word == "drained")
    }

    @Test("another process that answers is told from the one that was asked")
    func replaced() {
        var watch = DrainWatch(status(.draining))
        watch.answered(status(.running, startedAt: "2026-11-23T10:00:00.000Z"))
        #expect(watch.word == "replaced" && watch.isOver)
    }

    private func failure(_ cause: CurlError.Code?) -> CommandFailure {
        CommandFailure(.unreachable, "why", cause: cause)
    }

    private func status(
        _ state: API.Status.State, startedAt: String = "2026-11-23T09:11:47.123Z"
    ) -> API.Status {
        API.Status(
            version: "1", startedAt: startedAt, state: state, problems: [], apps: [], backends: [],
            queue: .init(isWritable: true, waiting: 0, oldestReceivedAt: nil, dead: 0, dropped: 0),
            configuration: .init(generation: 1, fingerprint: "", loadedAt: ""))
    }
}

extension DrainWatch {
    fileprivate var word: String {
        switch finding {
        case .drains: "drains"
        case .drained: "drained"
        case .gone: "gone"
        case .replaced: "replaced"
        case .unknown: "unknown"
        }
    }
}
