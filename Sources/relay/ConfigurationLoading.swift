// Reading relay.yaml and the secrets it refers to.

import ArgumentParser
import Foundation
import RelayConfiguration
import RelayCore

/// The option that every command with a configuration has.
struct ConfigurationOption: ParsableArguments {
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "The configuration file.", discussion: "relay.yaml.example shows every key.", valueName: "file"))
    var config = "relay.yaml"

    /// Reads and checks the file; every problem with its line and column.
    func load() throws -> Configuration {
        let text: [UInt8]
        do {
            text = Array(try Data(contentsOf: URL(fileURLWithPath: config)))
        } catch {
            let reason =
                (error as? CocoaError)?.code == .fileReadNoSuchFile ? "no such file" : error.localizedDescription
            throw CommandFailure(.configuration, "cannot read \(config): \(reason)")
        }
        do {
            return try Configuration.parse(yaml: text, file: config)
        } catch {
            throw CommandFailure(.configuration, "the configuration is invalid\n\(error)")
        }
    }
}

extension Configuration {
    /// The secrets that must be there at the start, so that a forgotten variable is found now and not at the first delivery.
    func checkSecrets(_ secrets: any SecretReader) throws {
        let references = [slack.appToken, slack.signingSecret] + backends.compactMap(\.signingSecret)
        let problems = Set(references).sorted { $0.description < $1.description }.compactMap { reference -> String? in
            do throws(SecretError) {
                _ = try secrets.secret(reference)
                return nil
            } catch {
                return "\(error)"
            }
        }
        guard problems.isEmpty else { throw CommandFailure(.configuration, problems.joined(separator: "\n")) }
    }
}
