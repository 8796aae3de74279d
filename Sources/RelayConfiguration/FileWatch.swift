// When a file that is looked at now and then has changed.

/// Says when to read a file again. A file that is being written has another version at each look: it is read when two
/// looks in a row have found the same one, so that half of a file is not taken for the whole.
package struct FileWatch: Sendable {
    /// The one that was read.
    private var known: FileVersion?
    /// That of the look before.
    private var seen: FileVersion?

    /// - Parameter known: the version that was read; nil: it is read once more.
    package init(known: FileVersion? = nil) {
        self.known = known
        seen = known
    }

    /// - Parameter version: as it is now; nil: the file is not there, as in the midst of being replaced.
    /// - Returns: whether it is to be read; then it counts as read, whatever comes of it.
    package mutating func looked(_ version: FileVersion?) -> Bool {
        defer { seen = version }
        guard let version, version == seen, version != known else { return false }
        known = version
        return true
    }
}
