// A request as its handler sees it: parameters of the path, of the query, and the body, each taken by name.

import Foundation
import HTTPTypes
import RelayCore

/// What a handler is given.
struct AdminRequest: Sendable {
    /// Values of the `{…}` of the route's path, in order, decoded.
    var path: [String]
    var query: Query
    /// The body; empty when there is none.
    var body: Data
    var now: Timestamp
}

/// The parameters of a URL's query. Each is taken at most once; what is left over was not known, and is refused.
struct Query: Sendable {
    private(set) var values: [(name: String, value: String)] = []

    init() {}

    /// - Parameter text: what stands behind the `?`. A `+` is a plus (RFC 3986), as times have one.
    init(_ text: String) throws(Problem) {
        for part in text.split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = pair.first?.removingPercentEncoding,
                let value = (pair.count > 1 ? pair[1] : "").removingPercentEncoding
            else { throw Problem(.malformedRequest, "the query is not percent-encoded UTF-8: \(quoted(part))") }
            values.append((name, value))
        }
    }

    /// The values of a parameter that can be repeated.
    mutating func all(_ name: String) -> [String] {
        let found = values.filter { $0.name == name }.map(\.value)
        values.removeAll { $0.name == name }
        return found
    }

    /// The value of a parameter; nil when it is not given.
    mutating func one(_ name: String) throws(Problem) -> String? {
        let found = all(name)
        guard found.count <= 1 else { throw .invalid(name, "is given \(found.count) times; once is enough") }
        return found.first
    }

    mutating func bool(_ name: String) throws(Problem) -> Bool {
        switch try one(name) {
        case nil, "false": false
        case "true": true
        case let other?: throw .invalid(name, "must be true or false, is \(quoted(other))")
        }
    }

    mutating func integer(_ name: String, in range: ClosedRange<Int>) throws(Problem) -> Int? {
        guard let text = try one(name) else { return nil }
        guard let value = Int(text), "\(value)" == text, range.contains(value) else {
            throw .invalid(
                name, "must be a whole number from \(range.lowerBound) to \(range.upperBound), is \(quoted(text))")
        }
        return value
    }

    /// Refuses what nobody took.
    func finish() throws(Problem) {
        guard let name = values.first?.name else { return }
        throw .invalid(name, "is not a parameter of this request")
    }
}

/// A JSON object whose keys are taken one by one; what is left over was not known, and is refused.
struct JSONObject {
    private let path: String
    private var values: [String: JSONValue]

    /// - Parameter path: for messages: `filter`; empty for the body itself.
    init(_ value: JSONValue, path: String = "") throws(Problem) {
        guard case .object(let values) = value else {
            throw .invalid(path.isEmpty ? "the body" : path, "must be an object, is \(value.kind)")
        }
        self.path = path
        self.values = values
    }

    /// The body of a request.
    init(body: Data) throws(Problem) {
        guard !body.isEmpty else { throw Problem(.malformedRequest, "the body is missing: a JSON object is wanted") }
        let value: JSONValue
        do {
            value = try JSONDecoder().decode(JSONValue.self, from: body)
        } catch {
            throw Problem(.malformedRequest, "the body is not JSON")
        }
        try self.init(value)
    }

    func name(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// The value of a key; nil when it is absent.
    mutating func take(_ key: String) -> JSONValue? { values.removeValue(forKey: key) }

    mutating func strings(_ key: String, atMost limit: Int) throws(Problem) -> [String]? {
        guard let value = take(key) else { return nil }
        guard case .array(let items) = value else { throw .invalid(name(key), "must be a list, is \(value.kind)") }
        guard items.count <= limit else {
            throw .invalid(name(key), "must have at most \(limit) items, has \(items.count)")
        }
        var strings: [String] = []
        for item in items {
            guard case .string(let text) = item else {
                throw .invalid(name(key), "must be a list of strings, has \(item.kind)")
            }
            strings.append(text)
        }
        return strings
    }

    mutating func string(_ key: String) throws(Problem) -> String? {
        guard let value = take(key) else { return nil }
        guard case .string(let text) = value else { throw .invalid(name(key), "must be a string, is \(value.kind)") }
        return text
    }

    mutating func bool(_ key: String) throws(Problem) -> Bool? {
        guard let value = take(key) else { return nil }
        guard case .bool(let bool) = value else { throw .invalid(name(key), "must be true or false, is \(value.kind)") }
        return bool
    }

    mutating func number(_ key: String, in range: ClosedRange<Double>) throws(Problem) -> Double? {
        guard let value = take(key) else { return nil }
        let number: Double
        switch value {
        case .integer(let integer): number = Double(integer)
        case .number(let double): number = double
        default: throw .invalid(name(key), "must be a number, is \(value.kind)")
        }
        guard range.contains(number) else {
            throw .invalid(name(key), "must be \(range.lowerBound) to \(range.upperBound), is \(number)")
        }
        return number
    }

    func finish() throws(Problem) {
        guard let key = values.keys.sorted().first else { return }
        throw .invalid(name(String(key.prefix(80))), "is not a key of this request")
    }
}
