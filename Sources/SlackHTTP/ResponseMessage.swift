// Messages of an answer: what Relay says in a backend's place, and what a reply becomes at a `response_url`
// (slack-protocol.md §5).

package import RelayCore

package enum ResponseMessage {
    /// A text that only the person sees. The message that a legacy button belongs to stays as it is.
    package static func notice(_ text: String, for envelope: Envelope) -> Payload {
        var json = Array("{\"response_type\":\"ephemeral\",".utf8)
        if envelope.isLegacyMessage { json.append(contentsOf: "\"replace_original\":false,".utf8) }
        json.append(contentsOf: "\"text\":".utf8)
        json.appendJSONString(text)
        json.append(UInt8(ascii: "}"))
        return Payload(bytes: json)
    }

    /// A reply as it is posted. In an acknowledgement the answer to a legacy button replaces its message by default, in
    /// a post it may not: so that is said, unless the backend says otherwise.
    package static func post(_ reply: Payload, for envelope: Envelope) -> Payload {
        guard envelope.isLegacyMessage, !reply.names(["replace_original", "delete_original"]) else { return reply }
        let members = reply.bytes.drop { $0 != UInt8(ascii: "{") }.dropFirst()
        let isEmpty = members.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) } == UInt8(ascii: "}")
        return Payload(bytes: Array("{\"replace_original\":true\(isEmpty ? "" : ",")".utf8) + members)
    }
}

extension Envelope {
    /// Whether it comes from a button or menu of a legacy attachment.
    fileprivate var isLegacyMessage: Bool { attributes.payloadType == "interactive_message" }
}

extension Payload {
    /// Whether the object has a member of one of these names.
    fileprivate func names(_ names: Set<String>) -> Bool {
        var scanner = JSONScanner(bytes)
        do throws(JSONError) {
            try scanner.enterObject()
            while let key = try scanner.nextKey() {
                if names.contains(scanner.text(of: key)) { return true }
                try scanner.readValue()
            }
        } catch {
            return false
        }
        return false
    }
}
