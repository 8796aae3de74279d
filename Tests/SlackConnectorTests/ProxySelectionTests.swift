// Which proxy, and which hosts go without one: as libcurl does it.

import RelayCore
import SocketMode
import Testing

@testable import SlackConnector

@Suite struct ProxySelectionTests {
    @Test(
        "no_proxy",
        arguments: [
            ("slack.com", "wss-primary.slack.com", true), (".slack.com", "wss-primary.slack.com", true),
            ("slack.com", "SLACK.com", true), ("slack.com", "notslack.com", false), ("slack.com.", "slack.com", true),
            ("*", "anything", true), ("*.slack.com", "a.slack.com", false), ("other, slack.com", "a.slack.com", true),
            ("other slack.com", "slack.com", true), ("", "slack.com", false), (",, .", "slack.com", false),
            ("10.0.0.0/8", "10.1.2.3", true), ("10.0.0.0/8", "11.1.2.3", false), ("10.1.2.3", "10.1.2.3", true),
            ("192.168.1.128/25", "192.168.1.127", false), ("192.168.1.128/25", "192.168.1.200", true),
            ("0.0.0.0/0", "8.8.8.8", true), ("10.0.0.0/33", "10.0.0.0", false), ("10.0.0.0/x", "10.0.0.0", false),
            ("::1", "::1", true), ("[::1]", "::1", true), ("fd00::/8", "fd12::1", true), ("fd00::/8", "fe80::1", false),
            ("1.2.3.4", "x1.2.3.4", false), ("2.3.4", "1.2.3.4", false),
        ])
    func noProxy(list: String, host: String, isListed: Bool) {
        #expect(NoProxyList(list).contains(host) == isListed)
    }

    @Test("the environment's variables in libcurl's order; empty ones are not set")
    func environment() throws {
        let secure = try url("wss://wss-primary.slack.com/link/?ticket=1")
        let plain = try url("ws://slack.test/")
        func port(_ url: WebSocketURL, _ environment: [String: String]) throws -> Int? {
            try ProxyAddress.select(for: url, configured: nil, environment: environment)?.port
        }
        #expect(try port(secure, [:]) == nil)
        #expect(try port(secure, ["HTTPS_PROXY": "http://p:1", "https_proxy": "http://p:2"]) == 2)
        #expect(try port(secure, ["HTTPS_PROXY": "http://p:1", "wss_proxy": "http://p:3"]) == 3)
        #expect(try port(secure, ["https_proxy": "", "ALL_PROXY": "http://p:4"]) == 4)
        #expect(try port(secure, ["http_proxy": "http://p:5"]) == nil)
        #expect(try port(plain, ["http_proxy": "http://p:5"]) == 5)
        #expect(try port(plain, ["HTTP_PROXY": "http://p:5"]) == nil)
        #expect(try port(secure, ["HTTPS_PROXY": "http://p:1", "no_proxy": "slack.com"]) == nil)
    }

    @Test("a configured proxy goes before the environment, no_proxy included")
    func configured() throws {
        let proxy = try ProxyAddress.select(
            for: try url("wss://a.slack.com/"), configured: "http://q:9",
            environment: ["no_proxy": "*", "https_proxy": "http://p:1"])
        #expect(proxy?.host == "q")
        #expect(proxy?.port == 9)
    }

    @Test("a proxy's URL: scheme and port may be absent, user and password are decoded")
    func address() throws {
        let full = try ProxyAddress("http://us%40er:p%3Aw@proxy.test:3128/")
        #expect(full.authorization == "Basic dXNAZXI6cDp3")
        #expect(full.host == "proxy.test")
        #expect(try ProxyAddress("proxy.test").port == 1080)
        #expect(try ProxyAddress("https://proxy.test").port == 443)
        #expect(try ProxyAddress("[::1]:8080").host == "::1")
    }

    @Test("other proxies are refused by name", arguments: ["socks5://p:1", "ftp://p", "http://", "http://a b"])
    func refused(text: String) {
        #expect(throws: ConnectFailure.self) { try ProxyAddress(text) }
    }

    @Test("a WebSocket's URL keeps path and query as they are, and prints without them")
    func webSocketURL() throws {
        let url = try url("wss://wss-primary.slack.com/link/?ticket=a%2Fb&app_id=c")
        #expect(url.requestTarget == "/link/?ticket=a%2Fb&app_id=c")
        #expect(url.hostHeader == "wss-primary.slack.com")
        #expect(url.hostAndPort == "wss-primary.slack.com:443")
        #expect("\(url)" == "wss://wss-primary.slack.com:443/***")
        #expect(try self.url("wss://[::1]:8443").hostHeader == "[::1]:8443")
        #expect(try self.url("wss://[::1]:8443").requestTarget == "/")
    }

    @Test(
        "what is no WebSocket's URL is refused without printing it",
        arguments: ["", "https://a/?ticket=1", "wss://", "wss://a:0/", "wss://a:99999/?ticket=1"])
    func noWebSocketURL(text: String) {
        let error = #expect(throws: ConnectFailure.self) { try url(text) }
        #expect(error?.description.contains("ticket") == false)
    }

    private func url(_ text: String) throws -> WebSocketURL { try WebSocketURL(Secret(text), allowsPlaintext: true) }
}
