// Reads secrets where the configuration says they are: the environment, or a file that may be replaced at any time.

import Foundation
package import RelayCore
import Synchronization

/// The present values of secrets. A file is looked at again once a second at most, and read again when it is another
/// one or was written to: Kubernetes replaces a mounted secret by moving a symbolic link, which is followed.
package final class SecretStore: SecretReader {
    /// The largest secret, in bytes, the newline at its end included.
    package static let maxBytes = 64 << 10

    private let environment: [String: String]
    private let now: @Sendable () -> ContinuousClock.Instant
    private let files = Mutex<[String: CachedFile]>([:])

    private struct CachedFile {
        var version: FileVersion
        var secret: Secret
        var lookedAt: ContinuousClock.Instant
    }

    /// - Parameters:
    ///   - environment: variables by name; that of the process does not change while it runs.
    ///   - now: for the once a second.
    package init(
        environment: [String: String] = ProcessInfo.processInfo.environment,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { ContinuousClock.now }
    ) {
        self.environment = environment
        self.now = now
    }

    /// Does file I/O of at most 64 KiB on the calling thread, once a second at most per file.
    package func secret(_ reference: SecretReference) throws(SecretError) -> Secret {
        switch reference {
        case .environment(let name):
            guard let value = environment[name] else { throw SecretError(reference, reason: "the variable is not set") }
            return try Self.secret(Array(value.utf8), of: reference)
        case .file(let path):
            return try file(path, reference)
        }
    }

    private func file(_ path: String, _ reference: SecretReference) throws(SecretError) -> Secret {
        let now = now()
        let cached = files.withLock { $0[path] }
        if let cached, now - cached.lookedAt < .seconds(1) { return cached.secret }
        let fresh: CachedFile
        do throws(FileError) {
            let file = try SecretFile(path)
            let version = try file.version()
            if let cached, cached.version == version {
                fresh = CachedFile(version: version, secret: cached.secret, lookedAt: now)
            } else {
                let bytes = try file.contents(atMost: Self.maxBytes)
                fresh = CachedFile(version: version, secret: Secret(bytes: bytes), lookedAt: now)
            }
        } catch {
            throw SecretError(reference, reason: error.reason)
        }
        let secret = try Self.secret(fresh.secret.bytes, of: reference)
        files.withLock { $0[path] = CachedFile(version: fresh.version, secret: secret, lookedAt: now) }
        return secret
    }

    /// Without the newline that editors and `echo` put at the end. A line break within would end a header early.
    private static func secret(_ bytes: [UInt8], of reference: SecretReference) throws(SecretError) -> Secret {
        let isNewline = { (byte: UInt8) in byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") }
        let end = bytes.lastIndex { !isNewline($0) }.map { $0 + 1 } ?? 0
        let secret = bytes[..<end]
        guard !secret.isEmpty else { throw SecretError(reference, reason: "is empty") }
        guard !secret.contains(where: { isNewline($0) || $0 == 0 }) else {
            throw SecretError(reference, reason: "has more than one line, or a zero byte")
        }
        return Secret(bytes: Array(secret))
    }
}
