// Who may attempt what while a read and a transaction go on side by side.

import RelayCore
import Testing

@testable import SQLiteQueue

@Suite("LeaseTable")
struct LeaseTableTests {
    @Test("What was stored is leased by who stored it, and passed over by a read")
    func storedIsTaken() {
        var table = LeaseTable()
        table.committed(.storing([1, 2]))
        _ = table.readBegan("a")
        #expect([1, 2].filter(table.isTaken) == [1, 2])
    }

    @Test("A read begins where the last one ended")
    func cursor() {
        var table = LeaseTable.waiting([1, 2, 3])
        let first = table.read(found: [1, 2], next: 3)
        #expect(first == .init(leased: [1, 2], nextDue: .second(3)))
        let cursor = table.readBegan("a")
        #expect(cursor == .at(3))
    }

    @Test("A read that came to the end is followed by one that begins at what appears then")
    func cursorGoesBack() {
        var table = LeaseTable.waiting([1, 2, 3])
        let all = table.read(found: [1, 2, 3], next: nil)
        #expect(all == .init(leased: [1, 2, 3], nextDue: nil))
        let end = table.readBegan("a")
        #expect(end == .last)
        table.readFailed()
        table.release(2)
        let cursor = table.readBegan("a")
        #expect(cursor == .at(2))
    }

    @Test("Each backend has a cursor of its own")
    func cursors() {
        var table = LeaseTable.waiting([1, 2])
        _ = table.read(found: [1], next: 2)
        let cursor = table.readBegan("b")
        #expect(cursor == .first)
    }

    @Test("A row stored after the read began is not leased by it, whatever became of it")
    func storedDuringRead() {
        var table = LeaseTable()
        _ = table.readBegan("a")
        table.committed(.storing([1]))
        table.release(1)
        #expect(table.isTaken(1))
        // The caller is told, and looks again.
        let nothing = table.readEnded([:], next: nil)
        #expect(nothing == .init(leased: [], nextDue: .second(1)))
        let second = table.read(found: [1], next: nil)
        #expect(second.leased == [1])
    }

    @Test("What is settled during a read is not leased by it, though its snapshot shows it waiting")
    func settledDuringRead() {
        var table = LeaseTable()
        table.committed(.storing([1]))
        _ = table.readBegan("a")
        table.committed(.ending([1: .settled], after: table))
        #expect(table.lease(on: 1) == nil)
        let result = table.readEnded([1: .of(1)], next: nil)
        #expect(result == .init(leased: [], nextDue: nil))
    }

    @Test("What is rescheduled during a read is not leased by it, and its new time is told")
    func rescheduledDuringRead() {
        var table = LeaseTable()
        table.committed(.storing([1]))
        _ = table.readBegan("a")
        table.committed(.ending([1: .rescheduled(at: .second(9))], after: table))
        let result = table.readEnded([1: .of(1)], next: nil)
        #expect(result == .init(leased: [], nextDue: .second(9)))
    }

    @Test("What a transaction is about to remove is not leased, and waits again when the transaction fails")
    func claimed() {
        var table = LeaseTable.waiting([1, 2])
        let claims = [table.claim(1), table.claim(1)]
        #expect(claims == [true, false])
        let meanwhile = table.read(found: [1, 2], next: nil)
        #expect(meanwhile.leased == [2])
        let isLeasedClaimed = table.claim(2)
        #expect(!isLeasedClaimed)
        table.unclaim([1])
        let afterwards = table.read(found: [1], next: nil)
        #expect(afterwards.leased == [1])
    }

    @Test("What was removed during a read is not leased by it")
    func removedDuringRead() {
        var table = LeaseTable.waiting([1])
        _ = table.readBegan("a")
        _ = table.claim(1)
        var effects = WriteTransaction.Effects(ledger: table.ledger)
        effects.claimed = [1]
        table.committed(effects)
        let result = table.readEnded([1: .of(1)], next: nil)
        #expect(result.leased == [])
    }

    @Test("What is changed while a read goes on is not leased by it as it was, but told as it is")
    func changedDuringRead() {
        var table = LeaseTable.waiting([1, 2])
        _ = table.readBegan("a")
        let isClaimed = table.claim(1)
        #expect(isClaimed)
        var effects = WriteTransaction.Effects(ledger: table.ledger)
        effects.claimed = [1]
        effects.appeared = [(.init(due: .second(0), sequence: 1), "a")]
        table.committed(effects)
        let result = table.readEnded([1: .of(1), 2: .of(2)], next: nil)
        #expect(result == .init(leased: [2], nextDue: .second(0)))
    }

    @Test("What a read gave up and what was stored while it goes on can be changed")
    func claimedDuringRead() {
        var table = LeaseTable()
        table.committed(.storing([1]))
        _ = table.readBegan("a")
        table.release(1)
        var effects = WriteTransaction.Effects(ledger: table.ledger)
        effects.ledger.nextSequence = 3
        effects.stored = [(2, .of(2))]
        table.committed(effects)
        table.release(2)
        let claims = [table.claim(1), table.claim(2), table.claim(3)]
        #expect(claims == [true, true, false])
    }

    @Test("A search for the oldest goes on where the last one ended, and no further than what is committed")
    func searched() {
        var table = LeaseTable()
        table.committed(.storing([1, 2, 3]))
        let first = table.searchBegan("a", from: 1)
        table.searchEnded(at: 3)
        let second = table.searchBegan("a", from: 1)
        #expect(first == 1..<4 && second == 3..<4)
        #expect(table.oldestUnfinished == 3)
    }

    @Test("What is replayed while a search goes on is not passed by it, and what it passed below is remembered")
    func replayedDuringSearch() {
        var table = LeaseTable()
        table.committed(.storing([1, 2, 3, 4]))
        _ = table.searchBegan("a", from: 1)
        table.committed(.replaying([(3, "b"), (2, "a"), (4, "a")], after: table))
        table.searchEnded(at: 4)
        let next = table.searchBegan("a", from: 1)
        #expect(next == 2..<5)
    }

    @Test("A search that a replay has overtaken goes on, but is not remembered")
    func overtaken() {
        var table = LeaseTable()
        table.committed(.storing([1, 2, 3, 4]))
        _ = table.searchBegan("a", from: 1)
        table.searchEnded(at: 3)
        table.committed(.replaying([(1, "a")], after: table))
        let goesOn = table.searchBegan("a", from: 3)
        table.searchEnded(at: 4)
        let next = table.searchBegan("a", from: 1)
        #expect(goesOn == 3..<5 && next == 1..<5)
    }

    @Test("The oldest unfinished delivery is one of a backend that has any")
    func oldestUnfinished() {
        var table = LeaseTable()
        #expect(table.oldestUnfinished == 1)
        table.committed(.storing([1, 2, 3]))
        #expect(table.oldestUnfinished == 1)
        var effects = WriteTransaction.Effects(ledger: table.ledger)
        effects.ledger.backends["a"] = .init()
        table.committed(effects)
        #expect(table.oldestUnfinished == 4)
        effects.ledger.nextSequence = 6
        effects.ledger.backends["b"] = .init(pending: 1)
        table.committed(effects)
        #expect(table.oldestUnfinished == 4)
        table.committed(.replaying([(2, "b")], after: table))
        #expect(table.oldestUnfinished == 2)
    }

    @Test("A lease on what turns out settled when the database is opened anew is ended")
    func reloaded() {
        var table = LeaseTable()
        table.committed(.storing([1, 2]))
        table.loaded(table.ledger, oldest: [:], settled: [1])
        #expect(table.leasedSequences == [2])
    }
}

extension LeaseTable {
    struct Reading: Equatable {
        var leased: Set<Int64>
        var nextDue: Timestamp?
    }

    /// Deliveries of the backend `a` that wait, each due at the second of its sequence.
    static func waiting(_ sequences: [Int64]) -> LeaseTable {
        var table = LeaseTable()
        table.committed(.storing(sequences))
        for sequence in sequences { table.release(sequence) }
        return table
    }

    mutating func readEnded(_ found: [Int64: Lease], next: QueuePosition?) -> Reading {
        let (leased, nextDue) = readEnded(found: found, next: next)
        return Reading(leased: leased, nextDue: nextDue)
    }

    mutating func read(found: [Int64], next: Int64?) -> Reading {
        _ = readBegan("a")
        let leases = found.map { ($0, Lease.of($0)) }
        return readEnded(Dictionary(uniqueKeysWithValues: leases), next: next.map { .at($0) })
    }
}

extension LeaseTable.Lease {
    static func of(_ sequence: Int64) -> Self {
        .init(backend: "a", state: .pending, due: .second(sequence), envelope: sequence, siblings: 1)
    }
}

extension QueuePosition {
    static func at(_ sequence: Int64) -> QueuePosition { .init(due: .second(sequence), sequence: sequence) }
}

extension WriteTransaction.Effects {
    static func storing(_ sequences: [Int64]) -> Self {
        var effects = Self(ledger: Ledger())
        effects.ledger.nextSequence = (sequences.max() ?? 0) + 1
        effects.ledger.backends["a"] = .init(pending: sequences.count)
        effects.stored = sequences.map { ($0, .of($0)) }
        return effects
    }

    static func ending(_ ended: [Int64: WriteTransaction.Ending], after table: LeaseTable) -> Self {
        var effects = Self(ledger: table.ledger)
        effects.ended = ended
        return effects
    }

    static func replaying(_ replayed: [(sequence: Int64, backend: BackendName)], after table: LeaseTable) -> Self {
        var effects = Self(ledger: table.ledger)
        effects.replayed = replayed
        return effects
    }
}
