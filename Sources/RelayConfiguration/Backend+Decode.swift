// The section `backends` from the file.

import RelayCore

extension Reader where Value == [Backend] {
    /// Every backend that is named, those with mistakes too, so that routes to them are not called unknown.
    static var backends: Self {
        Self { field throws(Refusal) in
            let entries = try field.entries()
            guard !entries.isEmpty else { throw Refusal("must name at least one backend, with its url") }
            return entries.compactMap { entry in
                guard let name = entry.key.read(.name).map({ BackendName($0) }) else { return nil }
                return Section(entry.value).map { Backend(name: name, decoding: $0) } ?? Backend(name: name)
            }
        }
    }
}

extension Backend {
    fileprivate init(name: BackendName, decoding section: Section<Key>) {
        self.init(name: name)
        let places = decodeAddress(section)
        section.read(.signing, into: &signing, .signing)
        decodePatience(section)
        decodeWay(section, places: places)
        section.read(.headers, into: &headers, .headers)
        section.read(.retryHeaders, into: &retryHeaders, .choice)
        section.read(.userAgent, into: &userAgent, .line)
        section.read(.recordPayloads, into: &recordsPayloads, .boolean)
    }

    /// - Returns: where the URLs stand.
    private mutating func decodeAddress(_ section: Section<Key>) -> [Field] {
        url = section.read(.url, .backendURL)
        var places = [section[.url]]
        if let own: Section<URLsKey> = section.section(.urls) {
            for key in URLsKey.allCases { urls[key.kind] = own.read(key, .backendURL) }
            places += URLsKey.allCases.map { own[$0] }
        }
        if section[.url] == nil, section[.urls] == nil {
            section.note("\(section.path) has no url; give url, or urls by kind")
        }
        section.read(.unixSocket, into: &unixSocket, .orEmpty(.socketPath))
        return places.compactMap { $0 }
    }

    private mutating func decodePatience(_ section: Section<Key>) {
        section.read(.timeout, into: &timeout, .duration(in: .milliseconds(1) ... .minutes(10)))
        section.read(.connectTimeout, into: &connectTimeout, .duration(in: .milliseconds(1) ... .minutes(10)))
        if connectTimeout > timeout {
            section.refuse(
                .connectTimeout, "must be at most timeout (\(timeout.configured)), is \(connectTimeout.configured)")
            connectTimeout = timeout
        }
        section.read(.maxInFlight, into: &maxInFlight, .integer(in: 1...1000))
        section.read(.maxWaiting, into: &maxWaiting, .integer(in: 1...100_000))
        section.read(.rateLimit, into: &rateLimit, .rateLimit)
        section.read(.orderBy, into: &orderBy, .choice)
        section.read(.orderBlockMax, into: &orderBlockMax, .duration(in: .seconds(1) ... .days(7)))
        if let inner: Section<RetryKey> = section.section(.retry) { retry.decode(inner) }
        if let inner: Section<CircuitBreakerKey> = section.section(.circuitBreaker) { circuitBreaker.decode(inner) }
        guard let ages: Section<MaxAgeKey> = section.section(.maxAge) else { return }
        for key in MaxAgeKey.allCases {
            ages.read(key, into: &maxAge[key.kind], .orNone(.duration(in: .milliseconds(1) ... .days(365))))
        }
    }

    private mutating func decodeWay(_ section: Section<Key>, places: [Field]) {
        if let inner: Section<TLSKey> = section.section(.tls) { decodeTLS(inner) }
        if let inner: Section<EgressKey> = section.section(.egress) {
            inner.read(.preset, into: &egress.preset, .choice)
            inner.read(.allow, into: &egress.allow, .networks)
            inner.read(.deny, into: &egress.deny, .networks)
        }
        section.read(.proxy, into: &proxy, .orEmpty(.proxyURL))
        if unixSocket == nil {
            for place in places + [section[.proxy]].compactMap({ $0 }) { checkReach(of: place) }
        } else if proxy != nil {
            section.refuse(.proxy, "has no effect on a backend with a unix_socket")
        }
    }

    private mutating func decodeTLS(_ section: Section<TLSKey>) {
        section.read(.ca, into: &tls.caFile, .orEmpty(.line))
        section.read(.clientCert, into: &tls.clientCertificateFile, .orEmpty(.line))
        section.read(.clientKey, into: &tls.clientKeyFile, .orEmpty(.line))
        if (tls.clientCertificateFile == nil) != (tls.clientKeyFile == nil) {
            section.note(
                "\(section.path) must have both client_cert and client_key, or neither", at: .clientCert, .clientKey)
        }
        let known = urls.values + [url].compactMap { $0 }
        if tls != TLS(), !known.isEmpty, !known.contains(where: { $0.lowercased().hasPrefix("https:") }) {
            section.note(
                "\(section.path) is for https, and no url of this backend is", at: .ca, .clientCert, .clientKey)
        }
    }

    /// Refuses a URL with an address in it that `egress` will never let pass. A name is judged when it is connected to;
    /// what is no URL has been noted.
    private func checkReach(of field: Field) {
        guard let url = try? field.text(), let objection = egress.objection(toHostOf: url) else { return }
        field.note("cannot be reached: \(objection)")
    }
}

extension Reader where Value == RateLimit? {
    /// `none`, or a mapping. Without a burst, as many as come in a second.
    fileprivate static var rateLimit: Self {
        Self { field throws(Refusal) in
            if let text = try? field.text() {
                guard text == "none" else {
                    throw Refusal("must be none, or { per_second: …, burst: … }, is \(Quote.value(text))")
                }
                return nil
            }
            guard let section: Section<Backend.RateLimitKey> = Section(field) else { return nil }
            let perSecond = section.require(
                .perSecond, "it is the average", .number(in: 0.001...100_000, "0.001 to 100000"))
            let burst = section.read(.burst, .integer(in: 1...100_000))
            return perSecond.map { RateLimit(perSecond: $0, burst: burst ?? max(1, Int($0.rounded(.up)))) }
        }
    }
}

extension CircuitBreaker.Configuration {
    fileprivate mutating func decode(_ section: Section<Backend.CircuitBreakerKey>) {
        let before = section.problems.errors.count
        section.read(.consecutive, into: &consecutive, .integer(in: 1...10_000))
        section.read(.probeAfter, into: &probeAfter, .duration(in: .milliseconds(1) ... .hours(1)))
        section.read(.probeMax, into: &probeMax, .duration(in: .milliseconds(1) ... .hours(1)))
        if probeMax < probeAfter, section.problems.errors.count == before {
            section.note(
                "\(section.path).probe_max must be at least \(section.path).probe_after (\(probeAfter.configured)), "
                    + "is \(probeMax.configured)",
                at: .probeMax, .probeAfter)
        }
    }
}

extension RetryPolicy {
    fileprivate mutating func decode(_ section: Section<Backend.RetryKey>) {
        section.read(.schedule, into: &schedule, .durations(atMost: 100, in: .zero ... .days(30)))
        section.read(.jitter, into: &jitter, .fraction)
        section.read(.retryAfterMax, into: &retryAfterMax, .duration(in: .zero ... .days(1)))
    }
}

extension EgressPolicy {
    /// Why the address in a URL may not be connected to; nil when it may, and when there is a name instead.
    func objection(toHostOf url: String) -> String? {
        (try? WebURL(url, schemes: ["http", "https"])).flatMap { IPAddress($0.host) }.flatMap { objection(to: $0) }
    }
}

extension Reader where Value == [IPNetwork] {
    fileprivate static var networks: Self {
        Self { field throws(Refusal) in try field.items().compactMap { $0.read(.network) } }
    }
}

extension Reader where Value == IPNetwork {
    fileprivate static var network: Self {
        Self { field throws(Refusal) in
            let text = try field.text()
            do throws(IPNetworkError) {
                return try IPNetwork(text)
            } catch {
                throw Refusal("\(error), is \(Quote.value(text))")
            }
        }
    }
}

extension Reader where Value == [Duration] {
    fileprivate static func durations(atMost count: Int, in range: ClosedRange<Duration>) -> Self {
        Self { field throws(Refusal) in
            let items = try field.items()
            guard items.count <= count else { throw Refusal("must have at most \(count) entries, has \(items.count)") }
            return items.compactMap { $0.read(.duration(in: range)) }
        }
    }
}
