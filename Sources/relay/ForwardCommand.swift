// `relay forward`: the gateway on a laptop, without a configuration file.

import ArgumentParser
import Foundation
import Logging
import Relay
import RelayConfiguration
import RelayCore

struct ForwardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forward", abstract: "Forward everything to one URL, and show each request.",
        discussion: """
            Needs no file and opens no port. The app-level token is read from SLACK_APP_TOKEN, the signing secret from \
            SLACK_SIGNING_SECRET. Prints a line per request on standard output. What was not delivered is forgotten at the end, unless \
            --queue names a file. Exits 77 when Slack refuses the token.

            Commands, buttons and modals are delivered as events are: acknowledged at once, the backend's reply is not shown to the \
            person. (Answers come with a later version.)

            Example:
              export SLACK_APP_TOKEN=xapp-… SLACK_SIGNING_SECRET=…
              relay forward http://localhost:3000/slack/events
            """)

    @Argument(help: "The backend's URL, http or https.")
    var url: String
    @Option(help: ArgumentHelp("Keep deliveries in this file over restarts.", valueName: "path"))
    var queue: String?
    @Option(help: ArgumentHelp("Where Slack's API is, for use with `relay simulate`.", valueName: "url"))
    var apiURL = SlackConfiguration.defaultAPIURL
    @Flag(name: .shortAndLong, help: "Log every attempt, too.")
    var verbose = false

    func run() async throws {
        let configuration: Configuration
        do {
            configuration = try Configuration.forward(
                url: url, appToken: .environment("SLACK_APP_TOKEN"),
                signingSecret: .environment("SLACK_SIGNING_SECRET"),
                apiURL: apiURL, queuePath: queue)
        } catch {
            throw CommandFailure(.usage, "\(error)")
        }
        let secrets = SecretStore()
        try configuration.checkSecrets(secrets)
        let logger = ConsoleLog.makeLogger("relay", level: verbose ? .debug : .info, format: .text)
        let composition = Composition(
            configuration: configuration, secrets: secrets, observer: RequestPrinter(), endsWhenRefused: true,
            logger: logger)
        printError("forwarding to \(url); end with ctrl-C")
        try await composition.runForCommand()
    }
}

/// A line per request on standard output: when, what, the answer, how long it took.
struct RequestPrinter: DeliveryObserver {
    func attemptFinished(_ delivery: Delivery, _ result: AttemptResult, number: Int, duration: Duration) {
        let answer = result.status.map(String.init) ?? result.outcome.reason.map(\.description) ?? result.outcome.word
        let again = number > 1 ? "  (attempt \(number))" : ""
        let detail = result.status == nil && !result.detail.isEmpty ? "  \(result.detail)" : ""
        let columns = [
            String(LogTime.now().dropFirst(11).prefix(12)), pad(PayloadSummary.make(delivery), 36), pad(answer, 20),
            "\(duration.milliseconds) ms",
        ]
        print(columns.joined(separator: "  ") + again + detail)
        fflush(nil)
    }

    func settled(_ settlements: [Settlement]) {}

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}

/// What a payload is about, in a few words and without what people wrote: `event message`, `command /deploy`.
enum PayloadSummary {
    static func make(_ delivery: Delivery) -> String {
        let attributes = SampleEnvelope.read(delivery.payload.bytes)?.attributes
        let what: String? =
            switch delivery.kind {
            case .event: attributes?.event
            case .command: attributes?.command
            case .interaction, .options: attributes?.payloadType
            }
        return [delivery.kind.rawValue, what].compactMap { $0 }.joined(separator: " ")
    }
}
