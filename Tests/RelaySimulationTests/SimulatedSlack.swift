// A Slack that sends events, waits for acknowledgements, and sends again what was not acknowledged.

import RelayCore
import RelayTestKit
import Synchronization

/// The outside: what Slack sent, what was acknowledged, what the backends accepted. Outlives the processes.
final class SimulatedSlack: Sendable {
    private struct State {
        var nextEnvelope = 0
        /// envelope_id of each copy to its event_id.
        var eventOfEnvelope: [String: String] = [:]
        var acknowledged: Set<String> = []
        var accepted: [BackendName: [String: Int]] = [:]
        var violations: [String] = []
        var history: [String] = []
    }

    private let state = Mutex(State())
    private let clock: VirtualClock
    private let random: SharedRandom
    private let disk: SimulatedDisk
    private let loseAcknowledgements: Double

    init(clock: VirtualClock, random: SharedRandom, disk: SimulatedDisk, loseAcknowledgements: Double) {
        self.clock = clock
        self.random = random
        self.disk = disk
        self.loseAcknowledgements = loseAcknowledgements
    }

    /// Sends one event, and again after Slack's deadline until it is acknowledged, at most `copies` times.
    func send(event: String, copies: Int, to world: SimulatedWorld) async {
        for copy in 0..<copies {
            guard !isAcknowledged(event) else { return }
            let envelope = makeCopy(copy, of: event)
            note("slack sends \(event) as \(envelope.id), copy \(copy)")
            await world.receive(envelope)
            try? await clock.sleep(for: .seconds(3) + random.duration(.zero ... .seconds(60)))
        }
    }

    func acknowledge(_ envelopeIDs: [String]) {
        for id in envelopeIDs {
            guard let event = state.withLock({ $0.eventOfEnvelope[id] }) else {
                violation("acknowledged \(id), which was never sent")
                continue
            }
            // Guarantee 1, at the moment it is given.
            if !disk.isStored(event) { violation("acknowledged \(event) before it was durable") }
            if random.chance(loseAcknowledgements) {
                note("the acknowledgement of \(id) is lost on its way")
            } else {
                note("slack has the acknowledgement of \(id)")
                state.withLock { _ = $0.acknowledged.insert(event) }
            }
        }
    }

    func accepted(_ event: String, by backend: BackendName) {
        state.withLock { $0.accepted[backend, default: [:]][event, default: 0] += 1 }
    }

    func timesAccepted(_ event: String, by backend: BackendName) -> Int {
        state.withLock { $0.accepted[backend]?[event] ?? 0 }
    }

    func isAcknowledged(_ event: String) -> Bool { state.withLock { $0.acknowledged.contains(event) } }
    var acknowledgedEvents: [String] { state.withLock { $0.acknowledged.sorted() } }
    var violations: [String] { state.withLock { $0.violations } }
    var history: [String] { state.withLock { $0.history } }

    func violation(_ text: String) {
        note("VIOLATION: \(text)")
        state.withLock { $0.violations.append(text) }
    }

    func note(_ text: String) {
        let time = clock.now.millisecondsSinceEpoch
        state.withLock { $0.history.append("\(time) ms: \(text)") }
    }

    private func makeCopy(_ copy: Int, of event: String) -> Envelope {
        let id = state.withLock { state in
            state.nextEnvelope += 1
            let id = "envelope-\(state.nextEnvelope)"
            state.eventOfEnvelope[id] = event
            return id
        }
        return Envelope(
            id: id, kind: .event, payload: Payload(event), deduplicationKey: event,
            retry: copy == 0 ? nil : SlackRetry(attempt: copy, reason: "timeout"), receivedAt: clock.now)
    }
}
