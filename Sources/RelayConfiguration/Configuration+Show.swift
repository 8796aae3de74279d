// The effective configuration as YAML, in the order of the design: what `relay config show` prints.

import RelayCore
import YAML

extension Configuration {
    /// Every key with the value that holds, defaults filled in; a key without a default is left out where it was not
    /// given. Secrets, header values and the userinfo of URLs are `***`; apart from them it reads back as this one.
    package func redactedYAML() -> String { shown(.redacted).text }

    /// The same as a tree. Whole, it is for comparing, never for showing.
    func shown(_ detail: ShownDetail) -> YAMLNode {
        let entries: [YAMLEntry?] = [
            Key.version.entry(.plain(1)),
            Key.slack.entry(hasDefaultAppOnly ? apps.first?.shown(detail) : nil),
            Key.apps.entry(hasDefaultAppOnly ? nil : .sequence(apps.map { $0.shownInList(detail) })),
            Key.queue.entry(queue.shown),
            Key.backends.entry(.mapping(backends.map { YAMLEntry($0.name.text, $0.shown(detail)) })),
            Key.routes.entry(.sequence(routes.map(\.shown))),
            Key.unrouted.entry(unrouted.shown),
            Key.health.entry(
                .keys([HealthConfiguration.Key.listen.entry(.string(health?.address.description ?? "none"))])),
            Key.admin.entry(
                .keys([
                    AdminConfiguration.Key.listen.entry(.string(admin?.address.description ?? "none")),
                    AdminConfiguration.Key.token.entry(admin?.token.map(detail.secret)),
                ])),
            Key.alarms.entry(alarms.shown(detail)),
            Key.log.entry(log.shown),
        ]
        return YAMLNode.keys(entries)
    }
}

extension Configuration {
    /// Whether it can be written as `slack`.
    private var hasDefaultAppOnly: Bool { apps.map(\.name) == [App.defaultName] }
}

/// What is shown of secrets, of header values and of the userinfo of URLs.
enum ShownDetail {
    /// `***`, and URLs without their userinfo.
    case redacted
    /// References to secrets, and all values as they stand in the file.
    case whole

    fileprivate func secret(_ reference: SecretReference) -> YAMLNode { value(reference.description) }

    fileprivate func value(_ text: String) -> YAMLNode { .string(self == .whole ? text : "***") }

    fileprivate func url(_ url: String) -> YAMLNode { .string(self == .whole ? url : url.withoutUserinfo) }
}

extension ConfigurationKey {
    /// This key with a value; nil without one.
    fileprivate func entry(_ value: YAMLNode?) -> YAMLEntry? { value.map { YAMLEntry(rawValue, $0) } }
}

extension YAMLNode {
    fileprivate static func keys(_ entries: [YAMLEntry?]) -> YAMLNode { .mapping(entries.compactMap { $0 }) }
    fileprivate static func duration(_ duration: Duration) -> YAMLNode { .plain(duration.configured) }
    fileprivate static func size(_ bytes: Int64) -> YAMLNode { .plain(ByteCount.text(bytes)) }
    fileprivate static func word(_ word: some RawRepresentable<String>) -> YAMLNode { .string(word.rawValue) }
}

extension AlarmConfiguration {
    fileprivate func shown(_ detail: ShownDetail) -> YAMLNode {
        .keys([
            Key.url.entry(detail.url(url ?? "")), Key.secret.entry(secret.map(detail.secret)),
            Key.repeatInterval.entry(.duration(repeatInterval)),
        ])
    }
}

extension SlackConfiguration {
    fileprivate func shown(_ detail: ShownDetail) -> YAMLNode { .keys(entries(detail)) }

    fileprivate func shownInList(_ detail: ShownDetail) -> YAMLNode {
        .keys([Key.name.entry(.string(name.text))] + entries(detail))
    }

    private func entries(_ detail: ShownDetail) -> [YAMLEntry?] {
        [
            Key.appToken.entry(detail.secret(appToken)),
            Key.signingSecret.entry(detail.secret(signingSecret)),
            Key.connections.entry(.plain(connections)),
            Key.expectedConnections.entry(.plain(expectedConnections)),
            Key.startJitter.entry(.duration(startJitter)),
            Key.waitForBackends.entry(.duration(waitForBackends)),
            Key.apiURL.entry(detail.url(apiURL)),
            Key.proxy.entry(detail.url(proxy ?? "")),
            Key.ca.entry(.string(caFile ?? "")),
            Key.backoff.entry(
                .keys([
                    BackoffConfiguration.Key.initial.entry(.duration(backoff.initial)),
                    BackoffConfiguration.Key.max.entry(.duration(backoff.max)),
                    BackoffConfiguration.Key.stable.entry(.duration(backoff.stable)),
                ])),
            Key.helloTimeout.entry(.duration(helloTimeout)),
            Key.pingInterval.entry(.duration(pingInterval)),
            Key.deadAfter.entry(.duration(deadAfter)),
            Key.answerDeadline.entry(.duration(answerDeadline)),
            Key.drainTimeout.entry(.duration(drainTimeout)),
        ]
    }
}

extension QueueConfiguration {
    fileprivate var shown: YAMLNode {
        .keys([
            Key.driver.entry(.word(driver)),
            Key.path.entry(driver == .sqlite ? .string(path) : nil),
            Key.maxBytes.entry(.size(limits.maxBytes)),
            Key.whenFull.entry(.word(limits.whenFull)),
            Key.dedupeWindow.entry(.duration(limits.deduplicationWindow)),
            Key.retention.entry(
                .keys([
                    RetentionKey.delivered.entry(.duration(limits.deliveredRetention)),
                    RetentionKey.dead.entry(.duration(limits.deadRetention)),
                ])),
        ])
    }
}

extension Backend {
    fileprivate func shown(_ detail: ShownDetail) -> YAMLNode {
        .keys([
            Key.url.entry(url.map(detail.url)),
            Key.urls.entry(
                urls.isEmpty ? nil : .keys(URLsKey.allCases.map { $0.entry(urls[$0.kind].map(detail.url)) })),
            Key.unixSocket.entry(.string(unixSocket ?? "")),
            Key.signing.entry(signing.isEmpty ? nil : .sequence(signing.map { $0.shown(detail) })),
            Key.timeout.entry(.duration(timeout)),
            Key.connectTimeout.entry(.duration(connectTimeout)),
            Key.maxInFlight.entry(.plain(maxInFlight)),
            Key.maxWaiting.entry(.plain(maxWaiting)),
            Key.rateLimit.entry(rateLimit.map(\.shown) ?? .string("none")),
            Key.orderBy.entry(.word(orderBy)),
            Key.orderBlockMax.entry(.duration(orderBlockMax)),
            Key.retry.entry(
                .keys([
                    RetryKey.schedule.entry(.sequence(retry.schedule.map(YAMLNode.duration))),
                    RetryKey.jitter.entry(.plain(retry.jitter)),
                    RetryKey.retryAfterMax.entry(.duration(retry.retryAfterMax)),
                ])),
            Key.maxAge.entry(
                .keys(
                    MaxAgeKey.allCases.map { $0.entry(maxAge[$0.kind].map(YAMLNode.duration) ?? .string("none")) })),
            Key.circuitBreaker.entry(
                .keys([
                    CircuitBreakerKey.consecutive.entry(.plain(circuitBreaker.consecutive)),
                    CircuitBreakerKey.probeAfter.entry(.duration(circuitBreaker.probeAfter)),
                    CircuitBreakerKey.probeMax.entry(.duration(circuitBreaker.probeMax)),
                ])),
            Key.tls.entry(
                .keys([
                    TLSKey.ca.entry(.string(tls.caFile ?? "")),
                    TLSKey.clientCert.entry(.string(tls.clientCertificateFile ?? "")),
                    TLSKey.clientKey.entry(.string(tls.clientKeyFile ?? "")),
                ])),
            Key.egress.entry(
                .keys([
                    EgressKey.preset.entry(.word(egress.preset)),
                    EgressKey.allow.entry(.sequence(egress.allow.map { .string($0.description) })),
                    EgressKey.deny.entry(.sequence(egress.deny.map { .string($0.description) })),
                ])),
            Key.proxy.entry(detail.url(proxy ?? "")),
            Key.headers.entry(.mapping(headers.map { YAMLEntry($0.name, detail.value($0.value)) })),
            Key.retryHeaders.entry(.word(retryHeaders)),
            Key.userAgent.entry(.string(userAgent)),
            Key.recordPayloads.entry(.plain(recordsPayloads)),
        ])
    }
}

extension RateLimit {
    fileprivate var shown: YAMLNode {
        .keys([
            Backend.RateLimitKey.perSecond.entry(.plain(perSecond)), Backend.RateLimitKey.burst.entry(.plain(burst)),
        ])
    }
}

extension SigningEntry {
    fileprivate func shown(_ detail: ShownDetail) -> YAMLNode {
        .keys([
            Key.scheme.entry(.word(scheme)),
            Key.secret.entry(detail.secret(secret)),
            Key.notBefore.entry(notBefore.map { .string($0.rfc3339) }),
            Key.notAfter.entry(notAfter.map { .string($0.rfc3339) }),
        ])
    }
}

extension Route {
    /// A key that has no effect on this route is refused in a file, so it is not shown.
    fileprivate var shown: YAMLNode {
        let saysMessage = canSayMessages && failure.onFailure == .message
        return .keys([
            Key.name.entry(.string(name.text)),
            Key.match.entry(match == Match() ? nil : match.shown),
            Key.to.entry(.sequence(to.map { .string($0.text) })),
            Key.path.entry(.string(path ?? "")),
            Key.mode.entry(mode.map(YAMLNode.word)),
            Key.acknowledge.entry(canTakeEvents ? .word(acknowledge) : nil),
            Key.onFailure.entry(canSayMessages ? .word(failure.onFailure) : nil),
            Key.failureMessage.entry(saysMessage ? .string(failure.message) : nil),
            Key.lateFailureMessage.entry(canSayMessages ? .string(failure.lateMessage) : nil),
            Key.continues.entry(.plain(continues)),
        ])
    }
}

extension Match {
    fileprivate var shown: YAMLNode {
        let not = YAMLNode.mapping(negated.map(\.shown))
        return .mapping(conditions.map(\.shown) + (negated.isEmpty ? [] : [YAMLEntry(Key.not.rawValue, not)]))
    }
}

extension Match.Condition {
    fileprivate var shown: YAMLEntry { YAMLEntry(key.rawValue, .sequence(patterns.map { .string($0.text) })) }
}

extension UnroutedPolicy {
    fileprivate var shown: YAMLNode {
        .keys([Key.event.entry(.word(event)), Key.others.entry(.word(others))])
    }
}

extension LogConfiguration {
    fileprivate var shown: YAMLNode {
        let word = format.flatMap { FormatWord(rawValue: $0.rawValue) } ?? .auto
        return .keys([Key.level.entry(.word(level)), Key.format.entry(.word(word))])
    }
}
