// Speaking to the admin API of a running relay.

import AdminServer
import ArgumentParser
import Curl
import Foundation
import Relay
import RelayCore
import Synchronization

/// The options that every command has that speaks to a running relay.
struct AdminOption: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where the admin API is; default: RELAY_ADMIN_URL, else \(AdminClient.defaultURL).", valueName: "url"))
    var adminURL: String?
    @Option(help: "table or json.")
    var output = Output.table

    static let codes = """
        The token is read from RELAY_ADMIN_TOKEN. Exit codes: 0 ok, 1 failed, 2 usage, 69 no admin API is there, or it \
        does not answer, 77 it refused the token.
        """

    func connect() throws -> AdminClient {
        let environment = ProcessInfo.processInfo.environment
        let named = adminURL ?? environment["RELAY_ADMIN_URL"].flatMap { $0.isEmpty ? nil : $0 }
        let url = named ?? AdminClient.defaultURL
        guard let parts = URLComponents(string: url), ["http", "https"].contains(parts.scheme), let host = parts.host,
            !host.isEmpty, parts.user == nil, ["", "/"].contains(parts.path), parts.query == nil, parts.fragment == nil
        else {
            throw CommandFailure(
                .usage,
                "the URL of the admin API must be like \(AdminClient.defaultURL), without a path, is \(url.withoutUserinfo)"
            )
        }
        let bare = host.trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
        return AdminClient(
            url: url.hasSuffix("/") ? String(url.dropLast()) : url,
            token: environment["RELAY_ADMIN_TOKEN"].flatMap { $0.isEmpty ? nil : $0 },
            isOnLoopback: IPAddress.isLoopback(host: bare))
    }
}

/// How a command prints what it found.
enum Output: String, ExpressibleByArgument, CaseIterable {
    /// For people.
    case table
    /// As the admin API says it.
    case json
}

/// Makes requests, and turns what goes wrong into an end of the command.
final class AdminClient: Sendable {
    static let defaultURL = "http://127.0.0.1:9391"
    /// How long a request may take.
    static let timeout = Duration.seconds(10)
    /// How long one may take whose time is a backend's (`timeout`: at most 10 minutes), or grows with the queue.
    static let longTimeout = Duration.seconds(660)

    let url: String
    private let token: String?
    /// A request that does not leave the machine goes through no proxy.
    private let isOnLoopback: Bool
    private let client = CurlClient(maxConnections: 2)

    init(url: String, token: String?, isOnLoopback: Bool) {
        self.url = url
        self.token = token
        self.isOnLoopback = isOnLoopback
    }

    typealias Query = [(name: String, value: String)]

    /// The body of a success; anything else ends the command. So with the other methods.
    func get(_ path: String, _ query: Query = [], timeout: Duration = timeout) async throws -> [UInt8] {
        try await send(makeRequest(.get, path, query, timeout))
    }

    func post(
        _ path: String, _ query: Query = [], body: (any Encodable)? = nil, timeout: Duration = timeout
    ) async throws -> [UInt8] {
        var request = makeRequest(.post, path, query, timeout)
        if let body {
            request.headers.append(("Content-Type", "application/json"))
            request.body = Array(try AdminJSON.encode(body))
        }
        return try await send(request)
    }

    func delete(_ path: String, _ query: Query = [], timeout: Duration = timeout) async throws -> [UInt8] {
        try await send(makeRequest(.delete, path, query, timeout))
    }

    private func send(_ request: CurlRequest) async throws -> [UInt8] {
        let response = try await perform(request)
        guard (200..<300).contains(response.status) else { throw failure(response, response.body) }
        guard response.status == 204 || response.mediaType == "application/json" else { throw stranger(response) }
        return response.body
    }

    /// Asks for one thing of each in turn. One that is refused keeps none of the others from it; what all the others would
    /// meet, too (no relay, no token), ends it. Fails at the end, with everything that was not done.
    static func forEach(_ subjects: [String], _ ask: (String) async throws -> Void) async throws {
        var failures: [CommandFailure] = []
        for (index, subject) in subjects.enumerated() {
            do {
                try await ask(subject)
            } catch let failure as CommandFailure {
                failures.append(failure.message.contains(subject) ? failure : failure.about(subject))
                guard failure.code != .failed else { continue }
                let rest = subjects[(index + 1)...].joined(separator: ", ")
                throw failures.joined(with: rest.isEmpty ? nil : "not tried: \(rest)", failure.code)
            }
        }
        if !failures.isEmpty { throw failures.joined() }
    }

    /// Reads a stream until it ends, or the reader says so by returning false.
    /// - Returns: whether it was the reader who ended it.
    func stream(_ path: String, _ query: Query, _ read: @escaping @Sendable ([UInt8]) -> Bool) async throws -> Bool {
        var request = makeRequest(.get, path, query, .seconds(365 * 86_400))
        // What is no stream is the problem instead: it has no event, and is short.
        let beginning = Beginning()
        let isEnough = Mutex(false)
        request.bodyReader = { piece in
            beginning.keep(piece)
            let goesOn = read(piece)
            if !goesOn { isEnough.withLock { $0 = true } }
            return goesOn
        }
        let response: CurlResponse
        do {
            response = try await perform(request)
        } catch  where isEnough.withLock({ $0 }) {
            return true
        }
        guard response.status == 200 else { throw failure(response, beginning.bytes) }
        guard response.mediaType == "text/event-stream" else { throw stranger(response) }
        return false
    }

    private func makeRequest(
        _ method: CurlRequest.Method, _ path: String, _ query: Query, _ timeout: Duration
    ) -> CurlRequest {
        let parameters = query.map { "\($0.name.urlEncoded)=\($0.value.urlEncoded)" }.joined(separator: "&")
        return CurlRequest(
            url: url + API.root + path + (parameters.isEmpty ? "" : "?" + parameters), method: method,
            headers: [("Accept", "application/json"), ("User-Agent", "relay")]
                + (token.map { [("Authorization", "Bearer \($0)")] } ?? []),
            timeout: timeout, connectTimeout: .seconds(5), proxy: isOnLoopback ? .none : .environment,
            maxResponseBytes: 64 << 20)
    }

    private func perform(_ request: CurlRequest) async throws -> CurlResponse {
        do throws(CurlError) {
            return try await client.perform(request)
        } catch {
            throw failure(error, request.timeout)
        }
    }

    private func failure(_ error: CurlError, _ timeout: Duration) -> CommandFailure {
        switch error.code {
        case .invalidRequest:
            CommandFailure(.usage, "RELAY_ADMIN_TOKEN or the URL cannot be sent: \(error.message)", cause: error.code)
        case .timeout:
            CommandFailure(
                .unreachable, "the admin API at \(url) answers nothing within \(timeout.milliseconds / 1_000) s",
                cause: error.code)
        default:
            CommandFailure(
                .unreachable,
                """
                no admin API at \(url): \(error.message)
                is `relay serve` running there, and is admin.listen this address?
                """, cause: error.code)
        }
    }

    private func stranger(_ response: CurlResponse) -> CommandFailure {
        let type = response.header("Content-Type").map { ", Content-Type \($0.printable)" } ?? ""
        return CommandFailure(
            .unreachable, "what is at \(url) is no admin API of Relay: it answers HTTP \(response.status)\(type)")
    }

    private func failure(_ response: CurlResponse, _ body: [UInt8]) -> CommandFailure {
        guard let problem: API.Problem = try? AdminJSON.decode(from: Data(body)) else { return stranger(response) }
        let lines =
            [problem.detail.printable]
            + (problem.code == "reload_refused" ? problem.errors ?? [] : []).map(\.message.printable)
        switch response.status {
        case 401 where token == nil:
            return CommandFailure(.refused, "the admin API wants a token: put it into RELAY_ADMIN_TOKEN")
        case 401:
            return CommandFailure(.refused, "the admin API refuses the token in RELAY_ADMIN_TOKEN")
        case 422 where problem.code == "invalid":
            return CommandFailure(.usage, lines.joined(separator: "\n"))
        case 403:
            return CommandFailure(.refused, lines.joined(separator: "\n"))
        default:
            return CommandFailure(.failed, lines.joined(separator: "\n"))
        }
    }

    static func decode<Value: Decodable>(_ body: [UInt8]) throws -> Value {
        do {
            return try AdminJSON.decode(from: Data(body))
        } catch {
            throw CommandFailure(
                .failed,
                "the admin API answers what this relay (\(RelayVersion.text)) does not understand: another version?")
        }
    }

    /// The first bytes of a response.
    private final class Beginning: Sendable {
        private let kept = Mutex<[UInt8]>([])

        var bytes: [UInt8] { kept.withLock { $0 } }

        func keep(_ piece: [UInt8]) {
            kept.withLock { $0 += piece.prefix(max(0, 16_384 - $0.count)) }
        }
    }
}

extension [CommandFailure] {
    fileprivate func joined(with line: String? = nil, _ code: CommandFailure.Code = .failed) -> CommandFailure {
        CommandFailure(code, (map(\.message) + [line].compactMap(\.self)).joined(separator: "\n"))
    }
}

extension CurlResponse {
    /// Its Content-Type without parameters (RFC 9110 §8.3.1).
    fileprivate var mediaType: String? {
        header("Content-Type").map {
            $0.prefix { $0 != ";" }.trimmingCharacters(in: .whitespaces).lowercased()
        }
    }
}

extension String {
    /// As a part of a path, or of a query.
    var urlEncoded: String { addingPercentEncoding(withAllowedCharacters: .unreserved) ?? "" }
}

extension CharacterSet {
    /// RFC 3986 §2.3
    fileprivate static let unreserved = CharacterSet(
        charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
}
