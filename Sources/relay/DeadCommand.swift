// `relay dead`: what was given up, and how it is made again.

import AdminServer
import ArgumentParser
import Foundation

struct DeadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead", abstract: "Look at what was given up, replay it, delete it.",
        subcommands: [List.self, Show.self, Replay.self, Delete.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List dead letters and expired deliveries, the newest first.",
            discussion: """
                CLASS says whose matter it is: backend (it refused or failed), relay (the request could not be made), policy (egress, \
                order_block_max), expiry (past max_age). Deliveries in any state: `relay deliveries list`.

                Example:
                  relay dead list --backend orders --since 2h

                \(AdminOption.codes)
                """)

        @OptionGroup var states: StateOptions<GivenUpState>
        @OptionGroup var filter: FilterOptions
        @OptionGroup var pages: PageOptions
        @OptionGroup var admin: AdminOption

        func run() async throws {
            let client = try admin.connect()
            try await filter.warnOfUnknownBackends(client)
            try await DeliveryList.print(
                client, filter.query(states: states.given(or: ["dead", "expired"])), pages, admin.output,
                hint: "make them again: relay dead replay --all, or by ids or filters", table: DeliveryList.dead)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one: its attempts, and what the backend said.",
            discussion: """
                Example:
                  relay dead show 3f9c2a1b-1234

                \(AdminOption.codes)
                """)

        @Argument(help: "The delivery's id.")
        var id: String
        @Flag(help: "With the payload; that somebody read it is logged.")
        var payload = false
        @OptionGroup var admin: AdminOption

        func run() async throws {
            try await DeliveryPage.print(try admin.connect(), id, withPayload: payload, admin.output)
        }
    }

    struct Replay: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make dead letters again, with the same ids.",
            discussion: """
                By ids, by filters, or --all. Replayed are dead letters; of other states only with --state, and what is named by \
                its id: exit 1 when one of these cannot be replayed. With --state delivered, what the backend accepted is sent to \
                it a second time: this is asked first, unless --yes. What a person waited for runs a second time then, and its \
                answer goes to nobody. A replay goes on when this command ends, and when the relay \
                is restarted: `relay replays list` shows it. How fast deliveries are made is the backend's limit, and --per-second.

                Example:
                  relay dead replay --backend orders --since 2h --per-second 10

                \(AdminOption.codes)
                """)

        @Argument(help: "Ids of deliveries.")
        var ids: [String] = []
        @OptionGroup var states: StateOptions<ReplayableState>
        @OptionGroup var filter: FilterOptions
        @Flag(help: "All dead letters.")
        var all = false
        @Option(help: ArgumentHelp("At most so many per second.", valueName: "number"))
        var perSecond: Double?
        @Flag(help: "Only say how many there are.")
        var dryRun = false
        @Flag(help: "Do not wait for the replay's end.")
        var noWait = false
        @Flag(help: "Do not ask about delivered ones.")
        var yes = false
        @OptionGroup var admin: AdminOption

        func validate() throws {
            try states.requireOneWay(ids: ids, filter: filter, all: all)
            if let perSecond, !API.ReplayOrder.rates.contains(perSecond) {
                throw ValidationError("--per-second must be 0.001 to 100000, is \(perSecond)")
            }
        }

        func run() async throws {
            let client = try admin.connect()
            try await filter.warnOfUnknownBackends(client)
            var order = API.ReplayOrder(perSecond: perSecond)
            if ids.isEmpty { order.filter = filter.filter(states: states.given(or: ["dead"])) } else { order.ids = ids }
            if dryRun {
                let (found, body) = try await Self.count(order, client)
                switch admin.output {
                case .table: print("\(found.isAtLeast ? "at least " : "")\(found.matched) would be replayed")
                case .json: printJSON(body)
                }
                return try Self.requireAll(ids, matched: found.matched)
            }
            if states.state.contains(.delivered), !yes {
                let (found, _) = try await Self.count(order, client)
                try Terminal.confirm(
                    "Make \(found.isAtLeast ? "at least " : "")\(found.matched) again, and what was delivered a second time?",
                    isConfirmed: false)
            }
            var body = try await client.post("/replays", body: order, timeout: AdminClient.longTimeout)
            var replay: API.Replay = try AdminClient.decode(body)
            if !noWait {
                if replay.state == "running" {
                    printError("replay \(replay.id) goes on without this command, too: relay replays show \(replay.id)")
                }
                let progress = ReplayProgress()
                while replay.state == "running" {
                    progress.show(replay)
                    try await Task.sleep(for: .milliseconds(250))
                    body = try await client.get("/replays/\(replay.id)")
                    replay = try AdminClient.decode(body)
                }
                progress.end()
            }
            switch admin.output {
            case .table: tell(replay)
            case .json: printJSON(body)
            }
            if replay.state == "canceled" { throw CommandFailure(.failed, "replay \(replay.id) was canceled") }
            // Its own ids: two that were named may be those of one delivery.
            try Self.requireAll(replay.ids ?? ids, matched: replay.matched)
        }

        private static func count(
            _ order: API.ReplayOrder, _ client: AdminClient
        ) async throws -> (found: API.Matched, body: [UInt8]) {
            var order = order
            order.dryRun = true
            let body = try await client.post("/replays", body: order, timeout: AdminClient.longTimeout)
            return (try AdminClient.decode(body), body)
        }

        private func tell(_ replay: API.Replay) {
            print(replay.summary)
            if replay.state == "running" {
                Terminal.hint("how far it is: relay replays show \(replay.id)")
            } else if replay.replayed > 0 {
                Terminal.hint(
                    "see what becomes of them: relay deliveries tail", "what still waits: relay backends list")
            }
        }

        /// What was named one by one is missed when it is not there.
        static func requireAll(_ ids: [String], matched: Int) throws {
            let named = Set(ids.map { $0.lowercased() }).count
            guard matched < named else { return }
            throw CommandFailure(
                .failed,
                "\(matched) of \(named) ids can be replayed: the others do not exist, or wait to be made already")
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete dead letters and expired deliveries for good.",
            discussion: """
                By ids, by filters, or --all; asks first, unless --yes. Only as many are deleted as were counted, \
                at most 1,000,000 at a time.

                Example:
                  relay dead delete --backend gone --reason rejected_http_410

                \(AdminOption.codes)
                """)

        @Argument(help: "Ids of deliveries.")
        var ids: [String] = []
        @OptionGroup var states: StateOptions<GivenUpState>
        @OptionGroup var filter: FilterOptions
        @Flag(help: "All of them.")
        var all = false
        @Flag(help: "Do not ask.")
        var yes = false
        @OptionGroup var admin: AdminOption

        func validate() throws {
            try states.requireOneWay(ids: ids, filter: filter, all: all)
        }

        func run() async throws {
            let client = try admin.connect()
            if ids.isEmpty { say(try await deleteByFilter(client)) } else { try await deleteByIDs(client) }
        }

        private func say(_ deleted: Int) {
            switch admin.output {
            case .table: print("deleted \(deleted)")
            case .json: print("{\"deleted\":\(deleted)}")
            }
        }

        /// Says how many it were also when not all could be.
        private func deleteByIDs(_ client: AdminClient) async throws {
            try Terminal.confirm("Delete \(ids.count) for good?", isConfirmed: yes)
            var deleted = 0
            defer { say(deleted) }
            try await AdminClient.forEach(ids) { id in
                _ = try await client.delete("/deliveries/\(id.urlEncoded)")
                deleted += 1
            }
        }

        private func deleteByFilter(_ client: AdminClient) async throws -> Int {
            let query = filter.query(states: states.given(or: ["dead", "expired"]))
            let found: API.Matched = try AdminClient.decode(
                try await client.delete("/deliveries", query + [("dry_run", "true")], timeout: AdminClient.longTimeout))
            guard found.matched > 0 else { return 0 }
            let others = "there may be more: only as many are deleted as were counted"
            try Terminal.confirm(
                "Delete \(found.matched) for good?\(found.isAtLeast ? " (\(others))" : "")", isConfirmed: yes)
            let confirmation =
                [("count", "\(found.matched)")] + (found.countedAt.map { [("settled_before", $0)] } ?? [])
            let deleted: API.Deleted = try AdminClient.decode(
                try await client.delete(
                    "/deliveries", query + confirmation, timeout: AdminClient.longTimeout))
            if found.isAtLeast { printError(others) }
            return deleted.deleted
        }
    }
}

/// What `dead list` and `dead delete` are about.
enum GivenUpState: String, ExpressibleByArgument, CaseIterable {
    case dead
    case expired
    case canceled
}

/// What can be replayed: everything that is settled.
enum ReplayableState: String, ExpressibleByArgument, CaseIterable {
    case dead
    case expired
    case canceled
    case delivered
}

/// States that a command takes; its help and its refusal of any other name them.
struct StateOptions<State>: ParsableArguments
where State: ExpressibleByArgument & CaseIterable & RawRepresentable<String> & Sendable {
    @Option(help: ArgumentHelp("In this state; can be repeated.", valueName: "state"))
    var state: [State] = []

    /// Deliveries are named in one way: by ids, by filters (states are one), or as all.
    func requireOneWay(ids: [String], filter: FilterOptions, all: Bool) throws {
        let ways = [("ids", !ids.isEmpty), ("filters", !filter.isEmpty || !state.isEmpty), ("--all", all)]
        let given = ways.filter(\.1).map(\.0)
        guard !given.isEmpty else { throw ValidationError("say which: ids, or filters, or --all") }
        guard given.count == 1 else {
            throw ValidationError("\(given.joined(separator: " and ")) together: say one of them, not both")
        }
    }

    func given(or states: [String]) -> [String] { state.isEmpty ? states : state.map(\.rawValue) }
}

/// A bar on standard error, where that is a terminal.
struct ReplayProgress {
    private static let width = 30

    func show(_ replay: API.Replay) {
        guard Terminal.isErrors else { return }
        let done = replay.replayed + replay.withoutPayload
        let share = replay.matched > 0 ? min(1, Double(done) / Double(replay.matched)) : 1
        let filled = Int(share * Double(Self.width))
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: Self.width - filled)
        ConsoleLog.writeText("\r[\(bar)] \(done) of \(replay.matched) replayed ")
    }

    func end() {
        if Terminal.isErrors { ConsoleLog.writeText("\r\u{1B}[K") }
    }
}

extension API.Replay {
    /// In a sentence.
    var summary: String {
        let left = withoutPayload > 0 ? "; \(withoutPayload) passed over, because their payload was removed" : ""
        return switch state {
        case "running": "replay \(id) goes on: \(replayed) of \(matched) so far\(left)"
        case "done" where matched == 0: "replay \(id) is done: there was nothing to replay"
        case "done": "replay \(id) is done: \(replayed) of \(matched) replayed\(left)"
        default: "replay \(id) was canceled after \(replayed) of \(matched)\(left)"
        }
    }

    /// What is known of it, for a page about it alone.
    var fields: [(name: String, value: String)] {
        var fields = [("replay", "\(id)"), ("state", state), ("replayed", "\(replayed) of \(matched)")]
        if withoutPayload > 0 { fields.append(("passed over", "\(withoutPayload), because their payload was removed")) }
        if let perSecond { fields.append(("per second", "\(perSecond)")) }
        fields.append(("created", Age.moment(createdAt)))
        if let endedAt { fields.append(("ended", Age.moment(endedAt))) }
        return fields + [("which", which)]
    }
}
