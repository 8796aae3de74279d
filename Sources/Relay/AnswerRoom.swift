// How much may be asked for at the same time.

import RelayCore

/// Counts what waits for each backend, and keeps the line of events whose turn has not come.
struct AnswerRoom: Sendable {
    private let maxWaiting: Int
    private let maxBytes: Int
    private var waiting = 0
    private var bytes = 0
    private var places: [BackendName: Places]

    private struct Places: Sendable {
        let maxWaiting: Int
        let maxInFlight: Int
        var waiting = 0
        /// Events that have their turn.
        var inFlight = 0
        var line = FIFO<AnswerNumber>()
    }

    /// - Parameters:
    ///   - maxWaiting: for all backends together.
    ///   - maxBytes: of all payloads together; one is always allowed, however large.
    init(_ backends: [Backend], maxWaiting: Int, maxBytes: Int) {
        self.maxWaiting = maxWaiting
        self.maxBytes = maxBytes
        places = Dictionary(
            backends.map { ($0.name, Places(maxWaiting: $0.maxWaiting, maxInFlight: $0.maxInFlight)) },
            uniquingKeysWith: { first, _ in first })
    }

    /// Whether another request may wait for the backend; then `leave` must follow.
    mutating func enter(_ backend: BackendName, bytes: Int) -> Bool {
        guard let place = places[backend], place.waiting < place.maxWaiting, waiting < maxWaiting,
            self.bytes == 0 || self.bytes + bytes <= maxBytes
        else { return false }
        places[backend]?.waiting += 1
        waiting += 1
        self.bytes += bytes
        return true
    }

    mutating func leave(_ backend: BackendName, bytes: Int) {
        places[backend]?.waiting -= 1
        waiting -= 1
        self.bytes -= bytes
    }

    /// Whether an event has its turn now; else it stands in line. After its turn `endTurn` must follow.
    mutating func takeTurn(_ backend: BackendName, _ number: AnswerNumber) -> Bool {
        guard let place = places[backend] else { return true }
        if place.inFlight < place.maxInFlight {
            places[backend]?.inFlight += 1
            return true
        }
        places[backend]?.line.append(number)
        return false
    }

    /// The next in line takes over the turn; the caller asks again when that one has left the line.
    mutating func endTurn(_ backend: BackendName) -> AnswerNumber? {
        if let next = places[backend]?.line.popFirst() { return next }
        places[backend]?.inFlight -= 1
        return nil
    }
}
