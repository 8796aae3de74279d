// `relay replays`: replays under way and past.

import AdminServer
import ArgumentParser

struct ReplaysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replays", abstract: "Look at replays, and cancel them. `relay dead replay` begins one.",
        subcommands: [List.self, Show.self, Cancel.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List replays, the newest first.",
            discussion: """
                Example:
                  relay replays list

                \(AdminOption.codes)
                """)

        @OptionGroup var admin: AdminOption

        func run() async throws {
            let body = try await admin.connect().get("/replays", [("limit", "1000")])
            guard admin.output == .table else { return printJSON(body) }
            let replays: API.Page<API.Replay> = try AdminClient.decode(body)
            guard !replays.items.isEmpty else { return print("none") }
            var table = Table("ID", "STATE", "REPLAYED", "OF", "PER SECOND", "CREATED", "ENDED", "WHICH")
            for replay in replays.items {
                table.add(
                    .init("\(replay.id)"), .init(replay.state, Paint.state(replay.state)), .init("\(replay.replayed)"),
                    .init("\(replay.matched)"), .init(replay.perSecond.map { "\($0)" } ?? "-"),
                    .init(Age.relative(replay.createdAt)), .init(Age.relative(replay.endedAt)), .init(replay.which))
            }
            table.print()
            if replays.next != nil { printError("there are older ones, which are not shown") }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say how far a replay is.",
            discussion: """
                Replayed is what was made due again; what became of it: `relay deliveries list`.

                Example:
                  relay replays show 3

                \(AdminOption.codes)
                """)

        @Argument(help: "The replay's number.")
        var id: Int64
        @OptionGroup var admin: AdminOption

        func run() async throws {
            let body = try await admin.connect().get("/replays/\(id)")
            guard admin.output == .table else { return printJSON(body) }
            let replay: API.Replay = try AdminClient.decode(body)
            Fields.print(replay.fields)
            if replay.state == "running" { Terminal.hint("stop it: relay replays cancel \(replay.id)") }
        }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop a replay; what it replayed stays replayed.",
            discussion: """
                Exit 1 when it was done already.

                Example:
                  relay replays cancel 3

                \(AdminOption.codes)
                """)

        @Argument(help: "The replay's number.")
        var id: Int64
        @OptionGroup var admin: AdminOption

        func run() async throws {
            let body = try await admin.connect().post("/replays/\(id)/cancel")
            let replay: API.Replay = try AdminClient.decode(body)
            guard replay.state == "canceled" else {
                throw CommandFailure(.failed, "nothing is left to cancel: \(replay.summary)")
            }
            guard admin.output == .table else { return printJSON(body) }
            print(replay.summary)
        }
    }
}

extension API.Replay {
    /// Its filter in words.
    var which: String {
        if let ids { return ids.count == 1 ? ids[0] : "\(ids.count) ids" }
        guard let filter else { return "cannot be read" }
        return filter.words.map { "\($0.name) \($0.values.joined(separator: ","))" }.joined(separator: ", ")
    }
}
