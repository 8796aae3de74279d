// The `signing` of a backend from the file.

import RelayCore

extension SigningEntry {
    enum Key: String, ConfigurationKey {
        case scheme, secret
        case notBefore = "not_before"
        case notAfter = "not_after"
    }

    /// nil, noted, when the scheme or the secret is missing or refused.
    fileprivate init?(decoding section: Section<Key>) {
        let scheme: SigningScheme? = section.require(.scheme, "write scheme: slack", .choice)
        let secret = section.require(.secret, "write env:NAME or file:/path", .secret)
        let notBefore = section.read(.notBefore, .time)
        let notAfter = section.read(.notAfter, .time)
        if let notBefore, let notAfter, notBefore >= notAfter {
            section.refuse(.notAfter, "must be later than not_before (\(notBefore.rfc3339)), is \(notAfter.rfc3339)")
        }
        guard let scheme, let secret else { return nil }
        self.init(scheme: scheme, secret: secret, notBefore: notBefore, notAfter: notAfter)
    }
}

extension Reader where Value == [SigningEntry] {
    /// More would make a header of signatures that backends refuse for its length.
    private static var limit: Int { 16 }

    /// At least one entry, each of which signs at some time.
    static var signing: Self {
        Self { field throws(Refusal) in
            let items = try field.items()
            guard !items.isEmpty else {
                throw Refusal("must not be an empty list; without the key the signing_secret of the Slack app signs")
            }
            guard items.count <= limit else { throw Refusal("must have at most \(limit) entries, has \(items.count)") }
            var entries: [(path: String, entry: SigningEntry)] = []
            for item in items {
                guard let entry = Section(item).flatMap(SigningEntry.init(decoding:)) else { continue }
                if let before = entries.first(where: { $0.entry.replaces(entry) }) {
                    item.note(
                        "never signs: \(before.path) comes before it and is valid all that time, and with scheme "
                            + "\(entry.scheme.rawValue) one secret signs at a time")
                }
                entries.append((item.path, entry))
            }
            return entries.map(\.entry)
        }
    }
}
