// When a backend that fails is left alone, and how it is come back to.

/// Counts failures in a row. When there are too many it opens: nothing is attempted but a probe now and then, so that the
/// deliveries that wait burn none of their attempts. After a good probe they come back slowly.
///
/// What is in flight when it opens may still come to a good end; that is taken for a good probe. So is what the backend
/// says to a person who was let through besides: the deliveries that wait may be those that it cannot take, and have every
/// probe.
package struct CircuitBreaker: Sendable, Equatable {
    package struct Configuration: Sendable, Equatable {
        /// Failures in a row that open it; 1 to 10,000.
        package var consecutive: Int
        /// The wait before the first probe; it doubles with each one that fails.
        package var probeAfter: Duration
        /// The longest wait between probes; not below `probeAfter`.
        package var probeMax: Duration

        package init(consecutive: Int = 10, probeAfter: Duration = .seconds(5), probeMax: Duration = .seconds(60)) {
            self.consecutive = consecutive
            self.probeAfter = probeAfter
            self.probeMax = probeMax
        }
    }

    /// What is told of it. The raw value is used in metrics, logs and the API.
    package enum Condition: String, Sendable, CaseIterable {
        /// Everything is attempted; after an open time the number in flight grows from 1 up again.
        case closed
        /// Nothing is attempted until the next probe.
        case open
        /// A probe is under way, or due.
        case halfOpen = "half_open"
    }

    /// What an attempt was good for.
    package enum Change: Sendable, Equatable {
        case none
        case opened
        /// The backend works again.
        case closed
    }

    private let configuration: Configuration
    private var state = State.closed(failures: 0)
    /// When the next one may be let through besides; nil until it has opened.
    private var nextBesides: Timestamp?

    private enum State: Sendable, Equatable {
        /// To `open`.
        case closed(failures: Int)
        /// Until a time; `wait` is how long. To `halfOpen`, `recovering`.
        case open(until: Timestamp, wait: Duration)
        /// One attempt may be made, or is being made. To `open`, `recovering`.
        case halfOpen(isProbing: Bool, wait: Duration)
        /// So many may be in flight: one more after each success, half as many after a failure. To `closed`, and to
        /// `open` after a failure with fewer than four.
        case recovering(allowance: Int, wait: Duration)
    }

    package init(_ configuration: Configuration) { self.configuration = configuration }

    package var condition: Condition {
        switch state {
        case .closed, .recovering: .closed
        case .open: .open
        case .halfOpen: .halfOpen
        }
    }

    /// Whether another attempt may begin.
    /// - Parameters:
    ///   - inFlight: attempts under way.
    ///   - maximum: in flight, when all is well.
    package mutating func mayStart(inFlight: Int, maximum: Int, now: Timestamp) -> Bool {
        timePassed(now: now)
        switch state {
        case .closed: return inFlight < maximum
        case .recovering(let allowance, _): return inFlight < min(allowance, maximum)
        case .open: return false
        // Whatever else is under way began before it opened, and may hang.
        case .halfOpen(let isProbing, _): return !isProbing
        }
    }

    /// It is later now: a probe may have fallen due.
    package mutating func timePassed(now: Timestamp) {
        guard case .open(let until, let wait) = state else { return }
        // Never longer than it was meant to be, although the clock was set back.
        guard until <= now || now.duration(to: until) > wait else { return }
        state = .halfOpen(isProbing: false, wait: wait)
    }

    /// When the next probe is due; nil while it is not open.
    package var probeDue: Timestamp? {
        guard case .open(let until, _) = state else { return nil }
        return until
    }

    /// An attempt begins, which `mayStart` allowed. Returns whether it is a probe: its failure is no fault of the
    /// delivery, and burns none of its attempts.
    package mutating func attemptStarted() -> Bool {
        guard case .halfOpen(false, let wait) = state else { return false }
        state = .halfOpen(isProbing: true, wait: wait)
        return true
    }

    /// Whether a person may ask although it is open, or a probe is under way: one in each wait between probes.
    package mutating func mayAskBesides(now: Timestamp) -> Bool {
        guard let wait = waitBetweenProbes else { return false }
        // Never longer than it was meant to be, although the clock was set back.
        if let nextBesides, nextBesides > now, now.duration(to: nextBesides) <= wait { return false }
        nextBesides = now.advanced(by: wait)
        return true
    }

    private var waitBetweenProbes: Duration? {
        switch state {
        case .open(_, let wait), .halfOpen(_, let wait): wait
        case .closed, .recovering: nil
        }
    }

    /// A probe came to nothing: it was canceled, or the delivery had expired.
    package mutating func probeAbandoned() {
        guard case .halfOpen(true, let wait) = state else { return }
        state = .halfOpen(isProbing: false, wait: wait)
    }

    /// The backend has answered, whatever it thinks of the delivery.
    /// - Parameter maximum: in flight, when all is well.
    package mutating func attemptSucceeded(maximum: Int) -> Change {
        switch state {
        case .closed:
            state = .closed(failures: 0)
            return .none
        case .open(_, let wait), .halfOpen(_, let wait):
            state = .recovering(allowance: min(2, maximum), wait: wait)
            return .closed
        case .recovering(let allowance, let wait):
            let next = allowance + 1
            state = next >= maximum ? .closed(failures: 0) : .recovering(allowance: next, wait: wait)
            return .none
        }
    }

    /// The attempt failed in a way that says something of the backend.
    /// - Parameter wasProbe: as `attemptStarted` said of it.
    package mutating func attemptFailed(wasProbe: Bool, now: Timestamp) -> Change {
        switch state {
        case .closed(let failures):
            guard failures + 1 >= configuration.consecutive else {
                state = .closed(failures: failures + 1)
                return .none
            }
            open(configuration.probeAfter, now: now)
            nextBesides = now.advanced(by: configuration.probeAfter)
            return .opened
        // It began before somebody else's answer closed the breaker.
        case .recovering where wasProbe:
            return .none
        case .recovering(let allowance, let wait):
            guard allowance < 4 else {
                // One that failed among many.
                state = .recovering(allowance: allowance / 2, wait: wait)
                return .none
            }
            // Who may be let through next stays: it may be opened so again and again by what the backend cannot take.
            open(wait, now: now)
            return .opened
        case .halfOpen(true, let wait) where wasProbe:
            open(min(wait + wait, configuration.probeMax), now: now)
            return .none
        case .open, .halfOpen:
            // It began before the breaker opened.
            return .none
        }
    }

    /// A person wants it tried now: a probe is due. When it fails, the wait goes on growing.
    package mutating func probeAsked() {
        guard case .open(_, let wait) = state else { return }
        state = .halfOpen(isProbing: false, wait: wait)
    }

    private mutating func open(_ wait: Duration, now: Timestamp) {
        state = .open(until: now.advanced(by: wait), wait: wait)
    }
}
