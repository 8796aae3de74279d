// What is looked at for alarms: that which nobody would tell of by himself.

import RelayCore
import ServiceLifecycle

/// Looks every few seconds whether Slack is connected, whether the backlog is old and whether the queue works.
struct AlarmWatch: Service {
    let alarms: AlarmService
    /// Apps without a connection, or that Slack refuses.
    let silentApps: @Sendable () -> [AppName]
    let queue: any DeliveryQueue
    let health: QueueHealth
    let clock: any RelayClock

    private static let interval = Duration.seconds(5)
    private static let causes: Set<Alarm.Cause> = [.slackNotConnected, .backlogOld, .queueFailing]

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while (try? await clock.sleep(for: Self.interval)) != nil { await look() }
        }
    }

    func look() async {
        var found = Set(silentApps().map { Alarm.Key(.slackNotConnected, $0.text) })
        var causes = Self.causes
        if health.problem != nil { found.insert(Alarm.Key(.queueFailing, "queue")) }
        if let statistics = try? await queue.statistics() {
            let now = clock.now
            for (backend, figures) in statistics {
                guard let oldest = figures.oldestReceivedAt, oldest.duration(to: now) > AlarmBook.oldAge
                else { continue }
                found.insert(Alarm.Key(.backlogOld, backend.text))
            }
        } else {
            // How old the backlog is is not known.
            causes.remove(.backlogOld)
        }
        alarms.observed(found, of: causes)
    }
}
