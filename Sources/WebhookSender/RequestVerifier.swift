// The backend's side: whether a request is signed as it should be, and if not, why not.

package import RelayCore
package import Signing
internal import SlackHTTP

/// Checks a request with one key, as the libraries of its scheme do.
package struct RequestVerifier {
    private enum Key {
        case slack(Secret)
        case standardWebhooks(StandardWebhooks.SecretKey)
        case ed25519(StandardWebhooks.PublicKey)
        case github(Secret)
    }

    private let scheme: SigningScheme
    private let key: Key

    /// - Parameter secret: what the backend has: for `ed25519` the public key.
    /// - Throws: what it should look like, never what it is.
    package init(_ scheme: SigningScheme, _ secret: Secret) throws(KeyFormatError) {
        self.scheme = scheme
        switch scheme {
        case .slack: key = .slack(secret)
        case .standardWebhooks: key = .standardWebhooks(try StandardWebhooks.SecretKey(secret.bytes))
        case .ed25519: key = .ed25519(try StandardWebhooks.PublicKey(secret.bytes))
        case .github: key = .github(secret)
        }
    }

    /// What is wrong with a request, all of it; empty: it is signed as it should be.
    /// - Parameters:
    ///   - headers: in any case and order; others than the scheme's are not looked at.
    ///   - body: the bytes as they came.
    ///   - tolerance: how far from `now` the signed time may be, either way; whole seconds count. nil: any time will
    ///     do.
    package func problems(
        headers: [Backend.Header], body: [UInt8], tolerance: Duration?, now: Timestamp
    ) -> [VerificationProblem] {
        var request = SignedHeaders(headers)
        let signature = request.value(scheme.signatureHeader)
        let id = scheme.idHeader.map { request.value($0) } ?? ""
        let timestamp = scheme.timestampHeader.map { request.timestamp($0) } ?? 0
        if let name = scheme.timestampHeader, let timestamp, let tolerance {
            request.checkAge(name, now.secondsSinceEpoch - timestamp, tolerance: tolerance)
        }
        if let signature, let id, let timestamp {
            if !signature.split(separator: " ").contains(where: { $0.hasPrefix(beginning) }) {
                request.problems.append(.noSignature(scheme.signatureHeader, beginning: beginning))
            } else if !isRight(signature, id: id, timestamp: timestamp, body: body) {
                request.problems.append(.mismatch)
            }
        }
        return request.problems
    }

    private var beginning: String {
        switch scheme {
        case .slack: "v0="
        case .standardWebhooks: "\(StandardWebhooks.SecretKey.version),"
        case .ed25519: "\(StandardWebhooks.PublicKey.version),"
        case .github: "sha256="
        }
    }

    private func isRight(_ signature: String, id: String, timestamp: Int64, body: [UInt8]) -> Bool {
        switch key {
        case .slack(let secret):
            SlackSignature.verify(signature, secret: secret.bytes, timestamp: timestamp, body: body)
        case .standardWebhooks(let key): key.verify(signature, id: id, timestamp: timestamp, body: body)
        case .ed25519(let key): key.verify(signature, id: id, timestamp: timestamp, body: body)
        case .github(let secret): GitHubSignature.verify(signature, secret: secret.bytes, body: body)
        }
    }
}

/// One thing that is wrong with a request. The description is for people.
package enum VerificationProblem: Equatable, Sendable, CustomStringConvertible {
    case missing(String)
    case repeated(String)
    case invalidTimestamp(String)
    case old(String, seconds: Int64, tolerance: Int64)
    case early(String, seconds: Int64, tolerance: Int64)
    /// The header holds none of the scheme's.
    case noSignature(String, beginning: String)
    case mismatch

    package var description: String {
        switch self {
        case .missing(let name): "\(name) is missing"
        case .repeated(let name): "\(name) is there more than once"
        case .invalidTimestamp(let name): "\(name) is not a number of seconds since 1970"
        case .old(let name, let seconds, let tolerance):
            "\(name) is \(seconds) seconds old; \(tolerance) are tolerated"
        case .early(let name, let seconds, let tolerance):
            "\(name) is \(seconds) seconds in the future; \(tolerance) are tolerated"
        case .noSignature(let name, let beginning): "\(name) has no signature that begins with \(beginning)"
        case .mismatch:
            "the signature is another one: it was made with another secret, or over other bytes than these"
        }
    }
}

/// Looks up headers and keeps what is wrong with them.
private struct SignedHeaders {
    private let headers: [Backend.Header]
    var problems: [VerificationProblem] = []

    init(_ headers: [Backend.Header]) { self.headers = headers }

    /// nil, noted, when it is not there exactly once, or empty.
    mutating func value(_ name: String) -> String? {
        let values = headers.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
        guard values.count <= 1 else {
            problems.append(.repeated(name))
            return nil
        }
        guard let value = values.first, !value.isEmpty else {
            problems.append(.missing(name))
            return nil
        }
        return value
    }

    /// Seconds; digits only, as the schemes' libraries read it.
    mutating func timestamp(_ name: String) -> Int64? {
        guard let text = value(name) else { return nil }
        guard text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), let seconds = Int64(text) else {
            problems.append(.invalidTimestamp(name))
            return nil
        }
        return seconds
    }

    mutating func checkAge(_ name: String, _ age: Int64, tolerance: Duration) {
        let limit = tolerance.components.seconds
        if age > limit { problems.append(.old(name, seconds: age, tolerance: limit)) }
        if age < -limit { problems.append(.early(name, seconds: -age, tolerance: limit)) }
    }
}
