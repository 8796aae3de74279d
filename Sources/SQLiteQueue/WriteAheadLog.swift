// When the write-ahead log is copied into the database.

internal import GRDB
internal import GRDBSQLite

/// How long the log of a connection is, as SQLite tells it after each commit (https://www.sqlite.org/c3ref/wal_hook.html).
///
/// By itself SQLite copies a long log before the commit returns, and all that the transaction holds would wait for it. So
/// the writer does it, once they know.
///
/// `@unchecked Sendable`: touched inside that connection's `write…` methods only.
final class WriteAheadLog: @unchecked Sendable {
    /// The log is copied at this length, 16 MiB. A shorter one is copied more often, and a page that has changed many
    /// times is copied once; a longer one takes more of the disk and longer to copy.
    static let longPages = 2000

    private var pages = 0

    var isLong: Bool { pages >= Self.longPages }

    /// Takes the place of `PRAGMA wal_autocheckpoint` for a connection, which must not outlive this.
    func watch(_ db: Database) {
        sqlite3_wal_hook(
            db.sqliteConnection,
            { context, _, _, pages in
                if let context { Unmanaged<WriteAheadLog>.fromOpaque(context).takeUnretainedValue().pages = Int(pages) }
                return SQLITE_OK
            }, Unmanaged.passUnretained(self).toOpaque())
    }
}
