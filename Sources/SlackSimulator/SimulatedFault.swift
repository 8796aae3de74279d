// What can be made to go wrong.

package import RelayCore

/// What the next WebSocket upgrades get in place of a 101.
package enum UpgradeFault: Sendable, Equatable {
    /// This status, with headers like those of Slack's edge (`via`, `server`, slack-protocol.md §2.2) unless `headers`
    /// has them.
    case status(Int, headers: [Backend.Header] = [], body: String = "")
    /// A company proxy's page: 200 and HTML (F40).
    case html
    /// TCP is reset.
    case reset
    /// No answer at all; TCP stays open.
    case silence
    /// 101, and then this disconnect in place of `hello`.
    case disconnect(reason: String)
    /// 101, and then nothing: no `hello`, no pings, no pongs.
    case noHello
}

/// What the next calls of apps.connections.open get.
package enum APIFault: Sendable, Equatable {
    /// 200 with `{"ok":false,"error":…}`
    case error(code: String)
    /// This status; 429 has the error `ratelimited`. `retryAfter` in whole seconds.
    case status(Int, retryAfter: Int? = nil)
    /// 200 and HTML.
    case html
    /// TCP is reset.
    case reset
    /// No answer at all; TCP stays open.
    case silence
}

/// What the next posts to a `response_url` get.
package enum PostFault: Sendable, Equatable {
    /// This status; `retryAfter` in whole seconds.
    case status(Int, retryAfter: Int? = nil)
    /// TCP is reset.
    case reset
    /// No answer at all; TCP stays open.
    case silence
}

/// Which connections something is done to.
package enum ConnectionSelection: Sendable, Equatable {
    case all
    /// The one that has been open longest.
    case oldest
    case one(ConnectionID)
}

/// What is done to open connections.
package enum ConnectionFault: Sendable, Equatable {
    /// Asks for a refresh, first with a warning when `warningLead` is set.
    case refresh
    /// Sends a disconnect with this reason. After any but `warning` the close frame follows when `closeDelay` has
    /// passed.
    case disconnect(reason: String)
    /// Sends a close frame with this code now.
    case close(code: UInt16)
    /// Closes TCP without a close frame: the most common end in the field (§2.9).
    case cut
    /// Resets TCP.
    case reset
    /// Half-open: from now on neither reads nor writes, but stays registered, and keeps its share of the payloads.
    case silence
    /// Sends this text, whatever it is: garbage, or nothing at all.
    case text(String)
}
