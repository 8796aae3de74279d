// `relay backends`: how each one is doing; leave one alone, and try it.

import AdminServer
import ArgumentParser

struct BackendsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backends", abstract: "See how backends are doing; pause, resume and test them.",
        subcommands: [List.self, Show.self, Pause.self, Resume.self, Test.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List backends: their state, what waits, since when and why they fail.",
            discussion: """
                States: working; failing (its last attempt was not accepted; after too many in a row it is left alone, and WHY says \
                when it is probed); probing (left alone, and a probe is made); paused (by a person, or because it answered 410). \
                JSON, the admin API and the metrics have the state of its circuit breaker instead: closed (it is attempted), open \
                (it is left alone), half_open (a probe is made), or paused.

                Example:
                  relay backends list

                \(AdminOption.codes)
                """)

        @OptionGroup var admin: AdminOption

        func run() async throws {
            let body = try await admin.connect().get("/backends")
            guard admin.output == .table else { return printJSON(body) }
            let backends: API.Page<API.Backend> = try AdminClient.decode(body)
            var table = Table("NAME", "STATE", "WAITING", "OLDEST", "DEAD", "LAST OK", "WHY")
            for backend in backends.items {
                table.add(
                    .init(backend.name), .init(backend.word, Paint.state(backend.word)),
                    .init("\(backend.waiting.total)"), .init(Age.since(backend.oldestReceivedAt)),
                    .init("\(backend.dead)", backend.dead > 0 ? Paint.red : { $0 }),
                    .init(Age.relative(backend.lastAcceptedAt)), .init(backend.why))
            }
            table.print()
            if let paused = backends.items.first(where: { $0.state == "paused" }) {
                Terminal.hint(
                    "when it is mended: relay backends test \(paused.name); relay backends resume \(paused.name)")
            } else if let dead = backends.items.first(where: { $0.dead > 0 }) {
                Terminal.hint("what was given up: relay dead list --backend \(dead.name)")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one backend: its state, what waits, since when and why it fails.",
            discussion: """
                Example:
                  relay backends show orders

                \(AdminOption.codes)
                """)

        @Argument(help: "The backend's name.")
        var name: String
        @OptionGroup var admin: AdminOption

        func run() async throws {
            let body = try await admin.connect().get("/backends/\(name.urlEncoded)")
            guard admin.output == .table else { return printJSON(body) }
            let backend: API.Backend = try AdminClient.decode(body)
            Fields.print(backend.fields)
            if backend.state == "paused" {
                Terminal.hint("when it is mended: relay backends test \(name); relay backends resume \(name)")
            } else if backend.dead > 0 {
                Terminal.hint("what was given up: relay dead list --backend \(name)")
            } else if backend.waiting.total > 0 {
                Terminal.hint("what waits: relay deliveries list --backend \(name)")
            }
        }
    }

    struct Pause: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Leave a backend alone until it is resumed, over restarts, too.",
            discussion: """
                What comes for it is stored and held; what is in flight comes to its end. People who wait for its answer see \
                Slack's error at once.

                Example:
                  relay backends pause orders

                \(AdminOption.codes)
                """)

        @Argument(help: "Names of backends.")
        var names: [String]
        @OptionGroup var admin: AdminOption

        func run() async throws {
            try await change(names, "pause", try admin.connect(), admin.output) { _ in
                "is paused: what comes for it is held"
            }
        }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Attempt a backend's deliveries again, now.",
            discussion: """
                A backend that fails is not waited for: it is tried at once with one delivery, whether it was paused or not.

                Example:
                  relay backends resume orders

                \(AdminOption.codes)
                """)

        @Argument(help: "Names of backends.")
        var names: [String]
        @OptionGroup var admin: AdminOption

        func run() async throws {
            try await change(names, "resume", try admin.connect(), admin.output, \.resumed)
        }
    }

    struct Test: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Send a backend a signed url_verification, and say what came back; exit 1 when it is not right.",
            discussion: """
                Right is a status of 2xx with the challenge in the body, which every Slack app answers. Made from the running relay, \
                so with its network, secrets and proxies, whether the backend is paused or not.

                Example:
                  relay backends test orders

                \(AdminOption.codes)
                """)

        @Argument(help: "The backend's name.")
        var name: String
        @OptionGroup var admin: AdminOption

        func run() async throws {
            let body = try await admin.connect().post(
                "/backends/\(name.urlEncoded)/test", timeout: AdminClient.longTimeout)
            let test: API.BackendTest = try AdminClient.decode(body)
            if admin.output == .json { printJSON(body) }
            guard test.isOk else {
                let reason = [test.reason, test.detail].compactMap(\.self).joined(separator: ": ").printable
                throw CommandFailure(
                    .failed, "\(name) is not right after \(test.durationMs) ms\(reason.isEmpty ? "" : ": \(reason)")")
            }
            if admin.output == .table {
                print("\(name) is right: it returned the challenge, in \(test.durationMs) ms")
            }
        }
    }
}

private func change(
    _ names: [String], _ verb: String, _ client: AdminClient, _ output: Output, _ done: (API.Backend) -> String
) async throws {
    try await AdminClient.forEach(names) { name in
        let body = try await client.post("/backends/\(name.urlEncoded)/\(verb)")
        switch output {
        case .table:
            let backend: API.Backend = try AdminClient.decode(body)
            print("\(name) \(done(backend))")
            if verb == "resume", backend.dead > 0 {
                Terminal.hint("\(backend.dead) were given up: relay dead list --backend \(name)")
            }
        case .json: printJSON(body)
        }
    }
}

extension API.Backend {
    fileprivate var fields: [(name: String, value: String)] {
        let parts = [
            (waiting.inFlight, "in flight"), (waiting.pending, "pending"), (waiting.scheduled, "scheduled"),
            (waiting.held, "held"),
        ]
        let waits = parts.filter { $0.0 > 0 }.map { "\($0) \($1)" }.joined(separator: ", ")
        var fields = [("backend", name), ("url", url)]
        if let unixSocket { fields.append(("unix socket", unixSocket)) }
        fields += [
            ("state", word), ("why", why),
            ("waiting", waits.isEmpty ? "none" : "\(waits); the oldest for \(Age.since(oldestReceivedAt))"),
            ("dead", "\(dead)"), ("last ok", Age.relative(lastAcceptedAt)),
        ]
        return fields
    }

    /// What was done at `resume`, which is answered when its probe has begun, or ended.
    fileprivate var resumed: String {
        switch state {
        case "closed": "is attempted again"
        case "half_open" where waiting.total == 0: "fails: it is tried with the next delivery that comes"
        case "half_open":
            "fails: it is tried now with one delivery; the others follow when that one is answered, each at its time"
        case "open": "was tried, and still fails: \(why)"
        default: "is \(state): \(why)"
        }
    }

    /// Its state in a word for people: that of a circuit breaker says how attempts are made, not how they end.
    var word: String {
        switch state {
        case "closed": failing == nil ? "working" : "failing"
        case "open": "failing"
        case "half_open": "probing"
        default: state
        }
    }

    /// Since when it does not do what it should, and why.
    var why: String {
        var words: [String] = []
        if let paused {
            words.append(
                paused.cause == "gone"
                    ? "answered 410 \(Age.relative(paused.since))" : "by a person \(Age.relative(paused.since))")
        }
        if let failing {
            let when = paused == nil ? "for" : "before, since"
            words.append("\(failing.attempts) not accepted \(when) \(Age.since(failing.since)), last \(failing.reason)")
        }
        if paused == nil, let probeDue { words.append("probe \(Age.relative(probeDue))") }
        if let retryAfter { words.append("asked to be left alone, again \(Age.relative(retryAfter))") }
        return words.isEmpty ? "-" : words.joined(separator: "; ")
    }
}
