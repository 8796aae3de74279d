// Looking for the files that relay.yaml names, before they are needed.

import Foundation
import RelayConfiguration
import RelayCore

extension Configuration {
    /// The files that must be there at the start, so that a wrong path is found now and not at the first connection.
    /// They are read for each connection, by libcurl.
    func checkFiles() throws {
        let problems = fileProblems()
        guard problems.isEmpty else {
            throw CommandFailure(.configuration, "files cannot be read\n\(problems.joined(separator: "\n"))")
        }
    }

    func fileProblems() -> [String] {
        var files = apps.map { ("\(key(of: $0)).ca", $0.caFile) }
        for backend in backends {
            files += [
                ("backends.\(backend.name).tls.ca", backend.tls.caFile),
                ("backends.\(backend.name).tls.client_cert", backend.tls.clientCertificateFile),
                ("backends.\(backend.name).tls.client_key", backend.tls.clientKeyFile),
            ]
        }
        return files.compactMap { key, file -> String? in
            guard let file, (try? Data(contentsOf: URL(fileURLWithPath: file))) == nil else { return nil }
            return "\(key): cannot read \(file): \(unreadableReason(file))"
        }
    }
}
