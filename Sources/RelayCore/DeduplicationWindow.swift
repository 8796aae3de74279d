// The deduplication keys that the in-memory queue has seen.

/// Remembers keys from when their first envelope was received until the window ends, or until there are too many.
struct DeduplicationWindow: Sendable {
    private struct Key: Hashable {
        var app: AppName
        var text: String

        init?(_ envelope: Envelope) {
            guard let text = envelope.deduplicationKey else { return nil }
            self.app = envelope.app
            self.text = text
        }

        /// With what the two collections need for it, rounded up.
        var bytes: Int64 { Int64(app.text.utf8.count + text.utf8.count) + 128 }
    }

    private let window: Duration
    private let maxBytes: Int64
    private var seen: [Key: Timestamp] = [:]
    /// In the order remembered, from `head`; a key that was remembered again is there twice.
    private var order: [(key: Key, at: Timestamp)] = []
    private var head = 0
    private var bytes: Int64 = 0

    /// - Parameter maxBytes: the bound of the keys together; at least 64 KiB are used.
    init(window: Duration, maxBytes: Int64) {
        self.window = window
        self.maxBytes = max(maxBytes, 64 << 10)
    }

    /// For each request, whether its envelope was remembered, or comes earlier among the requests.
    func duplicates(among requests: [EnqueueRequest]) -> [Bool] {
        var new: [Key: Timestamp] = [:]
        return requests.map { request in
            guard let key = Key(request.envelope) else { return false }
            if let at = new[key] ?? seen[key], request.envelope.receivedAt < at.advanced(by: window) { return true }
            new[key] = request.envelope.receivedAt
            return false
        }
    }

    mutating func remember(_ envelope: Envelope) {
        guard let key = Key(envelope) else { return }
        seen[key] = envelope.receivedAt
        order.append((key, envelope.receivedAt))
        bytes += key.bytes
        while bytes > maxBytes, head < order.count { forgetFirst() }
        trim()
    }

    /// Forgets up to `steps` keys whose window has ended, counting `steps` down. Returns whether more could be
    /// forgotten.
    mutating func prune(now: Timestamp, steps: inout Int) -> Bool {
        while head < order.count, order[head].at.advanced(by: window) <= now {
            guard steps > 0 else { return true }
            forgetFirst()
            steps -= 1
        }
        trim()
        return false
    }

    private mutating func forgetFirst() {
        let first = order[head]
        head += 1
        bytes -= first.key.bytes
        if seen[first.key] == first.at { seen[first.key] = nil }
    }

    private mutating func trim() {
        guard head > 64, head > order.count / 2 else { return }
        order.removeFirst(head)
        head = 0
    }
}
