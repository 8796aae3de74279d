// Posts to Slack's response URLs (slack-protocol.md §5).

package import Curl
package import RelayCore

/// The adapter of `ResponsePoster`: one POST of JSON, to Slack's own hosts and to no others. A response URL comes in a
/// payload, from outside; whoever could write one must not be able to make Relay speak to a machine of his choice.
package struct ResponseURLClient: ResponsePoster {
    private let http: CurlClient
    private let configuration: SlackConnectorConfiguration
    /// Scheme, host and port of the configured API, when it is not Slack's: a simulator's URLs are on its own address.
    private let ownOrigin: String?
    private let timeout: Duration

    /// An error is read no further (NousResearch/hermes-agent#55356).
    private static let maxResponseBytes = 16 << 10

    /// - Parameters:
    ///   - configuration: whose proxy, CA file and API address hold here, too.
    ///   - timeout: for one post, to the last byte of the answer.
    package init(
        http: CurlClient, configuration: SlackConnectorConfiguration, timeout: Duration = .seconds(10)
    ) {
        self.http = http
        self.configuration = configuration
        self.timeout = timeout
        let api = URLOrigin(configuration.apiURL)
        ownOrigin = api.flatMap { $0.isInSlackDomain ? nil : $0.text }
    }

    package func mayPost(to url: ResponseURL) -> Bool {
        guard let origin = URLOrigin(url.text) else { return false }
        return origin.isSlack || origin.text == ownOrigin
    }

    package func post(_ body: Payload, to url: ResponseURL) async -> ResponsePostResult {
        guard mayPost(to: url) else { return .refused(detail: "not a response URL of Slack's") }
        let request = CurlRequest(
            url: url.text, method: .post, headers: [("Content-Type", "application/json")], body: body.bytes,
            timeout: timeout, connectTimeout: .seconds(5),
            proxy: configuration.proxy.map { .url($0) } ?? .environment, caFile: configuration.caFile,
            maxResponseBytes: Self.maxResponseBytes)
        do {
            let response = try await http.perform(request)
            return Self.read(
                status: response.status, retryAfter: response.header("Retry-After"), body: response.body)
        } catch {
            guard let response = error.response else { return .failed(retryAfter: nil, detail: error.message) }
            return Self.read(status: response.status, retryAfter: response.header("Retry-After"), body: [])
        }
    }

    /// What an answer means. A 200 can be a refusal, `{"ok":false,"error":"…"}`; which errors there are is not
    /// documented.
    static func read(status: Int, retryAfter: String?, body: [UInt8]) -> ResponsePostResult {
        switch status {
        case 200..<300:
            guard let error = SlackError(body) else { return .posted }
            return .refused(detail: "Slack refuses the post: \(error.code)")
        case 408, 429, 500...:
            return .failed(retryAfter: Duration(retryAfter: retryAfter), detail: "HTTP \(status)")
        default: return .refused(detail: "HTTP \(status)")
        }
    }

    private struct SlackError {
        var code: String

        /// nil: not an object that says `"ok":false`.
        init?(_ body: [UInt8]) {
            var scanner = JSONScanner(body)
            var isRefused = false
            var code = "unknown"
            do throws(JSONError) {
                try scanner.enterObject()
                while let key = try scanner.nextKey() {
                    let name = scanner.text(of: key)
                    let value = try scanner.readValue()
                    if name == "ok" { isRefused = scanner.boolean(value) == false }
                    if name == "error" { code = scanner.string(value).map { String($0.prefix(64)) } ?? code }
                }
            } catch {
                return nil
            }
            guard isRefused else { return nil }
            self.code = code
        }
    }
}

/// Scheme, host and port of a URL, read so strictly that no other reader can see another host in it.
struct URLOrigin: Equatable {
    /// As written: libcurl's client takes it in lower case only.
    let scheme: String
    /// In lower case.
    let host: String
    /// As written, without the colon; empty when there is none.
    let port: String

    var text: String { "\(scheme)://\(host):\(port)" }

    /// nil when the URL is anything but visible ASCII without backslashes, with a plain host and perhaps a port.
    init?(_ url: String) {
        guard url.utf8.allSatisfy({ 0x20 < $0 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }),
            let separator = url.firstRange(of: "://")
        else { return nil }
        scheme = String(url[..<separator.lowerBound])
        let authority = url[separator.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let parts = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        host = (parts.first ?? "").lowercased()
        port = parts.count > 1 ? String(parts[1]) : ""
        guard scheme == "https" || scheme == "http", !host.isEmpty,
            host.utf8.allSatisfy({ $0.isHostCharacter }), port.utf8.allSatisfy({ $0.isDigit })
        else { return nil }
    }

    /// Any host of Slack's or GovSlack's, that of the API among them.
    var isInSlackDomain: Bool {
        ["slack.com", "slack-gov.com"].contains { host == $0 || host.hasSuffix(".\($0)") }
    }

    /// https, on a host that response URLs are on (slack-protocol.md §5).
    var isSlack: Bool {
        guard scheme == "https", port.isEmpty || port == "443" else { return false }
        return host == "hooks.slack-gov.com" || host.hasSuffix(".slack.com")
    }
}

extension UInt8 {
    fileprivate var isDigit: Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= self }
    fileprivate var isHostCharacter: Bool {
        isDigit || UInt8(ascii: "a")...UInt8(ascii: "z") ~= self || self == UInt8(ascii: "-")
            || self == UInt8(ascii: ".")
    }
}
