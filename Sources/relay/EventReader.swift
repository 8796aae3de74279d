// Reading the stream of deliveries.

import AdminServer
import Foundation
import RelayCore

/// Puts server-sent events together from pieces (WHATWG HTML §9.2.6), as far as the admin API makes use of them.
struct EventReader {
    /// More than any event has.
    private static let maxBytes = 1 << 20
    private var rest: [UInt8] = []

    struct Event {
        var name: String
        var data: String
    }

    /// The events that are complete now.
    mutating func read(_ piece: [UInt8]) -> [Event] {
        rest += piece
        var events: [Event] = []
        while let end = rest.firstRange(of: [0x0A, 0x0A]) {
            let block = String(decoding: rest[..<end.lowerBound], as: UTF8.self)
            rest.removeSubrange(..<end.upperBound)
            var event = Event(name: "", data: "")
            for line in block.split(separator: "\n") {
                if line.hasPrefix("event: ") { event.name = String(line.dropFirst(7)) }
                if line.hasPrefix("data: ") { event.data = String(line.dropFirst(6)) }
            }
            if !event.name.isEmpty { events.append(event) }
        }
        if rest.count > Self.maxBytes { rest = [] }
        return events
    }
}

extension EventReader.Event {
    /// For scripts.
    var json: String? {
        guard data.hasPrefix("{"), data != "{}" else { return nil }
        return "{\"event\":\"\(name)\"," + data.dropFirst()
    }

    /// For people; nil: this version does not know it.
    var line: String? {
        switch name {
        case "attempt":
            decoded().map { (attempt: API.FeedAttempt) in
                columns(
                    attempt.at, "attempt", attempt.id, attempt.backend, attempt.kind, "#\(attempt.number)",
                    attempt.outcome, attempt.reason ?? "", "\(attempt.durationMs) ms")
            }
        case "settled":
            decoded().map { (settled: API.FeedSettlement) in
                columns(
                    settled.at, "settled", settled.id, settled.backend, "", "", settled.state,
                    settled.deadReason ?? settled.due.map { "next \(Age.relative($0))" } ?? "", "")
            }
        case "answer":
            decoded().map { (answer: API.FeedAnswer) in
                columns(
                    answer.at, "answer", answer.envelopeId, answer.backend, answer.kind, "", answer.outcome,
                    answer.status.map { "http_\($0)" } ?? "", "\(answer.durationMs) ms")
            }
        case "lost":
            decoded().map { (lost: API.FeedLost) in
                Paint.yellow("… \(lost.count) more happened, faster than this was read")
            }
        default: nil
        }
    }

    private func decoded<Value: Decodable>() -> Value? { try? AdminJSON.decode(from: Data(data.utf8)) }

    private func columns(
        _ at: String, _ what: String, _ id: String, _ backend: String, _ kind: String, _ number: String,
        _ outcome: String, _ reason: String, _ took: String
    ) -> String {
        func pad(_ text: String, _ width: Int) -> String {
            text.count >= width ? text.printable : text.printable + String(repeating: " ", count: width - text.count)
        }
        let time = at.dropFirst(11).prefix(12)
        let line = [
            Paint.dim(String(time)), pad(what, 7), pad(id, 14), pad(backend, 12), pad(kind, 11), pad(number, 3),
            Paint.state(outcome)(pad(outcome, 9)), pad(reason, 10), took,
        ].joined(separator: "  ")
        return String(line.reversed().drop { $0 == " " }.reversed())
    }
}
