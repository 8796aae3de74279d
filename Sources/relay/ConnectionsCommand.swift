// `relay connections`: the WebSockets to Slack.

import AdminServer
import ArgumentParser

struct ConnectionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connections", abstract: "Look at the connections to Slack, and refresh them.",
        subcommands: [List.self, Refresh.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List connections, one per slot.",
            discussion: """
                REPORTED is how many connections of the app Slack counted at the hello, those of other processes included.

                Example:
                  relay connections list

                \(AdminOption.codes)
                """)

        @OptionGroup var admin: AdminOption

        func run() async throws {
            let body = try await admin.connect().get("/connections")
            guard admin.output == .table else { return printJSON(body) }
            let connections: API.Page<API.Connection> = try AdminClient.decode(body)
            guard !connections.items.isEmpty else { return print("none") }
            var table = Table("APP", "SLOT", "ID", "STATE", "SINCE", "REPORTED", "HOST")
            for connection in connections.items {
                table.add(
                    .init(connection.app), .init("\(connection.slot)"), .init(connection.id ?? "-"),
                    .init(connection.state, Paint.state(connection.state)), .init(Age.relative(connection.since)),
                    .init(connection.reported.map { "\($0)" } ?? "-"), .init(connection.host ?? "-"))
            }
            table.print()
            if connections.items.contains(where: { $0.state != "connected" }) {
                Terminal.hint("what keeps it from connecting: relay doctor")
            }
        }
    }

    struct Refresh: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Replace every connection by a new one, each in its turn; nothing is lost.",
            discussion: """
                Example:
                  relay connections refresh

                \(AdminOption.codes)
                """)

        @Option(help: "Of this Slack app only.")
        var app: String?
        @OptionGroup var admin: AdminOption

        func run() async throws {
            let body = try await admin.connect().post("/connections/refresh", app.map { [("app", $0)] } ?? [])
            guard admin.output == .table else { return printJSON(body) }
            let count = (try AdminClient.decode(body) as API.Refreshing).refreshing
            print("\(count) connection(s) are being replaced")
        }
    }
}
