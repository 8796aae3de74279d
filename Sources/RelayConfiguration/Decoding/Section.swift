// A mapping of the file with its known keys: reads each value once, with its default, and refuses every other key.

import YAML

/// The keys of one section, in the order of relay.yaml.example.
protocol ConfigurationKey: RawRepresentable<String>, CaseIterable, Hashable, Sendable {
    /// Keys of the design that a later version reads: refused by name.
    static var later: [String] { get }
}

extension ConfigurationKey {
    static var later: [String] { [] }
}

/// One mapping. What is wrong with it or with a value goes to `problems`, and the default is used to go on.
struct Section<Key: ConfigurationKey> {
    /// Where it stands in the file, for messages: `slack.backoff`; empty for the file itself.
    let path: String
    let position: YAMLPosition
    let problems: Problems
    private var values: [Key: YAMLNode] = [:]

    /// nil, and noted, when the value is not a mapping. A key without a value (all below it commented out) is an
    /// empty one.
    init?(_ field: Field, _: Key.Type = Key.self) {
        path = field.path
        position = field.node.position
        problems = field.problems
        switch field.node.content {
        case .mapping(let entries):
            for entry in entries { add(entry) }
        case .scalar(let scalar) where scalar.isNull:
            break
        case .scalar, .sequence:
            problems.note("\(path.isEmpty ? "the file" : path) must be a mapping of keys to values", at: position)
            return nil
        }
    }

    private mutating func add(_ entry: YAMLEntry) {
        if let key = Key(rawValue: entry.key) {
            values[key] = entry.value
        } else if Key.later.contains(entry.key) {
            problems.note("`\(join(entry.key))` is not in this version", at: entry.keyPosition)
        } else {
            let place = path.isEmpty ? "" : " in \(path)"
            let hint = Hint(for: entry.key, among: Key.allCases.map(\.rawValue))
            problems.note("unknown key\(Quote.key(entry.key))\(place); \(hint)", at: entry.keyPosition)
        }
    }

    private func join(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// The value of a key; nil when the file does not give it.
    subscript(key: Key) -> Field? {
        values[key].map { Field(path: join(key.rawValue), node: $0, problems: problems) }
    }

    /// The value of a key as a reader takes it, or nil when it is absent or refused.
    func read<Value>(_ key: Key, _ reader: Reader<Value>) -> Value? { self[key]?.read(reader) }

    /// Likewise; a value that is absent or refused leaves the default.
    func read<Value>(_ key: Key, into value: inout Value, _ reader: Reader<Value>) {
        if let given = read(key, reader) { value = given }
    }

    /// Likewise for a key that must be there.
    func require<Value>(_ key: Key, _ hint: String, _ reader: Reader<Value>) -> Value? {
        required(key, hint)?.read(reader)
    }

    /// A section that must be there.
    func requireSection<Inner: ConfigurationKey>(
        _ key: Key, _ hint: String, _: Inner.Type = Inner.self
    ) -> Section<Inner>? {
        required(key, hint).flatMap { Section<Inner>($0) }
    }

    private func required(_ key: Key, _ hint: String) -> Field? {
        if let field = self[key] { return field }
        problems.note("\(join(key.rawValue)) is missing; \(hint)", at: position)
        return nil
    }

    /// A section inside this one; nil when the file does not give it or it is not a mapping.
    func section<Inner: ConfigurationKey>(_ key: Key, _: Inner.Type = Inner.self) -> Section<Inner>? {
        self[key].flatMap { Section<Inner>($0) }
    }

    /// Notes a mistake of a value that was read; nothing when the file does not give it.
    func refuse(_ key: Key, _ message: String) { self[key]?.note(message) }

    /// Notes a mistake that lies between values, at the first of the keys that the file gives.
    func note(_ message: String, at keys: Key...) {
        problems.note(message, at: keys.lazy.compactMap { values[$0]?.position }.first ?? position)
    }
}
