// When a server is not trusted with reused connections.

import Testing

@testable import Curl

@Suite struct HastyServersTests {
    private let now = ContinuousClock.now

    @Test("a server is distrusted for 30 seconds after it closed a connection, and others are not")
    func distrust() {
        var servers = HastyServers()
        #expect(!servers.contains("http://a", now: now))
        servers.reusedConnectionClosed("http://a", now: now)
        #expect(servers.contains("http://a", now: now + .seconds(29)))
        #expect(!servers.contains("http://a", now: now + .seconds(30)))
        #expect(!servers.contains("http://b", now: now))
    }

    @Test("each further close counts from its own time")
    func again() {
        var servers = HastyServers()
        servers.reusedConnectionClosed("http://a", now: now)
        servers.reusedConnectionClosed("http://a", now: now + .seconds(20))
        #expect(servers.contains("http://a", now: now + .seconds(49)))
    }

    @Test(
        "a server is scheme, host and port, or a socket",
        arguments: [
            (CurlRequest(url: "http://h:80/a?b"), "http://h:80"), (CurlRequest(url: "https://h?b"), "https://h"),
            (CurlRequest(url: "http://h/", unixSocketPath: "/run/s"), "/run/s"),
        ])
    func server(request: CurlRequest, server: String) {
        #expect(request.server == server)
    }
}
