// `relay drain`: the end of a process, step by step.

import AdminServer
import ArgumentParser
import Curl

struct DrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Have a running relay close its connections and finish what is in flight.",
        discussion: """
            As SIGTERM does, but the process then waits for its end: for a signal, at most a minute. For a preStop hook: it \
            returns when nothing is in flight any more, or the process is gone, at the latest after --timeout. With --output \
            json the last status is printed, or {"state":"gone"}.

            Example:
              relay drain

            \(AdminOption.codes)
            """)

    /// Of one request: less than what is waited for, so that one without an answer is no end.
    private static let requestTimeout = Duration.seconds(5)

    private static let pause = Duration.milliseconds(100)

    @Flag(help: "Do not wait until it is drained.")
    var noWait = false
    @Option(help: ArgumentHelp("How long to wait.", valueName: "seconds"))
    var timeout = 60
    @OptionGroup var admin: AdminOption

    func validate() throws {
        guard (1...86_400).contains(timeout) else {
            throw ValidationError("--timeout must be 1 to 86400 seconds, is \(timeout)")
        }
    }

    func run() async throws {
        let client = try admin.connect()
        let end = ContinuousClock.now + .seconds(timeout)
        let body = try await client.post("/drain", timeout: Self.timeout(until: end))
        guard !noWait else { return admin.output == .table ? print("it drains") : printJSON(body) }
        let (watch, status) = try await wait(client, DrainWatch(try AdminClient.decode(body)), until: end)
        switch watch.finding {
        case .drained: admin.output == .table ? print("it is drained") : printJSON(status)
        case .gone: print(admin.output == .table ? "it is gone" : #"{"state":"gone"}"#)
        case .replaced:
            throw CommandFailure(
                .failed, "another relay answers at \(client.url) now: what became of the one that drained is not known")
        case .drains: throw CommandFailure(.failed, "it still drains after \(timeout) s")
        case .unknown(let failure):
            throw CommandFailure(
                failure.code, "after \(timeout) s it is not known whether it is drained: \(failure.message)")
        }
    }

    /// Asks again and again. What is no end is asked again; also returns the last status.
    private func wait(
        _ client: AdminClient, _ watch: DrainWatch, until end: ContinuousClock.Instant
    ) async throws -> (DrainWatch, [UInt8]) {
        var (watch, status) = (watch, [UInt8]())
        while !watch.isOver {
            do {
                status = try await client.get("/status", timeout: Self.timeout(until: end))
                watch.answered(try AdminClient.decode(status))
            } catch let failure as CommandFailure {
                watch.failed(failure)
            }
            // Not once more with next to no time for an answer.
            guard !watch.isOver, ContinuousClock.now.duration(to: end) > Self.pause * 2 else { break }
            try await Task.sleep(for: Self.pause)
        }
        return (watch, status)
    }

    private static func timeout(until end: ContinuousClock.Instant) -> Duration {
        max(.milliseconds(1), min(requestTimeout, ContinuousClock.now.duration(to: end)))
    }
}

/// What is known of a relay that was asked to drain, from what it answers, and from how it does not.
struct DrainWatch {
    private(set) var finding = Finding.drains
    /// When the process was started that was asked.
    private let startedAt: String

    enum Finding {
        case drains
        case drained
        /// Its end has come, within `drain_timeout` like any.
        case gone
        /// Another process has its place.
        case replaced
        /// It may drain, or not.
        case unknown(CommandFailure)
    }

    /// - Parameter status: what it answered when it was asked.
    init(_ status: API.Status) {
        startedAt = status.startedAt
    }

    var isOver: Bool {
        switch finding {
        case .drained, .gone, .replaced: true
        case .drains, .unknown: false
        }
    }

    mutating func answered(_ status: API.Status) {
        finding = status.startedAt != startedAt ? .replaced : status.state == .drained ? .drained : .drains
    }

    /// Only where nobody listens any more it is gone. A connection can also end that was used for long enough, or because
    /// something between here and there ended it: then the next one tells.
    mutating func failed(_ failure: CommandFailure) {
        switch (failure.cause, finding) {
        case (.connectionRefused, _): finding = .gone
        case (.connectionReset, .unknown(let last)) where last.cause == .connectionReset: finding = .gone
        default: finding = .unknown(failure)
        }
    }
}
