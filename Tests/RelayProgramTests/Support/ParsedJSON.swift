// JSON by what it says.

import Foundation
import SlackSimulator

/// Equal when it says the same: neither the order of members nor how it is written counts.
struct ParsedJSON: Sendable, Equatable, CustomStringConvertible {
    /// The members of objects in the order of their names.
    let description: String

    /// nil for what is not JSON.
    init?(_ bytes: some Sequence<UInt8>) {
        guard let value = try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed),
            let data = try? JSONSerialization.data(withJSONObject: value, options: [.sortedKeys, .fragmentsAllowed])
        else { return nil }
        description = String(decoding: data, as: UTF8.self)
    }

    init?(_ text: String) { self.init(text.utf8) }
}

extension EnvelopeRecord {
    /// Of the acknowledgement of the first copy, in time or late; nil: there is none.
    var payload: ParsedJSON? { copies.first?.acknowledgement?.payload.flatMap { ParsedJSON($0) } }
}
