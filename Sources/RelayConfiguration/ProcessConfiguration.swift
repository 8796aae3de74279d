// The sections `health` and `log`: how the process shows itself.

package import RelayCore

/// Where `/healthz`, `/readyz` and `/metrics` are served.
package struct HealthConfiguration: Sendable, Equatable {
    /// An address or a host name; IPv6 without brackets.
    package var host: String
    /// 0: any free one.
    package var port: Int

    package init(host: String = "0.0.0.0", port: Int = 9390) {
        self.host = host
        self.port = port
    }

    package var address: ListenAddress { ListenAddress(host: host, port: port) }

    enum Key: String, ConfigurationKey { case listen }
}

/// What is written to standard error.
package struct LogConfiguration: Sendable, Equatable {
    package var level: Level
    /// nil: text when standard error is a terminal, else JSON.
    package var format: Format?

    /// The levels of swift-log, by their names.
    package enum Level: String, Sendable, CaseIterable {
        case trace, debug, info, notice, warning, error, critical
    }

    package enum Format: String, Sendable, CaseIterable {
        /// One JSON object per line.
        case json
        /// One line for people.
        case text
    }

    package init(level: Level = .info, format: Format? = nil) {
        self.level = level
        self.format = format
    }

    enum Key: String, ConfigurationKey { case level, format }
}
