// The POST that Slack's HTTP mode would have sent for a payload: body and headers to the letter of slack-protocol.md
// §4.

package import RelayCore

/// A request for a backend, made in two steps, because the signature is over the body: render it, sign `body`, ask for
/// `headers`.
package struct SlackRequest: Sendable, Equatable {
    package typealias Header = Backend.Header

    /// Why a payload cannot be sent. Names the place, never the content.
    package struct RenderError: Error, Equatable, CustomStringConvertible {
        /// Where the payload of a command stops to be a JSON object.
        package let cause: JSONError

        package var description: String { "the payload of a command must be a JSON object: \(cause)" }
    }

    /// The bytes to sign and to send.
    package let body: [UInt8]
    private let kind: Kind
    private let retry: RetryFields?
    private let relayHeaders: [Header]
    private let backend: Backend

    /// - Parameters:
    ///   - attempt: its number, from 1.
    ///   - lastReason: why the attempt before did not succeed, where that is known; for `retry_headers: relay`.
    ///   - timeLeft: until the answer is late, where somebody waits for one.
    package static func render(
        _ delivery: Delivery, attempt: Int, for backend: Backend, lastReason: AttemptReason? = nil,
        timeLeft: Duration? = nil
    ) throws(RenderError) -> SlackRequest {
        SlackRequest(
            body: try renderBody(delivery.kind, delivery.payload), kind: delivery.kind,
            retry: RetryFields(backend.retryHeaders, delivery, attempt: attempt, lastReason: lastReason),
            relayHeaders: relayHeaders(delivery, attempt: attempt, timeLeft: timeLeft), backend: backend)
    }

    /// The body alone. An event's is the payload as it is; a command's is a form of its fields; the other kinds send a
    /// form of one field, `payload`, that holds the JSON as it is.
    package static func renderBody(_ kind: Kind, _ payload: Payload) throws(RenderError) -> [UInt8] {
        switch kind {
        case .event:
            return payload.bytes
        case .command:
            do throws(JSONError) {
                return try CommandForm(payload: payload).body
            } catch {
                throw RenderError(cause: error)
            }
        case .interaction, .options:
            var body = Array("payload=".utf8)
            body.appendPercentEncoded(payload.bytes)
            return body
        }
    }

    /// All headers but `Host` and `Content-Length`: those of Slack in its order, the signatures of other schemes,
    /// Relay's own, the configured ones. A configured header takes the place of one that has its name.
    /// - Parameter signatures: over `body`, made for this attempt.
    package func headers(_ signatures: RequestSignatures) -> [Header] {
        var headers = [
            Header(name: "User-Agent", value: backend.userAgent),
            Header(name: "Accept", value: kind == .event ? "*/*" : "application/json,*/*"),
            Header(name: "Accept-Encoding", value: Self.acceptEncoding),
            Header(name: "Content-Type", value: kind.contentType),
        ]
        headers += signatures.slackHeaders
        if let retry {
            headers.append(Header(name: "X-Slack-Retry-Num", value: String(retry.number)))
            headers.append(Header(name: "X-Slack-Retry-Reason", value: retry.reason.rawValue))
        }
        headers += signatures.otherHeaders
        headers += relayHeaders
        for header in backend.headers {
            if let index = headers.firstIndex(where: { $0.name.lowercased() == header.name.lowercased() }) {
                headers[index] = header
            } else {
                headers.append(header)
            }
        }
        return headers
    }

    /// What Slack says it can decode; whoever sends it must decode it.
    package static let acceptEncoding = "gzip,deflate"

    private static func relayHeaders(_ delivery: Delivery, attempt: Int, timeLeft: Duration?) -> [Header] {
        let deadline = timeLeft.map {
            Header(name: "X-Relay-Deadline-Ms", value: String(max(0, $0.milliseconds)))
        }
        let replay = delivery.replays > 0 ? Header(name: "X-Relay-Replay", value: String(delivery.replays)) : nil
        return [
            Header(name: "X-Relay-Delivery-Id", value: delivery.id.description),
            Header(name: "X-Relay-Attempt", value: String(attempt)),
            Header(name: "X-Relay-Route", value: delivery.route.text),
            Header(name: "X-Relay-Received-At", value: String(delivery.receivedAt.millisecondsSinceEpoch)),
            deadline, replay,
            Header(name: "traceparent", value: TraceParent(delivery.id, attempt: attempt).description),
        ].compactMap { $0 }
    }
}

extension Kind {
    /// Without a charset: bolt-js compares for equality (slack-protocol.md §4.2).
    fileprivate var contentType: String {
        self == .event ? "application/json" : "application/x-www-form-urlencoded"
    }
}
