// `relay serve`: the gateway as a service.

import ArgumentParser
import Logging
import Relay
import RelayConfiguration
import RelayCore

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run the gateway.",
        discussion: """
            Holds the connections to Slack, stores, acknowledges and delivers, until SIGTERM or SIGINT: then it closes its \
            connections, finishes what is in flight within drain_timeout, and exits 0. A second signal ends it at once.

            Reads its configuration again at SIGHUP, and when the file changes: all of it is taken over, or, when something is \
            wrong, nothing.

            Example:
              relay serve --config relay.yaml
            """)

    @OptionGroup var file: ConfigurationOption

    func run() async throws {
        let signals = await EndSignals()
        let configuration = try file.load()
        let secrets = SecretStore()
        try configuration.checkSecrets(secrets)
        try configuration.checkFiles()
        let level = LogLevel(Logger.Level(configuration.log.level))
        let logger = ConsoleLog.makeLogger("relay", level: level, format: configuration.log.format)
        try await Composition(
            configuration: configuration, source: file.makeSource(secrets, level), secrets: secrets, logger: logger
        ).runForCommand(until: signals)
    }
}

extension Composition {
    /// Runs until drained; failures to start get their exit codes.
    func runForCommand(until signals: EndSignals) async throws {
        do {
            try await run(until: signals)
        } catch let error as QueueError {
            throw CommandFailure(.store, "\(error)")
        } catch let error as SlackRefusedError {
            throw CommandFailure(.refused, "\(error)")
        } catch {
            throw CommandFailure(.failed, "\(error)")
        }
    }
}

extension Logger.Level {
    init(_ level: LogConfiguration.Level) {
        self =
            switch level {
            case .trace: .trace
            case .debug: .debug
            case .info: .info
            case .notice: .notice
            case .warning: .warning
            case .error: .error
            case .critical: .critical
            }
    }
}
