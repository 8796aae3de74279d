// Where to dial, taken from the URL that Slack gives.

import Foundation
import RelayCore
import SocketMode

/// The parts of a WebSocket URL. Its query holds the ticket: not printable.
struct WebSocketURL: Sendable, CustomStringConvertible, CustomReflectable {
    let isSecure: Bool
    /// Without brackets.
    let host: String
    let port: Int
    /// Path and query as they go on the request line.
    let requestTarget: String

    /// - Parameter allowsPlaintext: whether `ws` is good; `wss` always is.
    init(_ url: Secret, allowsPlaintext: Bool) throws(ConnectFailure) {
        let text = String(decoding: url.bytes, as: UTF8.self)
        guard let parts = URLComponents(string: text), let host = parts.host, !host.isEmpty else {
            throw ConnectFailure(.apiError, "the WebSocket URL cannot be read (\(url.bytes.count) bytes)")
        }
        switch parts.scheme?.lowercased() {
        case "wss": isSecure = true
        case "ws" where allowsPlaintext: isSecure = false
        case let scheme:
            throw ConnectFailure(
                .apiError, "the WebSocket URL must begin with wss://, begins with \(scheme ?? "nothing")")
        }
        let port = parts.port ?? (isSecure ? 443 : 80)
        guard 1...65535 ~= port else { throw ConnectFailure(.apiError, "the WebSocket URL has port \(port)") }
        self.host = host.trimmingBrackets
        self.port = port
        let path = parts.percentEncodedPath.isEmpty ? "/" : parts.percentEncodedPath
        requestTarget = parts.percentEncodedQuery.map { "\(path)?\($0)" } ?? path
    }

    var description: String { "\(isSecure ? "wss" : "ws")://\(hostAndPort)/***" }
    var customMirror: Mirror { Mirror(self, children: []) }

    /// For the CONNECT request: always with the port.
    var hostAndPort: String { "\(bracketedHost):\(port)" }

    /// Literal IPv6 addresses in brackets.
    var bracketedHost: String { host.contains(":") ? "[\(host)]" : host }

    /// For the Host header: with the port where it is not the scheme's.
    var hostHeader: String { port == (isSecure ? 443 : 80) ? bracketedHost : hostAndPort }
}

extension String {
    /// `::1` for `[::1]`.
    var trimmingBrackets: String {
        hasPrefix("[") && hasSuffix("]") ? String(dropFirst().dropLast()) : self
    }
}
