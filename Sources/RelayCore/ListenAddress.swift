// Where a port is opened.

/// A host and a port to listen on.
package struct ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// An address or a host name; IPv6 without brackets.
    package var host: String
    /// 0: any free one.
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Whether only the machine itself can come there.
    package var isLoopback: Bool { IPAddress.isLoopback(host: host) }

    /// As in the file: `0.0.0.0:9390`, `[::1]:9390`.
    package var description: String {
        host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
