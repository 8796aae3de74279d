// A listener that cannot be opened.

import Foundation
import NIOCore

/// The listener could not be opened. Names the address and the reason.
package struct ListenError: Error, CustomStringConvertible {
    package let description: String

    /// - Parameter what: what was to be served there.
    init(_ what: String, host: String, port: Int, _ error: any Error) {
        let reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
        let place = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        description = "cannot serve \(what) on \(place): \(reason)"
    }
}
