// The section `slack`, or the list `apps`, from the file.

import RelayCore

extension SlackConfiguration {
    /// The section `slack`: the only app. nil, noted, when the token or the signing secret is missing or refused.
    init?(decoding section: Section<Key>) {
        section.refuse(.name, "is for the entries of apps; the app of slack is called `\(App.defaultName)`")
        self.init(name: App.defaultName, decoding: section)
    }

    /// One entry of `apps`. nil, noted, without a name, too.
    fileprivate init?(decodingEntry section: Section<Key>) {
        let name = section.require(.name, "it names the app in logs and metrics", .name)
        self.init(name: AppName(name ?? ""), decoding: section)
        if name == nil { return nil }
    }

    private init?(name: AppName, decoding section: Section<Key>) {
        let before = section.problems.errors.count
        let hint = "write env:NAME or file:/path"
        let appToken = section.require(.appToken, hint, .secret)
        let signingSecret = section.require(.signingSecret, hint, .secret)
        // Stands for a missing one, so that the other keys are read, too; it never leaves this function.
        let missing = SecretReference.environment("")
        self.init(name: name, appToken: appToken ?? missing, signingSecret: signingSecret ?? missing)
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
                "\(section.path).expected_connections must be at least \(section.path).connections (\(connections)), "
                    + "is \(expectedConnections)",
                at: .expectedConnections)
        }
        if deadAfter <= pingInterval {
            section.note(
                "\(section.path).dead_after must be longer than \(section.path).ping_interval "
                    + "(\(pingInterval.configured)), "
                    + "is \(deadAfter.configured)",
                at: .deadAfter, .pingInterval)
        }
    }
}

extension Reader where Value == [SlackConfiguration] {
    private static var limit: Int { 20 }

    /// The list `apps`: 1 to 20, each with a name of its own.
    static var apps: Self {
        Self { field throws(Refusal) in
            let items = try field.items()
            guard (1...limit).contains(items.count) else {
                throw Refusal("must have 1 to \(limit) entries, has \(items.count)")
            }
            var apps: [SlackConfiguration] = []
            for item in items {
                guard let section: Section<SlackConfiguration.Key> = Section(item),
                    let app = SlackConfiguration(decodingEntry: section)
                else { continue }
                if apps.contains(where: { $0.name == app.name }) {
                    section.refuse(.name, "names two apps: `\(app.name)`")
                } else if let other = apps.first(where: { $0.appToken == app.appToken }) {
                    section.refuse(
                        .appToken, "is that of `\(other.name)`, too: Slack would share its payloads out between the two"
                    )
                }
                apps.append(app)
            }
            return apps
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
