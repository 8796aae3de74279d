// How records look at the control endpoint. Times are milliseconds since the Unix epoch.

import Foundation
import RelayCore

extension EnvelopeRecord {
    var json: [String: Any] {
        var json: [String: Any] = [
            "envelope_id": id, "type": type, "state": state.rawValue, "copies": copies.map(\.json),
            "posts": posts.map { post in
                [
                    "at": post.at.millisecondsSinceEpoch, "after_ms": delay(of: post).milliseconds,
                    "body": Self.jsonValue(post.body),
                ]
            },
            "seen": seen,
        ]
        if let responseURL { json["response_url"] = responseURL }
        if let acknowledgement { json["acknowledged_at"] = acknowledgement.at.millisecondsSinceEpoch }
        if let acknowledgedAfter { json["acknowledged_after_ms"] = acknowledgedAfter.milliseconds }
        return json
    }

    /// null for what is no JSON.
    fileprivate static func jsonValue(_ bytes: [UInt8]) -> Any {
        (try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)) ?? NSNull()
    }
}

extension EnvelopeRecord.Copy {
    var json: [String: Any] {
        var json: [String: Any] = [
            "envelope_id": envelopeID, "retry_attempt": attempt, "sent_at": sentAt.millisecondsSinceEpoch,
        ]
        if let connection { json["connection"] = connection.number }
        guard let acknowledgement else { return json }
        json["acknowledged_at"] = acknowledgement.at.millisecondsSinceEpoch
        json["acknowledged_on"] = acknowledgement.connection.number
        json["is_late"] = acknowledgement.isLate
        if let payload = acknowledgement.payload {
            json["payload"] = EnvelopeRecord.jsonValue(payload)
        }
        return json
    }
}

extension SlackStateMachine {
    var json: [String: Any] {
        [
            "connected": connected, "registered": registered, "ghosts": ghosts, "api_calls": statistics.apiCalls,
            "upgrades": statistics.upgrades, "refused_upgrades": statistics.refusedUpgrades,
            "copies_sent": statistics.copiesSent, "redeliveries": statistics.redeliveries,
            "acknowledged": statistics.acknowledged, "late_acknowledgements": statistics.lateAcknowledgements,
            "strange_messages": statistics.strangeMessages, "lost": statistics.lost, "waiting": statistics.waiting,
            "oversized_frames": statistics.oversizedFrames, "posts": statistics.posts,
            "refused_posts": statistics.refusedPosts,
        ]
    }

    var connectionsJSON: [String: Any] {
        let now = connections.values.map(\.record).sorted { $0.id < $1.id }.map { record -> [String: Any] in
            [
                "connection": record.id.number, "state": record.state.rawValue,
                "opened_at": record.openedAt.millisecondsSinceEpoch, "sent": record.sent,
                "acknowledged": record.acknowledged,
            ]
        }
        let past = history.map { event -> [String: Any] in
            [
                "at": event.at.millisecondsSinceEpoch, "connection": event.connection.number,
                "what": event.what.rawValue,
                "connected": event.connected,
            ]
        }
        return ["connections": now, "history": past]
    }
}
