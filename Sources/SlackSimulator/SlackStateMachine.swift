// Slack's side of Socket Mode as a value: fed with what clients and time do, it says what to do. It does no I/O and
// reads no clock.

import RelayCore

/// Tickets, connections, envelopes until they are acknowledged or lost, and the posts to their `response_url`.
///
/// Here: the state, and the way in (API call and upgrade). `+Connections` has the life of a connection, `+Envelopes`
/// what is sent, `+Posts` what comes back beside the socket. Not thread-safe: `SimulatorLoop` feeds it on one event loop.
struct SlackStateMachine {
    /// What the driver does, in order.
    enum Action: Equatable {
        /// Send a text message.
        case text(ConnectionID, [UInt8])
        case ping(ConnectionID, [UInt8])
        case closeFrame(ConnectionID, code: UInt16, reason: String)
        /// Close TCP once everything before was written.
        case closeTCP(ConnectionID)
        case reset(ConnectionID)
        /// Neither read nor write any more.
        case silence(ConnectionID)
        /// The envelope of this record is acknowledged or lost.
        case settled(String)
        /// A post was added to this record.
        case posted(String)
    }

    struct Connection {
        var record: ConnectionRecord
    }

    /// What is waited for.
    enum Timer: Equatable {
        case deadline(String, copy: Int)
        case redelivery(String)
        case ping(ConnectionID)
        case refresh(ConnectionID)
        case refreshRequest(ConnectionID)
        case close(ConnectionID)
        case reset(ConnectionID)
    }

    /// One happening with its copies.
    struct Item {
        var payload: SimulatedPayload
        /// A whole frame to be sent as it is, in place of one made of `payload`.
        var frame: [UInt8]?
        var record: EnvelopeRecord
        /// The key of its `response_url` in `responseURLs`; nil: it has none.
        var responsePath: String?

        /// A whole frame is sent once, whatever it is.
        var isRedelivered: Bool { frame == nil && payload.isRedelivered }
    }

    var configuration: SlackSimulatorConfiguration
    var random: any RandomNumberGenerator & Sendable
    var timers = TimerQueue<Timer>()
    var statistics = SimulatorStatistics()
    var history: [ConnectionEvent] = []

    var tickets: Set<String> = []
    var upgradeFaults: [UpgradeFault] = []
    var apiFaults: [APIFault] = []
    var postFaults: [PostFault] = []

    var connections: [ConnectionID: Connection] = [:]
    var ghosts: Int { didSet { findReceivers() } }
    /// Over which payloads are spread; nil is a ghost.
    var receivers: [ConnectionID?] = []
    var lastConnection: UInt64 = 0
    /// Round robin goes on from here.
    var nextReceiver = 0

    /// By the `envelope_id` of the first copy.
    var items: [String: Item] = [:]
    /// The keys of `items`, oldest first; begins at `firstItem`.
    var order: [String] = []
    var firstItem = 0
    /// From the `envelope_id` of a later copy to that of the first.
    var laterCopies: [String: String] = [:]

    /// What every `response_url` begins with. The driver sets it when it knows where it listens.
    var hooksURL = "https://hooks.slack.com"
    /// By what follows `hooksURL`, without the slash between.
    var responseURLs: [String: ResponseURL] = [:]
    var lastResponseURL = 0

    init(
        _ configuration: SlackSimulatorConfiguration,
        random: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
    ) {
        self.configuration = configuration
        self.random = random
        self.ghosts = configuration.ghosts
        findReceivers()
    }

    /// When `timePassed` wants to be called next.
    var nextTimer: Timestamp? { timers.next }

    mutating func timePassed(now: Timestamp) -> [Action] {
        var actions: [Action] = []
        while let timer = timers.pop(before: now) {
            switch timer {
            case .deadline(let id, let copy): actions += deadlinePassed(id, copy: copy, now: now)
            case .redelivery(let id): actions += sendCopy(of: id, now: now)
            case .ping(let id): actions += pingDue(id, now: now)
            case .refresh(let id): actions += refresh(id, now: now)
            case .refreshRequest(let id): actions += requestRefresh(id, now: now)
            case .close(let id): actions += sendClose(id, code: 1000, now: now)
            case .reset(let id): actions += reset(id, now: now)
            }
        }
        return actions
    }

    // MARK: The way in

    enum APIAnswer: Equatable {
        case ticket(String)
        case fault(APIFault)
    }

    /// A call of apps.connections.open (slack-protocol.md §1).
    mutating func connectionsOpenCalled(isPOST: Bool, authorization: String?) -> APIAnswer {
        statistics.apiCalls += 1
        if !apiFaults.isEmpty { return .fault(apiFaults.removeFirst()) }
        guard isPOST else { return .fault(.error(code: "insecure_request")) }
        guard let authorization, authorization.starts(with: "Bearer ") else {
            return .fault(.error(code: "not_authed"))
        }
        let token = authorization.dropFirst("Bearer ".count)
        guard token.starts(with: "xapp-") else { return .fault(.error(code: "not_allowed_token_type")) }
        if let expected = configuration.appToken, expected.bytes != Array(token.utf8) {
            return .fault(.error(code: "invalid_auth"))
        }
        let ticket = makeUUID()
        tickets.insert(ticket)
        return .ticket(ticket)
    }

    enum UpgradeAnswer: Equatable {
        case accept(Admission)
        case refuse(UpgradeFault)
    }

    /// What awaits a connection behind its 101.
    enum Admission: Equatable {
        case regular(isShortLived: Bool)
        case disconnect(reason: String)
        case noHello
    }

    /// A request to upgrade to a WebSocket. Its ticket is spent, whatever the answer.
    mutating func upgradeRequested(ticket: String?, isShortLived: Bool) -> UpgradeAnswer {
        statistics.upgrades += 1
        let isKnown = ticket.map { tickets.remove($0) != nil } ?? false
        let answer: UpgradeAnswer =
            switch upgradeFaults.isEmpty ? nil : upgradeFaults.removeFirst() {
            case .disconnect(let reason): .accept(.disconnect(reason: reason))
            case .noHello: .accept(.noHello)
            case let fault?: .refuse(fault)
            case nil: isKnown ? .accept(.regular(isShortLived: isShortLived)) : .refuse(.status(403))
            }
        if case .refuse = answer { statistics.refusedUpgrades += 1 }
        return answer
    }

    /// 36 characters, version 4 (RFC 9562 §5.4).
    mutating func makeUUID() -> String {
        let high = UInt64.random(in: .min ... .max, using: &random) & 0xFFFF_FFFF_FFFF_0FFF | 0x4000
        let low = UInt64.random(in: .min ... .max, using: &random) & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        let digits = Array("0123456789abcdef".utf8)
        return String(unsafeUninitializedCapacity: 36) { buffer in
            var index = 0
            for position in 0..<32 {
                if [8, 12, 16, 20].contains(position) {
                    buffer[index] = UInt8(ascii: "-")
                    index += 1
                }
                let word = position < 16 ? high : low
                buffer[index] = digits[Int(word >> UInt64(60 - position % 16 * 4) & 0xF)]
                index += 1
            }
            return index
        }
    }
}
