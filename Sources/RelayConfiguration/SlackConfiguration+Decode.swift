// The section `slack` from the file.

import RelayCore

extension SlackConfiguration {
    /// nil, noted, when the token or the signing secret is missing or refused.
    init?(decoding section: Section<Key>) {
        let before = section.problems.errors.count
        let hint = "write env:NAME or file:/path"
        let appToken = section.require(.appToken, hint, .secret)
        let signingSecret = section.require(.signingSecret, hint, .secret)
        // Stands for a missing one, so that the other keys are read, too; it never leaves this function.
        let missing = SecretReference.environment("")
        self.init(appToken: appToken ?? missing, signingSecret: signingSecret ?? missing)
        section.read(.connections, into: &connections, .integer(in: 1...10))
        expectedConnections = section.read(.expectedConnections, .integer(in: 1...10)) ?? connections
        section.read(.startJitter, into: &startJitter, .duration(in: .zero ... .minutes(10)))
        section.read(.waitForBackends, into: &waitForBackends, .duration(in: .zero ... .hours(1)))
        section.read(.apiURL, into: &apiURL, .apiURL)
        section.read(.proxy, into: &proxy, .orEmpty(.proxyURL))
        section.read(.ca, into: &caFile, .orEmpty(.line))
        if let inner: Section<BackoffConfiguration.Key> = section.section(.backoff) { backoff.decode(inner) }
        section.read(.helloTimeout, into: &helloTimeout, .duration(in: .milliseconds(1) ... .minutes(5)))
        section.read(.pingInterval, into: &pingInterval, .duration(in: .milliseconds(1) ... .minutes(5)))
        section.read(.deadAfter, into: &deadAfter, .duration(in: .milliseconds(1) ... .minutes(10)))
        section.read(.answerDeadline, into: &answerDeadline, .duration(in: .milliseconds(1) ... .milliseconds(2_900)))
        section.read(.drainTimeout, into: &drainTimeout, .duration(in: .zero ... .minutes(10)))
        if section.problems.errors.count == before { checkBetween(section) }
        if appToken == nil || signingSecret == nil { return nil }
    }

    private func checkBetween(_ section: Section<Key>) {
        if expectedConnections < connections {
            section.note(
                "slack.expected_connections must be at least slack.connections (\(connections)), "
                    + "is \(expectedConnections)",
                at: .expectedConnections)
        }
        if deadAfter <= pingInterval {
            section.note(
                "slack.dead_after must be longer than slack.ping_interval (\(pingInterval.configured)), "
                    + "is \(deadAfter.configured)",
                at: .deadAfter, .pingInterval)
        }
    }
}

extension BackoffConfiguration {
    fileprivate mutating func decode(_ section: Section<Key>) {
        let before = section.problems.errors.count
        section.read(.initial, into: &initial, .duration(in: .milliseconds(1) ... .hours(1)))
        section.read(.max, into: &max, .duration(in: .milliseconds(1) ... .hours(1)))
        section.read(.stable, into: &stable, .duration(in: .zero ... .hours(1)))
        if max < initial, section.problems.errors.count == before {
            section.note(
                "\(section.path).max must be at least \(section.path).initial (\(initial.configured)), "
                    + "is \(max.configured)",
                at: .max, .initial)
        }
    }
}
