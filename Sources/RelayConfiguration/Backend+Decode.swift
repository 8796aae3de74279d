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
        decodeAddress(section)
        section.read(.signing, into: &signing, .signing)
        decodePatience(section)
        section.read(.headers, into: &headers, .headers)
        section.read(.retryHeaders, into: &retryHeaders, .choice)
        section.read(.userAgent, into: &userAgent, .line)
        section.read(.recordPayloads, into: &recordsPayloads, .boolean)
    }

    private mutating func decodeAddress(_ section: Section<Key>) {
        url = section.read(.url, .backendURL)
        if let own: Section<URLsKey> = section.section(.urls) {
            for key in URLsKey.allCases { urls[key.kind] = own.read(key, .backendURL) }
        }
        if section[.url] == nil, section[.urls] == nil {
            section.note("\(section.path) has no url; give url, or urls by kind")
        }
        section.read(.unixSocket, into: &unixSocket, .orEmpty(.socketPath))
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
        if let inner: Section<RetryKey> = section.section(.retry) { retry.decode(inner) }
        guard let ages: Section<MaxAgeKey> = section.section(.maxAge) else { return }
        for key in MaxAgeKey.allCases {
            ages.read(key, into: &maxAge[key.kind], .orNone(.duration(in: .milliseconds(1) ... .days(365))))
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

extension Reader where Value == [Duration] {
    fileprivate static func durations(atMost count: Int, in range: ClosedRange<Duration>) -> Self {
        Self { field throws(Refusal) in
            let items = try field.items()
            guard items.count <= count else { throw Refusal("must have at most \(count) entries, has \(items.count)") }
            return items.compactMap { $0.read(.duration(in: range)) }
        }
    }
}
