// `relay demo`: the main job from end to end, against the built-in Slack simulator and a backend of its own.

import ArgumentParser
import Foundation
import Logging
import Relay
import RelayConfiguration
import RelayCore
import SlackSimulator

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo", abstract: "Show the way of events and commands through Relay, without Slack.",
        discussion: """
            Starts a simulated Slack, a backend that checks signatures, and the gateway between them, all on loopback. Shows an event \
            that goes in, the signed request that the backend gets, and the delivery's state; the same with a backend that fails \
            once; a slash command that is answered in time, and one whose reply comes too late and reaches the person all the same. \
            Then it ends; with --keep-sending it goes on until ctrl-C.

            Example:
              relay demo --once
            """)

    @Flag(help: "End after that, as without options; for scripts that want to say so.")
    var once = false
    @Flag(help: "Go on with an event every two seconds until ctrl-C.")
    var keepSending = false

    func validate() throws {
        if once && keepSending { throw ValidationError("--once and --keep-sending exclude each other") }
    }

    func run() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("relay-demo-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await Demo(folder: folder, keepSending: keepSending).run()
    }
}

/// The story that the demo tells.
struct Demo: Sendable {
    let folder: URL
    let keepSending: Bool

    private static let signingSecret = "demo-signing-secret"
    private static let appToken = "xapp-demo"

    func run() async throws {
        print("Everything here runs on this machine's loopback; no token is needed.\n")
        let slack = try await SlackSimulator.start(
            .init(appToken: Secret(Self.appToken), closesTCP: true),
            logger: Logger(label: "demo") { _ in SwiftLogNoOpLogHandler() })
        step("A simulated Slack listens on \(slack.apiURL)")
        let scene = DemoScene()
        let backend = DemoBackend(signingSecret: Secret(Self.signingSecret), scene: scene)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await backend.run() }
            let url = "http://127.0.0.1:\(await scene.backendPort())/slack/events"
            step("A backend, written for Slack's HTTP mode, listens on \(url)")
            let relay = makeRelay(slack: slack, backendURL: url, scene: scene)
            group.addTask { try await relay.run(until: EndSignals()) }
            group.addTask {
                try await slack.waitForConnections(atLeast: 2)
                step("Relay holds 2 Socket Mode connections; its queue is \(folder.path)/relay.db")
                try await tell(slack, scene, backend)
            }
            // The story is told, or a signal has ended the gateway.
            try await group.next()
            group.cancelAll()
        }
        await slack.stop()
    }

    private func tell(_ slack: SlackSimulator, _ scene: DemoScene, _ backend: DemoBackend) async throws {
        print("\nAn event, and a backend that is well:\n")
        try await send("Hello from the demo", slack, scene, attempts: 1)
        print("\nAn event, and a backend that answers 503 once:\n")
        backend.failNext()
        try await send("Are you there?", slack, scene, attempts: 2)
        print("\nA person types a command, and the backend replies in time:\n")
        try await ask("/deploy", slack, scene)
        print("\nA command whose backend needs longer than the 3 s that Slack waits:\n")
        try await ask("/report", slack, scene)
        print(
            "\nNothing acknowledged is ever lost: kill -9 right after an acknowledgement would have changed nothing.")
        // A reader that is gone ends it.
        while keepSending, fflush(nil) == 0 {
            print("")
            try await send("Once more", slack, scene, attempts: 1)
            try await Task.sleep(for: .seconds(2))
        }
    }

    private func send(_ text: String, _ slack: SlackSimulator, _ scene: DemoScene, attempts: Int) async throws {
        guard let envelope = try await slack.send(.message, SampleValues(text: text)).first else { return }
        step("Slack sends a message event in envelope \(envelope)")
        let sentAt = SystemClock().now
        guard try await slack.waitForAcknowledgement(of: envelope).state == .acknowledged else {
            return step(Paint.yellow("Relay did not acknowledge it in time: Slack has given it up"))
        }
        let took = sentAt.duration(to: SystemClock().now)
        step("Relay has stored it, and acknowledged it after \(milliseconds(took))")
        for number in 1...attempts {
            if let request = await scene.next(\.requests) { show(request) }
            guard let attempt = await scene.next(\.attempts) else { return }
            let answer = attempt.result.status.map { "answered \($0)" } ?? "did not answer"
            step(
                "Attempt \(number) of delivery \(attempt.id): the backend \(answer) after \(milliseconds(attempt.duration))"
            )
            if let settlement = await scene.next(\.settlements) { show(settlement) }
        }
    }

    private func ask(_ command: String, _ slack: SlackSimulator, _ scene: DemoScene) async throws {
        guard let envelope = try await slack.send(.command, SampleValues(text: "", command: command)).first else {
            return
        }
        step("Slack sends \(command) in envelope \(envelope), and waits")
        if let request = await scene.next(\.requests) {
            let deadline = request.headers.first { $0.name.lowercased() == "x-relay-deadline-ms" }?.value ?? "?"
            step("The backend gets it at once, and has \(deadline) ms to reply")
        }
        var record = try await slack.waitForAcknowledgement(of: envelope)
        guard let acknowledgement = record.acknowledgement, let took = record.acknowledgedAfter else {
            return step(Paint.yellow("Relay did not acknowledge it in time; \(record.seenOfAcknowledgement)"))
        }
        step(
            "Relay acknowledges after \(milliseconds(took)), \(acknowledgement.payload == nil ? "bare: the reply is not there" : "with the backend's reply")"
        )
        step("What the person sees: \(Paint.green(record.seenOfAcknowledgement))")
        guard acknowledgement.payload == nil else { return }
        record = try await slack.waitForPost(to: envelope)
        guard let post = record.posts.first else { return }
        step(
            "The reply comes, and Relay posts it to the response_url, \(milliseconds(record.delay(of: post))) after the command"
        )
        step("What the person sees: \(Paint.green(record.seen(of: post)))")
    }

    private func makeRelay(slack: SlackSimulator, backendURL: String, scene: DemoScene) -> Composition {
        let configuration = Configuration(
            apps: [
                SlackConfiguration(
                    appToken: .environment("SLACK_APP_TOKEN"), signingSecret: .environment("SLACK_SIGNING_SECRET"),
                    startJitter: .zero, apiURL: slack.apiURL)
            ],
            queue: QueueConfiguration(path: folder.appendingPathComponent("relay.db").path),
            backends: [Backend(name: "demo", url: backendURL, retry: RetryPolicy(schedule: [.seconds(1)]))],
            health: nil, admin: nil)
        let secrets = DemoSecrets(values: [
            "SLACK_APP_TOKEN": Secret(Self.appToken), "SLACK_SIGNING_SECRET": Secret(Self.signingSecret),
        ])
        let logger = ConsoleLog.makeLogger("relay", level: .error, format: .text)
        return Composition(configuration: configuration, secrets: secrets, observer: scene, logger: logger)
    }

    private func step(_ text: String) {
        print("  \(Paint.green("●")) \(text)")
    }

    private func show(_ request: DemoRequest) {
        step(
            "The backend gets this request, \(request.isSigned ? "its signature is valid" : "WITHOUT A VALID SIGNATURE"):"
        )
        print(Paint.dim("      POST \(request.path)"))
        for (name, value) in request.headers { print(Paint.dim("      \(name): \(value)")) }
        print(Paint.dim("\n      \(request.body)\n"))
    }

    private func show(_ settlement: Settlement) {
        switch settlement.verb {
        case .complete: step("State: \(Paint.green(DeliveryState.delivered.rawValue))")
        case .reschedule(let due):
            let wait = settlement.at.duration(to: due)
            step("State: \(Paint.yellow(DeliveryState.scheduled.rawValue)), the next attempt in \(milliseconds(wait))")
        case .deadLetter(let reason): step("State: \(Paint.yellow(DeliveryState.dead.rawValue)), \(reason)")
        case .expire: step("State: \(Paint.yellow(DeliveryState.expired.rawValue))")
        }
    }

    private func milliseconds(_ duration: Duration) -> String {
        String(format: "%.1f ms", duration.inSeconds * 1_000)
    }
}

/// The demo's secrets, which need no environment.
struct DemoSecrets: SecretReader {
    let values: [String: Secret]

    func secret(_ reference: SecretReference) throws(SecretError) -> Secret {
        guard case .environment(let name) = reference, let secret = values[name] else {
            throw SecretError(reference, reason: "the demo has no such secret")
        }
        return secret
    }
}

/// Colours, where standard output is a terminal that wants them (https://no-color.org).
enum Paint {
    private static let isOn =
        isatty(STDOUT_FILENO) == 1 && ProcessInfo.processInfo.environment["NO_COLOR"] == nil
        && ProcessInfo.processInfo.environment["TERM"] != "dumb"

    static func green(_ text: String) -> String { paint(text, 32) }
    static func red(_ text: String) -> String { paint(text, 31) }
    static func yellow(_ text: String) -> String { paint(text, 33) }
    static func dim(_ text: String) -> String { paint(text, 2) }

    private static func paint(_ text: String, _ code: Int) -> String {
        isOn ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}
