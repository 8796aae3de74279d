// How the simulated Slack behaves when nobody disturbs it.

package import RelayCore

/// The defaults are real Slack's, as far as they are known (slack-protocol.md); tests shorten the times.
package struct SlackSimulatorConfiguration: Sendable {
    /// Where to listen. Off loopback anybody who reaches the port can read and send everything.
    package var host: String
    /// 0: any free port; `SlackSimulator.port` tells which.
    package var port: Int
    /// The one app-level token that is taken; nil: any that begins with `xapp-`.
    package var appToken: Secret?
    /// `A…`, told in `hello` and put into sample payloads.
    package var appID: String
    /// Open connections that the app may have, ghosts included; one more gets `too_many_websockets`.
    package var connectionLimit: Int
    package var distribution: Distribution
    /// From sending a copy until it counts as not acknowledged.
    package var acknowledgementDeadline: Duration
    /// The waits before the second, third, … copy of an event, each from the failure of the copy before.
    package var redelivery: [Duration]
    /// From `hello` to the first server ping; later ones come each `pingInterval`.
    package var firstPing: Duration
    package var pingInterval: Duration
    /// How long a connection lives before it is refreshed, told in `hello` in seconds; nil: until it is asked to be.
    /// With `debug_reconnects=true` in its URL a connection lives 360 s, or shorter when this is.
    package var connectionLifetime: Duration?
    /// From `warning` to `refresh_requested`; nil: refresh without a warning.
    package var warningLead: Duration?
    /// From `refresh_requested` to the close frame.
    package var closeDelay: Duration
    /// Each connection is reset (RST) this long after its `hello`; nil: never.
    package var resetAfter: Duration?
    /// Whether TCP is closed once both close frames were sent. Slack does not do so reliably (§2.9), so by default
    /// neither does this.
    package var closesTCP: Bool
    /// Text is sent in frames of at most this many payload bytes; nil: each text in one frame, as Slack seems to do.
    package var fragmentBytes: Int?
    /// Registered connections that nobody holds: they count, and swallow their share of what is sent.
    package var ghosts: Int
    /// How long a `response_url` works, from sending its envelope; as often as `responseURLUses` (§5).
    package var responseURLLifetime: Duration
    /// What is remembered for `/control/envelopes`: beyond this number the oldest settled ones are forgotten.
    package var recordLimit: Int
    package var tls: TLS?

    /// Over which connections payloads are spread. Slack promises no pattern (§2.6).
    package enum Distribution: String, Sendable, CaseIterable {
        case random
        case roundRobin = "round_robin"
    }

    /// PEM files; the certificate file may hold the chain.
    package struct TLS: Sendable {
        package var certificateFile: String
        package var keyFile: String

        package init(certificateFile: String, keyFile: String) {
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
    }

    /// A client frame with a larger payload closes its connection with 1009 (§2.10). Not a setting: RFC 6455 has no
    /// such limit, Slack has.
    package static let clientFrameLimit = 20_480
    /// How often something may be posted to one `response_url` (§5).
    package static let responseURLUses = 5
    /// Nearly at once, a minute, five minutes (§3.6).
    package static let slackRedelivery: [Duration] = [.milliseconds(500), .seconds(60), .seconds(300)]
    /// The same three copies, for impatient people.
    package static let fastRedelivery: [Duration] = [.milliseconds(50), .milliseconds(200), .milliseconds(500)]

    package init(
        host: String = "127.0.0.1", port: Int = 0, appToken: Secret? = nil, appID: String = "A0SIMULATED",
        connectionLimit: Int = 10, distribution: Distribution = .roundRobin,
        acknowledgementDeadline: Duration = .seconds(3),
        redelivery: [Duration] = SlackSimulatorConfiguration.slackRedelivery, firstPing: Duration = .seconds(3),
        pingInterval: Duration = .seconds(10), connectionLifetime: Duration? = .seconds(18_060),
        warningLead: Duration? = .seconds(10), closeDelay: Duration = .seconds(1), resetAfter: Duration? = nil,
        closesTCP: Bool = false, fragmentBytes: Int? = nil, ghosts: Int = 0,
        responseURLLifetime: Duration = .seconds(1_800), recordLimit: Int = 100_000, tls: TLS? = nil
    ) {
        self.host = host
        self.port = port
        self.appToken = appToken
        self.appID = appID
        self.connectionLimit = connectionLimit
        self.distribution = distribution
        self.acknowledgementDeadline = acknowledgementDeadline
        self.redelivery = redelivery
        self.firstPing = firstPing
        self.pingInterval = pingInterval
        self.connectionLifetime = connectionLifetime
        self.warningLead = warningLead
        self.closeDelay = closeDelay
        self.resetAfter = resetAfter
        self.closesTCP = closesTCP
        self.fragmentBytes = fragmentBytes
        self.ghosts = ghosts
        self.responseURLLifetime = responseURLLifetime
        self.recordLimit = recordLimit
        self.tls = tls
    }
}
