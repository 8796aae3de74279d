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

    /// - Parameter limits: nil: the defaults of the driver; memory is smaller than disks are.
    package init(driver: Driver = .sqlite, path: String = defaultPath, limits: QueueLimits? = nil) {
        self.driver = driver
        self.path = path
        self.limits = limits ?? QueueLimits(maxBytes: Self.defaultMaxBytes(driver))
    }

    package static func defaultMaxBytes(_ driver: Driver) -> Int64 {
        switch driver {
        case .sqlite: 4 << 30
        case .memory: 256 << 20
        }
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
