// What went wrong on the way to a WebSocket, in the words of an attempt.

import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import SocketMode

extension ConnectFailure {
    /// The name could not be resolved, or no address took the connection.
    static func connect(_ error: any Error, host: String, port: Int, isProxy: Bool) -> ConnectFailure {
        let place = isProxy ? "proxy \(host):\(port)" : "\(host):\(port)"
        guard let error = error as? NIOConnectionError else {
            return ConnectFailure(isProxy ? .proxyError : .connectError, "\(place): \(error)")
        }
        guard error.connectionErrors.isEmpty, let cause = error.dnsAError ?? error.dnsAAAAError else {
            let causes = error.connectionErrors.map { "\($0.target): \($0.error)" }.joined(separator: "; ")
            return ConnectFailure(isProxy ? .proxyError : .connectError, "\(place): \(causes)")
        }
        return ConnectFailure(isProxy ? .proxyError : .dnsError, "\(place): \(cause)")
    }

    /// The proxy did not open a tunnel.
    static func proxy(_ error: any Error, answer: HTTPResponseHead?) -> ConnectFailure {
        if let failure = error as? ConnectFailure { return failure }
        guard let answer else { return ConnectFailure(.proxyError, "the proxy opened no tunnel: \(error)") }
        return ConnectFailure(
            .proxyError, "the proxy answered CONNECT with \(answer.status.code)", answer)
    }

    /// The upgrade was answered with this.
    static func upgrade(_ head: HTTPResponseHead, _ detail: String? = nil) -> ConnectFailure {
        let detail =
            switch head.status.code {
            case _ where detail != nil: detail ?? ""
            case 101: "the upgrade was answered with a 101 that RFC 6455 does not accept"
            case let code where head.isHTML: "the upgrade was answered with \(code) and an HTML page: a proxy?"
            case let code: "the upgrade was answered with \(code)"
            }
        return ConnectFailure(head.status == .tooManyRequests ? .rateLimited : .upgradeRejected, detail, head)
    }

    /// TLS failed, the socket broke, or what came was not HTTP.
    static func handshake(_ error: any Error) -> ConnectFailure {
        switch error {
        case let failure as ConnectFailure: failure
        // The end of TCP, as TLS and HTTP see it.
        case NIOSSLError.uncleanShutdown, HTTPParserError.invalidEOFState: ConnectFailure(.reset, "\(error)")
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError: ConnectFailure(.tlsError, "\(error)")
        case is HTTPParserError: ConnectFailure(.upgradeRejected, "the answer to the upgrade is not HTTP: \(error)")
        default: ConnectFailure(.reset, "\(error)")
        }
    }

    private init(_ outcome: ConnectOutcome, _ detail: String, _ head: HTTPResponseHead) {
        self.init(
            outcome, detail, status: Int(head.status.code), via: head.short("via"), server: head.short("server"),
            retryAfter: Duration(retryAfter: head.headers.first(name: "retry-after")))
    }
}

extension HTTPResponseHead {
    fileprivate var isHTML: Bool {
        headers.first(name: "content-type")?.lowercased().hasPrefix("text/html") == true
    }

    /// A header for a log line.
    fileprivate func short(_ name: String) -> String? { headers.first(name: name).map { String($0.prefix(200)) } }
}
