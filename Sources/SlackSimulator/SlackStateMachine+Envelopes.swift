// Sending: distribution, deadlines, redelivery, acknowledgements.

import RelayCore

extension SlackStateMachine {
    /// Sends each happening once, over the connections that are registered now.
    /// - Returns: the `envelope_id` of each first copy.
    mutating func send(_ payloads: [SimulatedPayload], now: Timestamp) -> ([String], [Action]) {
        var ids: [String] = []
        var actions: [Action] = []
        ids.reserveCapacity(payloads.count)
        for payload in payloads {
            let item = makeItem(payload, now: now)
            actions += add(item, now: now)
            ids.append(item.record.id)
        }
        return (ids, actions)
    }

    /// Sends a whole frame once, as it is. Its acknowledgement is waited for when it is an envelope with an id.
    /// - Returns: its `envelope_id`, if it has one.
    mutating func send(frame: [UInt8], now: Timestamp) -> (String?, [Action]) {
        let message = ClientMessage(frame)
        guard let id = message?.envelopeID else {
            guard let receiver = nextReceiverID() else { return (nil, []) }
            return (nil, [.text(receiver, frame)])
        }
        let payload = SimulatedPayload(
            type: message?.type ?? "raw", payload: message?.payload ?? [],
            acceptsResponsePayload: message?.acceptsResponsePayload ?? false)
        return (id, add(Item(payload: payload, frame: frame, record: Self.makeRecord(id, payload)), now: now))
    }

    private mutating func makeItem(_ payload: SimulatedPayload, now: Timestamp) -> Item {
        let id = makeUUID()
        guard payload.wantsResponseURL else {
            return Item(payload: payload, record: Self.makeRecord(id, payload))
        }
        let path = makeResponsePath(for: id, isCommand: payload.type == "slash_commands", now: now)
        let url = "\(hooksURL)/\(path)"
        let sent = payload.replacingPlaceholder(with: url)
        var record = Self.makeRecord(id, sent)
        record.responseURL = url
        return Item(payload: sent, record: record, responsePath: path)
    }

    private static func makeRecord(_ id: String, _ payload: SimulatedPayload) -> EnvelopeRecord {
        EnvelopeRecord(
            id: id, type: payload.type, payload: payload.payload,
            acceptsResponsePayload: payload.acceptsResponsePayload, state: .waiting)
    }

    private mutating func add(_ item: Item, now: Timestamp) -> [Action] {
        let id = item.record.id
        if items.updateValue(item, forKey: id) == nil { order.append(id) }
        statistics.waiting += 1
        let actions = sendCopy(of: id, now: now)
        forgetOldest()
        return actions
    }

    /// Sends the next copy. The first has the record's id, later ones each an id of their own.
    mutating func sendCopy(of id: String, now: Timestamp) -> [Action] {
        guard let item = items[id], item.record.state == .waiting else { return [] }
        let attempt = item.record.copies.count
        let envelopeID = attempt == 0 ? id : makeUUID()
        if attempt > 0 {
            laterCopies[envelopeID] = id
            statistics.redeliveries += 1
        }
        let hasReceiver = !receivers.isEmpty
        let receiver = nextReceiverID()
        items[id]?.record.copies.append(
            EnvelopeRecord.Copy(
                envelopeID: envelopeID, attempt: attempt, sentAt: now, connection: receiver, isDispatched: hasReceiver))
        // With no connection at all the copy has failed at once (slack-protocol.md §3.6).
        guard hasReceiver else { return copyFailed(id, now: now) }
        statistics.copiesSent += 1
        timers.add(.deadline(id, copy: attempt), at: now.advanced(by: configuration.acknowledgementDeadline))
        guard let receiver else { return [] }
        connections[receiver]?.record.sent += 1
        return [.text(receiver, item.frame ?? encode(item.payload, envelopeID: envelopeID, attempt: attempt))]
    }

    /// nil: a ghost, or nobody.
    private mutating func nextReceiverID() -> ConnectionID? {
        guard !receivers.isEmpty else { return nil }
        switch configuration.distribution {
        case .random: return receivers[Int.random(in: receivers.indices, using: &random)]
        case .roundRobin:
            nextReceiver = (nextReceiver + 1) % receivers.count
            return receivers[nextReceiver]
        }
    }

    /// Keys in the order of real frames (slack-protocol.md §3.1).
    private func encode(_ payload: SimulatedPayload, envelopeID: String, attempt: Int) -> [UInt8] {
        var frame: [UInt8] = []
        frame.reserveCapacity(payload.payload.count + 200)
        frame += #"{"envelope_id":"\#(envelopeID)","payload":"#.utf8
        frame += payload.payload
        frame +=
            #","type":\#(JSONText(payload.type)),"accepts_response_payload":\#(payload.acceptsResponsePayload)"#.utf8
        if payload.isRedelivered {
            frame += #","retry_attempt":\#(attempt),"retry_reason":"\#(attempt == 0 ? "" : "timeout")""#.utf8
        }
        frame.append(UInt8(ascii: "}"))
        return frame
    }

    // MARK: What becomes of a copy

    mutating func deadlinePassed(_ id: String, copy: Int, now: Timestamp) -> [Action] {
        guard let item = items[id], item.record.state == .waiting, item.record.copies.count == copy + 1 else {
            return []
        }
        return copyFailed(id, now: now)
    }

    private mutating func copyFailed(_ id: String, now: Timestamp) -> [Action] {
        guard let item = items[id] else { return [] }
        let copies = item.record.copies.count
        if item.isRedelivered, copies <= configuration.redelivery.count {
            timers.add(.redelivery(id), at: now.advanced(by: configuration.redelivery[copies - 1]))
            return []
        }
        items[id]?.record.state = .lost
        statistics.waiting -= 1
        statistics.lost += 1
        return [.settled(id)]
    }

    /// A text message from the client: an acknowledgement, or nothing Slack knows.
    mutating func textReceived(_ text: [UInt8], on connection: ConnectionID, now: Timestamp) -> [Action] {
        guard let message = ClientMessage(text), let envelopeID = message.envelopeID else {
            statistics.strangeMessages += 1
            return []
        }
        let id = laterCopies[envelopeID] ?? envelopeID
        guard let record = items[id]?.record,
            let index = record.copies.firstIndex(where: { $0.envelopeID == envelopeID && $0.acknowledgement == nil })
        else {
            statistics.strangeMessages += 1
            return []
        }
        let copy = record.copies[index]
        let isInTime = now <= copy.sentAt.advanced(by: configuration.acknowledgementDeadline)
        let isLate = !isInTime || record.state != .waiting
        items[id]?.record.copies[index].acknowledgement = EnvelopeRecord.Acknowledgement(
            at: now, connection: connection, isLate: isLate, payload: message.payload)
        connections[connection]?.record.acknowledged += 1
        guard !isLate else {
            statistics.lateAcknowledgements += 1
            return []
        }
        items[id]?.record.state = .acknowledged
        statistics.waiting -= 1
        statistics.acknowledged += 1
        return [.settled(id)]
    }

    // MARK: Records

    func record(_ id: String) -> EnvelopeRecord? { items[laterCopies[id] ?? id]?.record }

    /// The newest records first.
    func records(limit: Int, state: EnvelopeRecord.State?) -> [EnvelopeRecord] {
        var records: [EnvelopeRecord] = []
        for id in order[firstItem...].reversed() where records.count < limit {
            guard let record = items[id]?.record, state == nil || record.state == state else { continue }
            records.append(record)
        }
        return records
    }

    /// Drops the oldest settled records over the limit. One that still waits is kept, as if it had come last; a few
    /// steps per envelope are enough to get back under the limit, and never a long one.
    private mutating func forgetOldest() {
        var steps = 0
        while items.count > configuration.recordLimit, steps < 8 {
            steps += 1
            let id = order[firstItem]
            firstItem += 1
            if items[id]?.record.state == .waiting {
                order.append(id)
            } else if let item = items.removeValue(forKey: id) {
                for copy in item.record.copies.dropFirst() { laterCopies[copy.envelopeID] = nil }
                if let path = item.responsePath { responseURLs[path] = nil }
            }
        }
        if firstItem > 512, firstItem > order.count / 2 {
            order.removeFirst(firstItem)
            firstItem = 0
        }
    }
}

/// What a client sends, as far as Slack looks at it; also an envelope that is to be sent as it is.
struct ClientMessage {
    var envelopeID: String?
    /// As it came.
    var payload: [UInt8]?
    var type: String?
    var acceptsResponsePayload: Bool?

    /// nil: not a JSON object.
    init?(_ text: [UInt8]) {
        var scanner = JSONScanner(text)
        do {
            try scanner.enterObject()
            while let key = try scanner.nextKey() {
                let name = scanner.text(of: key)
                let value = try scanner.readValue()
                switch name {
                case "envelope_id": envelopeID = scanner.string(value)
                case "payload": payload = Array(text[value.range])
                case "type": type = scanner.string(value)
                case "accepts_response_payload": acceptsResponsePayload = scanner.boolean(value)
                default: break
                }
            }
            try scanner.finish()
        } catch {
            return nil
        }
    }
}
