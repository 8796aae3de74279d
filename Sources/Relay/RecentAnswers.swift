// What was answered lately, so that a copy that Slack sends again is answered in the same way, without the backend.

import RelayCore

/// Slack sends no command or click again, as far as is documented; one observation says otherwise (slack-protocol.md
/// §3.6). Kept in memory, bounded by number and size: the oldest are forgotten first.
struct RecentAnswers: Sendable {
    private static let maxCount = 10_000
    private static let maxBytes = 4 << 20

    struct Key: Hashable, Sendable {
        var app: AppName
        var text: String

        /// nil: nothing tells copies apart.
        init?(_ envelope: Envelope) {
            guard let text = envelope.deduplicationKey else { return nil }
            app = envelope.app
            self.text = text
        }
    }

    private var answers: [Key: AnswerJob.Acknowledgement] = [:]
    private var order = FIFO<Key>()
    private var bytes = 0

    subscript(key: Key) -> AnswerJob.Acknowledgement? { answers[key] }

    mutating func remember(_ key: Key, _ answer: AnswerJob.Acknowledgement) {
        guard answers[key] == nil else { return }
        answers[key] = answer
        order.append(key)
        bytes += size(key, answer)
        while answers.count > Self.maxCount || bytes > Self.maxBytes, let oldest = order.popFirst() {
            if let forgotten = answers.removeValue(forKey: oldest) { bytes -= size(oldest, forgotten) }
        }
    }

    private func size(_ key: Key, _ answer: AnswerJob.Acknowledgement) -> Int {
        key.text.utf8.count + (answer.payload?.bytes.count ?? 0)
    }
}
