// Where a running gateway finds its configuration again.

package import RelayConfiguration

/// The file that the process was started with, and what else a change of it touches. Made by the commands that have a
/// file.
package struct ConfigurationSource: Sendable {
    /// As messages name it.
    package var name: String
    /// What tells versions of the file apart; nil while it cannot be looked at.
    package var version: @Sendable () -> FileVersion?
    /// Reads and checks everything that can be wrong, secrets and files included: what comes of it is taken over whole.
    package var load: @Sendable () throws(ConfigurationErrors) -> Configuration
    /// From now on this is written to the log.
    package var setLogLevel: @Sendable (LogConfiguration.Level) -> Void

    package init(
        name: String, version: @escaping @Sendable () -> FileVersion?,
        load: @escaping @Sendable () throws(ConfigurationErrors) -> Configuration,
        setLogLevel: @escaping @Sendable (LogConfiguration.Level) -> Void
    ) {
        self.name = name
        self.version = version
        self.load = load
        self.setLogLevel = setLogLevel
    }
}
