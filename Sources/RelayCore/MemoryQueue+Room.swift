// What the in-memory queue holds of an envelope, and which deliveries make room for others.

extension MemoryQueue {
    /// Makes room for new envelopes, or changes nothing and throws `full`. Returns the backends of which a delivery goes
    /// on that waited for one that was dropped.
    func makeRoom(for needed: Int64, mayDrop: Bool, now: Timestamp) throws(QueueError) -> Set<BackendName> {
        guard bytes + needed > limits.maxBytes, needed > 0 else { return [] }
        guard mayDrop, limits.whenFull == .dropOldest, needed <= limits.maxBytes,
            let victims = victims(freeing: bytes + needed - limits.maxBytes)
        else { throw .full(needed: needed, held: bytes, limit: limits.maxBytes) }
        return Set(victims.compactMap { drop($0, now: now) })
    }

    /// The oldest waiting deliveries whose removal frees that many bytes, without those whose envelope is needed all the
    /// same; nil when all of them together do not.
    private func victims(freeing excess: Int64) -> [Int64]? {
        var freed: Int64 = 0
        var victims: [Int64] = []
        /// By the envelope, which others need so far.
        var candidates: [Int64: [Int64]] = [:]
        for sequence in arrivals.sequences {
            guard freed < excess else { break }
            guard let entry = entries[sequence], entry.isWaiting else { continue }
            candidates[entry.envelope, default: []].append(sequence)
            guard let envelope = envelopes[entry.envelope],
                candidates[entry.envelope]?.count == envelope.deliveries
            else { continue }
            victims += candidates.removeValue(forKey: entry.envelope) ?? []
            freed += envelope.bytes
        }
        return freed >= excess ? victims : nil
    }

    /// Returns the backend, when a delivery of it goes on.
    private func drop(_ sequence: Int64, now: Timestamp) -> BackendName? {
        guard let entry = entries[sequence] else { return nil }
        let backend = entry.delivery.backend
        lines[backend]?.unfinished[entry.state, default: 0] -= 1
        lines[backend]?.dropped += 1
        forget(sequence)
        let goesOn = leaveOrder(entry, now: now)
        trimPositions(of: backend)
        return goesOn ? backend : nil
    }

    /// Keeps the positions in proportion to what is unfinished.
    private func trimPositions(of backend: BackendName) {
        guard var line = lines[backend], line.positions.count > 2 * line.unfinishedCount + 64 else { return }
        lines[backend] = nil  // so that the heap is not copied
        line.positions = MinHeap(
            line.arrivals.sequences.compactMap { entries[$0] }.filter(\.canBeLeased).map(\.position))
        lines[backend] = line
    }
}

extension EnqueueRequest {
    /// What memory keeps of it: not the record of a delivery that is complete or expired.
    var heldInMemory: EnqueueRequest {
        guard let settled, settled.settlement.verb.state != .dead else { return self }
        return EnqueueRequest(envelope: envelope, targets: targets)
    }

    var heldBytes: Int64 { deliveryCount == 0 ? 0 : storedBytes }
}

extension QueueError {
    /// The error of a queue that has no room: names what was asked for, what is held and the limit.
    package static func full(needed: Int64, held: Int64, limit: Int64) -> QueueError {
        QueueError(
            .full, "no room for \(needed) bytes: \(held) bytes are held and queue.max_bytes is \(limit) bytes")
    }
}
