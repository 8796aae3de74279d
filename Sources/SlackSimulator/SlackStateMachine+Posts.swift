// The other way back: each `response_url` that was given out, and what is posted to it (slack-protocol.md §5).

import RelayCore

extension SlackStateMachine {
    /// One URL that was given out.
    struct ResponseURL {
        var envelopeID: String
        var expiresAt: Timestamp
        var uses = 0
    }

    enum PostAnswer: Equatable {
        case taken
        /// Not a POST.
        case wrongMethod
        /// No such URL was given out, or its envelope was forgotten.
        case unknown
        /// It is too old, or was used too often.
        case expired
        /// The content type is not JSON's, or the body is no JSON object.
        case invalidPayload
        case fault(PostFault)
    }

    /// Gives out a URL for an envelope.
    /// - Returns: what follows `hooksURL`; its last part cannot be guessed, as with Slack's.
    mutating func makeResponsePath(for envelopeID: String, isCommand: Bool, now: Timestamp) -> String {
        lastResponseURL += 1
        let token = makeUUID().replacing("-", with: "")
        let path = "\(isCommand ? "commands" : "actions")/T0SIMULATED/\(lastResponseURL)/\(token)"
        responseURLs[path] = ResponseURL(
            envelopeID: envelopeID, expiresAt: now.advanced(by: configuration.responseURLLifetime))
        return path
    }

    /// A request to what may be a `response_url`. One that is refused does not count as a use.
    /// - Parameter path: what follows `hooksURL`, without the slash between.
    mutating func posted(
        to path: String, isPOST: Bool, contentType: String?, body: [UInt8], now: Timestamp
    ) -> (PostAnswer, [Action]) {
        let answer = judge(path, isPOST: isPOST, contentType: contentType, body: body, now: now)
        guard answer == .taken, let url = responseURLs[path] else {
            statistics.refusedPosts += 1
            return (answer, [])
        }
        statistics.posts += 1
        responseURLs[path]?.uses += 1
        items[url.envelopeID]?.record.posts.append(EnvelopeRecord.Post(at: now, body: body))
        return (.taken, [.posted(url.envelopeID)])
    }

    private mutating func judge(
        _ path: String, isPOST: Bool, contentType: String?, body: [UInt8], now: Timestamp
    ) -> PostAnswer {
        if !postFaults.isEmpty { return .fault(postFaults.removeFirst()) }
        guard isPOST else { return .wrongMethod }
        guard let url = responseURLs[path] else { return .unknown }
        guard url.uses < SlackSimulatorConfiguration.responseURLUses, now <= url.expiresAt else { return .expired }
        let isJSON = contentType?.lowercased().hasPrefix("application/json") ?? false
        return isJSON && ClientMessage(body) != nil ? .taken : .invalidPayload
    }
}
