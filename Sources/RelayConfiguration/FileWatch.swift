// When a file that is looked at now and then has changed.

/// Says when to read a file again. A file that is being written has another version at each look: it is read when two
/// looks in a row have found the same one, so that half of a file is not taken for the whole.
package struct FileWatch: Sendable {
    /// The one that was read.
    private var known: FileVersion?
    /// That of the look before.
    private var seen: FileVersion?
    /// Since it was read.
    private var looks = 0

    /// After so many looks a file that was refused is read again: what it names may be there by now, as when a ConfigMap
    /// comes before its Secret.
    package static let looksUntilRetry = 60

    /// - Parameter known: the version that was read; nil: it is read once more.
    package init(known: FileVersion? = nil) {
        self.known = known
        seen = known
    }

    /// - Parameters:
    ///   - version: as it is now; nil: the file is not there, as in the midst of being replaced.
    ///   - isRefused: what was read last could not be taken over.
    /// - Returns: whether it is to be read; then it counts as read, whatever comes of it.
    package mutating func looked(_ version: FileVersion?, isRefused: Bool = false) -> Bool {
        defer { seen = version }
        looks += 1
        let isOverdue = isRefused && looks >= Self.looksUntilRetry
        guard let version, version == seen, version != known || isOverdue else { return false }
        (known, looks) = (version, 0)
        return true
    }
}
