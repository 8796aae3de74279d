// A listener that cannot be opened.

import Foundation
import NIOCore
import RelayCore

/// The listener could not be opened. Names the address and the reason.
package struct ListenError: Error, CustomStringConvertible {
    package let description: String

    /// - Parameter what: what was to be served there.
    init(_ what: String, on address: ListenAddress, _ error: any Error) {
        let reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
        description = "cannot serve \(what) on \(address): \(reason)"
    }
}
