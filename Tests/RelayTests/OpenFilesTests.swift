// How many of the files that may be open the load gets.

import RelayConfiguration
import RelayCore
import Testing

@testable import Relay

@Suite("Open files")
struct OpenFilesTests {
    private static func configuration(apps: Int, connections: Int) -> Configuration {
        Configuration(
            apps: (1...apps).map {
                SlackConfiguration(
                    name: AppName("app\($0)"), appToken: .environment("T"), signingSecret: .environment("S"),
                    connections: connections)
            }, backends: [Backend(name: "a", url: "http://127.0.0.1:1/"), Backend(name: "b", maxInFlight: 4)])
    }

    @Test(
        "the load gets what the queue, the listeners and the connections to Slack do not need",
        arguments: [
            (1024, 1, 2, 811), (1024, 20, 10, 396),
            // Never nothing.
            (200, 1, 2, 16), (0, 20, 10, 16),
        ])
    func connections(limit: Int, apps: Int, connections: Int, expected: Int) {
        let configuration = Self.configuration(apps: apps, connections: connections)
        #expect(OpenFiles(limit: limit).maxConnections(with: configuration) == expected)
    }

    @Test("a listener that is not there needs nothing")
    func listeners() {
        var configuration = Self.configuration(apps: 1, connections: 2)
        configuration.admin = nil
        #expect(OpenFiles(limit: 1024).maxConnections(with: configuration) == 875)
        configuration.health = nil
        #expect(OpenFiles(limit: 1024).maxConnections(with: configuration) == 939)
    }

    @Test("so many people can wait as deliveries leave connections for")
    func waiting() {
        let configuration = Self.configuration(apps: 1, connections: 2)
        #expect(OpenFiles(limit: 1024).maxWaiting(with: configuration) == 811 - 20)
        #expect(OpenFiles(limit: 1).maxWaiting(with: configuration) == 1)
    }
}
