// `relay status` and `relay reload`: the process as a whole.

import AdminServer
import ArgumentParser

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Say in one look how a running relay is doing; exit 1 when it is not ready.",
        discussion: """
            Example:
              relay status

            \(AdminOption.codes)
            """)

    @OptionGroup var admin: AdminOption

    func run() async throws {
        let client = try admin.connect()
        let body = try await client.get("/status")
        let status: API.Status = try AdminClient.decode(body)
        switch admin.output {
        case .json: printJSON(body)
        case .table:
            for line in Self.lines(status) { print(line) }
            Self.hint(status)
        }
        guard status.problems.isEmpty else {
            throw CommandFailure(.failed, "not ready: \(status.problems.joined(separator: "; ").printable)")
        }
    }

    /// Why there are not as many as there should be.
    private static func missing(_ app: API.Status.App) -> String {
        guard app.connected < app.wanted else { return "" }
        let last = app.lastFailure.map { "; last \($0.printable), \(Age.relative(app.lastFailureAt))" } ?? ""
        return last + (app.nextAttemptAt.map { ", next attempt \(Age.relative($0))" } ?? "")
    }

    private static func lines(_ status: API.Status) -> [String] {
        let age = Age.since(status.startedAt)
        let since = status.state == .running ? "running for \(age)" : "\(status.state.rawValue), started \(age) ago"
        var lines = ["relay \(status.version), \(since)"]
        for app in status.apps {
            let reported = app.reported.map { ", Slack counts \($0)" } ?? ""
            let text = "\(app.connected) of \(app.wanted) connections\(reported)"
            let refused = app.refused.map { "; Slack refuses the app: \($0.printable)" } ?? ""
            lines.append(
                "slack \(app.name): " + (app.connected > 0 ? Paint.green(text) : Paint.red(text)) + refused
                    + missing(app))
        }
        let queue = status.queue
        let waits = queue.waiting > 0 ? ", the oldest for \(Age.since(queue.oldestReceivedAt))" : ""
        lines.append(
            "queue: " + words(queue) + ", \(queue.waiting) waiting\(waits), \(queue.dead) dead"
                + (queue.dropped > 0 ? ", \(queue.dropped) dropped" : ""))
        let backends = status.backends
        let held = backends.filter(\.isHeld)
        let failing = backends.filter { !$0.isHeld && $0.failing != nil }
        lines += held.map { "backend \($0.name): " + Paint.red($0.word.printable) + ", \($0.why.printable)" }
        lines += failing.map { backend in
            "backend \(backend.name): "
                + Paint.yellow(
                    "fails for \(Age.since(backend.failing?.since)), last: \(backend.failing?.reason.printable ?? "")")
        }
        let fine = backends.count - held.count - failing.count
        if fine > 0 { lines.append("backends: " + Paint.green("\(fine) of \(backends.count) fine")) }
        if let refused = status.configuration.refused {
            lines.append(
                "configuration: "
                    + Paint.red(
                        "refused \(Age.relative(refused.at)), so generation \(status.configuration.generation) holds"))
            lines += refused.mistakes.map { "  \($0)".printable }
        }
        return lines
    }

    /// Whether it stores, and what fails.
    private static func words(_ queue: API.Status.Queue) -> String {
        let failing = queue.failing ?? []
        let stores = queue.isWritable || !failing.isEmpty && !failing.contains { $0.operation == "store" }
        let work = ["store": "storing", "settle": "recording outcomes", "lease": "reading", "prune": "retention"]
        return
            ([stores ? Paint.green("stores") : Paint.red("DOES NOT STORE")]
            + failing.map { Paint.red("\(work[$0.operation] ?? $0.operation) fails: \($0.detail)".printable) })
            .joined(separator: "; ")
    }

    private static func hint(_ status: API.Status) {
        if status.queue.dead > 0 { Terminal.hint("what was given up: relay dead list") }
    }
}

struct ReloadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload", abstract: "Have a running relay read its configuration again; exit 1 when it is wrong.",
        discussion: """
            Every mistake is printed; the configuration that holds stays as it is then.

            Example:
              relay reload

            \(AdminOption.codes)
            """)

    @OptionGroup var admin: AdminOption

    func run() async throws {
        let body = try await admin.connect().post("/reload")
        guard admin.output == .table else { return printJSON(body) }
        let reloaded: API.Reloaded = try AdminClient.decode(body)
        guard !reloaded.changed.isEmpty else {
            return print("the file says what holds already: generation \(reloaded.generation)")
        }
        print("generation \(reloaded.generation) holds; changed:")
        for key in reloaded.changed { print("  \(key)".printable) }
    }
}
