// Which refusal of a configuration was logged: a command and the watch over the file find the same one after each other.

package import RelayConfiguration

/// Tells a refusal that is new from one that was logged already: of the same version of the file, for the same reasons.
package struct RefusalMemory: Sendable {
    private var last: Refusal?

    private struct Refusal: Equatable {
        var problems: [String]
        var version: FileVersion?
    }

    package init() {}

    /// The file was refused.
    /// - Parameter version: as the file was before it was read; nil: it could not be looked at.
    /// - Returns: whether that is another refusal than the last one.
    package mutating func refused(_ problems: [String], version: FileVersion?) -> Bool {
        let refusal = Refusal(problems: problems, version: version)
        defer { last = refusal }
        return refusal != last
    }

    /// The file says what holds: whatever is refused next is new.
    package mutating func accepted() { last = nil }
}
