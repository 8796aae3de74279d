// The signatures of one attempt: which secrets are valid now, what they are, what they come to.

internal import RelayCore
internal import Signing
internal import SlackHTTP

/// Signs requests with what the configuration says of their backend.
struct RequestSigner: Sendable {
    /// Asked for each attempt, so that a rotated secret is used from then on.
    let secrets: any SecretReader
    /// Of each Slack app; they sign for the backends that list nothing.
    let appSecrets: [AppName: SecretReference]

    /// - Parameter now: the time of the attempt.
    /// - Throws: `ConfigurationGap` when nothing may sign now, `SecretError` when a secret that should sign cannot be
    ///   had or does not have the form of its scheme. One that is missing fails the attempt even where another would
    ///   sign: the backend may know that one only.
    func sign(
        _ body: [UInt8], of delivery: Delivery, for backend: Backend, at now: Timestamp
    ) throws -> RequestSignatures {
        let (id, timestamp) = (delivery.id.description, now.secondsSinceEpoch)
        let signatures = try entries(for: backend, app: delivery.app, at: now).map { entry in
            try SigningKey(entry.scheme, entry.secret, from: secrets).sign(id: id, timestamp: timestamp, body: body)
        }
        return RequestSignatures(id: id, timestamp: timestamp, signatures: signatures)
    }

    private func entries(for backend: Backend, app: AppName, at now: Timestamp) throws -> [SigningEntry] {
        guard !backend.signing.isEmpty else {
            guard let reference = appSecrets[app] else {
                throw ConfigurationGap(
                    "backend \(backend.name) has no signing of its own, and app \(app) is not in the configuration")
            }
            return [SigningEntry(scheme: .slack, secret: reference)]
        }
        let active = backend.signing.active(at: now)
        guard !active.isEmpty else {
            let known = backend.signing.map(\.description).joined(separator: ", ")
            throw ConfigurationGap(
                "backend \(backend.name) has no signing secret that is valid at \(now.rfc3339Milliseconds); "
                    + "it has: \(known)")
        }
        return active
    }
}
