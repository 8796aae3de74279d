// The one writer: opens the database, and runs the transactions that calls share.

@preconcurrency import Dispatch
import Foundation
import GRDB
import Logging
import RelayCore

/// Owns the lock and the writing connection, on a dispatch queue of its own.
///
/// Group commit: each caller leaves its call in the inbox and waits. The first of them has a transaction run with all that
/// the inbox holds; what comes meanwhile shares the next one.
actor QueueWriter {
    /// How long a patient call waits for a transaction that comes anyway.
    private let patience: DispatchTimeInterval
    private let executor = DispatchQueueExecutor(label: "relay.queue.writer")
    private typealias Inbox = WriteInbox<CheckedContinuation<Result<Written, QueueError>, Never>>
    private let inbox = Inbox()
    private let path: String
    private let limits: QueueLimits
    private let state: QueueState
    private let logger: Logger
    private var opened: Opened?
    private var connection: Connection?
    private var lock: FileLock?
    /// Nothing can be written any more: why.
    private var refusal: QueueError?
    /// Transactions that wrote something and were committed.
    private(set) var commits = 0

    /// What is known once the queue was opened, and stays.
    struct Opened: Sendable {
        var file: QueueFile
        var identity: QueueFile.Identity?
        var queueID: UInt32
    }

    private struct Connection {
        var store: QueueStore
        var database: DatabaseQueue
        var log: WriteAheadLog
        var logIdentity: QueueFile.Identity?
        /// Whether its commits are synced; nil: not known.
        var isSynced: Bool?
    }

    init(path: String, limits: QueueLimits, patience: Duration, state: QueueState, logger: Logger) {
        self.path = path
        self.patience = .nanoseconds(Int(patience / .nanoseconds(1)))
        self.limits = limits
        self.state = state
        self.logger = logger
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Durable when it returns, as `Write.isSynced` says; nothing was changed when it throws.
    nonisolated func write(_ write: Write) async throws(QueueError) -> Written {
        try await withCheckedContinuation { see(to: inbox.add(.init(write: write, caller: $0))) }.get()
    }

    private nonisolated func see(to need: Inbox.Need?) {
        switch need {
        case nil: break
        case .now: executor.run { self.assumeIsolated { $0.commitWaiting() } }
        case .soon: executor.run(after: patience) { self.assumeIsolated { $0.commitPatient() } }
        }
    }

    /// As SQLite says: 2 when commits are synced, 1 when the next synced one takes them along.
    var synchronous: Int? { try? connection?.database.read { try Int.fetchOne($0, sql: "PRAGMA synchronous") } }

    /// Calls that no transaction has taken yet.
    nonisolated var waitingCalls: Int { inbox.count }
}

// MARK: - Transactions

extension QueueWriter {
    private func commitWaiting() {
        while true {
            let (calls, need) = inbox.take()
            see(to: need)
            guard !calls.isEmpty else { return }
            commit(calls)
        }
    }

    private func commitPatient() {
        commit(inbox.takeAll())
        // What more there is than one transaction takes, and what came meanwhile and cannot wait.
        commitWaiting()
    }

    private func commit(_ calls: [Inbox.Call]) {
        guard !calls.isEmpty else { return }
        do {
            let (outcomes, mustCopyLog) = try runTransaction(calls.map(\.write))
            for (call, outcome) in zip(calls, outcomes) { call.caller.resume(returning: outcome) }
            if mustCopyLog { copyLog() }
        } catch {
            // One caller's data can be the reason: then the others succeed when each has a transaction to itself.
            let isShared = (error as? DatabaseError).map { !$0.concernsWholeStore } ?? false
            if isShared, calls.count > 1 {
                for call in calls { commit([call]) }
            } else {
                for call in calls { call.caller.resume(returning: .failure(QueueError(error, path: path))) }
            }
        }
    }

    /// - Returns: what the writes came to, and whether the write-ahead log is to be copied as soon as their callers know.
    private func runTransaction(_ writes: [Write]) throws -> ([Result<Written, QueueError>], mustCopyLog: Bool) {
        if let refusal { throw refusal }
        let (opened, connection) = try connect()
        var transaction = WriteTransaction(queueID: opened.queueID, limits: limits, state: state)
        var outcomes: [Result<Written, QueueError>] = []
        let isSynced = writes.contains(where: \.isSynced)
        do {
            if writes.contains(where: { if case .probe = $0 { true } else { false } }) {
                try checkFiles(opened, connection)
            }
            try connection.database.writeWithoutTransaction { db in
                if isSynced != connection.isSynced {
                    // FULL: the write-ahead log is synced with the commit. NORMAL: with the next one that is, and before
                    // it is copied (https://www.sqlite.org/pragma.html#pragma_synchronous).
                    try db.execute(sql: "PRAGMA synchronous = \(isSynced ? "FULL" : "NORMAL")")
                }
                try connection.store.inTransaction {
                    for write in writes {
                        outcomes.append(try perform(write, in: &transaction, connection.store))
                    }
                    try transaction.finish(in: connection.store)
                }
            }
        } catch {
            state.withTable { $0.unclaimAll() }
            self.connection?.isSynced = nil
            if let error = error as? DatabaseError { recover(connection, from: error) }
            throw error
        }
        self.connection?.isSynced = isSynced
        let effects = transaction.effects
        state.withTable { $0.committed(effects) }
        commits += 1
        return (outcomes, effects.hasShrunk || connection.log.isLong)
    }

    /// The next transaction writes the log from its beginning again, and the file is as short as the last one made it.
    /// Waits for nobody: where a reader is in the way, that comes with a later transaction.
    private func copyLog() {
        guard let connection else { return }
        do {
            _ = try connection.database.writeWithoutTransaction { try $0.checkpoint(.passive) }
        } catch {
            logger.debug("the write-ahead log was not copied", metadata: [LogKey.error: "\(error)"])
        }
    }

    /// A statement that failed cannot be used again (https://www.sqlite.org/c3ref/reset.html), and some failures spoil
    /// the connection.
    private func recover(_ connection: Connection, from error: DatabaseError) {
        giveUpConnection()
        guard !error.needsNewConnection,
            let store = try? connection.database.writeWithoutTransaction({ try QueueStore($0) })
        else { return }
        self.connection = Connection(
            store: store, database: connection.database, log: connection.log, logIdentity: connection.logIdentity)
    }

    /// The next transaction opens the database anew.
    func giveUpConnection() { connection = nil }

    /// A failure that changed nothing is the caller's outcome; any other one ends the transaction.
    private func perform(
        _ write: Write, in transaction: inout WriteTransaction, _ store: QueueStore
    ) throws -> Result<Written, QueueError> {
        do {
            switch write {
            case .enqueue(let requests): return .success(.enqueued(try transaction.enqueue(requests, in: store)))
            case .settle(let settlements, _): try transaction.settle(settlements, in: store)
            case .prune(let now): return .success(.pruned(isMoreWaiting: try transaction.prune(now: now, in: store)))
            case .giveUp(let unreadable, let now): try transaction.giveUp(unreadable, now: now, in: store)
            case .probe: try transaction.probe(in: store)
            case .storeLateAnswer(let answer): try transaction.store(answer, in: store)
            case .removeLateAnswer(let id): try transaction.remove(id, in: store)
            case .setPause(let pause, let backend): try transaction.set(pause, of: backend, in: store)
            case .retry(let id, let now): return .success(.changed(try transaction.retry(id, now: now, in: store)))
            case .cancel(let id, let now): return .success(.changed(try transaction.cancel(id, now: now, in: store)))
            case .delete(let id): return .success(.changed(try transaction.delete(id, in: store)))
            case .deleteFound(let found): return .success(.deleted(try transaction.delete(found, in: store)))
            case .createReplay(let request, let matched, let now):
                let replay = try transaction.createReplay(request, matched: matched, now: now, in: store)
                return .success(.replay(replay, []))
            case .advanceReplay(let id, let limit, let now):
                let (replay, backends) = try transaction.advanceReplay(id, limit: limit, now: now, in: store)
                return .success(.replay(replay, backends))
            case .cancelReplay(let id, let now):
                return .success(.replay(try transaction.cancelReplay(id, now: now, in: store), []))
            }
            return .success(.done)
        } catch let error as QueueError {
            return .failure(error)
        }
    }

    /// SQLite goes on writing to files that were removed or replaced, where nobody would find it again.
    private func checkFiles(_ opened: Opened, _ connection: Connection) throws {
        do {
            try checkIdentity(of: opened)
        } catch {
            // From now on each call looks whether the file is back, and none writes to one that nobody can find.
            giveUpConnection()
            throw error
        }
        guard opened.file.logIdentity != connection.logIdentity else { return }
        // What it holds is not lost, but no connection of this process finds what others write from now on.
        copyLog()
        let error = QueueError.unavailable(
            "\(opened.file.path)-wal was removed or replaced while the queue was open: restart Relay")
        refusal = error
        throw error
    }

    /// The readers stay with the file that they have opened: another one, a copy too, is none for this process.
    private func checkIdentity(of opened: Opened) throws(QueueError) {
        guard opened.file.identity != opened.identity else { return }
        throw .unavailable(
            "\(opened.file.path) was removed or replaced while the queue was open: put it back, or restart Relay")
    }
}

// MARK: - Opening and closing

extension QueueWriter {
    /// Locks and opens the database, and brings it up to date.
    /// - Throws: `locked`, `unusable`, `corrupt`, `unavailable`.
    func open() throws(QueueError) -> Opened {
        let file = try QueueFile(path: path, logger: logger)
        try file.checkBeforeLocking()
        lock = try FileLock(path: file.lockPath)
        try file.claim()
        do {
            let (database, log) = try file.connectToWrite()
            try database.writeWithoutTransaction { db in
                guard try !QueueSchema.migrator.hasBeenSuperseded(db) else {
                    throw QueueError.unusable("\(file.path) was written by a newer version of Relay")
                }
            }
            try QueueSchema.migrator.migrate(database)
            if try !file.makeShrinkable(database) {
                logger.notice(
                    "the queue's file was made by an older version and does not shrink; its space is used again",
                    metadata: [LogKey.queuePath: "\(file.path)"])
            }
            let queueID = try database.write { try QueueLoader.readOrDrawQueueID($0) }
            let opened = Opened(file: file, identity: file.identity, queueID: queueID)
            connection = try load(database, log, of: opened)
            self.opened = opened
            return opened
        } catch {
            throw QueueError(error, path: file.path)
        }
    }

    /// The connection, made anew when the last one was given up.
    private func connect() throws -> (Opened, Connection) {
        guard let opened else { throw QueueError(.closed, "the queue was closed") }
        if let connection { return (opened, connection) }
        try checkIdentity(of: opened)
        let (database, log) = try opened.file.connectToWrite()
        let queueID = try database.read { try QueueLoader.queueID($0) }
        guard queueID == opened.queueID else {
            throw QueueError.unavailable("\(opened.file.path) is not the database that was opened")
        }
        let connection = try load(database, log, of: opened)
        self.connection = connection
        logger.notice("opened the queue's database anew", metadata: [LogKey.queuePath: "\(opened.file.path)"])
        return (opened, connection)
    }

    private func load(_ database: DatabaseQueue, _ log: WriteAheadLog, of opened: Opened) throws -> Connection {
        try database.writeWithoutTransaction { db in
            let store = try QueueStore(db)
            let (ledger, oldest) = try QueueLoader.load(db)
            let settled = try state.withTable(\.leasedSequences).filter { try !store.isUnfinished($0) }
            state.withTable { $0.loaded(ledger, oldest: oldest, settled: settled) }
            return Connection(store: store, database: database, log: log, logIdentity: opened.file.logIdentity)
        }
    }

    /// Finishes the calls that came before, then lets go of the files and the lock.
    func close() {
        while case let calls = inbox.takeAll(), !calls.isEmpty { commit(calls) }
        opened = nil
        // Closing the last connection copies the write-ahead log into the database and removes it.
        connection = nil
        lock = nil
    }
}
