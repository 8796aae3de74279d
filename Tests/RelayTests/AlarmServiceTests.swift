// Alarms on their way out, and what is looked at for them: on virtual time.

import Logging
import Metrics
import RelayCore
import RelayTestKit
import Synchronization
import Testing

@testable import Relay

@Suite struct AlarmServiceTests {
    private static let failing = Alarm.Key(.backendFailing, "orders")

    @Test("an alarm that cannot be posted is posted until it arrives: half a minute with one id, then with another")
    func again() {
        let story = AlarmStory(failing: 5)
        story.at(.seconds(1)) { $0.began(Self.failing) }
        story.play()
        #expect(
            story.posts == [
                "1 backend_failing.firing 1", "2 backend_failing.firing 1", "7 backend_failing.firing 1",
                "32 backend_failing.firing 1", "32 backend_failing.firing 2", "33 backend_failing.firing 2",
            ])
    }

    @Test("an end that could not be posted is not lost")
    func end() {
        let story = AlarmStory(failing: 5, after: 1)
        story.at(.seconds(1)) { $0.began(Self.failing) }
        story.at(.seconds(3)) { $0.ended(Self.failing) }
        story.play()
        #expect(story.posts.filter { $0.contains("resolved") }.count == 6)
        #expect(story.posts.last == "35 backend_failing.resolved 3")
    }

    @Test("what is over by the time that it can be posted is not told as if it held")
    func stale() {
        let story = AlarmStory(failing: 4)
        let other = Alarm.Key(.backendFailing, "audit")
        story.at(.seconds(1)) { $0.began(other) }
        story.at(.seconds(2)) { $0.began(Self.failing) }
        story.at(.seconds(3)) { $0.ended(Self.failing) }
        story.play()
        #expect(Set(story.subjects) == ["audit"])
    }

    @Test("one line in the log for each alarm that cannot be posted, however often that is")
    func logged() {
        let story = AlarmStory(failing: 12)
        story.at(.seconds(1)) { $0.began(Self.failing) }
        story.play()
        #expect(story.log.levels == [.error])
    }
}

@Suite struct AlarmWatchTests {
    @Test("a queue that cannot be read says nothing of its backlog: an old one stays old")
    func unreadable() async throws {
        let story = AlarmStory()
        let queue = StubbornQueue()
        _ = try await queue.enqueue([
            EnqueueRequest(envelope: .event("1"), targets: [.init(backend: "orders", route: "all")])
        ])
        let watch = AlarmWatch(
            alarms: story.alarms, silentApps: { [] }, queue: queue, health: QueueHealth(logger: .silent),
            clock: story.clock)
        story.runs { try? await watch.run() }
        story.at(.seconds(700)) { _ in queue.fails(with: .unavailable) }
        story.play(until: .seconds(800))
        #expect(story.posts.map { $0.split(separator: " ")[1] } == ["backlog_old.firing"])
    }
}

@Suite struct DispatcherAlarmTests {
    @Test("one that takes a failing one's place tells that the backend works with its first answer, and not before")
    func replaced() async throws {
        for (next, end) in [(AttemptResult.fine, ["20 backend_failing.resolved"]), (.failing, [])] {
            let story = AlarmStory()
            let queue = MemoryQueue(limits: .init(), queueID: 1)
            let stored = try await queue.enqueue([
                EnqueueRequest(envelope: .event("1"), targets: [.init(backend: "orders", route: "all")])
            ])
            guard case .stored(let leased, _)? = stored.first else { return #expect(Bool(false)) }
            await queue.release(leased.map(\.id))
            let backend = Backend(
                name: "orders", url: "http://127.0.0.1", circuitBreaker: .init(consecutive: 1),
                retry: .init(schedule: [.seconds(20), .seconds(3600)], jitter: 0))
            func dispatcher(_ result: AttemptResult) -> Dispatcher {
                Dispatcher(
                    backend, queue: queue, sender: Says(result: result), clock: story.clock, random: { 0 },
                    health: QueueHealth(logger: .silent),
                    metrics: BackendMetrics(backend: "orders", factory: NOOPMetricsHandler.instance),
                    logger: .silent, alarms: story.alarms)
            }
            let (before, after) = (dispatcher(.failing), dispatcher(next))
            story.runs { await before.run() }
            story.runs {
                try? await story.clock.sleep(for: .seconds(1))
                await before.drain()
                await after.run()
            }
            story.play(until: .seconds(60))
            #expect(
                story.posts.map { $0.split(separator: " ").dropLast().joined(separator: " ") }
                    == ["0 backend_failing.firing"] + end)
        }
    }

    private struct Says: AttemptSender {
        var result: AttemptResult

        func send(_ delivery: Delivery, attempt number: Int) async -> AttemptResult { result }
    }
}

extension AttemptResult {
    fileprivate static let fine = AttemptResult(.accepted, status: 200)
    fileprivate static let failing = AttemptResult(.failed(.http(status: 500)), status: 500)
}

/// The real service between whoever notices and a receiver that fails for a while; each post with its second and id.
private final class AlarmStory: Sendable {
    let clock = VirtualClock(now: .zero)
    let log = RecordedLog()
    let alarms: AlarmService
    private let receiver: Receiver
    private let executor = SeededExecutor(random: SeededRandom(seed: 1))
    private let services = Mutex<[@Sendable () async -> Void]>([])

    private final class Receiver: Sendable {
        let bodies = Mutex<[(second: Int64, id: String, body: String)]>([])
        let ids = Mutex(0)
    }

    /// - Parameters:
    ///   - failing: so many posts fail.
    ///   - first: so many arrive before.
    init(failing: Int = 0, after first: Int = 0) {
        let receiver = Receiver()
        self.receiver = receiver
        alarms = AlarmService(
            repeatInterval: .seconds(3600),
            post: { [clock] id, body in
                receiver.bodies.withLock { bodies in
                    let second = Timestamp.zero.duration(to: clock.now).components.seconds
                    bodies.append((second, id, String(decoding: body, as: UTF8.self)))
                    return first..<first + failing ~= bodies.count - 1 ? "HTTP 503" : nil
                }
            },
            makeID: {
                receiver.ids.withLock { last in
                    last += 1
                    return "\(last)"
                }
            }, clock: clock, factory: NOOPMetricsHandler.instance, logger: log.logger)
        services.withLock { [alarms] in $0 = [{ try? await alarms.run() }] }
    }

    /// `32 backend_failing.firing 2`: second, type, id.
    var posts: [String] {
        receiver.bodies.withLock { bodies in
            bodies.map { "\($0.second) \(Self.value("relay\\.([a-z_.]+)", in: $0.body)) \($0.id)" }
        }
    }

    var subjects: [String] {
        receiver.bodies.withLock { bodies in bodies.map { Self.value(#""subject":"([a-z]+)"#, in: $0.body) } }
    }

    private static func value(_ pattern: String, in text: String) -> String {
        let regex = try? Regex(pattern, as: (Substring, Substring).self)
        return regex.flatMap { text.firstMatch(of: $0) }.map { String($0.output.1) } ?? ""
    }

    func at(_ time: Duration, _ event: @escaping @Sendable (AlarmService) -> Void) {
        clock.schedule(after: time) { [alarms] in event(alarms) }
    }

    func runs(_ service: @escaping @Sendable () async -> Void) { services.withLock { $0.append(service) } }

    /// Somebody looks each second.
    func play(until end: Duration = .seconds(200)) {
        for second in 1...end.components.seconds { at(.seconds(second)) { $0.observed([], of: []) } }
        let services = services.withLock { $0 }
        let main = Task(executorPreference: executor) {
            await withDiscardingTaskGroup { group in
                for service in services { group.addTask { await service() } }
            }
        }
        repeat { executor.runUntilIdle() } while clock.advance() && Timestamp.zero.duration(to: clock.now) < end
        main.cancel()
        executor.runUntilIdle()
    }
}
