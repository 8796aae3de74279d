// The driver: carries events from channels to the machine and its actions back, on one event loop.

import Foundation
import Logging
import NIOCore
import RelayCore

/// Owns the machine, and must only be touched on its event loop; `SlackSimulator` and the channel handlers see to that.
final class SimulatorLoop {
    let eventLoop: any EventLoop
    private let logger: Logger
    private let clock = SimulatorClock()
    private var slack: SlackStateMachine
    private var handlers: [ConnectionID: WebSocketHandler] = [:]
    private var wakeup: (at: Timestamp, task: Scheduled<Void>)?
    private var waiters: [Int: Waiter] = [:]
    private var settlementWaiters: [String: [EventLoopPromise<EnvelopeRecord>]] = [:]
    private var waiterCount = 0
    private var observers: [Int: AsyncStream<EnvelopeNews>.Continuation] = [:]
    private var observerCount = 0
    private var sampleCount = 0
    private var isStopped = false

    /// Someone who waits for the machine to be in a certain state.
    private struct Waiter {
        var condition: (SlackStateMachine) -> Bool
        var promise: EventLoopPromise<Void>
    }

    init(_ configuration: SlackSimulatorConfiguration, eventLoop: any EventLoop, logger: Logger) {
        self.slack = SlackStateMachine(configuration)
        self.eventLoop = eventLoop
        self.logger = logger
        // Sample ids differ between runs, so that a backend's or Relay's deduplication does not take a new run for an
        // old one.
        self.sampleCount = Int(clock.now.millisecondsSinceEpoch)
    }

    /// What is known, for reading.
    var state: SlackStateMachine { slack }
    var configuration: SlackSimulatorConfiguration { slack.configuration }

    /// Told once the port is bound: what comes before `/hooks` in the URLs that are given out.
    func listens(at address: String) { slack.hooksURL = address + "/hooks" }

    // MARK: From channels

    func connectionsOpenCalled(isPOST: Bool, authorization: String?) -> SlackStateMachine.APIAnswer {
        let answer = slack.connectionsOpenCalled(isPOST: isPOST, authorization: authorization)
        if case .fault(let fault) = answer { logger.info("call refused", metadata: [LogKey.reason: "\(fault)"]) }
        perform([])
        return answer
    }

    func upgradeRequested(ticket: String?, isShortLived: Bool) -> SlackStateMachine.UpgradeAnswer {
        let answer = slack.upgradeRequested(ticket: ticket, isShortLived: isShortLived)
        if case .refuse(let fault) = answer { logger.info("upgrade refused", metadata: [LogKey.reason: "\(fault)"]) }
        perform([])
        return answer
    }

    func opened(_ handler: WebSocketHandler, _ admission: SlackStateMachine.Admission) {
        let (id, actions) = slack.opened(admission, now: clock.now)
        handlers[id] = handler
        handler.register(as: id)
        logger.info("connection opened", metadata: [LogKey.connectionID: "\(id)"])
        perform(actions)
    }

    func textReceived(_ text: [UInt8], on connection: ConnectionID) {
        perform(slack.textReceived(text, on: connection, now: clock.now))
    }

    func closeReceived(_ connection: ConnectionID, code: UInt16?) {
        perform(slack.closeReceived(connection, code: code, now: clock.now))
    }

    func brokenFrameReceived(_ connection: ConnectionID, code: UInt16) {
        logger.info("broken frame", metadata: [LogKey.connectionID: "\(connection)", LogKey.reason: "\(code)"])
        perform(slack.brokenFrameReceived(connection, code: code, now: clock.now))
    }

    func posted(
        to path: String, isPOST: Bool, contentType: String?, body: [UInt8]
    ) -> SlackStateMachine.PostAnswer {
        let (answer, actions) = slack.posted(
            to: path, isPOST: isPOST, contentType: contentType, body: body, now: clock.now)
        if answer != .taken { logger.info("post refused", metadata: [LogKey.reason: "\(answer)"]) }
        perform(actions)
        return answer
    }

    func ended(_ connection: ConnectionID) {
        handlers[connection] = nil
        slack.ended(connection, now: clock.now)
        logger.info("connection ended", metadata: [LogKey.connectionID: "\(connection)"])
        perform([])
    }

    // MARK: From people

    func send(_ payloads: [SimulatedPayload]) -> [String] {
        let (ids, actions) = slack.send(payloads, now: clock.now)
        perform(actions)
        return ids
    }

    func send(_ sample: SimulatedSample, count: Int, _ values: SampleValues) -> [String] {
        let payloads = (0..<count).map { _ in
            sampleCount += 1
            return values.payload(of: sample, number: sampleCount, appID: configuration.appID)
        }
        return send(payloads)
    }

    func send(frame: [UInt8]) -> String? {
        let (id, actions) = slack.send(frame: frame, now: clock.now)
        perform(actions)
        return id
    }

    func disturb(_ selection: ConnectionSelection, _ fault: ConnectionFault) {
        perform(slack.disturb(selection, fault, now: clock.now))
    }

    func failUpgrades(_ count: Int, with fault: UpgradeFault) {
        slack.upgradeFaults = count == 0 ? [] : slack.upgradeFaults + [UpgradeFault](repeating: fault, count: count)
    }

    func failAPICalls(_ count: Int, with fault: APIFault) {
        slack.apiFaults = count == 0 ? [] : slack.apiFaults + [APIFault](repeating: fault, count: count)
    }

    func failPosts(_ count: Int, with fault: PostFault) {
        slack.postFaults = count == 0 ? [] : slack.postFaults + [PostFault](repeating: fault, count: count)
    }

    func update(_ change: (inout SlackSimulatorConfiguration) throws -> Void) rethrows {
        var configuration = slack.configuration
        try change(&configuration)
        // Silent connections whose TCP ended are ghosts, too: only a new number replaces them.
        if configuration.ghosts != slack.configuration.ghosts { slack.ghosts = configuration.ghosts }
        slack.configuration = configuration
        perform([])
    }

    // MARK: Waiting

    /// Succeeds as soon as the condition holds; fails when the simulator stops or `cancelWaiter` is called with the
    /// number.
    func wait(until condition: @escaping (SlackStateMachine) -> Bool, promise: EventLoopPromise<Void>) -> Int {
        waiterCount += 1
        if isStopped {
            promise.fail(CancellationError())
        } else if condition(slack) {
            promise.succeed()
        } else {
            waiters[waiterCount] = Waiter(condition: condition, promise: promise)
        }
        return waiterCount
    }

    func cancelWaiter(_ number: Int) {
        waiters.removeValue(forKey: number)?.promise.fail(CancellationError())
    }

    /// Succeeds when the envelope is acknowledged or lost.
    func settlement(of id: String) -> EventLoopFuture<EnvelopeRecord> {
        let promise = eventLoop.makePromise(of: EnvelopeRecord.self)
        switch slack.record(id) {
        case let record? where record.state == .waiting && !isStopped:
            settlementWaiters[record.id, default: []].append(promise)
        case let record? where record.state != .waiting: promise.succeed(record)
        case .some: promise.fail(CancellationError())
        case nil: promise.fail(SlackSimulatorError(.unknownEnvelope, "no envelope \(id) was sent, or it was forgotten"))
        }
        return promise.futureResult
    }

    /// What becomes of envelopes from now on. Nothing is dropped: whoever asks reads. Ends when the simulator stops.
    func makeNews() -> AsyncStream<EnvelopeNews> {
        let (news, continuation) = AsyncStream<EnvelopeNews>.makeStream()
        observerCount += 1
        observers[observerCount] = continuation
        if isStopped { continuation.finish() }
        return news
    }

    func stop() {
        isStopped = true
        wakeup?.task.cancel()
        wakeup = nil
        for waiter in waiters.values { waiter.promise.fail(CancellationError()) }
        waiters = [:]
        for promises in settlementWaiters.values { promises.forEach { $0.fail(CancellationError()) } }
        settlementWaiters = [:]
        for observer in observers.values { observer.finish() }
        observers = [:]
    }

    // MARK: Actions

    private func perform(_ actions: [SlackStateMachine.Action]) {
        var written: Set<ConnectionID> = []
        for action in actions {
            switch action {
            case .text(let id, let text):
                handlers[id]?.write(text: text, fragmentBytes: configuration.fragmentBytes)
                written.insert(id)
            case .ping(let id, let payload):
                handlers[id]?.write(ping: payload)
                written.insert(id)
            case .closeFrame(let id, let code, let reason): handlers[id]?.writeAndFlush(closeCode: code, reason: reason)
            case .closeTCP(let id): handlers[id]?.closeTCP()
            case .reset(let id): handlers[id]?.reset()
            case .silence(let id): handlers[id]?.silence()
            case .settled(let id): settled(id)
            case .posted(let id):
                if let record = observed(id) { tell(.posted(record)) }
            }
        }
        for id in written { handlers[id]?.flush() }
        scheduleWakeup()
        wakeWaiters()
    }

    private func settled(_ id: String) {
        if let record = observed(id) { tell(.settled(record)) }
        guard let promises = settlementWaiters.removeValue(forKey: id), let record = slack.record(id) else { return }
        for promise in promises { promise.succeed(record) }
    }

    /// nil when nobody listens, which is nearly always.
    private func observed(_ id: String) -> EnvelopeRecord? { observers.isEmpty ? nil : slack.record(id) }

    private func tell(_ news: EnvelopeNews) {
        for (number, observer) in observers {
            if case .terminated = observer.yield(news) { observers[number] = nil }
        }
    }

    private func scheduleWakeup() {
        guard let next = slack.nextTimer, !isStopped else { return }
        if let wakeup, wakeup.at <= next { return }
        wakeup?.task.cancel()
        let delay = max(.zero, clock.now.duration(to: next))
        let task = eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(delay.nanoseconds)) { [weak self] in
            guard let self else { return }
            wakeup = nil
            perform(slack.timePassed(now: clock.now))
        }
        wakeup = (next, task)
    }

    private func wakeWaiters() {
        guard !waiters.isEmpty else { return }
        for (number, waiter) in waiters where waiter.condition(slack) {
            waiters[number] = nil
            waiter.promise.succeed()
        }
    }
}

/// Wall-clock time that never goes back: started once, then counted by the monotonic clock.
struct SimulatorClock: Sendable {
    private let start = ContinuousClock.now
    private let wallStart = Timestamp(millisecondsSinceEpoch: Int64(Date().timeIntervalSince1970 * 1000))

    var now: Timestamp { wallStart.advanced(by: start.duration(to: .now)) }
}
