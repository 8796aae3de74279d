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
        /// The queue does not do what it is asked to; what it cannot store is not acknowledged.
        case queueFailing = "queue_failing"

        /// How long it must last before it is told.
        var patience: Duration { self == .slackNotConnected ? .seconds(60) : .zero }

        /// Whether it holds for a time, and then is over.
        var hasEnd: Bool { self != .deadLetter }
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
/// was told at all. One that comes and goes begins to be told no more than once per `repeatInterval`: when it is back
/// before that, it is told at the end of it, if it lasts until then. Dead letters are told at once and then counted until
/// the next time.
///
/// What to tell is decided when it can be posted, not before: nothing waits that is not true any more.
package struct AlarmBook: Sendable {
    package static let oldAge = Duration.seconds(10 * 60)

    private struct Condition {
        var since: Timestamp
        /// Somebody may believe that it holds: its end is to be told.
        var isTold = false
    }

    private let repeatInterval: Duration
    private var conditions: [Alarm.Key: Condition] = [:]
    /// Over, which is still to be told; since when they had held.
    private var over: [Alarm.Key: Timestamp] = [:]
    private var uncounted: [Alarm.Key: (since: Timestamp, count: Int)] = [:]
    /// That it fires.
    private var lastTold: [Alarm.Key: Timestamp] = [:]

    package init(repeatInterval: Duration) { self.repeatInterval = repeatInterval }

    /// A condition holds from now on. Nothing new when it held before.
    package mutating func began(_ key: Alarm.Key, now: Timestamp) {
        guard conditions[key] == nil else { return }
        conditions[key] = Condition(since: now, isTold: over.removeValue(forKey: key) != nil)
    }

    /// It does not hold any more.
    package mutating func ended(_ key: Alarm.Key) {
        guard let condition = conditions.removeValue(forKey: key), condition.isTold else { return }
        over[key] = condition.since
    }

    /// What it was about is gone: neither does it hold, nor is it over.
    package mutating func forgotten(_ key: Alarm.Key) {
        conditions[key] = nil
        over[key] = nil
        lastTold[key] = nil
    }

    /// Something happened that has no end.
    package mutating func happened(_ key: Alarm.Key, now: Timestamp) { uncounted[key, default: (now, 0)].count += 1 }

    /// Of all conditions with one of these causes, exactly these hold now.
    package mutating func observed(_ present: Set<Alarm.Key>, of causes: Set<Alarm.Cause>, now: Timestamp) {
        for key in conditions.keys where causes.contains(key.cause) && !present.contains(key) { ended(key) }
        for key in present { began(key, now: now) }
    }

    /// What is to be told now, and counts as told; nil: nothing. To be asked whenever something has changed, and every
    /// few seconds.
    /// - Parameter tried: told, or not, moments ago.
    package mutating func next(now: Timestamp, except tried: Set<Alarm.Key> = []) -> Alarm? {
        lastTold = lastTold.filter { $0.value.duration(to: now) < repeatInterval && $0.value <= now }
        // The clock was set back: nothing holds since a time to come.
        for (key, condition) in conditions where condition.since > now { conditions[key]?.since = now }
        for (key, since) in over.sorted(by: { $0.key < $1.key }) where !tried.contains(key) {
            over[key] = nil
            return Alarm(key, .resolved, since: since)
        }
        for (key, condition) in conditions.sorted(by: { $0.key < $1.key })
        where mayFire(key, tried) && condition.since.duration(to: now) >= key.cause.patience {
            conditions[key]?.isTold = true
            lastTold[key] = now
            return Alarm(key, .firing, since: condition.since)
        }
        for (key, happened) in uncounted.sorted(by: { $0.key < $1.key }) where mayFire(key, tried) {
            uncounted[key] = nil
            lastTold[key] = now
            return Alarm(key, .firing, since: happened.since, count: happened.count)
        }
        return nil
    }

    private func mayFire(_ key: Alarm.Key, _ tried: Set<Alarm.Key>) -> Bool {
        lastTold[key] == nil && !tried.contains(key)
    }

    /// What `next` gave did not arrive, as far as is known: `next` gives it again, as long as it is true.
    package mutating func postFailed(_ alarm: Alarm) {
        let key = alarm.key
        switch alarm.state {
        case .firing:
            lastTold[key] = nil
            guard !key.cause.hasEnd else { return }
            uncounted[key] = (alarm.since, alarm.count + (uncounted[key]?.count ?? 0))
        case .resolved where conditions[key] == nil:
            over[key] = alarm.since
        case .resolved:
            conditions[key]?.isTold = true
        }
    }
}

extension Alarm.Key: Comparable {
    package static func < (lhs: Self, rhs: Self) -> Bool {
        (lhs.cause.rawValue, lhs.subject) < (rhs.cause.rawValue, rhs.subject)
    }
}
