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
        The token is read from RELAY_ADMIN_TOKEN. Exit codes: 0 ok, 1 failed, 2 usage, 69 no admin API is there, 77 it \
        refused the token.
        """

    func connect() throws -> AdminClient {
        let environment = ProcessInfo.processInfo.environment
        let named = adminURL ?? environment["RELAY_ADMIN_URL"].flatMap { $0.isEmpty ? nil : $0 }
        let url = named ?? AdminClient.defaultURL
        guard let parts = URLComponents(string: url), ["http", "https"].contains(parts.scheme), let host = parts.host,
            !host.isEmpty, parts.user == nil, ["", "/"].contains(parts.path), parts.query == nil, parts.fragment == nil
        else {
            throw CommandFailure(
                .usage, "the URL of the admin API must be like \(AdminClient.defaultURL), without a path, is \(url)")
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
    /// How long one request may take: a backend's test takes its timeout.
    private static let timeout = Duration.seconds(120)

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
    func get(_ path: String, _ query: Query = []) async throws -> [UInt8] {
        try await send(makeRequest(.get, path, query))
    }

    func post(_ path: String, _ query: Query = [], body: (any Encodable)? = nil) async throws -> [UInt8] {
        var request = makeRequest(.post, path, query)
        if let body {
            request.headers.append(("Content-Type", "application/json"))
            request.body = Array(try AdminJSON.encode(body))
        }
        return try await send(request)
    }

    func delete(_ path: String, _ query: Query = []) async throws -> [UInt8] {
        try await send(makeRequest(.delete, path, query))
    }

    private func send(_ request: CurlRequest) async throws -> [UInt8] {
        let response = try await perform(request)
        guard (200..<300).contains(response.status) else { throw failure(response.status, response.body) }
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
                failures.append(failure)
                guard failure.code != .failed else { continue }
                let rest = subjects[(index + 1)...].joined(separator: ", ")
                throw failures.joined(with: rest.isEmpty ? nil : "not tried: \(rest)", failure.code)
            }
        }
        if !failures.isEmpty { throw failures.joined() }
    }

    /// Reads a stream until it ends, or the reader says so by returning false.
    func stream(_ path: String, _ query: Query, _ read: @escaping @Sendable ([UInt8]) -> Bool) async throws {
        var request = makeRequest(.get, path, query)
        request.timeout = .seconds(365 * 86_400)
        // What is no stream is the problem instead: it has no event, and is short.
        let beginning = Beginning()
        request.bodyReader = { piece in
            beginning.keep(piece)
            return read(piece)
        }
        let response = try await perform(request)
        guard response.status == 200 else { throw failure(response.status, beginning.bytes) }
    }

    private func makeRequest(_ method: CurlRequest.Method, _ path: String, _ query: Query) -> CurlRequest {
        let parameters = query.map { "\($0.name.urlEncoded)=\($0.value.urlEncoded)" }.joined(separator: "&")
        return CurlRequest(
            url: url + API.root + path + (parameters.isEmpty ? "" : "?" + parameters), method: method,
            headers: [("Accept", "application/json"), ("User-Agent", "relay")]
                + (token.map { [("Authorization", "Bearer \($0)")] } ?? []),
            timeout: Self.timeout, connectTimeout: .seconds(5), proxy: isOnLoopback ? .none : .environment,
            maxResponseBytes: 64 << 20)
    }

    private func perform(_ request: CurlRequest) async throws -> CurlResponse {
        do throws(CurlError) {
            return try await client.perform(request)
        } catch {
            throw Self.failure(error, url)
        }
    }

    private static func failure(_ error: CurlError, _ url: String) -> CommandFailure {
        if error.code == .invalidRequest {
            return CommandFailure(.usage, "RELAY_ADMIN_TOKEN or the URL cannot be sent: \(error.message)")
        }
        return CommandFailure(
            .unreachable,
            "no admin API at \(url): \(error.message)\nis `relay serve` running there, and is admin.listen this address?"
        )
    }

    private func failure(_ status: Int, _ body: [UInt8]) -> CommandFailure {
        guard let problem: API.Problem = try? AdminJSON.decode(from: Data(body)) else {
            return CommandFailure(.unreachable, "what is at \(url) is no admin API of Relay: it answers HTTP \(status)")
        }
        let lines =
            [problem.detail.printable]
            + (problem.code == "reload_refused" ? problem.errors ?? [] : []).map(\.message.printable)
        switch status {
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

extension String {
    /// As a part of a path, or of a query.
    var urlEncoded: String { addingPercentEncoding(withAllowedCharacters: .unreserved) ?? "" }

    /// Without what could steer a terminal.
    var printable: String {
        String(
            unicodeScalars.map { scalar in
                let isControl =
                    scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .format
                return isControl ? Character("?") : Character(scalar)
            })
    }
}

extension CharacterSet {
    /// RFC 3986 §2.3
    fileprivate static let unreserved = CharacterSet(
        charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
}
