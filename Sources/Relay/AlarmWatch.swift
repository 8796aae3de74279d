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

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                // Apart: a queue that hangs does not answer.
                group.addTask {
                    while (try? await clock.sleep(for: Self.interval)) != nil { lookAround() }
                }
                group.addTask {
                    while (try? await clock.sleep(for: Self.interval)) != nil { await lookAtBacklog() }
                }
            }
        }
    }

    func lookAround() {
        var found = Set(silentApps().map { Alarm.Key(.slackNotConnected, $0.text) })
        if health.problem != nil { found.insert(Alarm.Key(.queueFailing, "queue")) }
        alarms.observed(found, of: [.slackNotConnected, .queueFailing])
    }

    func lookAtBacklog() async {
        // Otherwise how old the backlog is is not known.
        guard let statistics = try? await queue.statistics() else { return }
        let now = clock.now
        let old = statistics.filter { _, figures in
            figures.oldestReceivedAt.map { $0.duration(to: now) > AlarmBook.oldAge } ?? false
        }
        alarms.observed(Set(old.keys.map { Alarm.Key(.backlogOld, $0.text) }), of: [.backlogOld])
    }
}
