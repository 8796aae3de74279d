// What happens to deliveries, as it happens, for those who watch. Nobody who watches can hold up who delivers.

import NIOCore
package import RelayCore
import Synchronization

/// One thing that happened, as watchers get it: ids and outcomes, never payloads.
package struct FeedEvent: Sendable {
    package var name: Name
    package var backend: BackendName
    /// Of type `API.FeedAttempt`, `API.FeedSettlement` or `API.FeedAnswer`.
    package var body: any Encodable & Sendable

    package enum Name: String, Sendable, CaseIterable {
        /// An attempt at a delivery finished.
        case attempt
        /// What became of a delivery is recorded.
        case settled
        /// Somebody waited for an answer, and this came of it.
        case answer
        /// So many events are missing here, because the reader was slow.
        case lost
    }

    package init(_ name: Name, backend: BackendName, _ body: any Encodable & Sendable) {
        self.name = name
        self.backend = backend
        self.body = body
    }
}

extension API {
    package struct FeedAttempt: Codable, Sendable, Equatable {
        package var id: String
        package var backend: String
        package var route: String
        package var app: String
        package var kind: String
        package var number: Int
        package var outcome: String
        package var status: Int?
        package var reason: String?
        package var durationMs: Int
        package var at: String

        package init(
            id: String, backend: String, route: String, app: String, kind: String, number: Int, outcome: String,
            status: Int?, reason: String?, durationMs: Int, at: String
        ) {
            self.id = id
            self.backend = backend
            self.route = route
            self.app = app
            self.kind = kind
            self.number = number
            self.outcome = outcome
            self.status = status
            self.reason = reason
            self.durationMs = durationMs
            self.at = at
        }
    }

    package struct FeedSettlement: Codable, Sendable, Equatable {
        package var id: String
        package var backend: String
        package var state: String
        /// Why it was given up.
        package var deadReason: String?
        /// When the next attempt is due.
        package var due: String?
        package var at: String

        package init(id: String, backend: String, state: String, deadReason: String?, due: String?, at: String) {
            self.id = id
            self.backend = backend
            self.state = state
            self.deadReason = deadReason
            self.due = due
            self.at = at
        }
    }

    package struct FeedAnswer: Codable, Sendable, Equatable {
        package var envelopeId: String
        package var backend: String
        package var app: String
        package var kind: String
        /// As in `relay_answers_total`.
        package var outcome: String
        package var status: Int?
        package var durationMs: Int
        package var at: String

        package init(
            envelopeId: String, backend: String, app: String, kind: String, outcome: String, status: Int?,
            durationMs: Int, at: String
        ) {
            self.envelopeId = envelopeId
            self.backend = backend
            self.app = app
            self.kind = kind
            self.outcome = outcome
            self.status = status
            self.durationMs = durationMs
            self.at = at
        }
    }

    package struct FeedLost: Codable, Sendable, Equatable {
        package var count: Int
    }
}

/// Hands events to subscriptions. `publish` returns at once: a subscription that is full counts what it lost.
package final class DeliveryFeed: Sendable {
    /// Subscriptions at a time.
    package static let maxSubscriptions = 8
    /// Events that wait for one reader.
    let maxWaiting: Int

    private struct State {
        var subscriptions: [Int: Subscription] = [:]
        var last = 0
        var isClosed = false
    }

    private let state = Mutex(State())
    private let count = Atomic(0)

    package init(maxWaiting: Int = 1_000) { self.maxWaiting = maxWaiting }

    /// Whether anybody watches: otherwise an event need not be made.
    package var isWatched: Bool { count.load(ordering: .relaxed) > 0 }

    package func publish(_ event: FeedEvent) {
        guard isWatched else { return }
        for subscription in state.withLock({ Array($0.subscriptions.values) }) { subscription.take(event) }
    }

    /// nil: too many watch already.
    /// - Parameter backends: those to watch; empty: all.
    func subscribe(to backends: Set<BackendName>) -> Subscription? {
        let subscription = state.withLock { state -> Subscription? in
            guard state.subscriptions.count < Self.maxSubscriptions else { return nil }
            state.last += 1
            let subscription = Subscription(number: state.last, backends: backends, maxWaiting: maxWaiting)
            if state.isClosed { subscription.finish() }
            state.subscriptions[state.last] = subscription
            return subscription
        }
        if subscription != nil { count.add(1, ordering: .relaxed) }
        return subscription
    }

    func unsubscribe(_ subscription: Subscription) {
        let isRemoved = state.withLock { $0.subscriptions.removeValue(forKey: subscription.number) != nil }
        if isRemoved { count.subtract(1, ordering: .relaxed) }
        subscription.finish()
    }

    /// Ends all subscriptions, and each that comes later.
    func close() {
        let all = state.withLock { state in
            state.isClosed = true
            return Array(state.subscriptions.values)
        }
        for subscription in all { subscription.finish() }
    }
}

/// Is subscribed for as long as somebody holds it: a response whose head could not be written holds it no more.
final class OpenStream: Sendable {
    let subscription: Subscription
    private let feed: DeliveryFeed

    /// nil: too many watch already.
    init?(of feed: DeliveryFeed, backends: Set<BackendName>) {
        guard let subscription = feed.subscribe(to: backends) else { return nil }
        self.subscription = subscription
        self.feed = feed
    }

    deinit { feed.unsubscribe(subscription) }
}

/// What one reader has not had yet.
final class Subscription: Sendable {
    private struct Waiting {
        var events: [FeedEvent] = []
        /// Events that found no room. They happened after `events`: what came first is told first.
        var lost = 0
    }

    let number: Int
    private let backends: Set<BackendName>
    private let maxWaiting: Int
    private let waiting = Mutex(Waiting())
    /// One element when there may be something to take; ends with the subscription.
    let signals: AsyncStream<Void>
    private let signal: AsyncStream<Void>.Continuation

    init(number: Int, backends: Set<BackendName>, maxWaiting: Int) {
        self.number = number
        self.backends = backends
        self.maxWaiting = maxWaiting
        (signals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func take(_ event: FeedEvent) {
        guard backends.isEmpty || backends.contains(event.backend) else { return }
        waiting.withLock { waiting in
            if waiting.lost == 0, waiting.events.count < maxWaiting {
                waiting.events.append(event)
            } else {
                waiting.lost += 1
            }
        }
        signal.yield()
    }

    /// Wakes the reader, although there may be nothing.
    func wake() { signal.yield() }

    func finish() { signal.finish() }

    /// What waited, oldest first, and then how much came after it and was lost, as server-sent events (WHATWG HTML §9.2);
    /// a comment when there is nothing.
    func takeAll() throws -> ByteBuffer {
        let taken = waiting.withLock { waiting in
            defer { waiting = Waiting() }
            return waiting
        }
        var text = ByteBuffer()
        for event in taken.events { try text.writeEvent(event.name, event.body) }
        if taken.lost > 0 { try text.writeEvent(.lost, API.FeedLost(count: taken.lost)) }
        if text.readableBytes == 0 { text.writeString(":\n\n") }
        return text
    }
}

extension ByteBuffer {
    /// JSON has no line breaks, so one `data:` is enough.
    fileprivate mutating func writeEvent(_ name: FeedEvent.Name, _ body: some Encodable) throws {
        writeString("event: \(name.rawValue)\ndata: ")
        writeBytes(try AdminJSON.encode(body))
        writeString("\n\n")
    }
}
