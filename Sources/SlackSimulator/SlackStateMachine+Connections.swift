// The life of a connection: hello, pings, refresh, close, and the faults done to it.

import RelayCore

extension SlackStateMachine {
    /// Connections that Slack counts, ghosts included.
    var registered: Int { connections.values.count { $0.record.state.isRegistered } + ghosts }

    /// Connections that the client can be reached through.
    var connected: Int { connections.values.count { $0.record.state.isConnected } }

    /// The upgrade was answered with 101.
    mutating func opened(_ admission: Admission, now: Timestamp) -> (ConnectionID, [Action]) {
        lastConnection += 1
        let id = ConnectionID(lastConnection)
        let isFull = registered >= configuration.connectionLimit
        connections[id] = Connection(
            record: ConnectionRecord(id: id, state: .refused, openedAt: now, sent: 0, acknowledged: 0))
        switch admission {
        case .noHello:
            note(.refused, id, now)
            return (id, [.silence(id)])
        case .disconnect(let reason):
            note(.refused, id, now)
            return (id, [.text(id, disconnect(reason, id)), .closeTCP(id)])
        case .regular where isFull:
            // In place of hello, and TCP ends without a close frame (slack-protocol.md §2.4).
            note(.refused, id, now)
            return (id, [.text(id, disconnect("too_many_websockets", id)), .closeTCP(id)])
        case .regular(let isShortLived):
            return (id, welcome(id, isShortLived: isShortLived, now: now))
        }
    }

    private mutating func welcome(_ id: ConnectionID, isShortLived: Bool, now: Timestamp) -> [Action] {
        let debugLifetime: Duration = .seconds(360)
        var lifetime = configuration.connectionLifetime
        if isShortLived { lifetime = min(lifetime ?? debugLifetime, debugLifetime) }
        become(.connected, id)
        note(.hello, id, now)
        timers.add(.ping(id), at: now.advanced(by: configuration.firstPing))
        if let lifetime {
            let start = max(.zero, lifetime - (configuration.warningLead ?? .zero))
            timers.add(.refresh(id), at: now.advanced(by: start))
        }
        if let resetAfter = configuration.resetAfter { timers.add(.reset(id), at: now.advanced(by: resetAfter)) }
        let seconds = (lifetime ?? .seconds(18_060)).components.seconds
        let hello =
            #"{"type":"hello","num_connections":\#(registered),"connection_info":{"app_id":\#(JSONText(configuration.appID))},"debug_info":{"host":"\#(host(id))","build_number":118,"approximate_connection_time":\#(seconds)}}"#
        return [.text(id, Array(hello.utf8))]
    }

    // MARK: What time brings

    mutating func pingDue(_ id: ConnectionID, now: Timestamp) -> [Action] {
        guard let state = connections[id]?.record.state, state.isConnected else { return [] }
        timers.add(.ping(id), at: now.advanced(by: configuration.pingInterval))
        return [.ping(id, Array("Ping from \(host(id))".utf8))]
    }

    mutating func refresh(_ id: ConnectionID, now: Timestamp) -> [Action] {
        guard connections[id]?.record.state == .connected else { return [] }
        guard let lead = configuration.warningLead else { return requestRefresh(id, now: now) }
        timers.add(.refreshRequest(id), at: now.advanced(by: lead))
        return warn(id, now: now)
    }

    private mutating func warn(_ id: ConnectionID, now: Timestamp) -> [Action] {
        become(.warned, id)
        note(.warning, id, now)
        return [.text(id, disconnect("warning", id))]
    }

    mutating func requestRefresh(_ id: ConnectionID, now: Timestamp) -> [Action] {
        dismiss(id, reason: "refresh_requested", as: .refreshRequested, now: now)
    }

    /// Sends a disconnect and lets the close frame follow.
    private mutating func dismiss(
        _ id: ConnectionID, reason: String, as what: ConnectionEvent.What, now: Timestamp
    ) -> [Action] {
        guard let state = connections[id]?.record.state, state == .connected || state == .warned else { return [] }
        become(.retiring, id)
        note(what, id, now)
        timers.add(.close(id), at: now.advanced(by: configuration.closeDelay))
        return [.text(id, disconnect(reason, id))]
    }

    mutating func sendClose(_ id: ConnectionID, code: UInt16, now: Timestamp) -> [Action] {
        guard let state = connections[id]?.record.state, state.isConnected else { return [] }
        become(.closing, id)
        note(.closeSent, id, now)
        return [.closeFrame(id, code: code, reason: "")]
    }

    mutating func reset(_ id: ConnectionID, now: Timestamp) -> [Action] {
        guard connections[id] != nil else { return [] }
        become(.closing, id)
        note(.reset, id, now)
        return [.reset(id)]
    }

    // MARK: What the client does

    /// A close frame came. After both have been sent, TCP stays open unless the configuration says otherwise (§2.9).
    mutating func closeReceived(_ id: ConnectionID, code: UInt16?, now: Timestamp) -> [Action] {
        guard let state = connections[id]?.record.state, state != .silent else { return [] }
        let end: [Action] = configuration.closesTCP ? [.closeTCP(id)] : []
        note(.closeReceived, id, now)
        guard state != .closing else { return end }
        become(.closing, id)
        return [.closeFrame(id, code: code ?? 1000, reason: "")] + end
    }

    /// A frame came that breaks the rules; `code` is 1009 for one over the limit (§2.10), 1002 for all else.
    mutating func brokenFrameReceived(_ id: ConnectionID, code: UInt16, now: Timestamp) -> [Action] {
        guard let state = connections[id]?.record.state, state != .silent else { return [] }
        if code == 1009 { statistics.oversizedFrames += 1 }
        guard state != .closing else { return [.closeTCP(id)] }
        become(.closing, id)
        note(.closeSent, id, now)
        let limit = SlackSimulatorConfiguration.clientFrameLimit
        let reason = code == 1009 ? "Max frame length of \(limit) has been exceeded." : "protocol error"
        return [.closeFrame(id, code: code, reason: reason), .closeTCP(id)]
    }

    /// TCP ended. Of a silent connection Slack sees nothing: it stays registered, as a ghost (§2.7).
    mutating func ended(_ id: ConnectionID, now: Timestamp) {
        guard let connection = connections.removeValue(forKey: id) else { return }
        if connection.record.state == .silent { ghosts += 1 }
        findReceivers()
        note(.ended, id, now)
    }

    // MARK: Faults

    mutating func disturb(_ selection: ConnectionSelection, _ fault: ConnectionFault, now: Timestamp) -> [Action] {
        select(selection).flatMap { id in disturb(id, fault, now: now) }
    }

    private mutating func disturb(_ id: ConnectionID, _ fault: ConnectionFault, now: Timestamp) -> [Action] {
        switch fault {
        case .refresh: return refresh(id, now: now)
        case .disconnect("warning"):
            return connections[id]?.record.state == .connected ? warn(id, now: now) : []
        case .disconnect(let reason): return dismiss(id, reason: reason, as: .disconnect, now: now)
        case .close(let code): return sendClose(id, code: code, now: now)
        case .cut:
            become(.closing, id)
            note(.cut, id, now)
            return [.closeTCP(id)]
        case .reset: return reset(id, now: now)
        case .silence:
            become(.silent, id)
            note(.silenced, id, now)
            return [.silence(id)]
        case .text(let text): return [.text(id, Array(text.utf8))]
        }
    }

    private func select(_ selection: ConnectionSelection) -> [ConnectionID] {
        let connected = connections.values.filter(\.record.state.isConnected).map(\.record.id).sorted()
        switch selection {
        case .all: return connected
        case .oldest: return Array(connected.prefix(1))
        case .one(let id): return connected.filter { $0 == id }
        }
    }

    // MARK: Parts

    private mutating func become(_ state: ConnectionRecord.State, _ id: ConnectionID) {
        connections[id]?.record.state = state
        findReceivers()
    }

    /// Those that live, and those that only seem to; if there is none, those that were asked to go.
    mutating func findReceivers() {
        func ids(_ states: Set<ConnectionRecord.State>) -> [ConnectionID] {
            connections.values.filter { states.contains($0.record.state) }.map(\.record.id).sorted()
        }
        receivers = ids([.connected, .warned, .silent])
        if receivers.isEmpty { receivers = ids([.retiring]) }
        receivers += [ConnectionID?](repeating: nil, count: max(0, ghosts))
    }

    private mutating func note(_ what: ConnectionEvent.What, _ id: ConnectionID, _ now: Timestamp) {
        if history.count >= configuration.recordLimit { history.removeFirst(history.count / 2) }
        history.append(ConnectionEvent(at: now, connection: id, what: what, connected: connected))
    }

    private func host(_ id: ConnectionID) -> String { "applink-\(id)" }

    private func disconnect(_ reason: String, _ id: ConnectionID) -> [UInt8] {
        Array(#"{"type":"disconnect","reason":\#(JSONText(reason)),"debug_info":{"host":"\#(host(id))"}}"#.utf8)
    }
}
