// Alarms on their way out: told by whoever notices and by `AlarmWatch`, posted one after the other.

package import Logging
package import Metrics
package import RelayCore
import ServiceLifecycle
import Synchronization

/// Is told what went wrong; decides with an `AlarmBook`, and posts.
///
/// `began`, `ended`, `forgotten`, `happened` and `observed` return at once. An alarm that cannot be posted is tried again
/// for half a minute, then it is counted as failed; when the others have had their turn it is posted anew, with another
/// id, as long as it is true.
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
    /// There may be something to tell.
    private let wakes: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation
    private let post: Post
    private let makeID: @Sendable () -> String
    private let clock: any RelayClock
    private let counts: CounterFamily<Labels>
    private let logger: Logger

    private static let retries: [Duration] = [.seconds(1), .seconds(5), .seconds(25)]

    /// - Parameter makeID: names a post, unique among those of all gateways.
    package init(
        repeatInterval: Duration, post: @escaping Post,
        makeID: @escaping @Sendable () -> String, clock: any RelayClock, factory: any MetricsFactory, logger: Logger
    ) {
        book = Mutex(AlarmBook(repeatInterval: repeatInterval))
        (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
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

    package func began(_ key: Alarm.Key) { note { $0.began(key, now: $1) } }
    package func ended(_ key: Alarm.Key) { note { book, _ in book.ended(key) } }
    package func happened(_ key: Alarm.Key) { note { $0.happened(key, now: $1) } }
    /// What it was about is gone: nothing more is told of it.
    package func forgotten(_ key: Alarm.Key) { note { book, _ in book.forgotten(key) } }

    /// Of all conditions with one of these causes, exactly these hold now. To be told every few seconds: it lets the
    /// others be told again, too.
    package func observed(_ present: Set<Alarm.Key>, of causes: Set<Alarm.Cause>) {
        note { $0.observed(present, of: causes, now: $1) }
    }

    private func note(_ event: (inout AlarmBook, Timestamp) -> Void) {
        let now = clock.now
        book.withLock { event(&$0, now) }
        wake.yield()
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var unposted: Set<Alarm.Key> = []
            for await _ in self.wakes { await self.tell(&unposted) }
        }
    }

    /// Posts what is due; of each key one, so that what fails keeps back nothing else.
    /// - Parameter unposted: those that have failed and have not been posted since: logged already.
    private func tell(_ unposted: inout Set<Alarm.Key>) async {
        var tried: Set<Alarm.Key> = []
        while !Task.isCancelled, let alarm = book.withLock({ $0.next(now: clock.now, except: tried) }) {
            tried.insert(alarm.key)
            let problem = await send(alarm)
            counts.increment(Labels(cause: alarm.key.cause, outcome: problem == nil ? .sent : .failed))
            if let problem {
                book.withLock { $0.postFailed(alarm) }
                guard unposted.insert(alarm.key).inserted else { continue }
                logger.error(
                    "an alarm could not be posted; trying again",
                    metadata: [LogKey.reason: "\(alarm.key.cause.rawValue)", LogKey.detail: "\(problem)"])
            } else {
                unposted.remove(alarm.key)
            }
        }
    }

    /// nil: it was accepted; else why not.
    private func send(_ alarm: Alarm) async -> String? {
        let id = makeID()
        let body = alarm.body(now: clock.now)
        var problem: String?
        for wait in [.zero] + Self.retries {
            guard (try? await clock.sleep(for: wait)) != nil else { break }
            problem = await post(id, body)
            if problem == nil { return nil }
        }
        return problem ?? "shut down"
    }
}
