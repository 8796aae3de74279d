// `relay config`: look at the configuration without running it.

import ArgumentParser
import RelayConfiguration
import RelayCore

struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Check the configuration, or show what it comes to.",
        subcommands: [Check.self, Show.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say whether the file, its secrets and the files it names are right; exit 78 when not.",
            discussion: """
                A mistake in the file is printed with file:line:column; a secret or a file that cannot be read with the key that \
                names it. Secrets are never printed. Warned of, with exit 0, is a backend that no route leads to, and a route that \
                never matches because one before it takes all that it could.

                Example:
                  relay config check --config relay.yaml
                """)

        @OptionGroup var file: ConfigurationOption
        @Flag(help: "Look up neither secrets nor files, for checks on another machine.")
        var withoutSecrets = false

        func run() throws {
            let configuration = try file.load()
            if !withoutSecrets {
                try configuration.checkSecrets(SecretStore())
                try configuration.checkFiles()
            }
            for warning in configuration.warnings { printError("relay: warning: \(warning)") }
            let backends = configuration.routedBackends.map(\.name.text).joined(separator: ", ")
            let count = configuration.routes.count
            let routes = count == 0 ? "no route" : "\(count) route\(count == 1 ? "" : "s") to \(backends)"
            let unseen = withoutSecrets ? "; secrets and files were not looked at" : ""
            print("\(file.config) is valid: \(routes)\(unseen)")
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the whole configuration with every default; secrets as ***.",
            discussion: """
                Example:
                  relay config show --config relay.yaml
                """)

        @OptionGroup var file: ConfigurationOption

        func run() throws {
            print(try file.load().redactedYAML(), terminator: "")
        }
    }
}
