// The section `queue` from the file.

import RelayCore

extension QueueConfiguration {
    init(decoding section: Section<Key>) {
        self.init()
        section.read(.driver, into: &driver, .choice(later: ["jetstream"]))
        section.read(.path, into: &path, .line)
        if driver == .memory {
            section.refuse(.path, "is only for driver: sqlite; driver: memory keeps nothing on disk")
        }
        limits.maxBytes = Self.defaultMaxBytes(driver)
        section.read(.maxBytes, into: &limits.maxBytes, .size(in: 64 << 10...16 << 40))
        section.read(.whenFull, into: &limits.whenFull, .choice)
        section.read(.dedupeWindow, into: &limits.deduplicationWindow, .duration(in: .zero ... .days(30)))
        guard let retention: Section<RetentionKey> = section.section(.retention) else { return }
        retention.read(.delivered, into: &limits.deliveredRetention, .duration(in: .zero ... .days(365)))
        retention.read(.dead, into: &limits.deadRetention, .duration(in: .zero ... .days(365)))
    }
}
