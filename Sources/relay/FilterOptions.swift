// Which deliveries a command is about.

import AdminServer
import ArgumentParser
import Relay
import RelayCore

/// The options that choose deliveries; the same words as in the admin API.
struct FilterOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Of this backend; can be repeated, as all of these.", valueName: "name"))
    var backend: [String] = []
    @Option(help: ArgumentHelp("By this route.", valueName: "name"))
    var route: [String] = []
    @Option(help: ArgumentHelp("Of this Slack app.", valueName: "name"))
    var app: [String] = []
    @Option(help: ArgumentHelp("event, command, interaction or options.", valueName: "kind"))
    var kind: [String] = []
    @Option(help: ArgumentHelp("With this reason: http_500, timeout, rejected_http_400, …", valueName: "reason"))
    var reason: [String] = []
    @Option(
        name: .customLong("class"),
        help: ArgumentHelp("Dead for whom: backend, relay, policy or expiry.", valueName: "class"))
    var deadClass: String?
    @Option(
        name: .customLong("envelope-id"),
        help: ArgumentHelp("Of this envelope: the envelope_id of its first copy.", valueName: "id"))
    var envelopeID: [String] = []
    @Option(help: ArgumentHelp("Received since then: 2h, 3d, or 2026-11-23T09:30:00Z.", valueName: "time"))
    var since: String?
    @Option(help: ArgumentHelp("Received before then.", valueName: "time"))
    var until: String?

    /// Times are looked at here, before anything is asked for: the admin API would name the value as well, but not where a
    /// command is wrong in another way, too.
    func validate() throws {
        for (name, text) in [("--since", since), ("--until", until)] {
            guard let text, Timestamp(momentOrAge: text, now: SystemClock().now) == nil else { continue }
            throw ValidationError(
                "\(name) must be a time (2026-11-23T09:30:00Z) or an age (90s, 30m, 2h, 7d), is \(text.printable)")
        }
    }

    func query(states: [String]) -> AdminClient.Query {
        filter(states: states).words.flatMap { name, values in values.map { (name, $0) } }
    }

    func filter(states: [String]) -> API.Filter {
        var filter = API.Filter()
        filter.envelopeId = envelopeID.isEmpty ? nil : envelopeID
        filter.state = states.isEmpty ? nil : states
        filter.backend = backend.isEmpty ? nil : backend
        filter.route = route.isEmpty ? nil : route
        filter.app = app.isEmpty ? nil : app
        filter.kind = kind.isEmpty ? nil : kind
        filter.reason = reason.isEmpty ? nil : reason
        filter.class = deadClass.map { [$0] }
        filter.since = since
        filter.until = until
        return filter
    }

    /// Says which of the backends named are not configured: misspelled, or gone. Their deliveries may still be there.
    func warnOfUnknownBackends(_ client: AdminClient) async throws {
        guard !backend.isEmpty else { return }
        let known: API.Page<API.Backend> = try AdminClient.decode(try await client.get("/backends"))
        for name in backend where !known.items.contains(where: { $0.name == name }) {
            printError(
                "note: no backend \(name) is configured; known: \(known.items.map(\.name).joined(separator: ", "))")
        }
    }

    var isEmpty: Bool { query(states: []).isEmpty }
}

extension API.Filter {
    /// Those that are there, each with its values.
    var words: [(name: String, values: [String])] {
        let lists = [
            ("envelope_id", envelopeId), ("state", state), ("backend", backend), ("route", route), ("app", app),
            ("kind", kind), ("reason", reason),
            ("class", `class`), ("since", since.map { [$0] }), ("until", until.map { [$0] }),
        ]
        return lists.compactMap { name, values in values.map { (name, $0) } }
    }
}

/// How much of a list.
struct PageOptions: ParsableArguments {
    @Option(help: "At most so many, the newest first.")
    var limit = 50
    @Flag(help: "All of them, however many; with --output json a page of at most 1000 per line.")
    var all = false

    func validate() throws {
        guard (1...1_000).contains(limit) else { throw ValidationError("--limit must be 1 to 1000, is \(limit)") }
    }

    /// Gives each page to `show`, until that wants no more (returns false), there are as many as wanted, or no more. A
    /// page can be short, and empty, and have a next one all the same: the relay seeks in steps.
    /// - Returns: `next` of the last page.
    func forEachPage(
        _ client: AdminClient, _ query: AdminClient.Query,
        _ show: (API.Page<API.Delivery>, [UInt8]) throws -> Bool
    ) async throws -> String? {
        var cursor: String?
        var count = 0
        while true {
            let size = all ? 1_000 : limit - count
            let page = query + [("limit", "\(size)")] + (cursor.map { [("cursor", $0)] } ?? [])
            let body = try await client.get("/deliveries", page, timeout: AdminClient.longTimeout)
            let found: API.Page<API.Delivery> = try AdminClient.decode(body)
            count += found.items.count
            cursor = found.next
            guard try show(found, body), cursor != nil, all || count < limit else { return cursor }
        }
    }
}
