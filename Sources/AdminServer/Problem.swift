// What the admin API says when it does not do what it was asked to (RFC 9457).

import HTTPTypes
import RelayCore

/// An end of a request other than success. Holds no secret and no payload.
struct Problem: Error, Equatable {
    var code: Code
    /// For people: names the thing, the value and the limit.
    var detail: String
    var mistakes: [API.Problem.Mistake] = []
    /// Methods that the path has (405).
    var allowed: [HTTPRequest.Method] = []
    /// How many were changed before it came to this.
    var done: Int?
    /// For the log, in place of `detail`: what is nobody's business outside.
    var cause: String?

    /// A closed set: callers switch on it.
    enum Code: String, CaseIterable, Sendable {
        case malformedRequest = "malformed_request"
        case unauthorized
        case forbiddenHost = "forbidden_host"
        case forbiddenOrigin = "forbidden_origin"
        case unknownPath = "unknown_path"
        case unknownDelivery = "unknown_delivery"
        case unknownBackend = "unknown_backend"
        case unknownReplay = "unknown_replay"
        case unknownApp = "unknown_app"
        case methodNotAllowed = "method_not_allowed"
        /// The delivery's state does not allow it.
        case wrongState = "wrong_state"
        case payloadRemoved = "payload_removed"
        /// Fewer deliveries match than the caller says.
        case countDiffers = "count_differs"
        case bodyTooLarge = "body_too_large"
        case unsupportedMediaType = "unsupported_media_type"
        /// Parameters or keys are not as they must be; `errors` has each.
        case invalid
        /// The new configuration is wrong; `errors` has each mistake.
        case reloadRefused = "reload_refused"
        case confirmationRequired = "confirmation_required"
        case headTooLarge = "head_too_large"
        case `internal`
        case queueUnavailable = "queue_unavailable"
        case tokenUnavailable = "token_unavailable"
        case tooManyStreams = "too_many_streams"
    }

    init(
        _ code: Code, _ detail: String, mistakes: [API.Problem.Mistake] = [], allowed: [HTTPRequest.Method] = []
    ) {
        self.code = code
        self.detail = detail
        self.mistakes = mistakes
        self.allowed = allowed
    }

    /// One parameter or key is not as it must be.
    static func invalid(_ name: String, _ message: String) -> Problem {
        Problem(.invalid, "\(name) \(message)", mistakes: [.init(name: name, message: message)])
    }

    /// The queue did not do what it was asked to.
    init(_ error: QueueError) { self.init(.queueUnavailable, error.description) }

    var status: HTTPResponse.Status {
        switch code {
        case .malformedRequest: .badRequest
        case .unauthorized: .unauthorized
        case .forbiddenHost, .forbiddenOrigin: .forbidden
        case .unknownPath, .unknownDelivery, .unknownBackend, .unknownReplay, .unknownApp: .notFound
        case .methodNotAllowed: .methodNotAllowed
        case .wrongState, .payloadRemoved, .countDiffers: .conflict
        case .bodyTooLarge: .contentTooLarge
        case .unsupportedMediaType: .unsupportedMediaType
        case .invalid, .reloadRefused: .unprocessableContent
        case .confirmationRequired: .preconditionRequired
        case .headTooLarge: .requestHeaderFieldsTooLarge
        case .internal: .internalServerError
        case .queueUnavailable, .tokenUnavailable, .tooManyStreams: .serviceUnavailable
        }
    }

    /// As it is sent.
    var body: API.Problem {
        API.Problem(
            type: "urn:relay:problem:\(code.rawValue)", title: code.title, status: status.code, code: code.rawValue,
            detail: detail, errors: mistakes.isEmpty ? nil : mistakes)
    }
}

extension Problem.Code {
    /// Says what kind of problem it is, the same each time.
    var title: String {
        switch self {
        case .malformedRequest: "The request cannot be read"
        case .unauthorized: "The admin token is missing or wrong"
        case .forbiddenHost: "The Host is not one of this machine"
        case .forbiddenOrigin: "Requests of other web pages are refused"
        case .unknownPath: "There is nothing at this path"
        case .unknownDelivery: "There is no such delivery"
        case .unknownBackend: "There is no such backend"
        case .unknownReplay: "There is no such replay"
        case .unknownApp: "There is no such app"
        case .methodNotAllowed: "The path does not have this method"
        case .wrongState: "The delivery's state does not allow it"
        case .payloadRemoved: "The payload was removed"
        case .countDiffers: "Fewer deliveries match"
        case .bodyTooLarge: "The body is too large"
        case .unsupportedMediaType: "The body is not of type application/json"
        case .invalid: "Something in the request is not as it must be"
        case .reloadRefused: "The new configuration is wrong"
        case .confirmationRequired: "The number of deliveries must be confirmed"
        case .headTooLarge: "The head of the request is too large"
        case .internal: "Something in Relay is broken"
        case .queueUnavailable: "The queue cannot do it now"
        case .tokenUnavailable: "The admin token cannot be read"
        case .tooManyStreams: "Too many streams are open"
        }
    }
}
