// How prepared statements are run.

import GRDB

extension Statement {
    func run(_ values: [DatabaseValue]) throws {
        try execute(arguments: StatementArguments(values))
    }

    /// The first row; nil when there is none.
    func first<T>(_ values: [DatabaseValue], _ decode: (Row) throws -> T) throws -> T? {
        try Row.fetchOne(self, arguments: StatementArguments(values)).map(decode)
    }

    /// Calls `body` with each row until it returns false.
    func forEach(_ values: [DatabaseValue], _ body: (Row) throws -> Bool) throws {
        let rows = try Row.fetchCursor(self, arguments: StatementArguments(values))
        while let row = try rows.next(), try body(row) {}
    }
}
