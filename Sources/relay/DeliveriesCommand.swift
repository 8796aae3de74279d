// `relay deliveries`: look at deliveries, make them again, take them back.

import AdminServer
import ArgumentParser
import Foundation
import RelayCore
import Synchronization

struct DeliveriesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deliveries", abstract: "Look at deliveries, make them again, take them back, watch them.",
        subcommands: [List.self, Show.self, Retry.self, Cancel.self, Tail.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List deliveries, the newest first.",
            discussion: """
                States: pending, scheduled, in_flight, held (its backend is left alone), delivered, dead, canceled, expired. NEXT \
                is when it is attempted next; blocked: when those of its order key that came before it are settled (order_by).

                Example:
                  relay deliveries list --backend orders --since 2h

                \(AdminOption.codes)
                """)

        @Option(help: ArgumentHelp("In this state; can be repeated.", valueName: "state"))
        var state: [String] = []
        @OptionGroup var filter: FilterOptions
        @OptionGroup var pages: PageOptions
        @OptionGroup var admin: AdminOption

        func run() async throws {
            let client = try admin.connect()
            try await filter.warnOfUnknownBackends(client)
            try await DeliveryList.print(
                client, filter.query(states: state), pages, admin.output, table: DeliveryList.all)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one delivery: its attempts, and what the backend said.",
            discussion: """
                Example:
                  relay deliveries show 3f9c2a1b-1234

                \(AdminOption.codes)
                """)

        @Argument(help: "The delivery's id, as in the log and in X-Relay-Delivery-Id.")
        var id: String
        @Flag(help: "With the payload; that somebody read it is logged.")
        var payload = false
        @OptionGroup var admin: AdminOption

        func run() async throws {
            try await DeliveryPage.print(try admin.connect(), id, withPayload: payload, admin.output)
        }
    }

    struct Retry: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make deliveries now: what waits is brought forward, what is settled is made again.",
            discussion: """
                Example:
                  relay deliveries retry 3f9c2a1b-1234

                \(AdminOption.codes)
                """)

        @Argument(help: "Ids of deliveries.")
        var ids: [String]
        @OptionGroup var admin: AdminOption

        func run() async throws {
            let client = try admin.connect()
            try await change(ids, "retry", client, admin.output) { delivery in
                guard let delivery else { return "is due now" }
                guard delivery.state != "held" else { return await Self.wait(of: delivery, client) }
                let waits = delivery.state == "pending" && delivery.due == nil
                return (waits ? "waits for others of its order key" : "is due now")
                    + (delivery.replays > 0 ? ", as replay \(delivery.replays)" : "")
            }
        }

        /// What holds a delivery that is due, and what releases it.
        private static func wait(of delivery: API.Delivery, _ client: AdminClient) async -> String {
            let name = delivery.backend
            let backend: API.Backend? = try? AdminClient.decode(await client.get("/backends/\(name.urlEncoded)"))
            let why = backend.map { " (\($0.why))" } ?? ""
            return backend?.state == "paused"
                ? "waits, because \(name) is paused\(why): relay backends resume \(name) releases it"
                : "waits, because \(name) fails\(why): a probe that succeeds releases it; "
                    + "relay backends resume \(name) makes one now"
        }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take waiting deliveries back: they are not made.",
            discussion: """
                Example:
                  relay deliveries cancel 3f9c2a1b-1234

                \(AdminOption.codes)
                """)

        @Argument(help: "Ids of deliveries.")
        var ids: [String]
        @OptionGroup var admin: AdminOption

        func run() async throws {
            try await change(ids, "cancel", try admin.connect(), admin.output) { _ in "is canceled" }
        }
    }

    struct Tail: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what happens to deliveries and answers as it happens, until ctrl-C.",
            discussion: """
                A line per finished attempt, per outcome that was recorded, and per answer that somebody waited for. With --output \
                json an object per line, its name under `event`.

                Example:
                  relay deliveries tail --backend orders

                \(AdminOption.codes)
                """)

        @Option(help: ArgumentHelp("Of this backend; can be repeated.", valueName: "name"))
        var backend: [String] = []
        @OptionGroup var admin: AdminOption

        func run() async throws {
            let client = try admin.connect()
            let reader = Mutex(EventReader())
            let isTable = admin.output == .table
            let isLetIn = Atomic(false)
            let isEnough = try await client.stream("/deliveries/stream", backend.map { ("backend", $0) }) { piece in
                // A stream begins with a comment, anything else is a problem.
                if piece.first == UInt8(ascii: ":"), !isLetIn.exchange(true, ordering: .relaxed) {
                    printError("watching; ctrl-C ends it")
                }
                for event in reader.withLock({ $0.read(piece) }) {
                    if let line = isTable ? event.line : event.json, !ConsoleLog.writeOutput(line) { return false }
                }
                // Where nothing happens it is found out with the next heartbeat.
                return !ConsoleLog.isOutputGone
            }
            guard !isEnough else { return }
            throw CommandFailure(.failed, "the relay at \(client.url) ended the stream: it is shutting down")
        }
    }
}

/// - Parameter done: what to say of one; nil: nothing is kept of it any more.
private func change(
    _ ids: [String], _ verb: String, _ client: AdminClient, _ output: Output,
    _ done: (API.Delivery?) async throws -> String
) async throws {
    try await AdminClient.forEach(ids) { id in
        let body = try await client.post("/deliveries/\(id.urlEncoded)/\(verb)")
        switch output {
        case .table: print("\(id) \(try await done(body.isEmpty ? nil : AdminClient.decode(body)))")
        case .json: printJSON(body.isEmpty ? Array("{}".utf8) : body)
        }
    }
}

/// Tables of deliveries.
enum DeliveryList {
    static func print(
        _ client: AdminClient, _ query: AdminClient.Query, _ pages: PageOptions, _ output: Output, hint: String? = nil,
        table: ([API.Delivery]) -> Table
    ) async throws {
        var items: [API.Delivery] = []
        let next = try await pages.forEachPage(client, query) { page, body in
            guard output == .table || !pages.all else { return writeJSON(body) }
            items += page.items
            return true
        }
        guard output == .table else {
            if !pages.all { printJSON(Array(try AdminJSON.encode(API.Page(items: items, next: next)))) }
            return
        }
        guard !items.isEmpty else {
            Swift.print("none")
            return
        }
        table(items).print()
        if next != nil { printError("there are more: narrow it down, or see --limit and --all") }
        if let first = items.first {
            Terminal.hint(["what the backend said: relay deliveries show \(first.id)", hint].compactMap(\.self))
        }
    }

    static func all(_ deliveries: [API.Delivery]) -> Table {
        var table = Table("ID", "STATE", "BACKEND", "KIND", "RECEIVED", "ATTEMPTS", "NEXT", "LAST")
        for delivery in deliveries {
            table.add(
                .init(delivery.id), .init(delivery.state, Paint.state(delivery.state)), .init(delivery.backend),
                .init(delivery.kind), .init(Age.relative(delivery.receivedAt)), .init("\(delivery.attemptsMade)"),
                .init(delivery.next), .init(delivery.last))
        }
        return table
    }

    static func dead(_ deliveries: [API.Delivery]) -> Table {
        var table = Table("ID", "BACKEND", "KIND", "RECEIVED", "ENDED", "CLASS", "REASON")
        for delivery in deliveries {
            table.add(
                .init(delivery.id), .init(delivery.backend), .init(delivery.kind),
                .init(Age.relative(delivery.receivedAt)), .init(Age.relative(delivery.settledAt)),
                .init(delivery.class ?? "-"),
                .init(delivery.deadReason ?? delivery.state + (delivery.reason.map { ", last \($0)" } ?? "")))
        }
        return table
    }
}

extension API.Delivery {
    /// Another one of its order key comes first: the queue gives it no time before that is settled.
    var isBlocked: Bool { ["pending", "scheduled"].contains(state) && orderKey != nil && due == nil }

    /// When it is attempted next.
    fileprivate var next: String {
        guard !isBlocked else { return "blocked" }
        guard let due, state != "held" else { return "-" }
        let text = Age.relative(due)
        return text.hasPrefix("in ") ? text : "now"
    }

    /// What the last attempt came to.
    fileprivate var last: String {
        switch (deadReason, outcome, reason) {
        case (let dead?, _, _): dead
        case (nil, let outcome?, let reason?): "\(outcome) \(reason)"
        case (nil, let outcome?, nil): outcome
        case (nil, nil, _): "-"
        }
    }
}

extension Paint {
    static func state(_ state: String) -> (String) -> String {
        switch state {
        case "delivered", "accepted", "working", "connected", "answered": green
        case "dead", "expired", "rejected", "failing", "paused", "failed": red
        case "scheduled", "held", "probing", "backing_off", "canceled": yellow
        default: { $0 }
        }
    }
}

/// One delivery with all that is known of it.
enum DeliveryPage {
    static func print(_ client: AdminClient, _ id: String, withPayload: Bool, _ output: Output) async throws {
        let body = try await client.get(
            "/deliveries/\(id.urlEncoded)", withPayload ? [("payload", "true")] : [],
            timeout: AdminClient.longTimeout)
        guard output == .table else { return printJSON(body) }
        let delivery: API.Delivery = try AdminClient.decode(body)
        for line in lines(delivery, withPayload: withPayload) { Swift.print(line) }
        switch delivery.state {
        case "dead", "expired", "canceled": Terminal.hint("make it again: relay deliveries retry \(delivery.id)")
        case "held": Terminal.hint("its backend is left alone: relay backends list")
        case "pending" where delivery.isBlocked, "scheduled" where delivery.isBlocked:
            Terminal.hint("take it back: relay deliveries cancel \(delivery.id)")
        case "pending", "scheduled":
            Terminal.hint(
                "make it now: relay deliveries retry \(delivery.id)",
                "take it back: relay deliveries cancel \(delivery.id)")
        default: break
        }
    }

    static func lines(_ delivery: API.Delivery, withPayload: Bool) -> [String] {
        var fields = [
            ("delivery", delivery.id), ("state", delivery.state), ("backend", delivery.backend),
            ("route", delivery.route), ("app", delivery.app), ("kind", delivery.kind),
            ("envelope", delivery.envelopeId), ("received", Age.moment(delivery.receivedAt)),
        ]
        if let sent = delivery.sentId { fields.insert(("sent as", sent), at: 1) }
        if let key = delivery.orderKey { fields.append(("order key", key)) }
        if delivery.state == "held" {
            fields.append(("next attempt", "when its backend works again, or is resumed"))
        } else if delivery.isBlocked {
            fields.append(("next attempt", "when the deliveries of its order key that came before it are settled"))
        } else if let due = delivery.due {
            fields.append(("next attempt", Age.moment(due)))
        }
        if let settled = delivery.settledAt { fields.append(("settled", Age.moment(settled))) }
        if let reason = delivery.deadReason {
            fields.append(("given up", "\(reason) (class \(delivery.class ?? "-"))"))
        }
        if delivery.replays > 0 { fields.append(("replays", "\(delivery.replays)")) }
        fields.append(("payload", delivery.payloadBytes.map { "\($0) bytes" } ?? "removed"))
        var lines = Fields.lines(fields)
        lines += attempts(delivery)
        if let response = delivery.response {
            lines += ["", "the backend's last response that was not a success: HTTP \(response.status)"]
            lines += response.headers.map { "  \($0.name): \($0.value)".printable }
            lines += [""] + content(response.body) + (response.isTruncated ? ["  … (the rest was not kept)"] : [])
        }
        if withPayload { lines += ["", "payload:"] + (delivery.payload.map(content) ?? ["  (removed)"]) }
        return lines
    }

    private static func attempts(_ delivery: API.Delivery) -> [String] {
        guard let attempts = delivery.attempts, !attempts.isEmpty else { return ["", "no attempt yet"] }
        var table = Table("ATTEMPT", "STARTED", "TOOK", "OUTCOME", "REASON", "DETAIL")
        for attempt in attempts {
            let notes = [attempt.replay > 0 ? "replay \(attempt.replay)" : nil, attempt.isProbe ? "probe" : nil]
                .compactMap(\.self)
            let number = "\(attempt.number)" + (notes.isEmpty ? "" : " (\(notes.joined(separator: ", ")))")
            table.add(
                .init(number), .init(Age.relative(attempt.startedAt)), .init("\(attempt.durationMs) ms"),
                .init(attempt.outcome, Paint.state(attempt.outcome)), .init(attempt.reason ?? "-"),
                .init(attempt.detail ?? ""))
        }
        return [""] + table.lines()
    }

    private static func content(_ content: API.Content) -> [String] {
        guard content.bytes > 0 else { return ["  (empty)"] }
        guard let text = content.text else {
            return ["  \(content.bytes) bytes, in base64:", "  \(content.base64 ?? "")"]
        }
        return text.split(omittingEmptySubsequences: false) { $0.isNewline }.map { "  " + String($0).printable }
    }
}
