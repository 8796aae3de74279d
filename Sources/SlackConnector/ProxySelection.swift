// Which proxy a WebSocket goes through: the same that libcurl would choose for the API.

import Foundation
import SocketMode

/// An HTTP proxy that is asked for a tunnel.
struct ProxyAddress: Equatable, Sendable {
    /// Whether the proxy itself is spoken to over TLS.
    var isSecure: Bool
    /// Without brackets.
    var host: String
    var port: Int
    /// Value of `Proxy-Authorization`; nil without user information. A secret.
    var authorization: String?

    /// Reads `http://user:password@host:port`. As with libcurl the scheme may be absent (then `http`), and the port
    /// (then 1080, or 443 for `https`).
    init(_ text: String) throws(ConnectFailure) {
        let hasScheme = text.contains("://")
        guard let parts = URLComponents(string: hasScheme ? text : "http://\(text)"), let host = parts.host,
            !host.isEmpty
        else { throw ConnectFailure(.proxyError, "the proxy's URL cannot be read") }
        switch parts.scheme?.lowercased() {
        case "http": isSecure = false
        case "https": isSecure = true
        case let scheme:
            throw ConnectFailure(.proxyError, "proxy scheme must be http or https, is \(scheme ?? "absent")")
        }
        self.host = host.trimmingBrackets
        self.port = parts.port ?? (isSecure ? 443 : 1080)
        authorization = parts.user.map { user in
            "Basic " + Data("\(user):\(parts.password ?? "")".utf8).base64EncodedString()
        }
    }
}

extension ProxyAddress {
    /// The proxy for a WebSocket to a host; nil: none.
    ///
    /// With `configured` that one, whatever the environment says. Else as libcurl does it (libcurl-env(3),
    /// `detect_proxy` in its url.c): `wss_proxy`, `https_proxy`, `all_proxy`, each also in capitals (for plain
    /// WebSockets `ws_proxy`, `http_proxy` in lower case only), unless `no_proxy` names the host. Empty variables count
    /// as not set.
    static func select(
        for url: WebSocketURL, configured: String?, environment: [String: String]
    ) throws(ConnectFailure) -> ProxyAddress? {
        if let configured { return try ProxyAddress(configured) }
        func value(_ name: String) -> String? {
            guard let value = environment[name], !value.isEmpty else { return nil }
            return value
        }
        if let list = value("no_proxy") ?? value("NO_PROXY"), NoProxyList(list).contains(url.host) { return nil }
        let names =
            url.isSecure
            ? ["wss_proxy", "WSS_PROXY", "https_proxy", "HTTPS_PROXY"] : ["ws_proxy", "WS_PROXY", "http_proxy"]
        for name in names + ["all_proxy", "ALL_PROXY"] {
            if let proxy = value(name) { return try ProxyAddress(proxy) }
        }
        return nil
    }
}

/// The hosts of `no_proxy`: names separated by commas or blanks, each for itself and all below it, addresses, networks
/// like `10.0.0.0/8`, or `*` for everything (CURLOPT_NOPROXY(3)).
struct NoProxyList: Equatable, Sendable {
    private let entries: [String]

    init(_ text: String) {
        entries = text.split(whereSeparator: { $0 == "," || $0.isWhitespace }).map { $0.lowercased() }
    }

    /// - Parameter host: a name or an address without brackets.
    func contains(_ host: String) -> Bool {
        if entries == ["*"] { return true }
        if let address = IPAddress(host) { return entries.contains { address.isIn($0) } }
        let name = Self.trimmed(host.lowercased())
        return entries.contains { entry in
            let entry = Self.trimmed(entry)
            return !entry.isEmpty && (name == entry || name.hasSuffix(".\(entry)"))
        }
    }

    /// Without a dot at its beginning or end.
    private static func trimmed(_ name: String) -> Substring {
        var name = name[...]
        if name.hasPrefix(".") { name = name.dropFirst() }
        if name.hasSuffix(".") { name = name.dropLast() }
        return name
    }
}

/// The bytes of a literal address, 4 or 16 of them.
private struct IPAddress: Equatable {
    let bytes: [UInt8]

    init?(_ text: some StringProtocol) {
        let text = String(text).trimmingBrackets
        var bytes = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, text, &bytes) == 1 {
            self.bytes = Array(bytes.prefix(4))
        } else if inet_pton(AF_INET6, text, &bytes) == 1 {
            self.bytes = bytes
        } else {
            return nil
        }
    }

    /// - Parameter network: an address, or an address and a number of bits that count.
    func isIn(_ network: String) -> Bool {
        let parts = network.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPAddress(first), address.bytes.count == bytes.count else {
            return false
        }
        guard parts.count == 2 else { return address == self }
        guard let bits = Int(parts[1]), 0...(bytes.count * 8) ~= bits else { return false }
        return bytes.indices.allSatisfy { index in
            let counted = min(max(bits - index * 8, 0), 8)
            let mask = UInt8(truncatingIfNeeded: 0xff00 >> counted)
            return (bytes[index] ^ address.bytes[index]) & mask == 0
        }
    }
}
