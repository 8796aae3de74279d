// The wish of a person, or of a program, that the gateway take no more, and how the process ends after it.

import Logging
import RelayCore
import ServiceLifecycle
import Synchronization

/// Sent from anywhere, heard by `ProcessLife`. Drains as SIGTERM does; but the process stays for a while afterwards,
/// silent towards Slack, so that nobody starts it anew while what surrounds it ends: Kubernetes restarts a sidecar that
/// has exited.
final class DrainRequest: Sendable {
    enum Progress: Sendable {
        case none
        case draining
        case drained
    }

    let requests: AsyncStream<Void>
    private let sink: AsyncStream<Void>.Continuation
    private let ends: AsyncStream<Void>
    private let toEnd: AsyncStream<Void>.Continuation
    private let state = Mutex((progress: Progress.none, isEnding: false))
    private let timeout: Mutex<@Sendable () -> Duration>

    /// - Parameter timeout: `drain_timeout`.
    init(timeout: Duration) {
        self.timeout = Mutex { timeout }
        (requests, sink) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (ends, toEnd) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    var progress: Progress { state.withLock { $0.progress } }

    /// How long a drain takes at most, as the configuration that holds has it.
    var drainTimeout: Duration { timeout.withLock { $0 }() }

    func drains(within timeout: @escaping @Sendable () -> Duration) { self.timeout.withLock { $0 = timeout } }

    /// A signal has come.
    var isEnding: Bool { state.withLock { $0.isEnding } }

    /// Returns at once.
    func send() {
        state.withLock { if $0.progress == .none { $0.progress = .draining } }
        sink.yield()
    }

    /// A signal has come: drains, and there is nothing to wait for afterwards.
    func end() {
        state.withLock { $0.isEnding = true }
        sink.yield()
        toEnd.yield()
    }

    /// Everything is drained. Returns when the process may end: at once where no drain was asked for, else when a
    /// signal comes, or after `longest`.
    fileprivate func drained(longest: Duration, clock: any RelayClock) async {
        let isAsked = state.withLock { state in
            if state.progress == .draining { state.progress = .drained }
            return state.progress == .drained
        }
        guard isAsked else { return }
        await withDiscardingTaskGroup { group in
            group.addTask {
                try? await clock.sleep(for: longest)
                self.toEnd.finish()
            }
            for await _ in ends { break }
            group.cancelAll()
        }
    }
}

/// Lives between what is drained and what tells of it: health and the admin API.
struct DrainedWait: Service {
    let request: DrainRequest
    let clock: any RelayClock
    let logger: Logger

    /// Longer than a Pod usually takes to end; short enough for an app that was restarted alone, and whose preStop hook
    /// has drained a gateway that it still needs: its supervisor starts it anew.
    private static let longest = Duration.seconds(60)

    func run() async throws {
        guard (try? await gracefulShutdown()) != nil else { return }
        if request.progress != .none {
            logger.notice(
                "drained: the process ends at the next signal, or by itself",
                metadata: [LogKey.waitMilliseconds: "\(Self.longest.milliseconds)"])
        }
        await request.drained(longest: Self.longest, clock: clock)
    }
}
