// Finds the fields of a frame, each at the first of its paths that has a value, in one pass over the frame.

import RelayCore

/// The values found in one frame.
struct SlackMessageFields {
    private let scanner: JSONScanner
    /// By place: the number of a path in `PathTree`.
    private var found: [JSONValue?]

    /// Walks the whole frame; throws when it is not one complete JSON object.
    init(_ frame: [UInt8]) throws(JSONError) {
        var scanner = JSONScanner(frame)
        var found = [JSONValue?](repeating: nil, count: PathTree.shared.placeCount)
        try Self.read(&scanner, PathTree.shared.root, into: &found)
        try scanner.finish()
        self.scanner = scanner
        self.found = found
    }

    /// Takes the members of the next object that the node knows. Goes no deeper than the longest path.
    private static func read(
        _ scanner: inout JSONScanner, _ node: PathTree.Node, into found: inout [JSONValue?]
    ) throws(JSONError) {
        try scanner.enterObject()
        while let key = try scanner.nextKey() {
            guard let child = node.child(key, in: scanner) else {
                try scanner.readValue()
                continue
            }
            // A key that comes twice: the last one wins, and nothing of the earlier one may shine through.
            for place in child.places { found[place] = nil }
            let kind = try scanner.nextKind()
            guard kind == .object, !child.children.isEmpty else {
                let value = try scanner.readValue()
                if child.isPlace { found[child.places.lowerBound] = value }
                continue
            }
            let start = try scanner.offsetOfNextValue()
            try read(&scanner, child, into: &found)
            if child.isPlace {
                found[child.places.lowerBound] = JSONValue(kind: kind, range: start..<scanner.offset)
            }
        }
    }

    /// The first value found for a field, whatever its kind.
    func value(_ field: SlackMessageField) -> JSONValue? {
        for place in PathTree.shared.places[field.rawValue] {
            if let value = found[place] { return value }
        }
        return nil
    }

    /// The first string found for a field, decoded. Empty ones do not count: an empty identifier identifies nothing.
    func text(_ field: SlackMessageField) -> String? {
        for place in PathTree.shared.places[field.rawValue] {
            if let value = found[place], value.kind == .string, value.range.count > 2 { return scanner.string(value) }
        }
        return nil
    }

    func integer(_ field: SlackMessageField) -> Int? { value(field).flatMap(scanner.integer) }

    func boolean(_ field: SlackMessageField) -> Bool? { value(field).flatMap(scanner.boolean) }

    /// The elements of `actions`, as far as they are objects. They are few and small, and stepped over twice.
    var actions: [Action] {
        guard let value = value(.actions), value.kind == .array else { return [] }
        return (try? Self.actions(in: Array(scanner.bytes[value.range]))) ?? []
    }

    struct Action {
        var actionID: String?
        var blockID: String?
        var timestamp: String?
    }

    private static func actions(in array: [UInt8]) throws(JSONError) -> [Action] {
        var scanner = JSONScanner(array)
        var actions: [Action] = []
        try scanner.enterArray()
        while try scanner.nextElement() {
            guard try scanner.nextKind() == .object else {
                try scanner.readValue()
                continue
            }
            var action = Action()
            try scanner.enterObject()
            while let key = try scanner.nextKey() {
                switch scanner.text(of: key) {
                case "action_id": action.actionID = try scanner.readString()
                case "block_id": action.blockID = try scanner.readString()
                case "action_ts": action.timestamp = try scanner.readString()
                default: try scanner.readValue()
                }
            }
            actions.append(action)
        }
        return actions
    }
}

/// The paths of all fields as a tree of names, built once.
private final class PathTree: Sendable {
    static let shared = PathTree()

    /// An object, because one is handed out for each key that is known: a copy of a value would retain each of its parts.
    final class Node: Sendable {
        let name: [UInt8]
        /// Whether a path ends here; its place is then the first of `places`.
        let isPlace: Bool
        /// The places of the paths that end here or below.
        let places: Range<Int>
        let children: [Node]
        /// The children by the length of their names.
        private let byLength: [[Node]]

        init(name: [UInt8], isPlace: Bool, places: Range<Int>, children: [Node]) {
            self.name = name
            self.isPlace = isPlace
            self.places = places
            self.children = children
            let longest = children.map(\.name.count).max() ?? 0
            byLength = (0...longest).map { length in children.filter { $0.name.count == length } }
        }

        /// The child that a key names; nil for the many keys that nobody asks for.
        func child(_ key: JSONKey, in scanner: JSONScanner) -> Node? {
            guard !key.isEscaped else {
                let name = Array(scanner.text(of: key).utf8)
                return children.first { $0.name == name }
            }
            guard key.range.count < byLength.count else { return nil }
            return byLength[key.range.count].first { scanner.bytes.span.holds($0.name, at: key.range.lowerBound) }
        }
    }

    let root: Node
    let placeCount: Int
    /// The places of each field, by its raw value, in the order of its paths.
    let places: [[Int]]

    private init() {
        let paths = SlackMessageField.allCases.flatMap(\.paths).map { $0.split(separator: ".").map(String.init) }
        var order: [[String]] = []
        root = Self.makeNode(name: "", at: [], of: paths, order: &order)
        placeCount = order.count
        let placeOfPath = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, $0) })
        places = SlackMessageField.allCases.map { field in
            field.paths.compactMap { placeOfPath[$0.split(separator: ".").map(String.init)] }
        }
    }

    /// Numbers the places from front to back, so that those below a node are neighbours. `order` collects their paths.
    private static func makeNode(
        name: String, at path: [String], of paths: [[String]], order: inout [[String]]
    ) -> Node {
        let first = order.count
        let isPlace = paths.contains(path)
        if isPlace { order.append(path) }
        var names: [String] = []
        for longer in paths where longer.count > path.count && longer.starts(with: path) {
            if !names.contains(longer[path.count]) { names.append(longer[path.count]) }
        }
        var children: [Node] = []
        for name in names {
            children.append(makeNode(name: name, at: path + [name], of: paths, order: &order))
        }
        return Node(name: Array(name.utf8), isPlace: isPlace, places: first..<order.count, children: children)
    }
}

extension Span<UInt8> {
    fileprivate func holds(_ other: [UInt8], at offset: Int) -> Bool {
        for index in other.indices where self[offset + index] != other[index] { return false }
        return true
    }
}
