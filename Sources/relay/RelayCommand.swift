// The command line: `relay` and its subcommands.

import ArgumentParser
import Glibc
import Relay

@main
enum Main {
    static func main() async {
        // A backend, a pipe or a terminal that goes away must not end the process.
        signal(SIGPIPE, SIG_IGN)
        // Whoever wants a configuration read that is not read yet gets what is wanted: `serve` looks at the file once
        // more when it has started, and takes the signal from then on.
        if CommandLine.arguments.dropFirst().first == "serve" { signal(SIGHUP, SIG_IGN) }
        do {
            if let word = RelayCommand.unknownTopic(CommandLine.arguments.dropFirst()) {
                throw CommandFailure(
                    .usage, "there is no command \(word.printable) to help with; relay --help names all")
            }
            var command = try RelayCommand.parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as CommandFailure {
            printError("relay: \(failure.message)")
            exit(failure.code.rawValue)
        } catch {
            end(with: error)
        }
    }

    /// Help and version go to standard output with 0; a wrong call says why on standard error with 2.
    private static func end(with error: any Error) -> Never {
        let code = RelayCommand.exitCode(for: error)
        let message = RelayCommand.fullMessage(for: error)
        if code == .success {
            print(message)
            exit(0)
        }
        if !message.isEmpty { printError(message) }
        exit(code == .validationFailure ? CommandFailure.Code.usage.rawValue : code.rawValue)
    }
}

struct RelayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "relay",
        abstract: "Slack Socket Mode in, signed HTTP POST out.",
        discussion: """
            Relay holds Socket Mode connections to Slack, stores each envelope before acknowledging it, and hands each payload to \
            HTTP backends as the signed POST that Slack's HTTP mode would have sent.

            On a laptop, without a configuration file:
              export SLACK_APP_TOKEN=xapp-… SLACK_SIGNING_SECRET=…
              relay forward http://localhost:3000/slack/events

            As a service:
              relay config check --config relay.yaml
              relay serve --config relay.yaml

            Without Slack:
              relay demo

            Beside a running relay (RELAY_ADMIN_URL, RELAY_ADMIN_TOKEN):
              relay status
              relay dead list

            Exit codes: 0 ok, 1 failed, 2 usage, 69 no relay is there to speak to, or it does not answer, 73 cannot create or lock the store, \
            77 the token was refused (by Slack: forward, doctor; by the admin API), 78 configuration invalid, 130 and 143 \
            ended by a second signal.
            """,
        version: RelayVersion.text,
        subcommands: [
            ServeCommand.self, ForwardCommand.self, DemoCommand.self, SimulateCommand.self, ConfigCommand.self,
            DoctorCommand.self, RouteCommand.self, SignCommand.self, VerifyCommand.self, StatusCommand.self,
            BackendsCommand.self, DeliveriesCommand.self, DeadCommand.self, ReplaysCommand.self,
            ConnectionsCommand.self, ReloadCommand.self, DrainCommand.self, VersionCommand.self,
        ])
}

extension RelayCommand {
    /// The first word of `relay help …` that names no command; ArgumentParser would show the help of what it knows.
    static func unknownTopic(_ arguments: some Collection<String>) -> String? {
        guard arguments.first == "help" else { return nil }
        var subcommands = RelayCommand.configuration.subcommands
        for word in arguments.dropFirst() where !word.hasPrefix("-") && word != "help" {
            guard let command = subcommands.first(where: { $0._commandName == word }) else { return word }
            subcommands = command.configuration.subcommands
        }
        return nil
    }
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Print the version.",
        discussion: """
            Example:
              relay version
            """)

    func run() {
        print("relay \(RelayVersion.text)")
    }
}
