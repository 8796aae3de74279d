// `relay simulate`: a Slack on this machine, to develop and test against.

import ArgumentParser
import Foundation
import Logging
import Relay
import RelayConfiguration
import RelayCore
import ServiceLifecycle
import SlackSimulator
import UnixSignals

struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate", abstract: "Simulate Slack: the API call, the WebSockets, and whatever can go wrong.",
        discussion: SlackSimulator.help)

    @Option(
        help: ArgumentHelp("Address to listen on; off loopback anybody who reaches it can read and send everything."))
    var host = "127.0.0.1"
    @Option(help: "Port to listen on; 0 takes any free one.")
    var port = 9500
    @Option(help: ArgumentHelp("Send a sample each so many seconds.", valueName: "seconds"))
    var every: Double?
    @Option(help: "What --every sends: \(SimulatedSample.allCases.map(\.rawValue).joined(separator: ", ")).")
    var sample = SimulatedSample.message
    @Option(help: "What the person writes in samples of --every.")
    var text: String?
    @Option(help: ArgumentHelp("The command in samples of --every.", valueName: "/command"))
    var command: String?
    @Option(help: ArgumentHelp("The callback_id in samples of --every.", valueName: "id"))
    var callbackID: String?
    @Option(help: ArgumentHelp("The action_id in samples of --every.", valueName: "id"))
    var actionID: String?
    @Option(
        help: ArgumentHelp("Refresh each connection after so many seconds (Slack: about 18060).", valueName: "seconds"))
    var lifetime: Double = 18_060
    @Option(help: "Registered connections that nobody holds.")
    var ghosts = 0
    @Flag(help: "Send events that are not acknowledged again within a second, not over six minutes.")
    var fastRedelivery = false
    @Option(help: ArgumentHelp("PEM file with a certificate: listens with TLS; wants --key.", valueName: "file"))
    var certificate: String?
    @Option(help: ArgumentHelp("PEM file with the certificate's key.", valueName: "file"))
    var key: String?

    func validate() throws {
        guard (0...65_535).contains(port) else { throw ValidationError("--port must be 0 to 65535, is \(port)") }
        guard ghosts >= 0 else { throw ValidationError("--ghosts must not be negative, is \(ghosts)") }
        guard lifetime > 0, lifetime < 1e9 else { throw ValidationError("--lifetime must be positive, is \(lifetime)") }
        if let every, !(every > 0 && every <= 86_400) {
            throw ValidationError("--every must be more than 0 and at most 86400 seconds, is \(every)")
        }
        if let command, !command.hasPrefix("/") {
            throw ValidationError("--command must begin with a slash, is \(command)")
        }
        guard (certificate == nil) == (key == nil) else { throw ValidationError("--certificate and --key go together") }
    }

    func run() async throws {
        let simulator: SlackSimulator
        do {
            simulator = try await SlackSimulator.start(
                makeConfiguration(), logger: ConsoleLog.makeLogger("relay.simulator", level: .info, format: .text))
        } catch {
            throw CommandFailure(.failed, "\(error)")
        }
        print("Slack is simulated at \(simulator.apiURL)")
        print("Control it at        \(simulator.controlURL); relay simulate --help tells how")
        fflush(nil)
        var services: [any Service] = [
            simulator, NewsPrinter(news: try await simulator.envelopeNews(), printsEvents: every != nil),
        ]
        if let every {
            let values = SampleValues(text: text, command: command, callbackID: callbackID, actionID: actionID)
            services.append(
                SampleSender(simulator: simulator, sample: sample, values: values, interval: .seconds(every)))
        }
        let logger = ConsoleLog.makeLogger("relay.simulator", level: .warning, format: .text)
        let group = ServiceGroup(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        try await group.run()
    }

    private func makeConfiguration() -> SlackSimulatorConfiguration {
        var configuration = SlackSimulatorConfiguration(
            host: host, port: port, connectionLifetime: .seconds(lifetime), ghosts: ghosts)
        if fastRedelivery { configuration.redelivery = SlackSimulatorConfiguration.fastRedelivery }
        if let certificate, let key {
            configuration.tls = SlackSimulatorConfiguration.TLS(certificateFile: certificate, keyFile: key)
        }
        return configuration
    }
}

extension SimulatedSample: ExpressibleByArgument {}

/// Sends a sample again and again until the group shuts down.
private struct SampleSender: Service {
    let simulator: SlackSimulator
    let sample: SimulatedSample
    let values: SampleValues
    let interval: Duration

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while (try? await Task.sleep(for: interval)) != nil {
                _ = try? await simulator.send(sample, values)
            }
        }
    }
}

/// A line on standard output for each settled envelope that a person waits for, and for each `response_url` post: when,
/// what, how it was acknowledged, what the person sees.
private struct NewsPrinter: Service {
    let news: AsyncStream<EnvelopeNews>
    /// Events have nobody who waits, and there may be many of them.
    let printsEvents: Bool

    func run() async throws {
        for await news in news.cancelOnGracefulShutdown() {
            switch news {
            case .settled(let record):
                let acknowledged = record.acknowledgedAfter.map { after in
                    let holds = record.acknowledgement?.payload == nil ? "bare" : "with a payload"
                    return "acknowledged after \(after.milliseconds) ms, \(holds)"
                }
                line(
                    record, record.acknowledgement?.at, acknowledged ?? "NOT ACKNOWLEDGED",
                    record.seenOfAcknowledgement)
            case .posted(let record):
                guard let post = record.posts.last else { continue }
                line(record, post.at, "response_url post", record.seen(of: post))
            }
        }
    }

    private func line(_ record: EnvelopeRecord, _ time: Timestamp?, _ what: String, _ seen: String) {
        let happening = record.happening
        guard let kind = happening.kind, kind != .event || printsEvents else { return }
        let time = LogTime.format(time ?? SystemClock().now).dropFirst(11).prefix(12)
        let columns = [String(time), pad(happening.summary, 32), pad(what, 44), "sees: \(seen)"]
        print(columns.joined(separator: "  ").printable)
        fflush(nil)
    }

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}
