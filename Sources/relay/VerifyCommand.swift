// `relay verify`: whether a request is signed as it should be, and if not, why not.

import ArgumentParser
import Relay
import RelayConfiguration
import RelayCore
import SlackHTTP
import WebhookSender

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check the signature of a request; exit 1 and say why when it is not right.",
        discussion: """
            BODY holds the bytes of the request as they came: a body that was parsed and written again is another one. The headers \
            are given whole, or by --timestamp, --signature and --id. Headers that the scheme does not have are ignored. Exits 78 when \
            the secret cannot be used.

            Example:
              export SECRET=…
              relay verify --secret env:SECRET \\
                --header 'X-Slack-Request-Timestamp: 1531420618' \\
                --header 'X-Slack-Signature: v0=a2114d57…' body.txt

            With ed25519 the secret is the public key (whpk_…):
              relay verify --scheme ed25519 --secret file:key.pub --id msg_1 \\
                --timestamp 1614265330 --signature v1a,tQ9V2XOq… body.json
            """)

    @OptionGroup var scheme: SchemeOption
    @Option(
        help: ArgumentHelp(
            "Where the secret is: env:NAME or file:PATH.",
            discussion: "standard_webhooks: whsec_…, ed25519: the public key, whpk_…; both base64.", valueName: "where")
    )
    var secret: String
    @Option(
        name: [.customShort("H"), .customLong("header")],
        help: ArgumentHelp("A header of the request; may be given several times.", valueName: "name: value"))
    var headers: [String] = []
    @Option(help: ArgumentHelp("The header with the signed time, without its name.", valueName: "seconds"))
    var timestamp: String?
    @Option(help: "The header with the signature, or with several, without its name.")
    var signature: String?
    @Option(help: "The header webhook-id, without its name.")
    var id: String?
    @Option(
        help: ArgumentHelp("How old or early the signed time may be; none: any. Default: 5m.", valueName: "duration"))
    var tolerance: String?
    @Argument(help: "The file with the body; - reads standard input.")
    var body: String

    func validate() throws {
        try scheme.checkNotSigned(timestamp: timestamp, id: id)
        guard tolerance == nil || scheme.scheme.signsTimestamp else {
            throw ValidationError("scheme \(scheme.scheme.rawValue) signs no timestamp: leave --tolerance out")
        }
        _ = try (parsedTolerance(), parsedHeaders())
    }

    func run() throws {
        let store = SecretStore()
        let verifier = try usable(secret) { try RequestVerifier(scheme.scheme, try store.secret($0)) }
        let problems = verifier.problems(
            headers: try parsedHeaders(), body: try readInput(body), tolerance: try parsedTolerance(),
            now: SystemClock().now)
        guard !problems.isEmpty else { return print("the signature is right") }
        for problem in problems { print("not right: \(problem)") }
        throw ExitCode(CommandFailure.Code.failed.rawValue)
    }

    /// 5 minutes where nothing else is said, as in Slack's libraries and those of Standard Webhooks.
    private func parsedTolerance() throws -> Duration? {
        guard let tolerance else { return .seconds(300) }
        guard tolerance != "none" else { return nil }
        guard let duration = Duration(configured: tolerance) else {
            throw ValidationError("--tolerance must be a number with a unit (ms, s, m, h, d), or none")
        }
        return duration
    }

    private func parsedHeaders() throws -> [Backend.Header] {
        let given = try headers.map { line in
            guard let colon = line.firstIndex(of: ":"), colon > line.startIndex else {
                throw ValidationError("--header must be 'Name: value'")
            }
            return Backend.Header(
                name: String(line[..<colon]), value: trimmed(line[line.index(after: colon)...]))
        }
        let named = [
            (scheme.scheme.timestampHeader, timestamp), (scheme.scheme.signatureHeader, signature),
            (scheme.scheme.idHeader, id),
        ]
        return given
            + named.compactMap { name, value in
                name.flatMap { name in value.map { Backend.Header(name: name, value: trimmed($0[...])) } }
            }
    }

    /// Without the white space around it, which is no part of a header's value (RFC 9110 §5.5).
    private func trimmed(_ value: Substring) -> String {
        let isSpace = { (character: Character) in character == " " || character == "\t" || character.isNewline }
        let end = value.lastIndex { !isSpace($0) }.map { value.index(after: $0) } ?? value.startIndex
        return String(value[..<end].drop(while: isSpace))
    }
}
