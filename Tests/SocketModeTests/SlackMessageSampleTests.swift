// Real-shaped frames, as they are and mutated. Without the samples (RELAY_SAMPLES, or ../shared/samples) the built-in
// ones do.

import Foundation
import RelayCore
import RelayTestKit
import SocketMode
import Testing

@Suite struct SlackMessageSampleTests {
    @Test("every sample is a payload that is kept byte for byte, agrees with Foundation on being JSON, and traps not")
    func samples() {
        for (name, frame) in Samples.frames {
            let message = SlackMessage.parse(frame, app: "demo", receivedAt: Timestamp(millisecondsSinceEpoch: 0))
            let isObject = (try? JSONSerialization.jsonObject(with: Data(frame))) is [String: Any]
            guard case .envelope(let envelope) = message else {
                Issue.record("\(name): \(message)")
                continue
            }
            #expect(isObject, "\(name)")
            #expect(frame.firstRange(of: envelope.payload.bytes) != nil, "\(name)")
            #expect((try? JSONSerialization.jsonObject(with: Data(envelope.payload.bytes))) is [String: Any], "\(name)")
        }
    }

    @Test("a hello with a broken character is a hello all the same, and a disconnect in an old word is known")
    func socketSamples() throws {
        for (name, bytes) in Samples.files(in: "socket") {
            switch (name, SlackMessage.parse(bytes, app: "demo", receivedAt: Timestamp(millisecondsSinceEpoch: 0))) {
            case ("Hello.json", .hello(let hello)):
                #expect(hello.connectionCount == 1)
                #expect(hello.approximateConnectionTime == .seconds(3600))
            case ("Disconnect.json", .disconnect(let disconnect)): #expect(disconnect.reason == .linkDisabled)
            // The envelope stands one level too deep in this capture.
            case ("Envelope.json", let message): #expect(message == .ignored(.noType))
            case ("EnvelopeEvent.json", .envelope(let envelope)):
                #expect(envelope.deduplicationKey == "event/Ev01TEHHUCTF")
                #expect(envelope.attributes.event == "app_home_opened")
                #expect(envelope.retry == SlackRetry(attempt: 1, reason: "timeout"))
            case (_, let message): Issue.record("\(name): \(message)")
            }
        }
    }

    @Test(
        "no mutation of a real frame traps; what is still an envelope has a payload that is a complete object",
        arguments: 0..<8)
    func fuzz(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for (name, frame) in Samples.frames {
            for _ in 0..<20 {
                let mutated = random.mutate(frame)
                let message = SlackMessage.parse(mutated, app: "demo", receivedAt: Timestamp(millisecondsSinceEpoch: 0))
                guard case .envelope(let envelope) = message else { continue }
                var scanner = JSONScanner(envelope.payload.bytes)
                let value = try scanner.readValue()
                try scanner.finish()
                #expect(value.kind == .object, "\(name)")
                #expect(!envelope.id.isEmpty, "\(name)")
            }
        }
    }
}

private enum Samples {
    /// Envelopes around the payloads of `events` and `interactive`, and around the built-in ones.
    static let frames: [(name: String, bytes: [UInt8])] =
        files(in: "events").map { name, bytes in
            let head =
                #"{"envelope_id":"1ec17213-fc47-4afd-97d5-c35305718e30","payload":{"token":"x","team_id":"T1","api_app_id":"A1","event":"#
            let tail =
                #","type":"event_callback","event_id":"Ev1","event_time":1},"type":"events_api","accepts_response_payload":false,"retry_attempt":0,"retry_reason":""}"#
            return (name, head.utf8 + bytes + tail.utf8)
        }
        + files(in: "interactive").map { name, bytes in
            let head = #"{"envelope_id":"1ec17213-fc47-4afd-97d5-c35305718e30","payload":"#
            return (name, head.utf8 + bytes + #","type":"interactive","accepts_response_payload":true}"#.utf8)
        }
        + builtIn.map { ("built-in", Array($0.utf8)) }

    static let builtIn = [
        #"{"envelope_id":"e1","payload":{"team_id":"T1","event":{"type":"message","text":"caf\u00e9 \ud83d\ude00 https:\/\/x","channel":"C1","blocks":[{"type":"rich_text","elements":[{"type":"text","text":"a\"b"}]}]},"event_id":"Ev1","type":"event_callback","event_time":1700000000},"type":"events_api","accepts_response_payload":false,"retry_attempt":0,"retry_reason":""}"#,
        #"{"envelope_id":"e2","payload":{"command":"/x","text":"","trigger_id":"1.2.3","user_id":"U1"},"type":"slash_commands","accepts_response_payload":true}"#,
        #"{"envelope_id":"e3","payload":{"type":"block_actions","actions":[{"action_id":"a","block_id":"b+=","action_ts":"1.2"}],"container":{"message_ts":"3.4"}},"type":"interactive","accepts_response_payload":false}"#,
    ]

    static func files(in folder: String) -> [(name: String, bytes: [UInt8])] {
        let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let root =
            ProcessInfo.processInfo.environment["RELAY_SAMPLES"].map { URL(filePath: $0) }
            ?? package.appending(path: "../shared/samples")
        let folder = root.appending(path: folder).standardizedFileURL
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.sorted().filter { $0.hasSuffix(".json") }.compactMap { name in
            guard let data = try? Data(contentsOf: folder.appending(path: name)) else { return nil }
            // Some files begin with a byte order mark, which is theirs, not Slack's.
            return (name, Array(data.starts(with: [0xEF, 0xBB, 0xBF]) ? data.dropFirst(3) : data))
        }
    }
}

extension SeededRandom {
    /// One to three random changes: a byte replaced, removed or inserted, a stretch removed or doubled, the end cut
    /// off.
    fileprivate mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        let structural = Array(#"{}[]",:\u0e-.tn "#.utf8)
        for _ in 0..<Int.random(in: 1...3, using: &self) where !bytes.isEmpty {
            let index = Int.random(in: bytes.indices, using: &self)
            let end = Swift.min(bytes.count, index + Int.random(in: 1...40, using: &self))
            switch Int.random(in: 0..<6, using: &self) {
            case 0: bytes[index] = UInt8.random(in: .min ... .max, using: &self)
            case 1: bytes[index] = structural.randomElement(using: &self) ?? 0
            case 2: bytes.removeSubrange(index..<end)
            case 3: bytes.insert(contentsOf: bytes[index..<end], at: index)
            case 4: bytes.insert(structural.randomElement(using: &self) ?? 0, at: index)
            default: bytes.removeSubrange(index...)
            }
        }
        return bytes
    }
}
