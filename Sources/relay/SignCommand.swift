// `relay sign`: the headers that a backend would get.

import ArgumentParser
import Relay
import RelayConfiguration
import RelayCore
import Signing
import SlackHTTP
import WebhookSender

struct SignCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sign", abstract: "Sign a body, and print the headers of its signature.",
        discussion: """
            Signs the bytes of BODY as Relay signs a request to a backend; one header per line. For trying out a backend's check \
            without Relay, and for comparing. Exits 78 when the secret cannot be used.

            Example:
              export SECRET=…
              relay sign --secret env:SECRET body.json > headers
              curl http://localhost:3000/slack/events -H @headers \\
                -H 'Content-Type: application/json' --data-binary @body.json

            With standard_webhooks and ed25519 several secrets sign together:
              relay sign --scheme standard_webhooks --id msg_1 \\
                --secret file:old --secret file:new body.json
            """)

    @OptionGroup var scheme: SchemeOption
    @Option(
        name: .customLong("secret"),
        help: ArgumentHelp(
            "Where the secret is: env:NAME or file:PATH.",
            discussion: "standard_webhooks: whsec_…, ed25519: the private key, whsk_…; both base64.", valueName: "where"
        ))
    var secrets: [String]
    @Option(help: ArgumentHelp("Unix seconds; default: now.", valueName: "seconds"))
    var timestamp: Int64?
    @Option(help: "The delivery's id, for standard_webhooks and ed25519; default: a random one.")
    var id: String?
    @Argument(help: "The file whose bytes are signed; - reads standard input.")
    var body: String

    func validate() throws {
        try scheme.checkNotSigned(timestamp: timestamp, id: id)
        guard !secrets.isEmpty else { throw ValidationError("--secret is missing: env:NAME or file:PATH") }
        guard secrets.count == 1 || scheme.scheme.takesSeveralSignatures else {
            throw ValidationError("with scheme \(scheme.scheme.rawValue) one secret signs: give one --secret")
        }
        guard timestamp.map({ $0 >= 0 }) ?? true else {
            throw ValidationError("--timestamp must be seconds since 1970")
        }
        // Whatever would end the header, or the id within what is signed.
        guard id.map({ $0.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ".") } }) ?? true,
            id != ""
        else { throw ValidationError("--id must be ASCII characters without spaces and without a full stop") }
    }

    func run() throws {
        let store = SecretStore()
        let keys = try secrets.map { text in
            try usable(text) { try SigningKey(scheme.scheme, try store.secret($0)) }
        }
        let bytes = try readInput(body)
        let timestamp = timestamp ?? SystemClock().now.secondsSinceEpoch
        let id = id ?? "msg_" + hexadecimal(SecureRandom.bytes(12))
        let signatures = keys.map { $0.sign(id: id, timestamp: timestamp, body: bytes) }
        for header in RequestSignatures(id: id, timestamp: timestamp, signatures: signatures).headers {
            print("\(header.name): \(header.value)")
        }
    }
}

/// The option that `sign` and `verify` share.
struct SchemeOption: ParsableArguments {
    @Option(help: ArgumentHelp("How it is signed.", valueName: "scheme"))
    var scheme = SigningScheme.slack

    /// What a scheme does not sign is refused, not ignored.
    func checkNotSigned(timestamp: (some Any)?, id: String?) throws {
        guard timestamp == nil || scheme.signsTimestamp else {
            throw ValidationError("scheme \(scheme.rawValue) signs no timestamp: leave --timestamp out")
        }
        guard id == nil || scheme.signsID else {
            throw ValidationError("scheme \(scheme.rawValue) signs no id: leave --id out")
        }
    }
}

extension SigningScheme: ExpressibleByArgument {}

/// Makes something of the secret that `--secret` refers to. What was given instead of a reference is not repeated: it
/// may be the secret itself.
func usable<Key>(_ text: String, make: (SecretReference) throws -> Key) throws -> Key {
    guard let reference = SecretReference(argument: text) else {
        throw CommandFailure(
            .usage, "--secret must be env:NAME or file:PATH; a secret itself would be seen in the list of processes")
    }
    do {
        return try make(reference)
    } catch let error as KeyFormatError {
        throw CommandFailure(.configuration, "\(reference) \(error)")
    } catch let error as SecretError {
        throw CommandFailure(.configuration, "\(error)")
    }
}

extension SecretReference {
    /// `env:NAME` or `file:PATH`; the path may be relative to the current folder.
    fileprivate init?(argument text: String) {
        if text.hasPrefix("env:"), text.utf8.count > 4 {
            self = .environment(String(text.dropFirst(4)))
        } else if text.hasPrefix("file:"), text.utf8.count > 5 {
            self = .file(String(text.dropFirst(5)))
        } else {
            return nil
        }
    }
}
