// One WebSocket over the simulated network: our end with its real machine, Slack's end, and what is on the way.

import RelayCore
import RelayTestKit
import SocketMode

/// Each direction keeps its order. Two sockets have nothing to do with each other, so that what goes over both may be
/// reordered.
final class SimulatedSocket: @unchecked Sendable {  // one thread per run
    enum ToGateway {
        case hello(SlackMessage.Hello)
        case envelopes([SimulatedSlack.Copy])
        case disconnect(SlackDisconnect)
        case pong
        case close
        case end
    }

    enum ToSlack {
        case acknowledgement(String, Payload?)
        case ping
        case close
        case end
    }

    let id: ConnectionID
    unowned let connector: SimulatedConnector
    private unowned let world: SimulatedWorld
    private var machine: ConnectionStateMachine
    private var timers: [ConnectionStateMachine.Timer: Int] = [:]
    private(set) var hello = SlackMessage.Hello()
    private(set) var isOpenHere = true
    /// Whether Slack takes it for open. Slack may be wrong.
    private(set) var isOpenAtSlack = true
    /// Slack has greeted, and sends envelopes.
    var takesEnvelopes = false
    /// Nothing arrives any more, in either direction.
    private var isSilent = false
    private var arrivalHere = Timestamp(millisecondsSinceEpoch: 0)
    private var arrivalAtSlack = Timestamp(millisecondsSinceEpoch: 0)

    init(_ id: ConnectionID, _ world: SimulatedWorld, _ connector: SimulatedConnector) {
        self.id = id
        self.world = world
        self.connector = connector
        let timing = ConnectionTiming(
            pingInterval: world.plan.pingInterval, deadAfter: world.plan.pingInterval * 3)
        machine = ConnectionStateMachine(timing: timing, now: .zero)
    }

    var process: SimulatedProcess { connector.process }
    /// Both ends are open, and hear each other.
    var isHealthy: Bool { isOpenHere && isOpenAtSlack && !isSilent }

    private var uptime: Duration { Timestamp(millisecondsSinceEpoch: 0).duration(to: world.clock.now) }

    func begin() { perform(machine.upgraded(now: uptime)) }

    // MARK: Slack's end

    func sendToGateway(_ message: ToGateway) {
        arrivalHere = max(arrivalHere, world.clock.now.advanced(by: world.slack.latency()))
        world.at(arrivalHere) { self.arrived(message) }
    }

    /// Slack ends TCP, or takes the connection for ended.
    func endAtSlack(tells: Bool) {
        guard isOpenAtSlack else { return }
        isOpenAtSlack = false
        world.slack.ended(self)
        if tells { sendToGateway(.end) }
    }

    func fallSilent() { isSilent = true }

    private func arrivedAtSlack(_ message: ToSlack) {
        guard !isSilent else { return }
        switch message {
        case .acknowledgement(let id, let payload): world.slack.acknowledged(id, payload)
        case .ping: if isOpenAtSlack { sendToGateway(.pong) }
        case .close:
            if isOpenAtSlack { sendToGateway(.close) }
            // After both close frames Slack often leaves TCP open.
            endAtSlack(tells: world.dice.chance(0.7))
        case .end: endAtSlack(tells: false)
        }
    }

    // MARK: Our end

    /// Returns false when nothing may be sent here any more.
    func send(_ messages: [ToSlack]) -> Bool {
        guard isOpenHere, machine.maySend else { return false }
        for message in messages { write(message) }
        return true
    }

    private func write(_ message: ToSlack) {
        guard isOpenHere else { return }
        arrivalAtSlack = max(arrivalAtSlack, world.clock.now.advanced(by: world.slack.latency()))
        world.at(arrivalAtSlack) { self.arrivedAtSlack(message) }
    }

    private func arrived(_ message: ToGateway) {
        guard isOpenHere, !isSilent else { return }
        if case .end = message { return end() }
        machine.frameReceived(now: uptime)
        switch message {
        case .hello(let hello):
            self.hello = hello
            perform(machine.helloReceived())
        case .envelopes(let copies): received(copies)
        case .disconnect(let cause): perform(machine.disconnectReceived(cause))
        case .close: perform(machine.closeFrameReceived())
        case .pong, .end: break
        }
    }

    private func received(_ copies: [SimulatedSlack.Copy]) {
        let envelopes = copies.map {
            $0.happening.makeEnvelope(id: $0.id, copy: $0.number, receivedAt: world.clock.now)
        }
        let bytes = envelopes.reduce(0) { $0 + $1.payload.bytes.count }
        switch machine.envelopesReceived(envelopes.count, bytes: bytes) {
        case .leave: world.note("\(process.name) leaves \(copies.map(\.id).joined(separator: " ")) to Slack")
        case .deliver:
            world.slack.read(copies)
            // Where somebody may wait, an envelope is a batch of its own.
            var events: [Envelope] = []
            for envelope in envelopes {
                if envelope.kind == .event { events.append(envelope) } else { deliver([envelope]) }
            }
            if !events.isEmpty { deliver(events) }
        }
    }

    private func deliver(_ envelopes: [Envelope]) {
        process.deliver(.init(envelopes: envelopes, connection: id))
    }

    func finished(_ count: Int, bytes: Int) { perform(machine.envelopesFinished(count, bytes: bytes)) }
    func retire() { perform(machine.retire()) }
    func drain() { perform(machine.drain()) }
    func close(_ reason: EndReason) { perform(machine.close(reason)) }

    private func end() {
        guard isOpenHere else { return }
        isOpenHere = false
        perform(machine.transportClosed())
    }

    /// Nobody is there any more: the kernel says so, or the whole machine is gone.
    func processDied() {
        guard isOpenHere else { return }
        for timer in timers.values { world.clock.cancel(timer) }
        timers = [:]
        if world.dice.chance(0.8) {
            write(.end)
        } else {
            world.slack.forgetGhost(self)
        }
        isOpenHere = false
    }

    private func perform(_ actions: [ConnectionStateMachine.Action]) {
        for action in actions {
            switch action {
            case .schedule(let timer, let delay):
                let id = world.after(delay) {
                    guard self.process.isAlive else { return }
                    self.perform(self.machine.timerFired(timer, now: self.uptime))
                }
                if let old = timers.updateValue(id, forKey: timer) { world.clock.cancel(old) }
            case .cancel(let timer): if let id = timers.removeValue(forKey: timer) { world.clock.cancel(id) }
            case .sendPing: write(.ping)
            case .sendClose: write(.close)
            case .cut:
                write(.end)
                end()
            case .report(let report): connector.report(report, of: self)
            }
        }
    }
}
