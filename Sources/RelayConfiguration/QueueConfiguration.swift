// The section `queue`: where deliveries wait, and how many.

package import RelayCore

/// The queue's adapter and its bounds.
package struct QueueConfiguration: Sendable, Equatable {
    package var driver: Driver
    /// The database file; without meaning for `memory`.
    package var path: String
    /// `backendsWithoutRecords` follows from `record_payloads` of the backends.
    package var limits: QueueLimits

    package enum Driver: String, Sendable, CaseIterable {
        case sqlite
        /// Forgets everything when the process ends.
        case memory
    }

    package static let defaultPath = "/var/lib/relay/relay.db"

    package init(driver: Driver = .sqlite, path: String = defaultPath, limits: QueueLimits = .init()) {
        self.driver = driver
        self.path = path
        self.limits = limits
    }

    enum Key: String, ConfigurationKey {
        case driver, path
        case maxBytes = "max_bytes"
        case whenFull = "when_full"
        case dedupeWindow = "dedupe_window"
        case retention
    }

    enum RetentionKey: String, ConfigurationKey { case delivered, dead }
}
