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
            throw CommandFailure(.configuration, "cannot read \(config): \(unreadableReason(config))")
        }
        do {
            return try Configuration.parse(yaml: text, file: config)
        } catch {
            throw CommandFailure(.configuration, "the configuration is invalid\n\(error)")
        }
    }
}

/// Why a file could not be read, in the system's words.
func unreadableReason(_ path: String) -> String {
    var isDirectory: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue {
        return "it is a directory"
    }
    errno = 0
    return access(path, R_OK) == 0 ? "it cannot be read" : String(cString: strerror(errno))
}

extension Configuration {
    /// The secrets that must be there at the start, so that a forgotten variable, or a token of the wrong kind, is
    /// found now and not at the first delivery.
    func checkSecrets(_ secrets: any SecretReader) throws {
        var references = [("slack.app_token", slack.appToken), ("slack.signing_secret", slack.signingSecret)]
        for backend in backends {
            if let secret = backend.signingSecret { references.append(("backends.\(backend.name).signing", secret)) }
        }
        let problems = references.compactMap { key, reference -> String? in
            do throws(SecretError) {
                let secret = try secrets.secret(reference)
                guard key == "slack.app_token", !secret.bytes.starts(with: Array("xapp-".utf8)) else { return nil }
                return
                    "\(key): \(reference) does not begin with xapp-: an app-level token is wanted (Basic Information, "
                    + "App-Level Tokens), not a bot or user token"
            } catch {
                return "\(key): \(error)"
            }
        }
        guard problems.isEmpty else { throw CommandFailure(.configuration, problems.joined(separator: "\n")) }
    }
}
