// How prepared statements are run.

import GRDB

extension Statement {
    func run(_ values: [DatabaseValue]) throws {
        try execute(arguments: .init(boxing: values))
    }

    /// The first row; nil when there is none.
    func first<T>(_ values: [DatabaseValue], _ decode: (Row) throws -> T) throws -> T? {
        try Row.fetchOne(self, arguments: .init(boxing: values)).map(decode)
    }

    /// Calls `body` with each row until it returns false.
    func forEach(_ values: [DatabaseValue], _ body: (Row) throws -> Bool) throws {
        let rows = try Row.fetchCursor(self, arguments: .init(boxing: values))
        while let row = try rows.next(), try body(row) {}
    }
}

extension StatementArguments {
    /// GRDB's initializer for values of one type makes a key path anew at each call, a twelfth of all that Relay did under
    /// load; from an array that for values of several types allocates for each of them. This it reads without either.
    fileprivate init(boxing values: [DatabaseValue]) { self.init(BoxedValues(values)) }
}

private struct BoxedValues: Sequence, IteratorProtocol {
    private var values: [DatabaseValue].Iterator
    let underestimatedCount: Int

    init(_ values: [DatabaseValue]) {
        self.values = values.makeIterator()
        underestimatedCount = values.count
    }

    mutating func next() -> (any DatabaseValueConvertible)?? { values.next().map { .some($0) } }
}
