// Why a run cannot go on.

/// Names the thing, the value and the limit; printed as it is.
struct RunnerError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
