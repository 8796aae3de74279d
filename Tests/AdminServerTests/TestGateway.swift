// The ports of the admin server, as values that tests set and look at.

import AdminServer
import RelayCore

/// A gateway that notes what it is asked to do.
actor TestGateway: GatewayControl {
    var done: [String] = []
    var held: Set<BackendName> = []
    var mistakes: [String] = []
    var failure: QueueError?

    func set(held: Set<BackendName> = [], mistakes: [String] = [], failure: QueueError? = nil) {
        self.held = held
        self.mistakes = mistakes
        self.failure = failure
    }

    private let loaded = API.Loaded(generation: 1, fingerprint: "0badc0de", loadedAt: "2026-11-23T09:00:00.000Z")

    func status() -> API.Status {
        API.Status(
            version: "1.2.3", startedAt: "2026-11-23T09:00:00.000Z",
            state: done.contains("drain") ? .draining : .running,
            problems: [], apps: [.init(name: "default", connected: 2, wanted: 2, reported: 2, refused: nil)],
            backends: backends(),
            queue: .init(isWritable: true, waiting: 0, oldestReceivedAt: nil, dead: 0, dropped: 0),
            configuration: loaded)
    }

    func connections() -> [API.Connection] {
        [
            API.Connection(
                app: "default", slot: 0, id: "7", state: "connected", since: "2026-11-23T09:00:01.000Z",
                host: "applink-1", reported: 2)
        ]
    }

    func refreshConnections(of app: AppName?) -> Int? {
        guard app == nil || app == "default" else { return nil }
        done.append("refresh")
        return 2
    }

    func backends() -> [API.Backend] { ["orders", "audit"].compactMap { backend($0) } }

    func backend(_ name: BackendName) -> API.Backend? {
        guard ["orders", "audit"].contains(name) else { return nil }
        return API.Backend(
            name: name.text, url: "http://127.0.0.1:3000/", state: held.contains(name) ? "paused" : "closed",
            isHeld: held.contains(name), waiting: .init(pending: 0, scheduled: 0, inFlight: 0, held: 0), dead: 0)
    }

    func pause(_ backend: BackendName) throws(QueueError) -> Bool {
        if let failure { throw failure }
        held.insert(backend)
        return self.backend(backend) != nil
    }

    func resume(_ backend: BackendName) throws(QueueError) -> Bool {
        held.remove(backend)
        return self.backend(backend) != nil
    }

    /// Called when a backend is tested, before the answer.
    private var whileTesting: @Sendable () async -> Void = {}

    func set(whileTesting: @escaping @Sendable () async -> Void) { self.whileTesting = whileTesting }

    /// Only `orders` is right.
    func test(_ backend: BackendName) async -> API.BackendTest? {
        await whileTesting()
        return self.backend(backend).map { shown in
            shown.name == "orders"
                ? API.BackendTest(
                    isOk: true, status: 200, challengeReturned: true, durationMs: 3, reason: nil, detail: nil)
                : API.BackendTest(
                    isOk: false, status: 500, challengeReturned: false, durationMs: 4, reason: "http_500",
                    detail: "Internal Server Error")
        }
    }

    func heldBackends() -> Set<BackendName> { held }
    func deliveriesBecameDue(for backends: Set<BackendName>) { done += backends.map { "due \($0)" } }
    func replaysChanged() { done.append("replays") }

    func configuration() -> API.Configuration { API.Configuration(loaded, yaml: "version: 1\n") }

    func reload() throws(ReloadRefused) -> API.Reloaded {
        guard mistakes.isEmpty else { throw ReloadRefused(mistakes: mistakes) }
        return API.Reloaded(loaded, changed: ["routes"])
    }

    func drain() { done.append("drain") }
}

/// Deliveries in a list. What each method must do, `DeliveryArchiveConformance` says; here is what the server needs of it.
actor TestArchive: DeliveryArchive {
    private var records: [DeliveryRecord] = []
    private var jobs: [Replay] = []
    private(set) var asked: [DeliveryFilter] = []

    /// `dead`, `expired` and so on: one delivery per state, to `orders`, numbered from 1; those that are dead have the
    /// reason given.
    func fill(
        _ states: [DeliveryState], deadReason: String = "attempts_exhausted_http_500", sentID: DeliveryID? = nil
    ) {
        for state in states {
            let id = DeliveryID(queue: 0xAB, sequence: Int64(records.count + 1))
            let summary = DeliverySummary(
                id: id, sentID: sentID, backend: "orders", route: "default", app: "default", kind: .event, state: state,
                envelopeID: "envelope-\(id.sequence)", receivedAt: AdminStage.now.advanced(by: .seconds(-60)),
                due: state.isFinal ? nil : AdminStage.now, settledAt: state.isFinal ? AdminStage.now : nil,
                attemptsMade: 11, outcome: "failed", reason: "http_500", deadReason: state == .dead ? deadReason : nil,
                payloadBytes: 7)
            let attempt = RecordedAttempt(
                number: 11, startedAt: AdminStage.now.advanced(by: .milliseconds(-40)), finishedAt: AdminStage.now,
                outcome: "failed", reason: "http_500", detail: "HTTP 500")
            records.append(
                DeliveryRecord(
                    summary: summary, attempts: [attempt],
                    response: RecordedResponse(
                        status: 500, headers: [("Content-Type", "text/plain"), ("Set-Cookie", "a=b")],
                        body: Array("no".utf8) + (state == .expired ? [0xFF] : [])), payload: Payload("{\"a\":1}")))
        }
    }

    private func matching(_ filter: DeliveryFilter) -> [DeliveryRecord] {
        asked.append(filter)
        return records.filter { filter.takes($0.summary) }.reversed()
    }

    func deliveries(_ filter: DeliveryFilter, _ page: PageRequest) -> Page<DeliverySummary> {
        let rest = matching(filter).filter { $0.summary.id.sequence < page.cursor ?? .max }
        let items = rest.prefix(page.limit).map(\.summary)
        return Page(items: items, next: rest.count > items.count ? items.last?.id.sequence : nil)
    }

    func count(_ filter: DeliveryFilter, limit: Int) -> Int { min(limit, matching(filter).count) }
    func record(_ id: DeliveryID) -> DeliveryRecord? {
        records.first { $0.summary.id == id || $0.summary.sentID == id }
    }

    func ids(sentAs ids: Set<DeliveryID>) -> [DeliveryID: DeliveryID] {
        records.map(\.summary).reduce(into: [:]) { found, summary in
            if let sent = summary.sentID, ids.contains(sent) { found[sent] = summary.id }
        }
    }

    func retry(_ id: DeliveryID, now: Timestamp) -> DeliveryChange {
        change(id, if: { $0 != .inFlight }) { $0.state = .pending }
    }

    func cancel(_ id: DeliveryID, now: Timestamp) -> DeliveryChange {
        change(id, if: { !$0.isFinal && $0 != .inFlight }) { $0.state = .canceled }
    }

    func delete(_ id: DeliveryID) -> DeliveryChange {
        let change = change(id, if: { [.dead, .expired, .canceled].contains($0) }) { _ in }
        if case .done = change { records.removeAll { $0.summary.id == id } }
        return change
    }

    /// Steps of a deletion that work.
    private var goodDeletions = Int.max

    func fail(afterDeletions count: Int) { goodDeletions = count }

    func delete(_ filter: DeliveryFilter, limit: Int) throws(QueueError) -> Int {
        guard goodDeletions > 0 else { throw QueueError(.unavailable, "no space left") }
        goodDeletions -= 1
        let ids = Set(matching(filter).suffix(limit).map(\.summary.id))
        records.removeAll { ids.contains($0.summary.id) }
        return ids.count
    }

    private func change(
        _ id: DeliveryID, if allows: (DeliveryState) -> Bool, _ change: (inout DeliverySummary) -> Void
    ) -> DeliveryChange {
        guard let index = records.firstIndex(where: { $0.summary.id == id }) else { return .unknown }
        guard allows(records[index].summary.state) else { return .refused(records[index].summary.state) }
        guard records[index].payload != nil else { return .noPayload }
        change(&records[index].summary)
        return .done(records[index].summary.backend)
    }

    func forgetPayload(of id: DeliveryID) {
        for index in records.indices where records[index].summary.id == id { records[index].payload = nil }
    }

    func createReplay(_ request: ReplayRequest, now: Timestamp) -> Replay {
        let replay = Replay(
            id: Int64(jobs.count + 1), request: request, state: .running, createdAt: now,
            matched: matching(request.filter ?? .init()).count)
        jobs.append(replay)
        return replay
    }

    func replays() -> [Replay] { jobs.reversed() }

    func replays(_ page: PageRequest) -> Page<Replay> {
        Page(replays().filter { $0.id < page.cursor ?? .max }, limit: page.limit)
    }

    func replay(_ id: Replay.ID) -> Replay? { jobs.first { $0.id == id } }

    func advanceReplay(_ id: Replay.ID, limit: Int, now: Timestamp) -> (replay: Replay?, backends: Set<BackendName>) {
        (replay(id), [])
    }

    func cancelReplay(_ id: Replay.ID, now: Timestamp) -> Replay? {
        for index in jobs.indices where jobs[index].id == id && jobs[index].state == .running {
            jobs[index].state = .canceled
            jobs[index].endedAt = now
        }
        return replay(id)
    }
}
