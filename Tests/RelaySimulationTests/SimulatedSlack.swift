// Slack: sends what happens, takes acknowledgements, sends again, and is not always well.

import RelayCore
import RelayTestKit
import SlackConnector
import SocketMode

/// The schedule and the faults are those of docs/slack-protocol.md, §2, §3.6 and §6.
final class SimulatedSlack {
    /// One copy of a happening, with its `envelope_id`.
    struct Copy {
        let id: String
        let number: Int
        let happening: Happening
    }

    /// How Slack treats those who want to connect.
    enum Door: CaseIterable {
        case open
        /// `apps.connections.open` answers with a failure, or not at all.
        case apiFails, apiHangs
        case rateLimited
        /// `invalid_auth` and its like: a person must act.
        case tokenRefused
        /// The way to the WebSocket is closed, or the upgrade refused.
        case upgradeFails, upgradeHangs
        case noHello
        /// A `disconnect` in place of `hello`.
        case refusesHello
        /// Other gateways hold all ten connections.
        case full
        /// `hello`, and the connection ends; at every other `hello` ten are counted.
        case flaps
        case linkDisabled
    }

    private struct Sent {
        let copy: Copy
        let at: Timestamp
        var socket: SimulatedSocket?
        var isRead = false
        var isAcknowledged = false
        var isLost = false
    }

    var door = Door.open
    private(set) var happenings: [Happening] = []
    private(set) var byKey: [String: Happening] = [:]
    /// Sends and retries that are still to come, or may.
    private(set) var pending = 0
    private unowned let world: SimulatedWorld
    private var sent: [String: Sent] = [:]
    private(set) var sockets: [SimulatedSocket] = []
    private var urls: Set<Int> = []
    private var lastNumber = 0
    private var flaps = 0
    /// Replicas that have been connected, and have not begun to drain.
    private var hasBeenConnected = false

    init(_ world: SimulatedWorld) { self.world = world }

    func latency() -> Duration { world.dice.milliseconds(1...40) }

    private func makeNumber() -> Int {
        lastNumber += 1
        return lastNumber
    }

    // MARK: Happenings

    func make(_ shape: Happening.Shape) -> Happening {
        let reply = world.dice.weigh([(Happening.Reply.text, 5), (.empty, 3), (.large, 1), (.unusable, 1)])
        let number = makeNumber()
        let happening = Happening(
            number, shape, channel: "C\(world.dice.int(1...world.plan.channels))", reply: reply,
            isPoison: shape == .event && !world.isHealed && world.plan.poison > 0 && number % world.plan.poison == 0,
            payload: shape == .event ? world.sharedPayload : nil)
        happenings.append(happening)
        byKey[happening.key] = happening
        return happening
    }

    func happening(asked payload: Payload) -> Happening? {
        byKey[String(decoding: payload.bytes, as: UTF8.self)]
    }

    /// Several that go over one connection and are read together.
    func send(_ happenings: [Happening]) {
        let socket = world.dice.pick(sockets.filter(\.takesEnvelopes))
        var copies: [Copy] = []
        for happening in happenings {
            let copy = Copy(id: "E\(makeNumber())", number: happening.copiesSent, happening: happening)
            happening.copiesSent += 1
            if copy.number == 0 {
                (happening.firstSentAt, happening.isFirstCopySent) = (world.clock.now, socket != nil)
            }
            sent[copy.id] = Sent(copy: copy, at: world.clock.now, socket: socket)
            world.note(
                "Slack sends \(happening.name) as \(copy.id) \(socket.map { "on \($0.process.name) \($0.id)" } ?? "to nobody")"
            )
            copies.append(copy)
            watch(copy)
        }
        socket?.sendToGateway(.envelopes(copies))
    }

    /// Sends again what is not acknowledged in time.
    private func watch(_ copy: Copy) {
        pending += 1
        world.after(.seconds(3)) {
            let isDone = copy.happening.acknowledgedAt != nil
            let next: Duration? =
                switch (copy.happening.shape, copy.number) {
                // Seen once, against all that is documented: a command that comes again.
                case (.command, 0): self.world.plan.repeats > 0 && !isDone ? .seconds(2) : nil
                case (.event, _) where isDone:
                    copy.number == 0 && self.world.dice.chance(self.world.plan.repeats)
                        ? self.world.dice.seconds(1...60) : nil
                case (.event, 0): self.world.dice.milliseconds(0...1_000)
                case (.event, 1): .seconds(60)
                case (.event, 2): .seconds(300)
                case (.event, ..<5): self.world.plan.hasDelayedEvents ? .seconds(3_600) : nil
                default: nil
                }
            guard let next else {
                self.pending -= 1
                return
            }
            self.world.after(next) {
                self.pending -= 1
                guard copy.happening.acknowledgedAt == nil || isDone else { return }
                self.send([copy.happening])
            }
        }
    }

    func read(_ copies: [Copy]) {
        for copy in copies { sent[copy.id]?.isRead = true }
    }

    /// The envelopes of a happening that a gateway has read and not acknowledged, and that somebody waits for.
    func unanswered(_ happening: Happening, by process: SimulatedProcess) -> [String] {
        let since = world.clock.now.advanced(by: .milliseconds(-2_500))
        return sent.values.filter {
            $0.copy.happening === happening && $0.isRead && $0.socket?.process === process && !$0.isAcknowledged
                && $0.at > since
        }
        .map(\.copy.id).sorted()
    }

    func hasBeenRead(_ happening: Happening) -> Bool {
        sent.values.contains { $0.copy.happening === happening && $0.isRead && $0.socket?.process.isAlive == true }
    }

    func copy(_ envelopeID: String) -> Copy? { sent[envelopeID]?.copy }
    /// Whether an acknowledgement had no fair chance: its connection failed, or the network lost it.
    func mayBeMissing(_ envelopeID: String) -> Bool {
        guard let sent = sent[envelopeID] else { return true }
        return sent.isLost || sent.socket?.isHealthy != true
    }
    func hasAcknowledgement(_ envelopeID: String) -> Bool { sent[envelopeID]?.isAcknowledged == true }
    func acknowledgementLost(_ envelopeID: String) { sent[envelopeID]?.isLost = true }

    func acknowledged(_ envelopeID: String, _ payload: Payload?) {
        guard let sent = sent[envelopeID] else {
            return world.guarantees.violated("\(envelopeID) was acknowledged, and never sent")
        }
        if sent.isAcknowledged, !sent.isLost {
            world.guarantees.violated("4: \(envelopeID) was acknowledged twice")
        }
        if world.dice.chance(world.plan.lostAcknowledgements) {
            world.note("the acknowledgement of \(envelopeID) is lost")
            self.sent[envelopeID]?.isLost = true
            return
        }
        self.sent[envelopeID]?.isAcknowledged = true
        let isLate = sent.at.duration(to: world.clock.now) > .seconds(3)
        let happening = sent.copy.happening
        world.note("Slack has the acknowledgement of \(envelopeID)\(isLate ? ", late" : "")")
        guard !isLate || (happening.shape == .event && world.plan.takesLateAcknowledgements) else { return }
        guard happening.acknowledgedAt == nil else { return }
        happening.acknowledgedAt = world.clock.now
        happening.acknowledgement = payload
    }

    // MARK: Connections

    /// Slack takes for open what is open, and nothing else.
    var hasGhosts: Bool { sockets.contains { !$0.isHealthy } }

    func openConnection() -> (Result<Secret, ConnectFailure>, after: Duration) {
        if door == .apiHangs { return (.failure(ConnectFailure(.apiUnreachable, "timeout")), .seconds(10)) }
        let number = makeNumber()
        urls.insert(number)
        let answer = SlackAnswer(at: door, url: "\(number)", world.dice)
        let result = ConnectionsOpen.read(
            status: answer.status, retryAfter: answer.retryAfter, contentType: nil, body: Array(answer.body.utf8))
        return (result, world.dice.milliseconds(20...300))
    }

    func upgrade(_ url: Secret) -> (ConnectFailure?, after: Duration) {
        if Int(String(decoding: url.bytes, as: UTF8.self)).flatMap({ urls.remove($0) }) == nil {
            world.guarantees.violated("6: a URL was dialed twice")
        }
        switch door {
        case .upgradeFails: return (SlackAnswer.refusedUpgrade(world.dice), world.dice.milliseconds(20...300))
        case .upgradeHangs: return (ConnectFailure(.timeout, "no answer"), .seconds(10))
        case .open, .apiFails, .apiHangs, .rateLimited, .tokenRefused, .noHello, .refusesHello, .full, .flaps,
            .linkDisabled:
            return (nil, world.dice.milliseconds(20...300))
        }
    }

    func accept(_ socket: SimulatedSocket) {
        sockets.append(socket)
        let others = door == .full ? 10 : 0
        switch door {
        case .noHello: return
        case .refusesHello: return socket.sendToGateway(.disconnect(.refresh))
        case .linkDisabled: return socket.sendToGateway(.disconnect(.linkDisabled))
        case .full where true, _ where sockets.count + others > PoolConfiguration.slackConnectionLimit:
            socket.sendToGateway(.disconnect(.tooManyWebSockets))
            return socket.endAtSlack(tells: true)
        case .open, .apiFails, .apiHangs, .rateLimited, .tokenRefused, .upgradeFails, .upgradeHangs, .full, .flaps:
            break
        }
        let lifetime: Duration? = world.dice.chance(0.5) ? .seconds(18_060) : nil
        let seemsFull = door == .flaps && flaps % 2 == 1
        let count = seemsFull ? PoolConfiguration.slackConnectionLimit : sockets.count
        socket.sendToGateway(
            .hello(SlackMessage.Hello(connectionCount: count, approximateConnectionTime: lifetime)))
        socket.takesEnvelopes = true
        if door == .flaps {
            flaps += 1
            world.after(world.dice.milliseconds(10...3_000)) { socket.endAtSlack(tells: true) }
        }
    }

    /// Slack counts it no more.
    func ended(_ socket: SimulatedSocket) {
        socket.takesEnvelopes = false
        sockets.removeAll { $0 === socket }
        guard world.plan.isPlannedOnly, hasBeenConnected, !world.isClosing else { return }
        if !sockets.contains(where: \.takesEnvelopes) {
            world.guarantees.violated("5: a moment without a connection, with planned refreshes and restarts only")
        }
    }

    func connected(_ process: SimulatedProcess) { hasBeenConnected = true }

    /// Slack goes on counting a connection that nobody has any more, for minutes.
    func forgetGhost(_ socket: SimulatedSocket) {
        world.after(world.dice.seconds(10...400)) { socket.endAtSlack(tells: false) }
    }

    /// The announced end of a connection: make before break must be possible.
    func refresh() {
        guard let socket = world.dice.pick(sockets.filter(\.takesEnvelopes)) else { return }
        world.note("Slack refreshes connection \(socket.id) of \(socket.process.name)")
        socket.sendToGateway(.disconnect(.refresh))
        if world.dice.chance(0.5) { world.after(.seconds(5)) { socket.sendToGateway(.disconnect(.refresh)) } }
        world.after(.seconds(30)) { socket.endAtSlack(tells: true) }
    }

    /// Something bad happens to one connection.
    func trouble() {
        guard let socket = world.dice.pick(sockets) else { return }
        let kind = world.dice.int(0...4)
        world.note("trouble \(kind) on connection \(socket.id) of \(socket.process.name)")
        switch kind {
        case 0: socket.endAtSlack(tells: true)
        case 1:
            socket.sendToGateway(.close)
            world.after(world.dice.seconds(1...5)) { socket.endAtSlack(tells: self.world.dice.chance(0.5)) }
        case 2:
            socket.fallSilent()
            forgetGhost(socket)
        case 3:
            // Too short a notice.
            socket.sendToGateway(.disconnect(.refresh))
            world.after(world.dice.milliseconds(1...1_000)) { socket.endAtSlack(tells: true) }
        default: socket.sendToGateway(.disconnect(world.dice.chance(0.5) ? .tooManyWebSockets : .refresh))
        }
    }

    // MARK: response_url

    func post(_ body: Payload, to url: ResponseURL, by process: SimulatedProcess) async -> ResponsePostResult {
        guard let number = Int(url.text.split(separator: "/").last ?? ""),
            let happening = happenings.first(where: { $0.number == number })
        else { return .refused(detail: "no such URL") }
        var result = ResponsePostResult.failed(retryAfter: nil, detail: "the simulated process is dead")
        await process.park { resume in
            world.after(world.dice.milliseconds(20...1_500)) {
                guard process.isAlive else { return }
                result = self.take(body, for: happening)
                self.world.after(self.latency(), resume)
            }
        }
        return result
    }

    private func take(_ body: Payload, for happening: Happening) -> ResponsePostResult {
        let isWell = world.isHealed
        if !isWell, world.dice.chance(0.2) { return .failed(retryAfter: .seconds(2), detail: "HTTP 503") }
        if !isWell, world.dice.chance(0.03) {
            happening.isPostRefused = true
            world.note("Slack refuses a post for \(happening.name)")
            return .refused(detail: "HTTP 404")
        }
        world.note("Slack has a post for \(happening.name)")
        happening.posts.append(body)
        // It may have it, and fail to say so.
        guard isWell || !world.dice.chance(0.05) else { return .failed(retryAfter: nil, detail: "reset") }
        happening.postsTold += 1
        return .posted
    }
}
