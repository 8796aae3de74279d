// What is kept of a backend's response that was not a success.

/// Status, headers and the beginning of the body, as a person needs them to see why a delivery failed. Prints without
/// its body, which may repeat the payload.
package struct RecordedResponse: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    package var status: Int
    /// In the order sent; the values of those that may hold credentials are replaced.
    package var headers: [Header]
    /// At most `maxBodyBytes`.
    package var body: [UInt8]
    /// The body was longer.
    package var isTruncated: Bool

    package struct Header: Sendable, Hashable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    package static let maxBodyBytes = 16 << 10
    /// All headers together, names and values; further ones are left out.
    package static let maxHeaderBytes = 4 << 10

    /// Takes what is to be kept of a response.
    package init(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {
        self.status = status
        self.body = Array(body.prefix(Self.maxBodyBytes))
        self.isTruncated = body.count > Self.maxBodyBytes
        var room = Self.maxHeaderBytes
        self.headers = headers.prefix {
            room -= $0.name.utf8.count + $0.value.utf8.count
            return room >= 0
        }.map { Header(name: $0.name, value: Self.isSecret($0.name) ? "***" : $0.value) }
    }

    /// As it was kept.
    package init(status: Int, headers: [Header], body: [UInt8], isTruncated: Bool) {
        self.status = status
        self.headers = headers
        self.body = body
        self.isTruncated = isTruncated
    }

    /// Whether a header's name is known, or sounds, as if its value gave access to something.
    private static func isSecret(_ name: String) -> Bool {
        let name = name.lowercased()
        return ["cookie", "auth", "token", "secret", "signature", "session", "api-key", "apikey", "password"]
            .contains { name.contains($0) }
    }

    package var description: String { "HTTP \(status), \(headers.count) headers, <\(body.count) bytes>" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
