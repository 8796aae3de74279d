// Who sees to a transaction, and what it takes along.

import RelayCore
import Testing

@testable import SQLiteQueue

@Suite("Write inbox") struct WriteInboxTests {
    private let inbox = WriteInbox<Int>()
    private let urgent = Write.enqueue([.event("1")])
    private let patient = Write.settle([], unblocks: false)

    private func add(_ write: Write, _ caller: Int) -> WriteInbox<Int>.Need? {
        inbox.add(.init(write: write, caller: caller))
    }

    /// The callers, and what is needed for the others: "1 2", "soon".
    private func take(_ limit: Int = 1_000) -> String {
        let (calls, need) = inbox.take(limit)
        return (calls.map { "\($0.caller)" } + [need.map { "\($0)" }].compactMap(\.self)).joined(separator: " ")
    }

    @Test("the first call has a transaction run, and those that come before it shares it")
    func shared() {
        #expect(add(urgent, 1) == .now)
        #expect(add(urgent, 2) == nil)
        #expect(take() == "1 2")
        // Being taken: nobody else needs to come.
        #expect(add(urgent, 3) == nil)
        #expect(take() == "3")
        #expect(take() == "")
        #expect(add(urgent, 4) == .now)
    }

    @Test("a patient call goes along with whatever comes, in its place")
    func along() {
        #expect(add(patient, 1) == .soon)
        #expect(add(urgent, 2) == .now)
        #expect(add(patient, 3) == nil)
        #expect(take() == "1 2 3")
    }

    @Test("patient calls that came while a transaction ran wait for the next one, not longer than they must")
    func waits() {
        #expect(add(urgent, 1) == .now)
        #expect(take() == "1")
        #expect(add(patient, 2) == nil)
        #expect(take() == "soon")
        #expect(add(patient, 3) == nil)
        #expect(inbox.takeAll().map(\.caller) == [2, 3])
        #expect(inbox.takeAll().isEmpty)
        #expect(add(patient, 4) == .soon)
    }

    @Test("a transaction stays short: the first calls first")
    func bounded() {
        for caller in 1...5 { _ = add(caller == 5 ? urgent : patient, caller) }
        #expect(take(2) == "1 2")
        #expect(inbox.takeAll(2).map(\.caller) == [3, 4])
        #expect(take(2) == "5")
        #expect(take(2) == "")
        #expect(inbox.count == 0)
    }

    @Test("only what nobody waits for is patient, and only what is over need not be synced")
    func kinds() {
        let synced: [Write] = [
            urgent, .prune(now: .second(0)), .giveUp([], now: .second(0)), .probe, .storeLateAnswer(.late("e")),
            .setPause(nil, "a"), .deleteFound([]), .cancelReplay(1, now: .second(0)),
        ]
        #expect(synced.allSatisfy { $0.isSynced && !$0.isPatient })
        #expect(!patient.isSynced && patient.isPatient)
        let unblocking = Write.settle([], unblocks: true)
        #expect(!unblocking.isSynced && !unblocking.isPatient)
        var record = EnqueueRequest.event(nil)
        record.settled = .init(
            target: record.targets.removeFirst(),
            settlement: .init(id: .init(queue: 1, sequence: 1), attempt: nil, verb: .expire, at: .second(0)))
        #expect(!Write.enqueue([record]).isSynced && Write.enqueue([record]).isPatient)
        // An event that is remembered by it, and one that another record comes with.
        #expect(Write.enqueue([record, .event("1")]).isSynced)
        record.envelope.deduplicationKey = "k"
        #expect(Write.enqueue([record]).isSynced)
    }
}
