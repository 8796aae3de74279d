// Alarms on their way out: told by dispatchers and by `AlarmWatch`, posted one after the other.

package import Logging
package import Metrics
package import RelayCore
import ServiceLifecycle
import Synchronization

/// Is told what went wrong; decides with an `AlarmBook`, and posts.
///
/// `began`, `ended`, `happened` and `observed` return at once. An alarm that cannot be posted is tried again for half a
/// minute, then it is logged and counted as failed: the condition is told again after `alarms.repeat`.
package final class AlarmService: Service {
    /// Posts one attempt; nil when it was accepted, else why not.
    package typealias Post = @Sendable (_ id: String, _ body: [UInt8]) async -> String?

    private enum Outcome: String, CaseIterable {
        case sent
        case failed
    }

    private struct Labels: Hashable {
        var cause: Alarm.Cause
        var outcome: Outcome
    }

    private let book: Mutex<AlarmBook>
    private let outbox: AsyncStream<Alarm>
    private let toPost: AsyncStream<Alarm>.Continuation
    private let post: Post
    private let makeID: @Sendable () -> String
    private let clock: any RelayClock
    private let counts: CounterFamily<Labels>
    private let logger: Logger

    private static let retries: [Duration] = [.seconds(1), .seconds(5), .seconds(25)]
    /// Beyond it the oldest are dropped: each cause speaks again after `alarms.repeat`.
    private static let maxPending = 100

    /// - Parameter makeID: names a post, unique among those of all gateways.
    package init(
        repeatInterval: Duration, post: @escaping Post,
        makeID: @escaping @Sendable () -> String, clock: any RelayClock, factory: any MetricsFactory, logger: Logger
    ) {
        book = Mutex(AlarmBook(repeatInterval: repeatInterval))
        (outbox, toPost) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(Self.maxPending))
        self.post = post
        self.makeID = makeID
        self.clock = clock
        self.logger = logger
        counts = CounterFamily { labels in
            Counter(
                label: MetricNames.alarms,
                dimensions: [("cause", labels.cause.rawValue), ("outcome", labels.outcome.rawValue)], factory: factory)
        }
        for cause in Alarm.Cause.allCases {
            for outcome in Outcome.allCases { counts.begin(Labels(cause: cause, outcome: outcome)) }
        }
    }

    package func began(_ key: Alarm.Key) { decide { $0.began(key, now: $1) } }
    package func ended(_ key: Alarm.Key) { decide { $0.ended(key, now: $1) } }
    package func happened(_ key: Alarm.Key) { decide { $0.happened(key, now: $1) } }

    /// Of all conditions with one of these causes, exactly these hold now. To be told every few seconds: it lets the
    /// others be told again, too.
    package func observed(_ present: Set<Alarm.Key>, of causes: Set<Alarm.Cause>) {
        decide { $0.observed(present, of: causes, now: $1) }
    }

    private func decide(_ event: (inout AlarmBook, Timestamp) -> [Alarm]) {
        let now = clock.now
        for alarm in book.withLock({ event(&$0, now) }) { toPost.yield(alarm) }
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            for await alarm in self.outbox { await self.send(alarm) }
        }
    }

    private func send(_ alarm: Alarm) async {
        let id = makeID()
        let body = alarm.body(now: clock.now)
        var problem: String?
        for wait in [.zero] + Self.retries {
            guard (try? await clock.sleep(for: wait)) != nil else { break }
            problem = await post(id, body)
            if problem == nil { return counts.increment(Labels(cause: alarm.key.cause, outcome: .sent)) }
        }
        counts.increment(Labels(cause: alarm.key.cause, outcome: .failed))
        logger.error(
            "an alarm could not be posted",
            metadata: [LogKey.reason: "\(alarm.key.cause.rawValue)", LogKey.detail: "\(problem ?? "shut down")"])
    }
}
