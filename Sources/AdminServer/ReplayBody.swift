// The body of `POST /replays`: bytes from outside, and what they ask for.

import Foundation
import RelayCore

/// Which deliveries to replay, and how.
struct ReplayBody {
    /// Deliveries that can be named in one request.
    static let maxIDs = 1_000

    /// With at least one state.
    var filter: DeliveryFilter
    /// Within `API.ReplayOrder.rates`; nil: as fast as the backend takes them.
    var perSecond: Double?
    /// They are to be counted only.
    var isDryRun: Bool

    /// - Parameter now: what durations in the filter go back from.
    init(_ bytes: Data, now: Timestamp) throws(Problem) {
        var body = try JSONObject(body: bytes)
        let ids = try body.strings("ids", atMost: Self.maxIDs)
        let filter = body.take("filter")
        perSecond = try body.number("per_second", in: API.ReplayOrder.rates)
        isDryRun = try body.bool("dry_run") ?? false
        try body.finish()
        self.filter = try Self.chosen(ids: ids, filter: filter, now: now)
    }

    private static func chosen(
        ids: [String]?, filter: JSONValue?, now: Timestamp
    ) throws(Problem) -> DeliveryFilter {
        let states: [DeliveryState] = [.dead, .expired, .canceled, .delivered]
        switch (ids, filter) {
        case (nil, nil): throw .invalid("the body", "must have ids or filter; an empty filter takes all dead letters")
        case (_?, _?): throw .invalid("ids", "and filter do not go together")
        case (let ids?, nil):
            var chosen = DeliveryFilter()
            guard !ids.isEmpty else { throw .invalid("ids", "must have at least one") }
            for text in ids {
                guard let id = DeliveryID(text) else {
                    throw .invalid("ids", "must be delivery ids; \(quoted(text)) is none")
                }
                chosen.ids.insert(id)
            }
            // Named one by one, whatever became of them.
            chosen.states = Set(states)
            return chosen
        case (nil, let filter?):
            var object = try JSONObject(filter, path: "filter")
            let words = try FilterWords(&object)
            try object.finish()
            guard var chosen = try DeliveryFilter.reading(words, states: states, now: now) else {
                throw .invalid("filter", "takes nothing: its class goes with none of its states, or of its reasons")
            }
            if chosen.states.isEmpty { chosen.states = [.dead] }
            return chosen
        }
    }
}
