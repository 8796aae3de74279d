// The form of the URLs in the file: absolute, http or https, plain ASCII (RFC 3986, without what no backend needs).

/// A checked URL and its parts.
struct WebURL: Equatable {
    /// As it was written.
    let text: String
    let scheme: String
    /// Before the `@`, for HTTP Basic authentication.
    let userinfo: String?
    /// IPv6 without brackets.
    let host: String
    let port: Int?
    /// From the first `/` on, with the query; empty when the URL ends with its host.
    let pathAndQuery: String

    /// Throws what the URL must be, without showing it.
    init(_ text: String, schemes: [String]) throws(Refusal) {
        let kinds = schemes.joined(separator: " or ")
        guard let scheme = schemes.first(where: { text.lowercased().hasPrefix($0 + "://") }) else {
            throw Refusal("must be an absolute \(kinds) URL")
        }
        let forbidden = "\"<>\\^`{|}#".utf8
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !forbidden.contains($0) }) else {
            throw Refusal("must be a URL of ASCII characters, without spaces and without a fragment (`#`)")
        }
        let rest = text.dropFirst(scheme.count + 3)
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let at = authority.lastIndex(of: "@")
        self.userinfo = at.map { String(authority[..<$0]) }
        (self.host, self.port) = try Self.hostAndPort(at.map { authority[authority.index(after: $0)...] } ?? authority)
        self.text = text
        self.scheme = scheme
        self.pathAndQuery = String(rest.dropFirst(authority.count))
    }

    /// Reads `host`, `host:port`, `[v6]`, `[v6]:port`.
    static func hostAndPort(_ text: Substring, ports: ClosedRange<Int> = 1...65535) throws(Refusal) -> (
        host: String, port: Int?
    ) {
        let host: Substring
        let port: Substring
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { throw Refusal("must close `[` around an IPv6 address") }
            host = text[text.index(after: text.startIndex)..<end]
            port = text[text.index(after: end)...]
            guard host.contains(":"), host.utf8.allSatisfy({ $0.isHexDigit || ":.".utf8.contains($0) }) else {
                throw Refusal("must have an IPv6 address between `[` and `]`")
            }
        } else {
            host = text.prefix { $0 != ":" }
            port = text.dropFirst(host.count)
            let isName = host.utf8.allSatisfy { $0.isASCIILetter || $0.isASCIIDigit || "-._".utf8.contains($0) }
            guard isName, (1...253).contains(host.utf8.count) else { throw Refusal("must name a host") }
        }
        guard !port.isEmpty else { return (String(host), nil) }
        guard port.hasPrefix(":"), port.dropFirst().utf8.allSatisfy(\.isASCIIDigit),
            let number = Int(port.dropFirst()), ports.contains(number)
        else { throw Refusal("must have a port of \(ports.lowerBound) to \(ports.upperBound) after the host") }
        return (String(host), number)
    }
}

extension UInt8 {
    fileprivate var isHexDigit: Bool {
        isASCIIDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self | 0x20)
    }
}
