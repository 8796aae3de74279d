// The form of a slash command, made from the JSON that the socket carries (slack-protocol.md §4.4).

package import RelayCore

/// The fields of a slash command in the order of Slack's HTTP mode, each with its value as text.
package struct CommandForm: Sendable, Equatable {
    /// The order in real requests; the enterprise fields are there in Enterprise organisations only.
    private static let order = [
        "token", "team_id", "team_domain", "channel_id", "channel_name", "user_id", "user_name", "command", "text",
        "api_app_id", "is_enterprise_install", "enterprise_id", "enterprise_name", "response_url", "trigger_id",
    ]

    package struct Field: Sendable, Equatable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    package private(set) var fields: [Field]

    /// Reads a command's payload. Fields that Slack's HTTP mode is not known to send come last, in the order of the
    /// payload.
    ///
    /// Values are strings there; should one be something else, a number or Boolean becomes its JSON text, an object or
    /// array too, and null is left out, as an absent field is. Of a name that comes twice the last value counts, as in
    /// JSON parsers.
    package init(payload: Payload) throws(JSONError) {
        var values: [String: String?] = [:]
        var names: [String] = []
        var scanner = JSONScanner(payload.bytes)
        try scanner.enterObject()
        while let key = try scanner.nextKey() {
            let name = scanner.text(of: key)
            let value = try scanner.readValue()
            if values.updateValue(scanner.fieldText(value), forKey: name) == nil { names.append(name) }
        }
        try scanner.finish()
        let unknown = names.filter { !Self.order.contains($0) }
        fields = (Self.order + unknown).compactMap { name in
            values[name].flatMap { $0 }.map { Field(name: name, value: $0) }
        }
    }

    /// `name=value&…`, percent-encoded; an empty value keeps its `name=`.
    package var body: [UInt8] {
        var body: [UInt8] = []
        for field in fields {
            if !body.isEmpty { body.append(UInt8(ascii: "&")) }
            body.appendPercentEncoded(field.name.utf8)
            body.append(UInt8(ascii: "="))
            body.appendPercentEncoded(field.value.utf8)
        }
        return body
    }
}

extension JSONScanner {
    /// A value as the text of a form field; nil for null.
    fileprivate func fieldText(_ value: JSONValue) -> String? {
        guard value.kind != .null else { return nil }
        return string(value) ?? String(decoding: bytes[value.range], as: UTF8.self)
    }
}
