// Reading relay.yaml and the secrets it refers to.

import ArgumentParser
import Foundation
import Logging
import Relay
import RelayConfiguration
import RelayCore
import Signing
import WebhookSender

/// The option that every command with a configuration has.
struct ConfigurationOption: ParsableArguments {
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "The configuration file.", discussion: "relay.yaml.example shows every key.", valueName: "file"))
    var config = "relay.yaml"

    /// Reads and checks the file; every problem with its line and column.
    func load() throws -> Configuration {
        do throws(ConfigurationErrors) {
            return try Self.read(config)
        } catch {
            let isUnreadable = error.errors.allSatisfy { $0.line == 0 }
            throw CommandFailure(
                .configuration, isUnreadable ? "\(error)" : "the configuration is invalid\n\(error)")
        }
    }

    private static func read(_ config: String) throws(ConfigurationErrors) -> Configuration {
        guard let text = try? Data(contentsOf: URL(fileURLWithPath: config)) else {
            throw ConfigurationErrors(withoutPlace: ["cannot read \(config): \(unreadableReason(config))"])
        }
        return try Configuration.parse(yaml: Array(text), file: config)
    }

    /// Where a running gateway finds the file again; it checks there what it checked at the start.
    func makeSource(_ secrets: any SecretReader, _ level: LogLevel) -> ConfigurationSource {
        ConfigurationSource(
            name: config, version: { [config] in FileVersion(of: config) },
            load: { [config] () throws(ConfigurationErrors) in
                let configuration = try Self.read(config)
                let problems = configuration.secretProblems(secrets) + configuration.fileProblems()
                guard problems.isEmpty else { throw ConfigurationErrors(withoutPlace: problems) }
                return configuration
            },
            setLogLevel: { level.set(Logger.Level($0)) })
    }
}

extension ConfigurationErrors {
    /// Of what stands in no place of the file.
    fileprivate init(withoutPlace problems: [String]) {
        self.init(problems.map { ConfigurationError(file: "", line: 0, column: 0, message: $0) })
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
    /// The secrets that must be there at the start, so that a forgotten variable, or a secret of the wrong kind, is
    /// found now and not at the first delivery. Those of every signing entry, whether it is valid now or not.
    func checkSecrets(_ secrets: any SecretReader) throws {
        let found = secretProblems(secrets)
        guard found.isEmpty else {
            throw CommandFailure(
                .configuration, "secrets are missing or cannot be used\n\(found.joined(separator: "\n"))")
        }
    }

    func secretProblems(_ secrets: any SecretReader) -> [String] {
        var problems: [String?] = apps.flatMap { app in
            [
                problem("\(key(of: app)).app_token", app.appToken, secrets, form: Self.appTokenProblem),
                problem("\(key(of: app)).signing_secret", app.signingSecret, secrets),
            ]
        }
        for backend in backends {
            problems += backend.signing.enumerated().map { index, entry in
                problem("backends.\(backend.name).signing[\(index)].secret", entry.secret, secrets) {
                    Self.keyProblem(entry.scheme, $0)
                }
            }
        }
        if let token = admin?.token {
            problems.append(problem("admin.token", token, secrets, form: AdminConfiguration.problem(ofToken:)))
        }
        if alarms.url != nil, let secret = alarms.secret {
            problems.append(problem("alarms.secret", secret, secrets) { Self.keyProblem(.standardWebhooks, $0) })
        }
        return problems.compactMap(\.self)
    }

    /// What is wrong with one secret, with the key and the reference; nil: nothing.
    /// - Parameter form: what is wrong with the value itself, as the end of a sentence. Must not show it.
    private func problem(
        _ key: String, _ reference: SecretReference, _ secrets: any SecretReader,
        form: (Secret) -> String? = { _ in nil }
    ) -> String? {
        do throws(SecretError) {
            return form(try secrets.secret(reference)).map { "\(key): \(reference) \($0)" }
        } catch {
            return "\(key): \(error)"
        }
    }

    private static func keyProblem(_ scheme: SigningScheme, _ secret: Secret) -> String? {
        do throws(KeyFormatError) {
            _ = try SigningKey(scheme, secret)
            return nil
        } catch {
            return error.description
        }
    }

    private static func appTokenProblem(_ token: Secret) -> String? {
        guard !token.bytes.starts(with: Array("xapp-".utf8)) else { return nil }
        return
            "does not begin with xapp-: an app-level token is wanted (Basic Information, App-Level Tokens), not a bot "
            + "or user token"
    }
}
