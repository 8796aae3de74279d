// Who may speak to the admin API.

import HTTPTypes
import RelayCore

/// Decides from the head of a request whether it may pass.
struct AccessCheck: Sendable {
    /// The address listened at is one of the machine's own.
    var isOnLoopback: Bool
    /// The token that must be shown; nil: none is configured.
    var token: (@Sendable () throws(SecretError) -> Secret)?

    /// A longer one is not looked at.
    static let maxTokenBytes = 1 << 10

    func check(_ request: HTTPRequest) throws(Problem) {
        try checkHost(request)
        try checkOrigin(request)
        try checkToken(request)
    }

    /// On loopback the name in `Host` must be one of the machine itself: a web page whose name was made to lead here
    /// (DNS rebinding) says its own name. Any port: it may be forwarded.
    private func checkHost(_ request: HTTPRequest) throws(Problem) {
        guard isOnLoopback else { return }
        guard let host = request.authority.flatMap(Self.host), IPAddress.isLoopback(host: host) else {
            throw Problem(
                .forbiddenHost, "Host must be localhost or a loopback address, is \(quoted(request.authority ?? ""))")
        }
    }

    /// A browser says where a request comes from; other clients say nothing. Anything but the API's own page is refused.
    private func checkOrigin(_ request: HTTPRequest) throws(Problem) {
        if let site = request.secFetchSite, site != "same-origin", site != "none" {
            throw Problem(.forbiddenOrigin, "Sec-Fetch-Site is \(quoted(site)); same-origin or none is let in")
        }
        guard let origin = request.headerFields[.origin] else { return }
        let own = request.authority.map { ["http://\($0)", "https://\($0)"] } ?? []
        guard own.contains(origin.lowercased()) else {
            throw Problem(.forbiddenOrigin, "Origin is \(quoted(origin)), which is not where this API is")
        }
    }

    private func checkToken(_ request: HTTPRequest) throws(Problem) {
        guard let token else { return }
        let expected: Secret
        do throws(SecretError) {
            expected = try token()
        } catch {
            var problem = Problem(.tokenUnavailable, "the log of Relay says why")
            problem.cause = error.description
            throw problem
        }
        guard let header = request.headerFields[.authorization] else {
            throw Problem(.unauthorized, "the request has no Authorization: Bearer …")
        }
        guard header.count > 7, header.prefix(7).lowercased() == "bearer " else {
            throw Problem(.unauthorized, "Authorization is not of the form: Bearer …")
        }
        let shown = Array(header.utf8.dropFirst(7))
        guard shown.count <= Self.maxTokenBytes, Self.isEqual(shown, expected.bytes) else {
            throw Problem(.unauthorized, "the token is not the one that admin.token refers to")
        }
    }

    /// Takes the same time wherever two values of one length differ. The comparison of OpenSSL, which Relay uses for
    /// signatures, belongs to a target that an edge cannot import for one loop; the length is no secret.
    static func isEqual(_ lhs: [UInt8], _ rhs: [UInt8]) -> Bool {
        guard lhs.count == rhs.count else { return false }
        var difference: UInt8 = 0
        for index in lhs.indices { difference |= lhs[index] ^ rhs[index] }
        return difference == 0
    }

    /// The host of `host`, `host:port`, `[v6]:port`, without brackets; nil when it is none of these.
    static func host(_ authority: String) -> String? {
        var rest = authority[...]
        var host: Substring
        if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            host = rest[rest.index(after: rest.startIndex)..<end]
            rest = rest[rest.index(after: end)...]
        } else {
            host = rest.prefix { $0 != ":" }
            rest = rest.dropFirst(host.count)
        }
        let isPort = rest.isEmpty || rest.first == ":" && rest.dropFirst().allSatisfy { "0"..."9" ~= $0 }
        if host.hasSuffix(".") { host = host.dropLast() }
        return isPort && !host.isEmpty ? String(host) : nil
    }
}

extension HTTPRequest {
    /// What a browser says of the page that makes the request (Fetch Metadata §2.3); nil where it is none.
    fileprivate var secFetchSite: String? {
        headerFields.first { $0.name.canonicalName == "sec-fetch-site" }?.value
    }
}

/// What came from outside, for a message: at most 80 characters, control characters escaped.
func quoted(_ text: some StringProtocol) -> String {
    let short = String(text.prefix(80))
    return short.debugDescription + (short.count < text.count ? "…" : "")
}
