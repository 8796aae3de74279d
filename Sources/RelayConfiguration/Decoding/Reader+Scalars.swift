// The scalars that the file can hold, each with its limits.

import RelayCore

extension Reader where Value == String {
    /// A text of at least one character, without control characters.
    static var line: Self {
        Self { field throws(Refusal) in
            let text = try field.text()
            guard !text.isEmpty else { throw Refusal("must not be empty") }
            guard !text.utf8.contains(where: \.isASCIIControl) else {
                throw Refusal("must not contain line breaks or other control characters")
            }
            return text
        }
    }

    /// What is said to a person: printable text, line breaks and tabs. 3,000 characters are at most 18,000 bytes of JSON:
    /// they fit into an acknowledgement.
    static var message: Self {
        Self { field throws(Refusal) in
            let text = try field.text()
            guard text.contains(where: { !$0.isWhitespace }) else { throw Refusal("must not be empty") }
            guard !text.utf8.contains(where: { $0.isASCIIControl && !"\n\t".utf8.contains($0) }) else {
                throw Refusal("must not contain control characters other than line breaks and tabs")
            }
            let count = text.unicodeScalars.count
            guard count <= 3_000 else { throw Refusal("must be at most 3000 characters, has \(count)") }
            return text
        }
    }

    /// A name of the user's own, which becomes a label of metrics and a word of commands.
    static var name: Self {
        Self { field throws(Refusal) in
            let text = try field.text()
            let isName = text.utf8.allSatisfy { $0.isASCIILetter || $0.isASCIIDigit || "_-.".utf8.contains($0) }
            guard isName, (1...64).contains(text.utf8.count) else {
                throw Refusal("must be 1 to 64 letters, digits, `_`, `-` and `.`, is \(Quote.value(text))")
            }
            return text
        }
    }
}

extension Reader where Value == Int {
    static func integer(in range: ClosedRange<Int>) -> Self {
        Self { field throws(Refusal) in
            let text = try field.text()
            guard let value = Int(text), range.contains(value), text == String(value) else {
                let limit = range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
                throw Refusal("must be \(limit), is \(Quote.value(text))")
            }
            return value
        }
    }
}

extension Reader where Value == Double {
    /// A share: 0 to 1, in decimal notation (`0.2`, `2e-1`).
    static var fraction: Self { number(in: 0...1, "0 to 1") }

    /// - Parameter words: the range, for messages.
    static func number(in range: ClosedRange<Double>, _ words: String) -> Self {
        Self { field throws(Refusal) in
            let text = try field.text()
            guard text.utf8.allSatisfy({ $0.isASCIIDigit || ".e-".utf8.contains($0) }), let value = Double(text),
                range.contains(value)
            else { throw Refusal("must be \(words), is \(Quote.value(text))") }
            return value
        }
    }
}

extension Reader where Value == Bool {
    static var boolean: Self {
        Self { field throws(Refusal) in
            switch try field.text() {
            case "true": return true
            case "false": return false
            case let other: throw Refusal("must be true or false, is \(Quote.value(other))")
            }
        }
    }
}

extension Reader where Value == Duration {
    static func duration(in range: ClosedRange<Duration>) -> Self {
        Self { field throws(Refusal) in
            let text = try field.text()
            guard let value = Duration(configured: text) else {
                throw Refusal("must be a number with a unit (ms, s, m, h, d), is \(Quote.value(text))")
            }
            guard range.contains(value) else {
                throw Refusal("must be \(range.lowerBound.configured) to \(range.upperBound.configured), is \(text)")
            }
            return value
        }
    }
}

extension Reader where Value == Timestamp {
    /// A moment, whatever the machine's own time zone is.
    static var time: Self {
        Self { field throws(Refusal) in
            let text = try field.text()
            guard let value = Timestamp(rfc3339: text) else {
                throw Refusal(
                    "must be a time with its offset, as in 2026-11-23T09:30:00Z or 2026-11-23T10:30:00+01:00, "
                        + "before 2262, is \(Quote.value(text))")
            }
            return value
        }
    }
}

extension Reader where Value == Int64 {
    /// A size in bytes.
    static func size(in range: ClosedRange<Int64>) -> Self {
        Self { field throws(Refusal) in
            let text = try field.text()
            guard let value = ByteCount.parse(text) else {
                throw Refusal(
                    "must be a number with a unit (B, KiB, MiB, GiB, TiB, kB, MB, GB, TB), is \(Quote.value(text))")
            }
            guard range.contains(value) else {
                throw Refusal(
                    "must be \(ByteCount.text(range.lowerBound)) to \(ByteCount.text(range.upperBound)), is \(text)")
            }
            return value
        }
    }
}

extension Reader where Value: RawRepresentable<String> & CaseIterable {
    /// One word of a closed set.
    static var choice: Self { choice(later: []) }

    /// - Parameter later: words of the design that a later version takes: refused by name.
    static func choice(later: [String]) -> Self {
        Self { field throws(Refusal) in
            let text = try field.text()
            if let choice = Value(rawValue: text) { return choice }
            guard !later.contains(text) else { throw Refusal("`\(text)` is not in this version") }
            let words = Value.allCases.map(\.rawValue)
            let choices = words.count > 3 ? "one of " + words.joined(separator: ", ") : words.joined(separator: " or ")
            throw Refusal("must be \(choices), is \(Quote.value(text))")
        }
    }
}

extension Reader {
    /// The word `none` for nothing, else what a reader takes.
    static func orNone<Wrapped>(_ reader: Reader<Wrapped>) -> Self where Value == Wrapped? {
        Self { field throws(Refusal) in try field.text() == "none" ? nil : try reader(field) }
    }

    /// The empty text for nothing, else what a reader takes.
    static func orEmpty<Wrapped>(_ reader: Reader<Wrapped>) -> Self where Value == Wrapped? {
        Self { field throws(Refusal) in try field.text().isEmpty ? nil : try reader(field) }
    }

    /// What another reader takes, checked or changed further.
    func then<Result>(_ next: @escaping (Value) throws(Refusal) -> Result) -> Reader<Result> {
        Reader<Result> { field throws(Refusal) in try next(try self(field)) }
    }
}
