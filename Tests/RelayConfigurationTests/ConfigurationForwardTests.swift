// The configuration of `relay forward URL`.

import RelayConfiguration
import RelayCore
import Testing

@Suite("The configuration of forward")
struct ConfigurationForwardTests {
    @Test("everything goes to the URL from memory, at once, without a port")
    func defaults() throws {
        let configuration = try Configuration.forward(url: "http://localhost:3000/slack/events")
        #expect(
            configuration
                == Configuration(
                    apps: [
                        SlackConfiguration(
                            appToken: .environment("SLACK_APP_TOKEN"),
                            signingSecret: .environment("SLACK_SIGNING_SECRET"), startJitter: .zero)
                    ],
                    queue: QueueConfiguration(driver: .memory),
                    backends: [Backend(name: "local", url: "http://localhost:3000/slack/events")],
                    routes: [Route(name: "default", to: ["local"])], health: nil,
                    admin: nil))
    }

    @Test("with a path the deliveries are kept there; the tokens and Slack's API can be others")
    func given() throws {
        let configuration = try Configuration.forward(
            url: "http://h/", appToken: .file("/a"), signingSecret: .file("/b"), apiURL: "http://127.0.0.1:1/api/",
            queuePath: "relay.db")
        #expect(configuration.queue == QueueConfiguration(driver: .sqlite, path: "relay.db"))
        #expect(configuration.apps[0].appToken == .file("/a"))
        #expect(configuration.apps[0].signingSecret == .file("/b"))
        #expect(configuration.apps[0].apiURL == "http://127.0.0.1:1/api")
    }

    @Test(
        "events are queued, every other kind is answered",
        arguments: [
            (Kind.event, nil, ["local"]), (.command, "local", []), (.interaction, "local", []), (.options, "local", []),
        ] as [(Kind, BackendName?, [BackendName])])
    func kinds(_ kind: Kind, _ asked: BackendName?, _ queued: [BackendName]) throws {
        let configuration = try Configuration.forward(url: "http://h/")
        let envelope = Envelope(
            id: "1", kind: kind, payload: Payload("{}"), receivedAt: Timestamp(nanosecondsSinceEpoch: 0))
        let plan = Router(routes: configuration.routes).plan(for: envelope)
        #expect(plan.asked?.target.backend == asked)
        #expect(plan.queued.map(\.backend) == queued)
    }

    @Test("an address that cannot be a backend's is refused at once")
    func unreachable() {
        let error = #expect(throws: ConfigurationErrors.self) { try Configuration.forward(url: "http://0.0.0.0:3000/") }
        #expect(
            error?.description
                == "the URL cannot be reached: egress does not allow 0.0.0.0: 0.0.0.0/8 is no address to connect to")
    }

    @Test("what is wrong is said without a place in a file, all at once")
    func mistakes() {
        do throws(ConfigurationErrors) {
            _ = try Configuration.forward(url: "localhost:3000", apiURL: "x", queuePath: "")
            Issue.record("was taken")
        } catch {
            #expect(
                error.description == """
                    the URL must be an absolute http or https URL, is "localhost:3000"
                    the URL of Slack's API must be an absolute http or https URL, is "x"
                    the path of the queue must not be empty
                    """)
        }
    }
}
