// With what requests to a backend are signed, and which of several secrets does it now.

/// A way to sign a request. The word is that of relay.yaml.
package enum SigningScheme: String, Sendable, CaseIterable {
    /// Slack's own, version 0: what an app written for Slack's request URLs verifies.
    case slack
    /// Standard Webhooks, symmetric (`v1`).
    case standardWebhooks = "standard_webhooks"
    /// Standard Webhooks, asymmetric (`v1a`): the backend holds a public key only.
    case ed25519
    /// The way that GitHub signs its webhooks: body only, no timestamp.
    case github

    /// Whether the scheme's header holds the signatures of several secrets. Standard Webhooks gives a list, so that a
    /// backend finds the one it knows while secrets are rotated; the others have room for one.
    package var takesSeveralSignatures: Bool { self == .standardWebhooks || self == .ed25519 }

    /// Whether the time of the attempt is signed, so that a backend can refuse what is old.
    package var signsTimestamp: Bool { self != .github }

    /// Whether the delivery's id is signed.
    package var signsID: Bool { takesSeveralSignatures }
}

/// A secret that signs the requests to a backend for as long as it is valid.
package struct SigningEntry: Sendable, Equatable, CustomStringConvertible {
    package var scheme: SigningScheme
    package var secret: SecretReference
    /// The first moment at which it is used; nil: always before `notAfter`.
    package var notBefore: Timestamp?
    /// From this moment on it is not used any more; nil: never ends. Later than `notBefore`.
    package var notAfter: Timestamp?

    package init(
        scheme: SigningScheme, secret: SecretReference, notBefore: Timestamp? = nil, notAfter: Timestamp? = nil
    ) {
        self.scheme = scheme
        self.secret = secret
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    /// Half open, so that one entry can end at the very moment at which the next one begins.
    package func isValid(at now: Timestamp) -> Bool {
        (notBefore.map { $0 <= now } ?? true) && (notAfter.map { now < $0 } ?? true)
    }

    /// Whether it takes the place of another one that is listed after it for as long as that is valid.
    package func replaces(_ later: SigningEntry) -> Bool {
        guard scheme == later.scheme, !scheme.takesSeveralSignatures else { return false }
        let beginsInTime = notBefore.map { begin in later.notBefore.map { begin <= $0 } ?? false } ?? true
        let endsInTime = notAfter.map { end in later.notAfter.map { $0 <= end } ?? false } ?? true
        return beginsInTime && endsInTime
    }

    /// Scheme, reference and window, for messages: `slack env:NAME until 2026-11-23T09:30:00Z`.
    package var description: String {
        [
            scheme.rawValue, secret.description, notBefore.map { "from \($0.rfc3339)" },
            notAfter.map { "until \($0.rfc3339)" },
        ].compactMap { $0 }.joined(separator: " ")
    }
}

extension [SigningEntry] {
    /// Those that sign a request which is made now, in their order: of each scheme all that are valid, or the first of
    /// them where only one signature has room.
    package func active(at now: Timestamp) -> [SigningEntry] {
        var active: [SigningEntry] = []
        for entry in self where entry.isValid(at: now) {
            if entry.scheme.takesSeveralSignatures || !active.contains(where: { $0.scheme == entry.scheme }) {
                active.append(entry)
            }
        }
        return active
    }
}
