// The database file: what is checked before SQLite sees it, and how connections to it are made.

import CPosix
import Foundation
import GRDB
import Logging
import RelayCore

/// A file that may be opened as a queue.
struct QueueFile: Sendable {
    /// Without symbolic links, so that two names of one file have one lock.
    let path: String

    /// Checks the directory and its file system.
    /// - Throws: `unusable` when the directory is missing or on a network file system.
    init(path: String, logger: Logger) throws(QueueError) {
        guard let plain = Self.plainPath(path) else {
            let reason = errnoText()
            throw .unusable("directory \(Self.directory(of: path)) of queue.path cannot be used: \(reason)")
        }
        self.path = plain
        guard let typeName = FileSystemKind.typeName(at: Self.directory(of: plain)) else { return }
        switch FileSystemKind(typeName: typeName) {
        case .network:
            throw .unusable("queue.path \(path) is on a network file system (\(typeName)): use a local disk")
        case .shared:
            logger.warning(
                "the queue lies on a shared file system: it must be a local disk of this machine or its host",
                metadata: [LogKey.queuePath: "\(path)", LogKey.queueFileSystem: "\(typeName)"])
        case .local:
            break
        }
    }

    /// A path without symbolic links, whether there is a file or not. nil when its directory is not there: `errno` says
    /// why.
    /// - Parameter links: how many in a row are followed; Linux follows as many.
    static func plainPath(_ path: String, links: Int = 40) -> String? {
        guard let directory = realPath(directory(of: path)) else { return nil }
        let plain = (directory == "/" ? "" : directory) + "/" + URL(fileURLWithPath: path).lastPathComponent
        if let path = realPath(plain) { return path }
        // A link to a file that is not there yet names the one that will be made.
        guard links > 0, let target = try? FileManager.default.destinationOfSymbolicLink(atPath: plain) else {
            return plain
        }
        return plainPath(target.hasPrefix("/") ? target : directory + "/" + target, links: links - 1)
    }

    static func directory(of path: String) -> String { URL(fileURLWithPath: path).deletingLastPathComponent().path }

    private static func realPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    var lockPath: String { path + ".lock" }

    /// Looks at the file before anything is made, so that nothing is left beside one that is refused. Only where there is no
    /// lock file: with one, another queue of this process may have the file open (see `claim`).
    /// - Throws: `unusable` when the file is something else than a queue.
    func checkBeforeLocking() throws(QueueError) {
        guard access(lockPath, F_OK) != 0 else { return }
        try Self.check(path)
    }

    /// Whether there can be a queue at this path: there is nothing, an empty file, or a queue. Closes a descriptor of it,
    /// so not for a file that this process has open (see `claim`).
    static func check(_ path: String) throws(QueueError) {
        // Who opens a pipe would wait for its writer.
        let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else {
            guard errno != ENOENT else { return }
            throw .unusable("\(path) cannot be opened: \(errnoText())")
        }
        defer { _ = Foundation.close(descriptor) }
        try checkHeader(descriptor, of: path)
    }

    /// Creates the file when it is missing, and sees to it that only its owner can read it and what SQLite puts beside
    /// it. SQLite gives the write-ahead log and its index the permissions of the database.
    ///
    /// To be called before there is a connection: to close a descriptor of the file, whichever, takes the locks away that
    /// SQLite has in this process (https://www.sqlite.org/howtocorrupt.html §2.2), and another program that looks at the
    /// queue would then remove the log under it.
    /// - Throws: `unusable`, and changes nothing, when the file is something else than a queue.
    func claim() throws(QueueError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .unusable("\(path) cannot be opened: \(errnoText())") }
        defer { _ = Foundation.close(descriptor) }
        try Self.checkHeader(descriptor, of: path)
        guard fchmod(descriptor, 0o600) == 0 else {
            throw .unusable("the permissions of \(path) cannot be set to 0600: \(errnoText())")
        }
        for suffix in ["-wal", "-shm"] { _ = chmod(path + suffix, 0o600) }
    }

    /// An empty file will be a queue; any other must say in its header that it is one
    /// (https://www.sqlite.org/fileformat.html §1.3).
    private static func checkHeader(_ descriptor: CInt, of path: String) throws(QueueError) {
        var status = relay_file_status()
        guard relay_descriptor_status(descriptor, &status) == 0 else {
            throw .unavailable("\(path): \(errnoText())")
        }
        guard status.is_regular_file else { throw .unusable("\(path) is not a regular file") }
        guard status.size > 0 else { return }
        var header = [UInt8](repeating: 0, count: 100)
        let count = pread(descriptor, &header, header.count, 0)
        guard count == header.count, header.starts(with: Array("SQLite format 3\0".utf8)) else {
            throw .unusable("\(path) is not a Relay queue: it is not an SQLite database")
        }
        let applicationID = header[68..<72].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard applicationID == UInt32(bitPattern: QueueSchema.applicationID) else {
            throw .unusable("\(path) is not a Relay queue: it is a database of another program")
        }
    }

    /// Of what the path names now; nil when there is nothing.
    var identity: Identity? { Identity(path: path) }
    /// The same, of the write-ahead log.
    var logIdentity: Identity? { Identity(path: path + "-wal") }

    /// Device and inode of a file.
    struct Identity: Hashable, Sendable {
        var device: UInt64
        var inode: UInt64

        fileprivate init?(path: String) {
            var status = relay_file_status()
            guard relay_path_status(path, &status) == 0 else { return nil }
            (device, inode) = (status.device, status.inode)
        }
    }
}

// MARK: - Connections

extension QueueFile {
    /// The connection that writes. A commit is on the disk when it returns, unless the writer says that it need not be
    /// (`Write.isSynced`).
    func connectToWrite() throws -> (database: DatabaseQueue, log: WriteAheadLog) {
        let log = WriteAheadLog()
        var configuration = makeConfiguration(label: "relay.queue.write")
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA synchronous = FULL")
            // Before the change to WAL, so that the id stands in the database itself and not only in its log. Pages of
            // 8 KiB hold three usual events; in the default 4 KiB there is often room for one only. Whether a file can
            // give space back is settled when its first page is written.
            if try Int32.fetchOne(db, sql: "PRAGMA application_id") == 0 {
                try db.execute(
                    sql: """
                        PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL;
                        PRAGMA application_id = \(QueueSchema.applicationID)
                        """)
            }
            let mode = try String.fetchOne(db, sql: "PRAGMA journal_mode = WAL")
            guard mode == "wal" else {
                throw QueueError.unavailable("\(path): no write-ahead log, journal_mode is \(mode ?? "unknown")")
            }
            // GRDB keeps this closure, and with it the log, for as long as the connection.
            log.watch(db)
            // Cut back to 32 MiB after a peak.
            try db.execute(sql: "PRAGMA journal_size_limit = 33554432")
            // What was removed is overwritten where that costs no extra writing.
            try db.execute(sql: "PRAGMA secure_delete = FAST")
        }
        return (try DatabaseQueue(path: path, configuration: configuration), log)
    }

    /// Lets a database of an older Relay give space back to the file system, which takes one rewriting of it all
    /// (https://www.sqlite.org/pragma.html#pragma_auto_vacuum): only a small one is worth the wait.
    /// - Returns: whether the file can shrink from now on.
    func makeShrinkable(_ database: DatabaseQueue, maxBytes: Int64 = 64 << 20) throws -> Bool {
        try database.writeWithoutTransaction { db in
            if try Int.fetchOne(db, sql: "PRAGMA auto_vacuum") == Self.incremental { return true }
            let pages = try Int64.fetchOne(db, sql: "PRAGMA page_count") ?? 0
            let pageBytes = try Int64.fetchOne(db, sql: "PRAGMA page_size") ?? 0
            guard pages * pageBytes < maxBytes else { return false }
            do {
                try db.execute(sql: "PRAGMA auto_vacuum = INCREMENTAL; VACUUM")
            } catch let error as DatabaseError where error.resultCode == .SQLITE_FULL {
                // It works as it did before.
                return false
            }
            return try Int.fetchOne(db, sql: "PRAGMA auto_vacuum") == Self.incremental
        }
    }

    /// What `PRAGMA auto_vacuum` says of a file that can shrink.
    static let incremental = 2

    /// A connection that reads what is committed, and neither waits for a writer nor makes one wait.
    func connectToRead() throws -> DatabaseQueue {
        var configuration = makeConfiguration(label: "relay.queue.read")
        configuration.readonly = true
        return try DatabaseQueue(path: path, configuration: configuration)
    }

    private func makeConfiguration(label: String) -> Configuration {
        var configuration = Configuration()
        configuration.label = label
        configuration.foreignKeysEnabled = false
        configuration.qos = .userInitiated
        // Only a person with the sqlite3 tool can be in the way.
        configuration.busyMode = .timeout(2)
        configuration.prepareDatabase { db in
            // No temporary files: the rest of the file system may be read-only.
            try db.execute(sql: "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4096; PRAGMA trusted_schema = OFF")
        }
        return configuration
    }
}
