// Tells a peer that reads slowly from one that does not read.

/// What was written and has not gone out, and whether any of it went since the look before.
struct WriteProgress: Equatable {
    /// Parts that have not gone out whole.
    private(set) var waitingParts = 0
    /// What would wait at the least, had nothing gone out since the look before.
    private var expectedBytes = 0
    private var hasPartGone = false

    /// - Parameter bytes: at the least: framing is not counted.
    mutating func wrote(bytes: Int) {
        waitingParts += 1
        expectedBytes += bytes
    }

    /// The oldest part has gone out, or never will.
    mutating func partGone() {
        waitingParts -= 1
        hasPartGone = true
        if waitingParts == 0 { self = .init() }
    }

    /// - Parameter waitingBytes: of all parts together, as they are now.
    /// - Returns: whether something has gone out since the look before, or since there was something.
    mutating func looked(waitingBytes: Int) -> Bool {
        defer {
            expectedBytes = waitingBytes
            hasPartGone = false
        }
        return hasPartGone || waitingBytes < expectedBytes
    }
}
