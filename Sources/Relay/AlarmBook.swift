// Decides which alarms are told, and when.

package import RelayCore

/// Something that a person should hear of without having looked.
package struct Alarm: Sendable, Equatable {
    package var key: Key
    package var state: State
    /// When it began; of dead letters: when the first of those counted was given up.
    package var since: Timestamp
    /// Dead letters since the last alarm; 1 for all else.
    package var count: Int

    /// What an alarm is about: told at most once per `alarms.repeat`.
    package struct Key: Hashable, Sendable {
        package var cause: Cause
        /// The name of the backend or app.
        package var subject: String

        package init(_ cause: Cause, _ subject: String) {
            self.cause = cause
            self.subject = subject
        }
    }

    /// The raw value is used in alarms, metrics, logs and docs.
    package enum Cause: String, Sendable, CaseIterable {
        /// Its circuit breaker is open: what comes for it is held.
        case backendFailing = "backend_failing"
        /// It answered 410: what comes for it is held until a person resumes it.
        case backendGone = "backend_gone"
        /// Deliveries were given up.
        case deadLetter = "dead_letter"
        /// No connection for a minute, or Slack refuses the app.
        case slackNotConnected = "slack_not_connected"
        /// The oldest delivery that waits was received more than `AlarmBook.oldAge` ago.
        case backlogOld = "backlog_old"
        /// The queue does not store: nothing is acknowledged.
        case queueFailing = "queue_failing"

        /// How long it must last before it is told.
        var patience: Duration { self == .slackNotConnected ? .seconds(60) : .zero }
    }

    /// The words of Prometheus' Alertmanager.
    package enum State: String, Sendable {
        case firing
        case resolved
    }

    package init(_ key: Key, _ state: State, since: Timestamp, count: Int = 1) {
        self.key = key
        self.state = state
        self.since = since
        self.count = count
    }
}

/// Keeps account of what is wrong and of what was told.
///
/// A condition is told when it begins, again each `repeatInterval` while it lasts, and once more when it is over, if it
/// was told at all. One that comes and goes is told no more than once per `repeatInterval`. Dead letters are told at
/// once and then counted until the next time.
package struct AlarmBook: Sendable {
    package static let oldAge = Duration.seconds(10 * 60)

    private struct Condition {
        var since: Timestamp
        var isTold = false
    }

    private let repeatInterval: Duration
    private var conditions: [Alarm.Key: Condition] = [:]
    private var uncounted: [Alarm.Key: (since: Timestamp, count: Int)] = [:]
    private var lastTold: [Alarm.Key: Timestamp] = [:]

    package init(repeatInterval: Duration) { self.repeatInterval = repeatInterval }

    /// A condition holds from now on. Nothing new when it held before.
    package mutating func began(_ key: Alarm.Key, now: Timestamp) -> [Alarm] {
        if conditions[key] == nil { conditions[key] = Condition(since: now) }
        return timePassed(now: now)
    }

    /// It does not hold any more.
    package mutating func ended(_ key: Alarm.Key, now: Timestamp) -> [Alarm] {
        guard let condition = conditions.removeValue(forKey: key), condition.isTold else { return [] }
        return [Alarm(key, .resolved, since: condition.since)]
    }

    /// Something happened that has no end.
    package mutating func happened(_ key: Alarm.Key, now: Timestamp) -> [Alarm] {
        uncounted[key, default: (now, 0)].count += 1
        return timePassed(now: now)
    }

    /// Of all conditions with one of these causes, exactly these hold now.
    package mutating func observed(_ present: Set<Alarm.Key>, of causes: Set<Alarm.Cause>, now: Timestamp) -> [Alarm] {
        var alarms: [Alarm] = []
        for key in conditions.keys.sorted() where causes.contains(key.cause) && !present.contains(key) {
            alarms += ended(key, now: now)
        }
        for key in present.sorted() { alarms += began(key, now: now) }
        return alarms + timePassed(now: now)
    }

    /// What is due to be told. To be asked every few seconds.
    package mutating func timePassed(now: Timestamp) -> [Alarm] {
        lastTold = lastTold.filter { $0.value.duration(to: now) < repeatInterval && $0.value <= now }
        var alarms: [Alarm] = []
        for (key, condition) in conditions.sorted(by: { $0.key < $1.key })
        where lastTold[key] == nil && condition.since.duration(to: now) >= key.cause.patience {
            alarms.append(Alarm(key, .firing, since: condition.since))
            conditions[key]?.isTold = true
            lastTold[key] = now
        }
        for (key, happened) in uncounted.sorted(by: { $0.key < $1.key }) where lastTold[key] == nil {
            alarms.append(Alarm(key, .firing, since: happened.since, count: happened.count))
            uncounted[key] = nil
            lastTold[key] = now
        }
        return alarms
    }
}

extension Alarm.Key: Comparable {
    package static func < (lhs: Self, rhs: Self) -> Bool {
        (lhs.cause.rawValue, lhs.subject) < (rhs.cause.rawValue, rhs.subject)
    }
}
