// One value of the file with its place, as text, list or mapping.

import YAML

/// A value of the file.
struct Field {
    /// For messages: `slack.backoff.max`, `backends.orders.retry.schedule[2]`.
    let path: String
    let node: YAMLNode
    let problems: Problems

    /// The value as a reader takes it; nil, and noted, when it is refused.
    func read<Value>(_ reader: Reader<Value>) -> Value? {
        do throws(Refusal) {
            return try reader(self)
        } catch {
            note(error.message)
            return nil
        }
    }

    /// Notes a mistake of this value: `message` continues a sentence that begins with its path.
    func note(_ message: String) { problems.note("\(path) \(message)", at: node.position) }

    /// A scalar that is there: quotes make no difference, so that templates may quote what they fill in.
    func text() throws(Refusal) -> String {
        guard case .scalar(let scalar) = node.content else { throw Refusal("must be one value, not a list or mapping") }
        guard !scalar.isNull else { throw Refusal("has no value") }
        return scalar.text
    }

    /// The items of a list.
    func items() throws(Refusal) -> [Field] {
        guard case .sequence(let nodes) = node.content else { throw Refusal("must be a list") }
        return nodes.enumerated().map { Field(path: "\(path)[\($0)]", node: $1, problems: problems) }
    }

    /// The items of a list, or the value itself as the only item. At least one.
    func oneOrMore() throws(Refusal) -> [Field] {
        guard case .sequence = node.content else { return [self] }
        let items = try items()
        guard !items.isEmpty else { throw Refusal("must not be an empty list") }
        return items
    }

    /// The entries of a mapping whose keys are names of the user's own. A key without a value is an empty mapping.
    func entries() throws(Refusal) -> [(key: Field, value: Field)] {
        switch node.content {
        case .mapping(let entries):
            entries.map { entry in
                let key = YAMLNode(.scalar(YAMLScalar(entry.key)), at: entry.keyPosition)
                return (
                    Field(path: "a name in \(path)", node: key, problems: problems),
                    Field(path: "\(path).\(entry.key)", node: entry.value, problems: problems)
                )
            }
        case .scalar(let scalar) where scalar.isNull: []
        case .scalar, .sequence: throw Refusal("must be a mapping of names to values")
        }
    }
}

/// Takes a value of one type from a field, or says what the field must be. A value, so that a section reads like a
/// table: `section.read(.connections, .integer(in: 1...10))`.
struct Reader<Value> {
    private let read: (Field) throws(Refusal) -> Value

    init(_ read: @escaping (Field) throws(Refusal) -> Value) { self.read = read }

    func callAsFunction(_ field: Field) throws(Refusal) -> Value { try read(field) }
}
