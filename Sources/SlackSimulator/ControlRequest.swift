// What control requests say: every key is read or refused, none is ignored.

import Foundation
import RelayCore

/// The members of a JSON object, taken out one by one.
struct ControlRequest {
    private var members: [String: Any]

    /// An empty body is an empty object.
    init(_ body: [UInt8]) throws {
        guard !body.isEmpty else {
            members = [:]
            return
        }
        guard let object = try? JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] else {
            throw SlackSimulatorError(.request, "the body must be a JSON object")
        }
        members = object
    }

    /// Numbers are taken as text, too: a connection may be named by either.
    mutating func text(_ key: String) throws -> String? {
        switch members.removeValue(forKey: key) {
        case nil: return nil
        case let text as String: return text
        case let number as NSNumber: return number.stringValue
        default: throw SlackSimulatorError(.request, "\(key) must be a string")
        }
    }

    mutating func integer(_ key: String, in range: ClosedRange<Int>) throws -> Int? {
        guard let value = members.removeValue(forKey: key) else { return nil }
        guard let number = value as? Int, range.contains(number) else {
            throw SlackSimulatorError(
                .request, "\(key) must be a whole number from \(range.lowerBound) to \(range.upperBound), is \(value)")
        }
        return number
    }

    mutating func texts(_ key: String) throws -> [String: String] {
        guard let value = members.removeValue(forKey: key) else { return [:] }
        guard let texts = value as? [String: String] else {
            throw SlackSimulatorError(.request, "\(key) must be an object of strings")
        }
        return texts
    }

    /// Milliseconds, up to a day.
    mutating func duration(_ key: String) throws -> Duration? {
        try integer(key, in: 0...86_400_000).map { .milliseconds($0) }
    }

    /// Outer nil: the key is absent. Inner nil: it is null, which switches the matter off.
    mutating func optionalDuration(_ key: String) throws -> Duration?? {
        if members[key] is NSNull {
            members[key] = nil
            return .some(nil)
        }
        return try duration(key).map { .some($0) }
    }

    /// Throws when a key is left: nothing is ignored.
    func finish() throws {
        guard let key = members.keys.min() else { return }
        throw SlackSimulatorError(.request, "unknown key \(key)")
    }
}

/// The body of `/control/send`, whose payload must keep its bytes.
struct SendOrder {
    var sample: SimulatedSample?
    var kind: Kind?
    var type: String?
    var acceptsResponsePayload: Bool?
    var payload: [UInt8]?
    /// `envelope` as it came, or the text of `frame`.
    var frame: [UInt8]?
    var count = 1
    /// How long the answer may wait for the envelopes to be settled, in milliseconds; nil: not at all.
    var wait: Int64?
    var values = SampleValues()

    mutating func read(_ body: [UInt8]) throws {
        var scanner = JSONScanner(body)
        do {
            try scanner.enterObject()
            while let key = try scanner.nextKey() {
                let value = try scanner.readValue()
                try read(scanner.text(of: key), value, scanner)
            }
            try scanner.finish()
        } catch let error as JSONError {
            throw SlackSimulatorError(.request, "the body must be a JSON object: \(error)")
        }
    }

    private mutating func read(_ key: String, _ value: JSONValue, _ scanner: JSONScanner) throws {
        func text() throws -> String {
            guard let text = scanner.string(value) else {
                throw SlackSimulatorError(.request, "\(key) must be a string")
            }
            return text
        }
        switch key {
        case "sample":
            sample = SimulatedSample(rawValue: try text())
            if sample == nil {
                let known = SimulatedSample.allCases.map(\.rawValue).joined(separator: ", ")
                throw SlackSimulatorError(.request, "sample must be one of \(known), is \(try text())")
            }
        case "kind":
            kind = Kind(rawValue: try text())
            if kind == nil {
                let known = Kind.allCases.map(\.rawValue).joined(separator: ", ")
                throw SlackSimulatorError(.request, "kind must be one of \(known), is \(try text())")
            }
        case "type": type = try text()
        case "accepts_response_payload":
            acceptsResponsePayload = scanner.boolean(value)
            if acceptsResponsePayload == nil {
                throw SlackSimulatorError(.request, "accepts_response_payload must be true or false")
            }
            values.acceptsResponsePayload = acceptsResponsePayload
        case "payload": payload = Array(scanner.bytes[value.range])
        case "envelope": frame = Array(scanner.bytes[value.range])
        case "frame": frame = Array(try text().utf8)
        case "count":
            guard let number = scanner.integer(value), (1...100_000).contains(number) else {
                throw SlackSimulatorError(.request, "count must be a whole number from 1 to 100000")
            }
            count = number
        case "wait_ms":
            guard let number = scanner.integer(value), (0...600_000).contains(number) else {
                throw SlackSimulatorError(.request, "wait_ms must be a whole number from 0 to 600000")
            }
            wait = Int64(number)
        case "text": values.text = try text()
        case "command": values.command = try text()
        case "channel": values.channel = try text()
        case "user": values.user = try text()
        case "callback_id": values.callbackID = try text()
        case "action_id": values.actionID = try text()
        default: throw SlackSimulatorError(.request, "unknown key \(key)")
        }
    }

    func makePayload(_ bytes: [UInt8]) throws -> SimulatedPayload {
        guard type != nil || kind != nil else { throw SlackSimulatorError(.request, "payload needs kind or type") }
        var payload = SimulatedPayload(kind ?? .event, payload: bytes)
        if let type {
            payload.type = type
            payload.acceptsResponsePayload = type != "events_api"
        }
        payload.acceptsResponsePayload = acceptsResponsePayload ?? payload.acceptsResponsePayload
        return payload
    }
}
