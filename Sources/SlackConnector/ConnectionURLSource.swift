// Where the URL of a new connection comes from: apps.connections.open.

package import Curl
import Foundation
package import RelayCore
package import SocketMode

/// Gives the URL for one dial. The adapter is `ConnectionsOpen`; tests have their own.
package protocol ConnectionURLSource: Sendable {
    /// Asks once, without retries of its own. Returns early with `canceled` when the task is canceled.
    func open() async -> Result<Secret, ConnectFailure>
}

/// Calls apps.connections.open (slack-protocol.md §1).
package struct ConnectionsOpen: ConnectionURLSource {
    private let http: CurlClient
    private let configuration: SlackConnectorConfiguration
    /// Read for each call, so that a rotated token needs no restart.
    private let token: @Sendable () throws -> Secret

    package init(
        http: CurlClient, configuration: SlackConnectorConfiguration, token: @escaping @Sendable () throws -> Secret
    ) {
        self.http = http
        self.configuration = configuration
        self.token = token
    }

    package func open() async -> Result<Secret, ConnectFailure> {
        let bearer: String
        do { bearer = String(decoding: try token().bytes, as: UTF8.self) } catch {
            return .failure(ConnectFailure(.apiFatal, "app token: \(error)"))
        }
        let request = CurlRequest(
            url: configuration.apiURL + "/apps.connections.open", method: .post,
            headers: [("Authorization", "Bearer \(bearer)"), ("Content-Type", "application/x-www-form-urlencoded")],
            timeout: configuration.openTimeout, connectTimeout: .seconds(10),
            proxy: configuration.proxy.map { .url($0) } ?? .environment, caFile: configuration.caFile,
            maxResponseBytes: 1 << 20)
        do {
            let response = try await http.perform(request)
            return Self.read(
                status: response.status, retryAfter: response.header("retry-after"),
                contentType: response.header("content-type"), body: response.body)
        } catch {
            return .failure(
                ConnectFailure(error.code == .canceled ? .canceled : .apiUnreachable, "apps.connections.open: \(error)")
            )
        }
    }

    /// What an answer means.
    package static func read(
        status: Int, retryAfter: String?, contentType: String?, body: [UInt8]
    ) -> Result<Secret, ConnectFailure> {
        let answer = try? JSONDecoder().decode(Answer.self, from: Data(body))
        if status == 429 || answer?.error == "ratelimited" {
            // A limit without a hint: what slack-protocol.md §1.3 gives for the Python SDK.
            let wait = Duration(retryAfter: retryAfter) ?? .seconds(30)
            return .failure(ConnectFailure(.rateLimited, "ratelimited", status: status, retryAfter: wait))
        }
        guard status == 200 else {
            return .failure(
                ConnectFailure(
                    .apiError, "apps.connections.open answered with HTTP \(status)", status: status,
                    retryAfter: Duration(retryAfter: retryAfter)))
        }
        guard let answer else {
            let type = contentType.map { String($0.prefix(80)) } ?? "no content type"
            return .failure(
                ConnectFailure(
                    .apiError, "apps.connections.open answered with \(type) instead of JSON: a proxy?", status: 200))
        }
        guard answer.ok else { return .failure(failure(answer)) }
        guard let url = answer.url, !url.isEmpty else {
            return .failure(ConnectFailure(.apiError, "apps.connections.open gave no URL", status: 200))
        }
        return .success(Secret(url))
    }

    private static func failure(_ answer: Answer) -> ConnectFailure {
        let code = answer.error.map { String($0.prefix(64)) } ?? "unknown"
        let needed = answer.needed.map { ", needs \($0.prefix(64))" } ?? ""
        return ConnectFailure(fatalCodes.contains(code) ? .apiFatal : .apiError, code + needed, status: 200)
    }

    /// As lenient as can be: a field of another type is an absent one.
    private struct Answer: Decodable {
        var ok: Bool
        var error: String?
        var url: String?
        var needed: String?

        private enum CodingKeys: CodingKey { case ok, error, url, needed }

        init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: CodingKeys.self)
            ok = try fields.decode(Bool.self, forKey: .ok)
            error = try? fields.decode(String.self, forKey: .error)
            url = try? fields.decode(String.self, forKey: .url)
            needed = try? fields.decode(String.self, forKey: .needed)
        }
    }

    /// Errors that waiting does not help against (slack-protocol.md §1.3); all others may pass.
    package static let fatalCodes: Set<String> = [
        "not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type",
        "missing_scope", "no_permission", "access_denied", "accesslimited", "ekm_access_denied",
        "enterprise_is_restricted", "forbidden_team", "is_bot", "two_factor_setup_required", "missing_args",
        "insecure_request", "invalid_arg_name", "invalid_arguments", "invalid_array_arg", "invalid_charset",
        "invalid_form_data", "invalid_post_type", "missing_post_type", "unknown_method", "method_deprecated",
        "deprecated_endpoint", "link_disabled", "socket_mode_disabled",
    ]
}

extension Duration {
    /// A `Retry-After` in whole seconds, not more than a day; nil for anything else, the date form included.
    init?(retryAfter text: String?) {
        guard let text, let seconds = Int64(text.trimmingCharacters(in: .whitespaces)), seconds >= 0 else { return nil }
        self = .seconds(min(seconds, 24 * 3600))
    }
}
