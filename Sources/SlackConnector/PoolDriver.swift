// Feeds the pool and does what it returns. Decides nothing.

import Logging
import NIOCore
import RelayCore
import SocketMode

/// Lives in the task of `SlackConnector.run()`.
struct PoolDriver: ~Copyable {
    private let connector: SlackConnector
    private var pool: PoolStateMachine
    private var timers: [PoolStateMachine.Timer: Scheduled<Void>] = [:]
    private var attempts: [ConnectionID: Attempt] = [:]
    private var blindWindows: BlindWindows
    private(set) var isFinished = false

    /// What is remembered of an attempt until its connection ends.
    private struct Attempt {
        var slot: Int
        var hadHello = false
        /// Finishing it gives up the opening or the dial.
        var abandonment: AsyncStream<Never>.Continuation?
        var isAbandoned = false
    }

    init(_ connector: SlackConnector) {
        self.connector = connector
        pool = PoolStateMachine(configuration: connector.configuration.pool, now: .uptime)
        blindWindows = connector.status.blindWindows
        show()
    }

    mutating func take(_ event: PoolStateMachine.Event, in group: inout DiscardingTaskGroup) {
        note(event)
        for action in pool.handle(event, random: .random(in: 0..<1), now: .uptime) { perform(action, in: &group) }
        show()
    }

    private mutating func perform(_ action: PoolStateMachine.Action, in group: inout DiscardingTaskGroup) {
        switch action {
        case .open(let id, let slot):
            attempts[id] = Attempt(slot: slot)
            let abandoned = makeAbandonment(of: id)
            group.addTask { [connector] in await connector.open(id, until: abandoned) }
        case .dial(let id, let url):
            let abandoned = makeAbandonment(of: id)
            group.addTask { [connector] in await connector.connect(id, to: url, until: abandoned) }
        case .abandon(let id):
            attempts[id]?.isAbandoned = true
            attempts[id]?.abandonment?.finish()
        case .retire(let id): connector.registry.connection(id)?.retire()
        case .drain(let id): connector.registry.connection(id)?.drain()
        case .close(let id, let reason): connector.registry.connection(id)?.close(reason)
        case .schedule(let timer, let delay):
            timers[timer] = connector.timerLoop.scheduleTask(in: TimeAmount(delay)) { [weak connector] in
                connector?.report(.timerFired(timer))
            }
        case .cancel(let timer): timers.removeValue(forKey: timer)?.cancel()
        case .notice(let notice): log(notice)
        case .finish: isFinished = true
        }
    }

    private mutating func makeAbandonment(of id: ConnectionID) -> AsyncStream<Never> {
        let (stream, continuation) = AsyncStream<Never>.makeStream()
        attempts[id]?.abandonment = continuation
        return stream
    }

    // MARK: What is seen from outside

    private mutating func show() {
        let now = (uptime: Duration.uptime, wall: connector.clock.now)
        func wall(_ time: Duration) -> Timestamp { now.wall.advanced(by: time - now.uptime) }
        var status = ConnectorStatus(
            app: connector.configuration.app,
            connections: pool.status.map { line in
                ConnectionStatus(
                    slot: line.slot, connection: line.connection, state: line.state,
                    since: wall(line.since), host: line.hello?.host,
                    numConnections: line.hello?.connectionCount)
            }, fatal: pool.fatal, reported: pool.reported,
            lastFailure: pool.lastFailure.map { LastFailure(text: $0.text, at: wall($0.at)) },
            nextAttemptAt: pool.nextAttempt.map(wall))
        let window = blindWindows.connectedCountChanged(to: status.connectedCount, now: now.wall)
        status.blindWindows = blindWindows
        connector.show(status)
        if let window { log(window) }
    }

    /// The first one is the start.
    private func log(_ window: BlindWindows.Window) {
        let isStart = blindWindows.ended == [window]
        connector.logger.log(
            level: isStart ? .info : .warning,
            isStart ? "the first connection is there" : "connected again after a time without any connection",
            metadata: [LogKey.blindDuration: "\(window.duration.milliseconds)"])
    }

    /// Counts and logs an event before the pool takes it.
    private mutating func note(_ event: PoolStateMachine.Event) {
        switch event {
        case .opened(let id, _) where attempts[id]?.isAbandoned == true:
            // Its URL came all the same, and nobody dials it.
            attemptFailed(id, ConnectFailure(.canceled, "given up"))
            attempts[id] = nil
        case .attemptFailed(let id, let failure):
            attemptFailed(id, failure)
            attempts[id] = nil
        case .connected(let id, let hello):
            attempts[id]?.hadHello = true
            connector.metrics.attemptEnded(.connected)
            connector.logger.info(
                "connected",
                metadata: metadata(
                    id,
                    [
                        LogKey.slackHost: hello.host, LogKey.reportedConnections: hello.connectionCount.map { "\($0)" },
                    ]))
        case .closing(let id, let reason) where attempts[id]?.hadHello == false:
            attemptFailed(id, ConnectFailure(ConnectOutcome(endedBeforeHello: reason), "ended before hello"))
        case .closed(let id, let reason):
            if attempts[id]?.hadHello == true {
                connector.metrics.disconnected(reason)
                connector.logger.info("disconnected", metadata: metadata(id, [LogKey.reason: reason.rawValue]))
            }
            attempts[id] = nil
        case .timerFired(let timer): timers[timer] = nil
        case .drain(let timeout):
            connector.logger.info("draining", metadata: [LogKey.waitMilliseconds: "\(timeout.milliseconds)"])
        case .started, .opened, .upgraded, .refreshAsked, .refreshWanted, .reconfigured, .closing: break
        }
    }

    private mutating func attemptFailed(_ id: ConnectionID, _ failure: ConnectFailure) {
        connector.metrics.attemptEnded(failure.outcome)
        connector.logger.log(
            level: failure.outcome == .canceled ? .debug : .warning, "attempt to connect failed",
            metadata: metadata(
                id,
                [
                    LogKey.outcome: failure.outcome.rawValue, LogKey.detail: failure.detail,
                    LogKey.status: failure.status.map { "\($0)" }, LogKey.via: failure.via,
                    LogKey.server: failure.server,
                ]))
    }

    private func log(_ notice: PoolStateMachine.Notice) {
        let logger = connector.logger
        switch notice {
        case .pausing(let reason, let wait):
            let metadata: Logger.Metadata = [LogKey.waitMilliseconds: "\(wait.milliseconds)"]
            switch reason {
            case .start:
                // So long that somebody who watches would wonder.
                let level: Logger.Level = wait < .seconds(1) ? .debug : .info
                logger.log(level: level, "waiting before the first attempt to connect", metadata: metadata)
            case .backoff: logger.info("waiting before the next attempt to connect", metadata: metadata)
            case .capacity:
                logger.warning("Slack has all the connections it allows: waiting for room", metadata: metadata)
            case .fatal:
                logger.error(
                    "Slack refuses this app: a person must act; trying again slowly",
                    metadata: metadata.merging([LogKey.error: "\(pool.fatal ?? "")"]) { _, new in new })
            }
        case .ghosts(let reported, let expected):
            logger.warning(
                "Slack counts more connections than expected: another gateway, or ghosts that take envelopes",
                metadata: [
                    LogKey.reportedConnections: "\(reported)", LogKey.expectedConnections: "\(expected)",
                ])
        }
    }

    private func metadata(_ id: ConnectionID, _ values: [String: String?]) -> Logger.Metadata {
        var metadata: Logger.Metadata = [LogKey.connectionID: "\(id)"]
        if let slot = attempts[id]?.slot { metadata[LogKey.slot] = "\(slot)" }
        for case (let key, let value?) in values { metadata[key] = "\(value)" }
        return metadata
    }
}
