// `relay doctor`: what keeps a gateway from working, and what to do about it.

import ArgumentParser
import Curl
import Foundation
import Relay
import RelayConfiguration
import RelayCore

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Look for what keeps the gateway from working.",
        discussion: """
            Checks the way to Slack (DNS, proxy, TLS), the clock, the token, the place of the queue, and each backend, with a \
            signed url_verification; says what to do about each failure. A gateway may be running meanwhile.

            Exit codes: 0 nothing failed, 1 something failed, 77 Slack refused the token, 78 configuration invalid.

            Example:
              relay doctor --config relay.yaml
            """)

    @OptionGroup var file: ConfigurationOption
    @Option(help: "table or json, an object per line.")
    var output = Output.table

    func run() async throws {
        let configuration = try file.load()
        let secrets = SecretStore()
        try configuration.checkSecrets(secrets)
        try configuration.checkFiles()
        if output == .table { Self.printLine(Finding(file.config, .ok, "is valid, and its secrets are there")) }
        let client = CurlClient()
        var findings: [Finding] = []
        await Doctor(configuration: configuration, secrets: secrets, client: client).examine { finding in
            findings.append(finding)
            output == .table ? Self.printLine(finding) : Self.printJSON(finding)
        }
        client.shutdown()
        let failed = findings.filter { $0.verdict == .failed }
        if failed.contains(where: \.isRefusal) { throw CommandFailure(.refused, "Slack refuses the token") }
        guard failed.isEmpty else {
            throw CommandFailure(.failed, "failed: \(failed.map(\.subject).joined(separator: ", "))")
        }
    }

    private static func printLine(_ finding: Finding) {
        let mark =
            switch finding.verdict {
            case .ok: Paint.green("ok     ")
            case .warning: Paint.yellow("warning")
            case .failed: Paint.red("failed ")
            }
        print("\(mark)  \(finding.subject): \(finding.detail.printable)")
        if let advice = finding.advice { print("         → \(advice)") }
    }

    private static func printJSON(_ finding: Finding) {
        let fields = [
            ("subject", finding.subject), ("verdict", finding.verdict.rawValue), ("detail", finding.detail),
        ]
        let members = (fields + (finding.advice.map { [("advice", $0)] } ?? [])).map { "\($0.quoted):\($1.quoted)" }
        print("{\(members.joined(separator: ","))}")
    }
}
