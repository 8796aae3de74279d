// The section `admin`: where the admin API is served, and who may speak to it.

package import RelayCore

package struct AdminConfiguration: Sendable, Equatable {
    /// An address or a host name; IPv6 without brackets.
    package var host: String
    /// 0: any free one.
    package var port: Int
    /// What a caller must show; nil, which only a loopback address can have: whoever is on this machine may speak to it.
    package var token: SecretReference?

    package init(host: String = "127.0.0.1", port: Int = 9391, token: SecretReference? = nil) {
        self.host = host
        self.port = port
        self.token = token
    }

    package var address: ListenAddress { ListenAddress(host: host, port: port) }

    /// What is wrong with a token, as the end of a sentence; nil: nothing. Never shows it.
    package static func problem(ofToken token: Secret) -> String? {
        guard tokenBytes.contains(token.bytes.count) else {
            return
                "must be \(tokenBytes.lowerBound) to \(tokenBytes.upperBound) bytes, is \(token.bytes.count); "
                + "`openssl rand -hex 32` makes a good one"
        }
        // What can stand in a header behind `Bearer ` (RFC 6750 §2.1 wants less).
        guard token.bytes.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            return "must be ASCII characters without spaces"
        }
        return nil
    }

    private static let tokenBytes = 16...1024

    /// A token as it is now: a file can be written to at any time. Throws when it cannot be had, or has not the form.
    package static func token(
        _ reference: SecretReference, from secrets: any SecretReader
    ) throws(SecretError) -> Secret {
        let token = try secrets.secret(reference)
        if let problem = problem(ofToken: token) { throw SecretError(reference, reason: problem) }
        return token
    }

    enum Key: String, ConfigurationKey { case listen, token }

    /// nil for `listen: none`: there is no API.
    static func decode(_ section: Section<Key>) -> AdminConfiguration? {
        var address: HealthConfiguration? = HealthConfiguration(host: "127.0.0.1", port: 9391)
        section.read(.listen, into: &address, .orNone(.listenAddress(as: "127.0.0.1:9391")))
        let token = section.read(.token, .secret)
        guard let address else {
            if section[.token] != nil {
                section.note("admin.token is for an API, and with `listen: none` there is none", at: .token)
            }
            return nil
        }
        if section[.token] == nil, !IPAddress.isLoopback(host: address.host) {
            section.note(
                "admin.token is missing; off loopback (admin.listen is \(address.address)) the admin API wants one: "
                    + "env:NAME or file:/path", at: .listen)
        }
        return AdminConfiguration(host: address.host, port: address.port, token: token)
    }
}
