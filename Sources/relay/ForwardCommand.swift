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

            Commands, modals, menus and buttons get the backend's own reply: in time within the acknowledgement, later through their \
            response_url. The line shows the reply and what Slack was told.

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
        let signals = await EndSignals()
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
        printError("forwarding to \(url.withoutUserinfo); end with ctrl-C")
        try await composition.runForCommand(until: signals)
    }
}

/// A line per request on standard output: when, what, the answer, how long it took.
struct RequestPrinter: DeliveryObserver {
    func attemptFinished(_ delivery: Delivery, _ result: AttemptResult, number: Int, duration: Duration) {
        let answer = result.status.map(String.init) ?? result.outcome.reason.map(\.description) ?? result.outcome.word
        let again = number > 1 ? "  (attempt \(number))" : ""
        let detail = result.status == nil && !result.detail.isEmpty ? "  \(result.detail)" : ""
        let what = PayloadSummary.make(delivery.kind, delivery.payload)
        write(what, answer, "\(duration.milliseconds) ms", again + detail)
    }

    func settled(_ settlements: [Settlement], of backend: BackendName) {}

    func answered(_ report: AnswerReport) {
        let what = PayloadSummary.make(report.envelope.kind, report.envelope.payload)
        let again = report.attempts > 1 ? "  (attempt \(report.attempts))" : ""
        write(what, report.said, "\(report.attemptDuration.milliseconds) ms", "\(again)  \(report.story)")
    }

    func posted(_ id: LateAnswer.ID, isDone: Bool, isAccepted: Bool, detail: String) {
        let story = isAccepted ? "posted" : isDone ? "given up: \(detail)" : "\(detail); trying again"
        write("post to response_url", "", "", "  \(story)")
    }

    private func write(_ what: String, _ answer: String, _ duration: String, _ rest: String) {
        let time = String(LogTime.now().dropFirst(11).prefix(12))
        let columns = [time, pad(what, 36), pad(answer, 20), rest.isEmpty ? duration : pad(duration, 8)]
        print((columns.joined(separator: "  ") + rest).printable)
        fflush(nil)
    }

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}

/// What a payload is about, in a few words and without what people wrote: `event message`, `command /deploy`.
enum PayloadSummary {
    static func make(_ kind: Kind, _ payload: Payload) -> String {
        let attributes = SampleEnvelope.read(payload.bytes)?.attributes
        let what: String? =
            switch kind {
            case .event: attributes?.event
            case .command: attributes?.command
            case .interaction, .options: attributes?.payloadType
            }
        return [kind.rawValue, what].compactMap { $0 }.joined(separator: " ")
    }
}
