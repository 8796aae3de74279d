// What an error of SQLite or of the system means for the queue.

import Foundation
import GRDB
import RelayCore

extension QueueError {
    /// - Parameter path: the database, for the message.
    init(_ error: any Error, path: String) {
        switch error {
        case let error as QueueError: self = error
        case let error as DatabaseError:
            let isDamaged = [.SQLITE_CORRUPT, .SQLITE_NOTADB].contains(error.resultCode)
            // SQLite's own message, without GRDB's rendering of the statement and its arguments: they hold payloads.
            self.init(
                isDamaged ? .corrupt : .unavailable,
                "\(path): \(error.message ?? "SQLite error") (SQLite \(error.extendedResultCode.rawValue))")
        default: self.init(.unavailable, "\(path): \(error)")
        }
    }

    static func unusable(_ message: String) -> QueueError { QueueError(.unusable, message) }
    static func unavailable(_ message: String) -> QueueError { QueueError(.unavailable, message) }
}

extension DatabaseError {
    /// Whether the store as a whole is at fault, so that trying parts of a transaction by themselves cannot help. A
    /// full disk is not among these: a settlement can still find room where a payload does not.
    var concernsWholeStore: Bool {
        switch resultCode {
        case .SQLITE_IOERR, .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_READONLY,
            .SQLITE_CANTOPEN, .SQLITE_NOMEM, .SQLITE_PROTOCOL:
            true
        default: false
        }
    }

    /// Whether the connection must be opened anew before it can work again.
    var needsNewConnection: Bool {
        switch resultCode {
        case .SQLITE_IOERR, .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_CANTOPEN, .SQLITE_READONLY, .SQLITE_PROTOCOL,
            .SQLITE_MISUSE:
            true
        default: false
        }
    }
}

/// The text of the last failed system call: read it before the next call.
func errnoText() -> String { String(cString: strerror(errno)) }
