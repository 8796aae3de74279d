// How much may be asked for at the same time.

import RelayCore

/// Counts what waits for each backend, people and events apart, and keeps the line of events whose turn has not come. What
/// waits for one backend takes nothing from another.
struct AnswerRoom: Sendable {
    private var maxWaiting: Int
    private let maxBytes: Int
    private var people = 0
    private var places: [BackendName: Places]

    private struct Places: Sendable {
        var maxWaiting: Int
        var maxInFlight: Int
        var people = 0
        var events = 0
        var bytes = 0
        /// Events that have their turn.
        var inFlight = 0
        var line = FIFO<AnswerNumber>()

        var isEmpty: Bool { people == 0 && events == 0 }
    }

    /// - Parameters:
    ///   - maxWaiting: people, for all backends together: each of them holds a connection.
    ///   - maxBytes: of the payloads that wait for one backend; one is always allowed, however large.
    init(_ backends: [Backend], maxWaiting: Int, maxBytes: Int) {
        self.maxWaiting = maxWaiting
        self.maxBytes = maxBytes
        places = Dictionary(
            backends.map { ($0.name, Places(maxWaiting: $0.maxWaiting, maxInFlight: $0.maxInFlight)) },
            uniquingKeysWith: { first, _ in first })
    }

    /// Other limits from now on. What waits is counted on, also for a backend that is gone: nothing more may wait for
    /// that one.
    /// - Parameter isInLine: whether an event still waits for its turn: one whose time was over has gone.
    /// - Returns: events whose turn it is now.
    mutating func reconfigure(
        _ backends: [Backend], maxWaiting: Int, isInLine: (AnswerNumber) -> Bool
    ) -> [AnswerNumber] {
        self.maxWaiting = maxWaiting
        for name in places.keys {
            if places[name]?.isEmpty == true { places[name] = nil } else { places[name]?.maxWaiting = 0 }
        }
        var turns: [AnswerNumber] = []
        for backend in backends {
            var place = places[backend.name] ?? Places(maxWaiting: 0, maxInFlight: 0)
            place.maxWaiting = backend.maxWaiting
            place.maxInFlight = backend.maxInFlight
            while place.inFlight < place.maxInFlight, let next = place.line.popFirst() {
                guard isInLine(next) else { continue }
                place.inFlight += 1
                turns.append(next)
            }
            places[backend.name] = place
        }
        return turns
    }

    /// Requests that wait, by backend.
    var waiting: [BackendName: Int] { places.mapValues { $0.people + $0.events } }

    /// Whether another request may wait for the backend; then `leave` must follow.
    mutating func enter(_ backend: BackendName, isEvent: Bool, bytes: Int) -> Bool {
        guard let place = places[backend], (isEvent ? place.events : place.people) < place.maxWaiting,
            isEvent || people < maxWaiting, place.bytes == 0 || place.bytes + bytes <= maxBytes
        else { return false }
        count(backend, isEvent, 1, bytes)
        return true
    }

    mutating func leave(_ backend: BackendName, isEvent: Bool, bytes: Int) { count(backend, isEvent, -1, -bytes) }

    private mutating func count(_ backend: BackendName, _ isEvent: Bool, _ requests: Int, _ bytes: Int) {
        places[backend]?.bytes += bytes
        if isEvent {
            places[backend]?.events += requests
        } else {
            places[backend]?.people += requests
            people += requests
        }
        if let place = places[backend], place.maxWaiting == 0, place.isEmpty { places[backend] = nil }
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
        if let place = places[backend], place.inFlight <= place.maxInFlight,
            let next = places[backend]?.line.popFirst()
        {
            return next
        }
        places[backend]?.inFlight -= 1
        return nil
    }
}
